"""ODS (OpenDocument spreadsheets): every sheet's rows with sheet and row locators, cells as a person sees them.

The content comes as a stream from `rag.readers.package`: bounded memory for a sheet of any length. The file
itself holds what each cell shows, in the writer's own notation; dates are taken as ISO 8601 instead. Rows and
cells that are repeated are counted, not made. Hidden rows and sheets are read; comments and drawings are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from rag.readers.blocks import or_empty
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.odf_text import CONTENT, ODF_PREFIXES, open_odf
from rag.readers.package import LocalNames, Package
from rag.readers.table_rows import Cells, Row, column_name, table_blocks
from rag.records import Block, Locator

MAX_ROWS = 1 << 24
MAX_COLUMNS = 16_384
MAX_REPEATED_ROWS = 1_000
"""Of one row with content; programs write as many as the sheet has when a whole column was filled."""
MAX_REPEATED_CELLS = 100
MAX_COMMENTS = 100_000

_TABLE = "urn:oasis:names:tc:opendocument:xmlns:table:1.0 "
_OFFICE = "urn:oasis:names:tc:opendocument:xmlns:office:1.0 "
_TEXT = "urn:oasis:names:tc:opendocument:xmlns:text:1.0 "
_CELLS = ("table:table-cell", "table:covered-table-cell")
_UNREAD = ("table:shapes", "office:forms", "table:tracked-changes", "draw:frame", "office:scripts")


def read_ods(file: OpenedFile, _limits: ReadLimits) -> Reading:
    """Raises DamagedFile for what is no spreadsheet, TooLarge for a bomb, EmptyFile without any cell."""
    package, reading = open_odf(file, "an OpenDocument spreadsheet")
    reading.blocks = or_empty(_blocks(package), f"{file.name} has no cells with content")
    return reading


def _blocks(package: Package) -> Iterator[Block]:
    sheets = _Sheets()
    for sheet, rows in groupby(_rows(package, sheets), key=itemgetter(0)):
        yield from table_blocks((row for _, row in rows), sheet)
    for sheet, row, column, words in sheets.comments:
        yield Block(f"{column_name(column)}{row}{words}", Locator(sheet=sheet, row=row), (sheet, "Comments"))


def _rows(package: Package, sheets: _Sheets) -> Iterator[tuple[str, Row]]:
    for _ in package.steps(CONTENT, sheets):
        yield from sheets.rows
        sheets.rows.clear()


class _Sheets:
    """Takes the elements of the content part; `rows` grows by each row that has content, with its sheet."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, Row]] = []
        self.comments: list[tuple[str, int, int, str]] = []
        """Sheet, row, column (from 0), and `, Ada: words` of each."""
        self._comment: list[str] | None = None
        """The words of the comment that is open."""
        self._commenter: list[str] = []
        self._in_creator = False
        self._names = LocalNames(ODF_PREFIXES)
        self._sheet_count = 0
        self._sheet = ""
        self._depth = 0
        """Of tables: a sheet may hold a table within a cell; its text is the cell's."""
        self._row = 0
        self._row_repeats = 1
        self._column = 0
        self._cells: Cells = {}
        self._reaching_down: dict[int, tuple[int, str]] = {}
        """By column: the last row of a cell that was made of several, and its content."""
        self._cell: dict[str, str] | None = None
        self._text: list[str] = []
        self._in_text = False
        self._skip_depth = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = self._names[tag]
        if self._skip_depth or name in _UNREAD:
            self._skip_depth += 1
        elif name in _CELLS and self._depth == 1:
            self._cell = attributes
        elif name == "office:annotation":
            self._comment, self._commenter = [], []
        elif self._comment is not None:
            self._start_in_comment(name)
        elif name == "text:p":
            if self._text:
                self._text.append(" ")
            self._in_text = self._cell is not None
        elif name == "text:s" and self._in_text:
            self._text.append(" ")
        elif name == "table:table-row" and self._depth == 1:
            self._row += 1
            self._row_repeats = _count(attributes, f"{_TABLE}number-rows-repeated", MAX_ROWS)
            self._column = 0
        elif name == "table:table":
            self._depth += 1
            if self._depth == 1:
                self._sheet_count += 1
                self._sheet = clean_title(attributes.get(f"{_TABLE}name", "")) or f"Sheet{self._sheet_count}"
                self._row = 0
                self._reaching_down = {}

    def _start_in_comment(self, name: str) -> None:
        if name == "dc:creator":
            self._in_creator = True
        elif name.startswith(("dc:", "?:")):
            self._skip_depth = 1  # its date
        elif name == "text:p" and self._comment is not None:
            self._comment.append(" ")

    def _end_comment(self) -> None:
        words = " ".join(clean_text("".join(self._comment or ())).split())
        author = clean_title("".join(self._commenter))
        self._comment = None
        if words and self._depth == 1 and self._row and len(self.comments) < MAX_COMMENTS:
            byline = f", {author}: " if author else ": "
            self.comments.append((self._sheet, self._row, self._column, byline + words))

    def data(self, text: str) -> None:
        if self._skip_depth:
            return
        if self._in_creator:
            self._commenter.append(text)
        elif self._comment is not None:
            self._comment.append(text)
        elif self._in_text:
            self._text.append(text)

    def end(self, tag: str) -> None:
        if self._skip_depth:
            self._skip_depth -= 1
            return
        name = self._names[tag]
        if name == "dc:creator":
            self._in_creator = False
        elif name == "office:annotation":
            self._end_comment()
        elif self._comment is not None:
            return
        elif name in _CELLS and self._depth == 1 and self._cell is not None:
            self._end_cell(self._cell)
        elif name == "text:p":
            self._in_text = False
        elif name == "table:table-row" and self._depth == 1:
            self._end_row()
        elif name == "table:table":
            self._depth -= 1

    def _end_cell(self, attributes: dict[str, str]) -> None:
        self._cell = None
        if shown := _shown(attributes, "".join(self._text).strip()):
            repeats = _count(attributes, f"{_TABLE}number-columns-repeated", MAX_COLUMNS)
            for column in range(self._column, min(self._column + min(repeats, MAX_REPEATED_CELLS), MAX_COLUMNS)):
                self._cells[column] = shown
            reaches = _count(attributes, f"{_TABLE}number-rows-spanned", MAX_ROWS)
            if reaches > 1 and self._column < MAX_COLUMNS:
                self._reaching_down[self._column] = (self._row + reaches - 1, shown)
            self._column += repeats
        else:
            self._column += _count(attributes, f"{_TABLE}number-columns-repeated", MAX_COLUMNS)
        self._text.clear()

    def _end_row(self) -> None:
        cells, self._cells = self._cells, {}
        if cells:
            if self._reaching_down:
                self._reaching_down = {
                    column: each for column, each in self._reaching_down.items() if each[0] >= self._row
                }
                for column, (_, shown) in self._reaching_down.items():
                    cells.setdefault(column, shown)
                cells = dict(sorted(cells.items()))
            for number in range(self._row, self._row + min(self._row_repeats, MAX_REPEATED_ROWS)):
                self.rows.append((self._sheet, (number, cells)))
        self._row += self._row_repeats - 1


def _count(attributes: dict[str, str], name: str, most: int) -> int:
    """1 where it is not stated, or no number."""
    stated = attributes.get(name)
    return min(int(stated), most) or 1 if stated and stated.isascii() and stated.isdigit() else 1


def _shown(attributes: dict[str, str], text: str) -> str:
    kind = attributes.get(f"{_OFFICE}value-type", "")
    if kind == "date" and (date := attributes.get(f"{_OFFICE}date-value", "")):
        day, _, time = date.partition("T")
        return f"{day} {time[:5]}" if time and time[:8] != "00:00:00" else day
    return text or attributes.get(f"{_OFFICE}value", "") or attributes.get(f"{_OFFICE}string-value", "")
