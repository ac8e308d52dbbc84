"""What is to be typed behind a query to go on as far as is certain: a filter's value, or the path of a picture.

Pure but for looking at the disk, one folder at most.
"""

from __future__ import annotations

import re

from app.path_completion import complete_path

_OPEN_PATH = re.compile(r'(?<!\S)(?:like|in):(?:"(?P<quoted>[^"\n]*)|(?P<plain>[^\s"]*))\Z', re.IGNORECASE)
"""The beginning of a path behind the filters that take one."""


def completion_of(before_cursor: str) -> str | None:
    """None where the cursor stands at nothing that can go on; empty where it could, and nothing is certain."""
    if ":" not in before_cursor:
        return None
    if found := _OPEN_PATH.search(before_cursor):
        begun = found["quoted"] if found["quoted"] is not None else found["plain"]
        behind = complete_path(begun)[len(begun) :]
        # A name with a space in it would end the filter there, unless it stands in quotes.
        return behind if found["quoted"] is not None else behind.partition(" ")[0]
    from pipelines.query_hints import complete, completions_at

    return complete(before_cursor) if completions_at(before_cursor) else None
