"""XLSX and XLSM (Office Open XML): every sheet's rows with sheet and row locators, cells as a person sees them.

Parts come as streams from `rag.readers.package`, so a sheet of any length is read in bounded memory; only the
strings that all sheets share are held, packed. Formulas give the value that was computed when the workbook
was saved. Rows and cells without content cost a glance. Hidden rows and sheets are read; what stands beside the
cells (`rag.readers.sheet_remarks`) comes after each sheet's rows. Macros and pictures are not read.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator

from rag.errors import TooLarge
from rag.readers.blocks import or_empty
from rag.readers.clean_text import clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.number_format import BUILT_IN_FORMATS, ShowNumber, number_format, show_general
from rag.readers.package import BOMB_HINT, LocalNames, Package, relation_id
from rag.readers.package_properties import open_ooxml
from rag.readers.sheet_remarks import people_of, remark_blocks
from rag.readers.table_rows import Cells, Merge, Row, table_blocks
from rag.records import Block

MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384
"""Excel's own."""
MAX_MERGES = 10_000
MAX_SHEETS = 4_096

_SPREADSHEET = {
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main": "x",
    "http://purl.oclc.org/ooxml/spreadsheetml/main": "x",  # "strict" documents
}
_MERGE = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?ref="([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})"')
_SCAN_BYTES = 1 << 18
_ESCAPED_CHARACTER = re.compile(r"_x([0-9A-Fa-f]{4})_")
_TRUTH = {"0": "FALSE", "1": "TRUE"}


