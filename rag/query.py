"""A query as people type it, read: what is looked for, and which files it is looked for in.

    invoice kind:pdf after:2025-01 before:2025-06-30 in:~/notes author:anna name:"march bill" "exact phrase" -draft
    like:~/photos/bicycle.jpg red

Filters are taken out of the text wherever they stand; the rest is the query. `after:` takes documents from that
date on, `before:` those before it begins (both in local time): 2025, 2025-01, 2025-01-31, today, yesterday, or so
long ago: 3d, 2w, 6m, 1y. `in:` takes a folder (`/…`, `~/…`, `./…`) or a part of the path of one. Several `kind:`,
`in:`, `author:` or `name:` widen, different filters narrow. `like:` names a picture: those that look like it are
looked for, and words beside it say more of them. Any other `word:value` is plain text.

In a pasted text (several lines, or a long one) quotes and dashes are not operators, and a filter that makes no
sense is plain text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path

from rag.errors import QueryNotUnderstood
from rag.filters import KIND_NAMES, NO_FILTERS, Filters, UnknownKind, kinds_named
from rag.path_text import absolute_path

FILTER_KEYS = ("kind", "after", "before", "in", "author", "name", "like")
PASTED_CHARS = 500
"""A query longer than this, or of several lines, is taken for a pasted text."""

_QUOTES = '"“”„«»'
_IN_QUOTES = r'"[^"\n]*"|[“„][^“”\n]*[“”]|«[^«»\n]*»'
_PART = re.compile(
    rf"""
    (?<!\S)
    (?: (?P<key>{"|".join(FILTER_KEYS)}) : (?P<value> {_IN_QUOTES} | [^\s{_QUOTES}]\S* )
      | - (?P<without> {_IN_QUOTES} | [^\W\d_][\w.@/+-]*\w ) (?=[\s?!.,;:]|\Z)
      | (?P<phrase> {_IN_QUOTES} ) (?=[\s?!.,;:)]|\Z)
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a character, from an argument that is not UTF-8: SQLite takes no text with one."""
_DATE = re.compile(r"(\d{4})(?:[-/](\d{1,2})(?:[-/](\d{1,2}))?)?\Z")
_AGO = re.compile(r"(\d{1,4})([dwmy])\Z", re.IGNORECASE)
_DAYS = {"d": 1, "w": 7}


@dataclass(frozen=True, slots=True)
class QueryPart:
    """A filter, a phrase or an excluded word as it stands in what was typed."""

    key: str
    """One of FILTER_KEYS, or `phrase`, or `without`."""
    value: str
    """Without its quotes."""
    start: int
    end: int
    """Its span in what was typed."""


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """What is looked for, and where."""

    text: str
    """The query without its filters and excluded words; phrases stay in it, in their quotes."""
    filters: Filters = NO_FILTERS
    phrases: tuple[str, ...] = ()
    """Word for word."""
    without: tuple[str, ...] = ()
    """No passage with one of these."""
    like: str = ""
    """The path of a picture, absolute: what is found looks like it. Empty: anything may be found."""
    parts: tuple[QueryPart, ...] = field(default=(), compare=False)
    """Where what was understood stands, for a caller that shows it."""

    @property
    def restricted(self) -> bool:
        """Whether some passages are left out, whatever their words."""
        return bool(self.filters) or bool(self.without)

    def looking_for(self, text: str) -> ParsedQuery:
        """The same place and another text: a follow-up looks for more than it says."""
        return replace(self, text=text, parts=())

    def and_kinds(self, named: Iterable[str]) -> ParsedQuery:
        """Narrowed to kinds named elsewhere, as `kind:` takes them. Raises QueryNotUnderstood."""
        try:
            return replace(self, filters=self.filters.and_kinds(named))
        except UnknownKind as error:
            raise _unknown_kind(error) from error


def parse_query(typed: str, *, now: datetime | None = None) -> ParsedQuery:
    """Read what was typed; pure, but for `~` and `./`, which are the user's and this process's folders.

    `now` decides what `today` means. Raises QueryNotUnderstood for a date or a kind that does not exist.
    """
    typed = _SURROGATE.sub("\ufffd", typed)
    pasted = "\n" in typed.strip() or len(typed) > PASTED_CHARS
    today = (now or datetime.now()).date()
    filters = NO_FILTERS
    phrases: list[str] = []
    without: list[str] = []
    like = ""
    parts: list[QueryPart] = []
    rest: list[str] = []
    end = 0
    for match in _PART.finditer(typed):
        key = (match["key"] or ("without" if match["without"] else "phrase")).lower()
        if pasted and (match["key"] is None or key == "like"):
            continue
        value = (match["value"] or match["without"] or match["phrase"]).strip(_QUOTES).strip()
        if not value or not any(each.isalnum() or each in "./~*?" for each in value):
            continue
        if key == "phrase":
            phrases.append(value)
        elif key == "without":
            without.append(value)
        elif key == "like":
            like = os.fspath(absolute_path(Path(_home_expanded(value))))
        else:
            try:
                filters = _narrowed(filters, key, value, today)
            except QueryNotUnderstood:
                if pasted:
                    continue
                raise
        parts.append(QueryPart(key, value, *match.span()))
        if key != "phrase":
            rest.append(typed[end : match.start()])
            end = match.end()
    rest.append(typed[end:])
    text = _joined(rest) if len(rest) > 1 else typed.strip()
    return ParsedQuery(text, filters, tuple(dict.fromkeys(phrases)), tuple(dict.fromkeys(without)), like, tuple(parts))


def _joined(pieces: Iterable[str]) -> str:
    """What is left between filters; a sign that ended the sentence behind one stays at its end."""
    kept = [piece.strip(" \t") for piece in pieces]
    return re.sub(r" +([?!.,;])", r"\1", " ".join(piece for piece in kept if piece)).strip()


def _narrowed(filters: Filters, key: str, value: str, today: date) -> Filters:
    if key == "kind":
        try:
            kinds, suffixes = kinds_named(_values(value))
        except UnknownKind as error:
            raise _unknown_kind(error) from error
        return replace(filters, kinds=filters.kinds | kinds, suffixes=filters.suffixes | suffixes)
    if key == "after":
        start_s = _start_of(value, today, key)
        return replace(filters, after_s=max(start_s, filters.after_s if filters.after_s is not None else start_s))
    if key == "before":
        start_s = _start_of(value, today, key)
        return replace(filters, before_s=min(start_s, filters.before_s if filters.before_s is not None else start_s))
    if key == "author":
        return replace(filters, authors=(*filters.authors, value))
    if key == "name":
        return replace(filters, names=(*filters.names, value))
    if value.startswith(("~", f".{os.sep}", f"..{os.sep}")) or value in (".", "..") or Path(value).is_absolute():
        return replace(filters, folders=(*filters.folders, _absolute(value)))
    return replace(filters, path_parts=(*filters.path_parts, value.replace("/", os.sep)))


def _absolute(folder: str) -> str:
    """As the library lists it: without `~` and `..`, and without links, for indexing resolves its roots."""
    folder = _home_expanded(folder)
    with suppress(ValueError):  # a NUL is in no path
        return os.path.realpath(folder)
    return folder


def _home_expanded(path: str) -> str:
    with suppress(RuntimeError):  # `~name` of nobody here stands for itself
        return os.fspath(Path(path).expanduser())
    return path


def _values(value: str) -> list[str]:
    return [each for each in re.split(r"[,;]", value.rstrip("?!.,;")) if each.strip()]


def _start_of(value: str, today: date, key: str) -> float:
    """The Unix time at which the day, month or year begins here."""
    written = value.rstrip("?!.,;")
    word = written.casefold()
    try:
        if word in ("today", "yesterday"):
            return _midnight(today - timedelta(days=word == "yesterday"))
        if ago := _AGO.match(word):
            return _midnight(_ago(today, int(ago[1]), ago[2]))
        if dated := _DATE.match(word):
            return _midnight(date(int(dated[1]), int(dated[2] or 1), int(dated[3] or 1)))
    except (ValueError, OverflowError, OSError) as error:
        raise _bad_date(key, written) from error
    raise _bad_date(key, written)


def _ago(today: date, count: int, unit: str) -> date:
    if unit in _DAYS:
        return today - timedelta(days=count * _DAYS[unit])
    months = today.year * 12 + today.month - 1 - count * (12 if unit == "y" else 1)
    year, month = divmod(months, 12)
    for day in (today.day, 30, 29, 28):  # the 31st of a shorter month is its last day
        try:
            return date(year, month + 1, min(day, today.day))
        except ValueError:
            if day == 28 or not 1 <= year <= 9999:
                raise
    raise AssertionError("every month has 28 days")


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day).timestamp()


def _bad_date(key: str, value: str) -> QueryNotUnderstood:
    return QueryNotUnderstood(
        f"{key}:{value} is no date", hint="write a year, a month or a day: 2025, 2025-01, 2025-01-31, today, 3d, 2w, 6m"
    )


def _unknown_kind(error: UnknownKind) -> QueryNotUnderstood:
    return QueryNotUnderstood(
        f"there is no kind {error}", hint=f"known: {', '.join(KIND_NAMES)}, or a suffix such as rs"
    )


__all__ = ["FILTER_KEYS", "ParsedQuery", "QueryNotUnderstood", "QueryPart", "parse_query"]
