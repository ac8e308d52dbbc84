"""What a query with filters means, while it is being typed: the filters in words, and how one may go on. Pure.

For prompts and search lines. The query itself is read by `rag.query`; nothing is looked up in the library here.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass

from pipelines.words import content_stems
from rag.filters import KIND_NAMES
from rag.query import FILTER_KEYS, QueryNotUnderstood, QueryPart, parse_query

DATES = ("today", "yesterday", "3d", "2w", "6m", "1y")
MIN_MARKED_CHARS = 3
_WORDS = {
    "kind": "only {}",
    "in": "in {}",
    "after": "since {}",
    "before": "before {}",
    "author": "by {}",
    "name": "named {}",
    "like": "like the picture {}",
    "without": "without {}",
    "phrase": "word for word: {}",
}
_OPEN_WORD = re.compile(r"(?<!\S)(\S*)\Z")
_OPEN_FILTER = re.compile(rf"(?P<key>{'|'.join(FILTER_KEYS)}):(?P<value>[^\s\"]*)\Z", re.IGNORECASE)
MAY_HAVE_FILTERS = re.compile(rf"(?<!\S)(?:{'|'.join(FILTER_KEYS)}):|\"|(?<!\S)-\w", re.IGNORECASE)
"""A quick look: text without any of these is a plain question."""


@dataclass(frozen=True, slots=True)
class QueryHints:
    """What to show under a line that takes a query."""

    active: tuple[str, ...] = ()
    """The filters, each in a few words: `only pdf`, `since 2025-01`."""
    problem: str = ""
    """Why the query cannot be read, and what to write instead."""
    completions: tuple[str, ...] = ()
    """How the filter under the cursor may go on."""


def hints_for(typed: str, cursor: int | None = None) -> QueryHints:
    """The hints for a text with the cursor at this place (None: at its end)."""
    if not MAY_HAVE_FILTERS.search(typed):
        return QueryHints()
    completions = completions_at(typed[: len(typed) if cursor is None else cursor])
    try:
        parts = parse_query(typed).parts
    except QueryNotUnderstood as error:
        problem = "" if completions else ": ".join(part for part in (str(error), error.hint) if part)
        return QueryHints((), problem, completions)
    return QueryHints(tuple(_in_words(part) for part in parts), "", completions)


def completions_at(before_cursor: str) -> tuple[str, ...]:
    """Values that the filter at the end of this text may have; none where they are not known."""
    word = _OPEN_WORD.search(before_cursor)
    found = _OPEN_FILTER.fullmatch(word[1]) if word else None
    if found is None:
        return ()
    key = found["key"].lower()
    begun = re.split("[,;]", found["value"].lower())[-1]
    offered = KIND_NAMES if key == "kind" else DATES if key in ("after", "before") else ()
    fitting = tuple(each for each in offered if each.startswith(begun))
    return () if fitting == (begun,) else fitting


def complete(before_cursor: str) -> str:
    """What is to be typed behind this text to go on as far as is certain; empty where nothing is."""
    fitting = completions_at(before_cursor)
    if not fitting:
        return ""
    found = re.search(r"[^:,;]*\Z", before_cursor)
    begun = found[0].lower() if found else ""
    common = fitting[0]
    for each in fitting[1:]:
        while not each.startswith(common):
            common = common[:-1]
    return common[len(begun) :] + (" " if len(fitting) == 1 else "")


def stems_looked_for(typed: str) -> tuple[str, ...]:
    """The stems of the words that a query looks for, without its filters; for marking them in a text."""
    with suppress(QueryNotUnderstood):
        typed = parse_query(typed).text
    return tuple(each for each in content_stems(typed) if len(each) >= MIN_MARKED_CHARS or each.isdigit())


def _in_words(part: QueryPart) -> str:
    return _WORDS[part.key].format(part.value)
