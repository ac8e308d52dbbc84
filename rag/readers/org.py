"""Org (Emacs): a block for each headline's section, under its heading path, with the line it starts at.

Read by the Org syntax's rules for headlines, keywords, blocks and drawers; inline markup is left as it is
written, a link gives what it shows. No line is added or taken away. Nothing is included or evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag.readers.clean_text import clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.document_dates import unix_time_of_iso
from rag.readers.plain_text import MAX_WHOLE_BYTES, read_text, whole_text
from rag.readers.sections import Heading, highest, section_blocks

_HEADLINE = re.compile(r"(\*{1,40})[ \t]+(\S.*)")
_TAGS = re.compile(r"[ \t]+:([\w@#%:]+):[ \t]*$")
_PRIORITY = re.compile(r"\[#[A-Z0-9]\][ \t]*")
_KEYWORD = re.compile(r"#\+(title|author|date):[ \t]*(\S.*)", re.IGNORECASE)
_BLOCK = re.compile(r"[ \t]*#\+(begin|end)_(\w+)", re.IGNORECASE)
_LINK = re.compile(r"\[\[([^\[\]\n]{1,1000})\](?:\[([^\[\]\n]{1,1000})\])?\]")
_UNREAD_LINE = re.compile(r"[ \t]*(?:#[ \t].*|#|:(?:PROPERTIES|END|LOGBOOK|ID):.*)$", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def read_org(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile for nothing but white space."""
    if file.size_bytes > MAX_WHOLE_BYTES:
        return read_text(file, limits)
    text, notes = whole_text(file)
    lines = text.split("\n")
    verbatim = _verbatim_lines(lines)
    headings = list(_headings(lines, verbatim))
    keywords: dict[str, str] = {}
    for line in lines:
        if line.startswith("#+") and (found := _KEYWORD.match(line)):
            keywords.setdefault(found[1].lower(), found[2])
    for number, line in enumerate(lines):
        if number not in verbatim:
            lines[number] = "" if _UNREAD_LINE.match(line) else _LINK.sub(lambda m: m[2] or m[1], line)
    day = _DATE.search(keywords.get("date", ""))
    return Reading(
        section_blocks(lines, headings),
        clean_title(keywords.get("title", "")) or highest(headings),
        clean_title(keywords.get("author", "")),
        unix_time_of_iso(day[0]) if day else None,
        notes=notes,
    )


def _verbatim_lines(lines: list[str]) -> frozenset[int]:
    """Those inside `#+begin_src` and the like; one that is never closed hides nothing."""
    found: set[int] = set()
    begun: tuple[int, str] | None = None
    for number, line in enumerate(lines):
        mark = _BLOCK.match(line)
        if mark is None:
            continue
        kind = mark[2].lower()
        if mark[1].lower() == "begin":
            begun = begun or (number, kind)
        elif begun is not None and begun[1] == kind:
            if kind in ("src", "example", "export", "comment"):
                found.update(range(begun[0], number + 1))
            begun = None
    return frozenset(found)


def _headings(lines: list[str], verbatim: frozenset[int]) -> Iterator[Heading]:
    for number, line in enumerate(lines):
        if line.startswith("*") and number not in verbatim and (found := _HEADLINE.fullmatch(line)):
            words = _LINK.sub(lambda m: m[2] or m[1], _PRIORITY.sub("", found[2]))
            words = _TAGS.sub(lambda m: f" ({m[1].strip(':').replace(':', ', ')})", words)
            if words := clean_title(words):
                yield Heading(number, number + 1, len(found[1]), words)
