"""A passage as the source screen shows it: what is cited stands out, lines have their numbers, rows are tables.

Pure: values in, Content out. Everything that comes from a file is cleaned here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from textual.content import Content, Span

from app.terminal_text import clean, clean_line

if TYPE_CHECKING:
    from pipelines.home import Chunk

CITED_STYLE = "bold $text-accent"
QUIET_STYLE = "$text-muted"
RULE = " │ "

# In these a passage leaves out what only serves their form (blank lines, tags, marks), so that only its first line's
# number is sure; in all other files with line numbers, code and plain text above all, every line has its own.
_FORMATTED = frozenset(
    {".md", ".markdown", ".html", ".htm", ".xhtml", ".rst", ".org", ".adoc", ".asciidoc", ".tex"}
    | {".rtf", ".ipynb", ".eml", ".mbox", ".srt", ".vtt"}
)
_BETWEEN_FIELDS = re.compile(r";\s+|\s\|\s")
_FIELD = re.compile(r"\s*([^:\n]{1,80}?):(?:\s+|$)(.*)")
MIN_FIELDS = 2
MAX_NAME_WIDTH = 28
"""A table's first column is no wider than this."""


def passage_content(chunk: Chunk, path: str, quotes: Sequence[str] = (), looked_for: str = "") -> Content:
    """A passage; the stretches that `quotes` name stand out, wherever the lines break, and the words looked for."""
    text = clean(chunk.text)
    cited = cited_spans(text, quotes) or word_spans(text, looked_for)
    if chunk.locator.row is not None and (table := _as_table(text, cited)):
        return table
    line = chunk.locator.line
    if line is None or chunk.locator.page is not None:
        return Content(text, spans=[Span(start, end, CITED_STYLE) for start, end in cited])
    return _numbered(text, cited, line, every=PurePath(path).suffix.lower() not in _FORMATTED)


def cited_spans(text: str, quotes: Sequence[str]) -> list[tuple[int, int]]:
    """Where the quotes stand in a cleaned text, whatever its white space; those that do not are left out."""
    found: list[tuple[int, int]] = []
    for quote in quotes:
        words = clean(quote).split()
        if words and (match := re.search(r"\s+".join(map(re.escape, words)), text)):
            found.append(match.span())
    return sorted(set(found))


def word_spans(text: str, looked_for: str) -> list[tuple[int, int]]:
    """Where words of a query stand in a text, in any of their forms."""
    if not looked_for:
        return []
    from pipelines.query_hints import stems_looked_for

    stems = "|".join(map(re.escape, stems_looked_for(looked_for)))
    return [match.span() for match in re.finditer(rf"(?i)\b(?:{stems})\w*", text)] if stems else []


def _numbered(text: str, cited: Sequence[tuple[int, int]], first: int, *, every: bool) -> Content:
    """With the lines' numbers before them. Each line gets its own part of a span, so that the margin stays quiet."""
    lines = text.split("\n")
    width = len(str(first + len(lines) - 1))
    pieces: list[Content] = []
    start = 0
    for n, line in enumerate(lines):
        number = f"{first + n if every or n == 0 else '':>{width}}{RULE}"
        spans = [Span(0, len(number), QUIET_STYLE)]
        for cited_start, cited_end in cited:
            begin, end = max(cited_start - start, 0), min(cited_end - start, len(line))
            if begin < end:
                spans.append(Span(len(number) + begin, len(number) + end, CITED_STYLE))
        pieces.append(Content(number + line, spans=spans))
        start += len(line) + 1
    return Content("\n").join(pieces)


def _as_table(text: str, cited: Sequence[tuple[int, int]]) -> Content | None:
    """Rows of a sheet, each a list of its headers and values; None where the text is not made of such rows."""
    rows: list[Content] = []
    start = 0
    for line in text.split("\n"):
        end = start + len(line)
        is_cited = any(first < end and last > start for first, last in cited)
        start = end + 1
        fields = [_FIELD.fullmatch(part) for part in _BETWEEN_FIELDS.split(line.rstrip("; |"))]
        named = [(field[1].strip(), field[2].strip()) for field in fields if field]
        if len(named) < MIN_FIELDS or len(named) < len(fields):
            if line.strip():
                rows.append(Content(line, spans=[Span(0, len(line), CITED_STYLE)] if is_cited else []))
            continue
        rows.append(_row(named, is_cited=is_cited))
    if not any("\n" in row.plain for row in rows):
        return None
    return Content("\n\n").join(rows)


def _row(named: Sequence[tuple[str, str]], *, is_cited: bool) -> Content:
    width = min(max(len(name) for name, _ in named), MAX_NAME_WIDTH)
    lines: list[Content] = []
    for name, value in named:
        header = f"{name if len(name) <= width else name[: width - 1] + '…':<{width}}{RULE}"
        spans = [Span(0, len(header), QUIET_STYLE)]
        if is_cited:
            spans.append(Span(len(header), len(header) + len(value), CITED_STYLE))
        lines.append(Content(header + value, spans=spans))
    return Content("\n").join(lines)


def file_facts(path: str, author: str, written_at_s: float | None, modified_at_s: float | None) -> str:
    """What is to be known of the file, on one line: its kind, who wrote it, and when."""
    from app.wording import day

    kind = PurePath(path).suffix.lstrip(".").upper()
    parts = [clean_line(kind), clean_line(author)]
    if written_at_s is not None:
        parts.append(day(written_at_s))
    elif modified_at_s is not None:
        parts.append(f"changed {day(modified_at_s)}")
    return " · ".join(part for part in parts if part)
