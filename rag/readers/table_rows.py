"""Rows of a table or a sheet as text: each row is one line and is read together with its column headers.

    City: Berlin | Date: 2025-03-14 | Share: 12.5%

Rows without content cost nothing and leave a gap; after each gap a sheet may begin another table, so headers
are looked for again. A block holds rows that follow one another, one a line, so that a row's number can be
counted. Knows nothing of files and formats: it gets the cells as a person sees them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

from rag.readers.clean_text import clean_text, clean_title
from rag.records import Block, Locator

Cells = dict[int, str]
"""By column, from 0; only those that are not empty."""
Row = tuple[int, Cells]
"""Number, from 1, and cells; rows come in order."""

LOOK_ROWS = 25
"""So many rows tell whether there are headers."""
HEADER_WITHIN_ROWS = 10
MAX_TITLE_ROWS = 3
BLOCK_CHARS = 8_000
MAX_LABEL_CHARS = 80
MAX_LABELLED_COLUMN = 1 << 20
MAX_OPEN_MERGES = 256
"""Merged cells that may reach into one row; a person's sheet has a handful."""
MIN_WIDTH_SHARE = 0.6
"""Of the table's columns must have a header, so that a line of remarks is none."""

_NUMBER = re.compile(
    r"[-+(]?\s?(?:[$€£¥₹]|[A-Z]{3}\s)?\s?[-+]?\.?\d[\d.,'\s\u00a0]*(?:[eE][+-]?\d+)?\s?(?:[%$€£¥₹)]|[A-Z]{3})?\)?"
)
_DATE = re.compile(
    r"\d{4}-\d{1,2}(?:-\d{1,2})?(?:[T ]\d{1,2}:\d\d.*)?|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}(?: .*)?"
    r"|\d{1,2}:\d\d(?::\d\d)?.{0,6}"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_TRUTH = frozenset({"true", "false", "yes", "no"})


@dataclass(frozen=True, slots=True)
class Merge:
    """Cells that were made one; the first holds the content."""

    first_row: int
    last_row: int
    first_column: int
    last_column: int


@dataclass(slots=True)
class _Table:
    """What is known of the table that the rows belong to."""

    prefixes: dict[int, str] = field(default_factory=dict)
    """`Header: ` by column."""
    header_rows: frozenset[int] = frozenset()
    """Their own numbers: they are not read together with themselves."""
    title: str = ""
    is_title: bool = False
    """The rows at hand are the title of what comes."""


def column_name(column: int) -> str:
    """`A` of 0, `AA` of 26, as spreadsheet programs call them."""
    name = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def table_blocks(rows: Iterable[Row], sheet: str | None = None, merges: Iterable[Merge] = ()) -> Iterator[Block]:
    """Blocks with the locator of their first row. `sheet` is the heading of all of them, if there is one."""
    spans = tuple(merges)
    stream = _with_merged_cells(iter(rows), spans)
    table = _Table()
    for segment in _segments(stream):
        head = list(islice(segment, LOOK_ROWS))
        table = _table_of(head, table, spans)
        yield from _blocks(chain(head, segment), table, sheet)


def _segments(rows: Iterator[Row]) -> Iterator[Iterator[Row]]:
    """Rows that follow one another without a gap. Each must be taken whole before the next."""
    following = next(rows, None)

    def segment(first: Row) -> Iterator[Row]:
        nonlocal following
        last = first[0]
        yield first
        for row in rows:
            if row[0] != last + 1:
                following = row
                return
            last = row[0]
            yield row
        following = None

    while following is not None:
        yield segment(following)


def _with_merged_cells(rows: Iterator[Row], merges: tuple[Merge, ...]) -> Iterator[Row]:
    """Give each row the content of the cells that reach down into it, as a person reads it."""
    downward = sorted((each for each in merges if each.last_row > each.first_row), key=lambda each: each.first_row)
    if not downward:
        yield from rows
        return
    open_ones: list[tuple[Merge, str]] = []
    index = 0
    for number, cells in rows:
        open_ones = [each for each in open_ones if each[0].last_row >= number]
        for merge, text in open_ones:
            cells.setdefault(merge.first_column, text)
        while index < len(downward) and downward[index].first_row <= number:
            merge = downward[index]
            index += 1
            if (
                merge.first_row == number
                and (text := cells.get(merge.first_column, ""))
                and len(open_ones) < MAX_OPEN_MERGES
            ):
                open_ones.append((merge, text))
        yield number, dict(sorted(cells.items())) if open_ones else cells


def _blocks(rows: Iterable[Row], table: _Table, sheet: str | None) -> Iterator[Block]:
    path = tuple(each for each in (sheet, "" if table.is_title else table.title) if each)
    prefixes, header_rows = table.prefixes, table.header_rows
    lines: list[str] = []
    first = chars = 0
    for number, cells in rows:
        if number in header_rows:
            line = " | ".join(cells.values())
        else:
            line = " | ".join([prefixes.get(column, "") + text for column, text in cells.items()])
        if not lines:
            first = number
        # One line a row, whatever the cells hold.
        lines.append(" ".join(line.split()))
        chars += len(line)
        if chars > BLOCK_CHARS:
            yield Block(clean_text("\n".join(lines)), Locator(sheet=sheet, row=first), path)
            lines, chars = [], 0
    if lines:
        yield Block(clean_text("\n".join(lines)), Locator(sheet=sheet, row=first), path)


def _table_of(head: list[Row], before: _Table, merges: tuple[Merge, ...]) -> _Table:
    """The table that a segment's first rows begin, or the one before when it goes on."""
    title = ""
    only_titles = all(len(cells) == 1 for _, cells in head)
    if only_titles and len(head) <= MAX_TITLE_ROWS and not before.prefixes:
        return _Table(title=_label(head[0][1]) if _is_words(head[0][1]) else before.title, is_title=True)
    width = max(len(cells) for _, cells in head)
    for index, (_, cells) in enumerate(head[:HEADER_WITHIN_ROWS]):
        if len(cells) == 1 and width > 1:
            title = title or (_label(cells) if _is_words(cells) else "")
            continue
        if len(cells) < 2 or len(cells) < MIN_WIDTH_SHARE * width:
            continue
        below = [each for _, each in head[index + 1 :]]
        if below and below[0].keys() - cells.keys() and _is_header(below[0], below[1:], strict=True):
            continue  # an upper row of headers with gaps, which the lower one fills
        if not _is_header(cells, below, strict=bool(before.prefixes)):
            # An upper row of headers is judged with the lower one; anything else is the first row of data.
            if _could_be_labels(cells):
                continue
            break
        labels, header_rows = _labels(head, index, merges)
        prefixes = {column: f"{label}: " for column, label in labels.items()}
        return _Table(prefixes, header_rows, title or ("" if before.prefixes else before.title))
    return before if before.prefixes else _Table(title=title or before.title)


def _is_words(cells: Cells) -> bool:
    return _kind(next(iter(cells.values()))) == "words"


def _label(cells: Cells) -> str:
    return clean_title(next(iter(cells.values())))[:MAX_LABEL_CHARS]


def _kind(text: str) -> str:
    text = text.strip()
    if len(text) <= MAX_LABEL_CHARS:
        if _DATE.fullmatch(text):
            return "date"
        if _NUMBER.fullmatch(text):
            return "number"
        if text.lower() in _TRUTH:
            return "truth"
    return "words"


def _could_be_labels(cells: Cells) -> bool:
    """Short words, years and dates, mostly words."""
    kinds = [_kind(text) for text in cells.values()]
    usable = all(
        kind in ("words", "date") or _YEAR.fullmatch(text.strip())
        for kind, text in zip(kinds, cells.values(), strict=True)
    )
    return usable and all(len(text) <= MAX_LABEL_CHARS for text in cells.values())


def _is_header(cells: Cells, below: list[Cells], *, strict: bool) -> bool:
    """Whether a row names the columns below it: labels above numbers or dates; or, unless `strict`, above words
    that are others in every row."""
    if not below or not _could_be_labels(cells):
        return False
    evidence = 0
    for column, text in cells.items():
        values = [each[column] for each in below if column in each]
        if not values:
            continue
        if text in values:
            return False
        kinds = [_kind(value) for value in values]
        usual = max(set(kinds), key=kinds.count)
        if _kind(text) == "words":
            evidence += usual != "words"
        elif usual == _kind(text):
            # Years above amounts are headers; dates above dates are data.
            evidence += 1 if usual == "number" and not all(map(_YEAR.fullmatch, values)) else -1
        else:
            evidence += 1
    distinct = len(set(cells.values())) == len(cells)
    if strict or not distinct:
        return evidence > 0
    return evidence > 0 or (evidence == 0 and all(_kind(text) == "words" for text in cells.values()))


def _labels(head: list[Row], index: int, merges: tuple[Merge, ...]) -> tuple[dict[int, str], frozenset[int]]:
    """The header row's labels by column, under those of the row of headers above it (`2024 Q1`), and the numbers
    of these rows."""
    number, cells = head[index]
    labels = {column: clean_title(text)[:MAX_LABEL_CHARS] for column, text in cells.items()}
    upper = head[index - 1][1] if index and head[index - 1][0] == number - 1 else {}
    if len(upper) < 2 or not _could_be_labels(upper):
        return labels, frozenset((number,))
    ends = {each.first_column: each.last_column for each in merges if each.first_row <= number - 1 <= each.last_row}
    held, until = "", -1
    for column in sorted(labels.keys() | upper.keys()):
        if column in upper:
            held = clean_title(upper[column])[:MAX_LABEL_CHARS]
            # Without a word about merged cells, a label stands over all columns up to the next.
            until = ends.get(column, column) if merges else MAX_LABELLED_COLUMN
        below = labels.get(column, "")
        if column <= until and held != below and (below or column in upper):
            labels[column] = f"{held} {below}".strip()
    return labels, frozenset((number - 1, number))
