"""What the app needs to know of queries: reading one, and what can be written in it."""

from __future__ import annotations

from rag.errors import QueryNotUnderstood
from rag.filters import FAMILIES, KIND_NAMES, UnknownKind, kinds_named
from rag.query import FILTER_KEYS, ParsedQuery, QueryPart, parse_query


def filters_of(typed: str) -> tuple[str, ...]:
    """The filters and excluded words of a query as they were typed, for a caller that shows what is active.

    Raises QueryNotUnderstood for a date or a kind that does not exist.
    """
    return tuple(typed[part.start : part.end] for part in parse_query(typed).parts if part.key != "phrase")


__all__ = [
    "FAMILIES",
    "FILTER_KEYS",
    "KIND_NAMES",
    "ParsedQuery",
    "QueryNotUnderstood",
    "QueryPart",
    "UnknownKind",
    "filters_of",
    "kinds_named",
    "parse_query",
]
