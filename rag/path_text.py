"""A path as valid text, for showing, searching and JSON. The path itself stays what the system gave.

File names are bytes on most systems and need not be UTF-8. Control characters are kept here: cleaning what
goes to a terminal is the terminal's edge's job.
"""

from __future__ import annotations

import os


def path_text(path: str | bytes | os.PathLike[str]) -> str:
    r"""The path as text that can be encoded: bytes that are not UTF-8 become `\xff`."""
    text = os.fsdecode(path)
    if text.isascii():
        return text
    return os.fsencode(text).decode("utf-8", "backslashreplace")