def read_xlsx(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for what is not a workbook, TooLarge for a bomb, EmptyFile without any cell."""
    package, main, reading = open_ooxml(file, "an Excel workbook", "xl/workbook.xml")
    blocks = _blocks(package, main, reading, limits)
    reading.blocks = or_empty(blocks, f"{file.name} has no cells with content")
    return reading


def _blocks(package: Package, main: str, reading: Reading, limits: ReadLimits) -> Iterator[Block]:
    workbook = _Workbook()
    package.parse(main, workbook)
    relations = package.relations(main)
    styles = _Styles()
    strings = _Strings(limits.max_text_chars, package.name)
    for relation in relations.values():
        if relation.kind == "styles":
            package.parse(relation.part, styles)
        elif relation.kind == "sharedStrings":
            package.parse(relation.part, strings)
    people = people_of(package, relations.values())
    formats = styles.show_by_style(epoch_1904=workbook.epoch_1904)
    uncomputed = 0
    for name, relation_of_sheet in workbook.sheets:
        sheet_relation = relations.get(relation_of_sheet)
        if sheet_relation is None or sheet_relation.kind != "worksheet":
            continue
        elements = _Sheet(strings, formats)
        merges = _merges(package, sheet_relation.part)
        yield from table_blocks(_rows(package, sheet_relation.part, elements), name, merges)
        yield from remark_blocks(package, sheet_relation.part, name, people)
        uncomputed += elements.uncomputed
    if uncomputed:
        reading.notes.append(
            f"{uncomputed:,} formulas have no computed value; open and save it in a spreadsheet program"
        )


def _rows(package: Package, part: str, elements: _Sheet) -> Iterator[Row]:
    for _ in package.steps(part, elements, count_depth=False):
        yield from elements.rows
        elements.rows.clear()


def _merges(package: Package, part: str) -> list[Merge]:
    """They stand behind the rows and are needed with them: looked for in the bytes, which costs little."""
    merges: list[Merge] = []
    if part not in package:
        return merges
    kept = b""
    with package.open(part) as stream:
        while piece := stream.read(_SCAN_BYTES):
            text = kept + piece
            if b"mergeCell" in text:
                for found in _MERGE.finditer(text):
                    left, top, right, bottom = (each.decode("ascii") for each in found.groups())
                    merges.append(Merge(int(top), int(bottom), column_of(left), column_of(right)))
                    if len(merges) >= MAX_MERGES:
                        return merges
            cut = text.rfind(b"<")
            kept = text[cut:] if cut >= 0 and len(text) - cut < 200 else b""
    return merges


def column_of(letters: str) -> int:
    """From 0: `A` is 0, `AA` is 26; -1 for what is no column."""
    column = 0
    for letter in letters:
        if not "A" <= letter <= "Z":
            return -1
        column = column * 26 + ord(letter) - 64
        if column > MAX_COLUMNS:
            return -1
    return column - 1


class _Columns(dict[str, int]):
    """Column numbers by the letters of a cell's reference, remembered."""

    def __missing__(self, letters: str) -> int:
        column = column_of(letters)
        if len(self) < MAX_COLUMNS:
            self[letters] = column
        return column


class _Workbook:
    """Takes the elements of the workbook part."""

    def __init__(self) -> None:
        self.sheets: list[tuple[str, str]] = []
        """Name and relation of each sheet, in the order of the tabs."""
        self.epoch_1904 = False
        self._names = LocalNames(_SPREADSHEET)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = self._names[tag]
        if name == "x:sheet" and len(self.sheets) < MAX_SHEETS:
            title = clean_title(attributes.get("name", "")) or f"Sheet{len(self.sheets) + 1}"
            self.sheets.append((title, relation_id(attributes)))
        elif name == "x:workbookPr":
            self.epoch_1904 = attributes.get("date1904", "") in ("1", "true")

    def end(self, tag: str) -> None: ...

    def data(self, text: str) -> None: ...


class _Styles:
    """Takes the elements of the styles part: which number format each style has."""

    def __init__(self) -> None:
        self._codes: dict[int, str] = {}
        self._style_formats: list[int] = []
        self._in_cell_styles = False
        self._names = LocalNames(_SPREADSHEET)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = self._names[tag]
        if name == "x:numFmt" and not self._in_cell_styles:
            self._codes[_number(attributes.get("numFmtId", ""))] = attributes.get("formatCode", "")
        elif name == "x:cellXfs":
            self._in_cell_styles = True
        elif name == "x:xf" and self._in_cell_styles:
            self._style_formats.append(_number(attributes.get("numFmtId", "0")))

    def end(self, tag: str) -> None:
        if self._names[tag] == "x:cellXfs":
            self._in_cell_styles = False

    def data(self, text: str) -> None: ...

    def show_by_style(self, *, epoch_1904: bool) -> list[ShowNumber]:
        by_format: dict[int, ShowNumber] = {}
        for number in set(self._style_formats):
            code = self._codes.get(number, BUILT_IN_FORMATS.get(number, ""))
            plain = code in ("", "@") or code.lower() == "general"
            by_format[number] = show_general if plain else number_format(code, epoch_1904=epoch_1904)
        return [by_format[number] for number in self._style_formats]


class _Strings:
    """Takes the elements of the shared strings, and gives each by its number. Held packed: an eighth of a list."""

    def __init__(self, max_chars: int, name: str) -> None:
        self._packed = bytearray()
        self._ends = array("Q")
        self._parts: list[str] = []
        self._in_text = False
        self._skip_depth = 0
        self._max_chars = max_chars
        self._name = name
        self._names = LocalNames(_SPREADSHEET)

    def start(self, tag: str, _: dict[str, str]) -> None:
        name = self._names[tag]
        if self._skip_depth or name == "x:rPh":  # how a Japanese word is pronounced
            self._skip_depth += 1
        elif name == "x:t":
            self._in_text = True

    def end(self, tag: str) -> None:
        if self._skip_depth:
            self._skip_depth -= 1
            return
        name = self._names[tag]
        if name == "x:t":
            self._in_text = False
        elif name == "x:si":
            self._packed += shown_text("".join(self._parts)).encode("utf-8", "replace")
            self._ends.append(len(self._packed))
            self._parts.clear()
            if len(self._packed) > self._max_chars:
                raise TooLarge(f"{self._name} holds more than {self._max_chars:,} bytes of text", hint=BOMB_HINT)

    def data(self, text: str) -> None:
        if self._in_text and not self._skip_depth:
            self._parts.append(text)

    def __getitem__(self, number: int) -> str:
        """Empty for a number that no string has."""
        if not 0 <= number < len(self._ends):
            return ""
        begin = self._ends[number - 1] if number else 0
        return self._packed[begin : self._ends[number]].decode("utf-8")


class _Sheet:
    """Takes the elements of a sheet; `rows` grows by each row that has content."""

    def __init__(self, strings: _Strings, formats: list[ShowNumber]) -> None:
        self.rows: list[Row] = []
        self.uncomputed = 0
        self._strings = strings
        self._formats = formats
        self._row = 0
        self._cells: Cells = {}
        self._column = -1
        self._kind = "n"
        self._style = 0
        self._text: list[str] = []
        self._in_text = False
        self._has_formula = False
        self._columns = _Columns()
        self._names = LocalNames(_SPREADSHEET)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = self._names[tag]
        if name == "x:c":
            reference = attributes.get("r")
            column = self._columns[reference.rstrip("0123456789")] if reference else -1
            self._column = column if column >= 0 else min(self._column + 1, MAX_COLUMNS - 1)
            self._kind = attributes.get("t", "n")
            style = attributes.get("s")
            self._style = int(style) if style else 0
            self._has_formula = False
        elif name == "x:v" or (name == "x:t" and self._kind == "inlineStr"):
            self._in_text = True
        elif name == "x:f":
            self._has_formula = True
        elif name == "x:row":
            number = _number(attributes.get("r", "0"))
            self._row = number if self._row < number <= MAX_ROWS else self._row + 1
            self._column = -1

    def data(self, text: str) -> None:
        if self._in_text:
            self._text.append(text)

    def end(self, tag: str) -> None:
        name = self._names[tag]
        if name == "x:v" or name == "x:t":
            self._in_text = False
        elif name == "x:c":
            if text := self._text:
                if shown := self._shown(text[0] if len(text) == 1 else "".join(text)):
                    self._cells[self._column] = shown
                text.clear()
            elif self._has_formula:
                self.uncomputed += 1
        elif name == "x:row" and self._cells:
            self.rows.append((self._row, self._cells))
            self._cells = {}

    def _shown(self, value: str) -> str:
        kind = self._kind
        if kind == "s":
            return self._strings[_number(value)]
        if kind == "n":
            try:
                number = float(value)
            except ValueError:
                return shown_text(value)
            return self._formats[self._style](number) if 0 <= self._style < len(self._formats) else show_general(number)
        if kind == "b":
            return _TRUTH.get(value, value)
        if kind == "d":
            return value.strip().replace("T00:00:00", "").replace("T", " ")
        return shown_text(value)


def shown_text(text: str) -> str:
    """Without space around it, and with the characters that XML cannot hold in place of their escapes."""
    if "_x" in text:
        text = _ESCAPED_CHARACTER.sub(lambda found: chr(int(found.group(1), 16)), text)
    return text.strip()


def _number(text: str) -> int:
    """-1 for what is no number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else -1
