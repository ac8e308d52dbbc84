"""XLS (Excel 97-2003, and the older BIFF): every sheet's rows with sheet and row locators, through xlrd.

xlrd tells each cell's number format, which the faster readers do not: 12.5% stays 12.5%. Sheets are loaded
one at a time; the format itself ends at 65,536 rows and 256 columns. Macros, comments, charts and pictures
are not read.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag.errors import DamagedFile, EmptyFile, EncryptedFile
from rag.readers.clean_text import clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.document_dates import unix_time
from rag.readers.number_format import ShowNumber, number_format
from rag.readers.table_rows import Cells, Merge, Row, table_blocks
from rag.records import Block

if TYPE_CHECKING:
    from xlrd.book import Book
    from xlrd.sheet import Sheet

_ENCRYPTED = "Workbook is encrypted"
_DAMAGE_HINT = "get it again from where it came, or save it as .xlsx and index that"
_BROKEN = (struct.error, ValueError, IndexError, KeyError, TypeError, AttributeError, AssertionError, OverflowError)
"""What xlrd lets through, beside its own errors, for records that are not what they should be."""


def read_xls(file: OpenedFile, _limits: ReadLimits) -> Reading:
    """Raises DamagedFile for what is not a workbook, EncryptedFile, EmptyFile without any cell."""
    from xlrd import XLRDError, open_workbook
    from xlrd.compdoc import CompDocError

    content = file.stream.read()
    try:
        # What xlrd has to say of a file's oddities is of no use to anyone: it must not reach a terminal.
        # Ragged rows: without them one cell in the last corner makes sixteen million.
        book = open_workbook(
            file_contents=content,
            logfile=io.StringIO(),
            formatting_info=True,
            on_demand=True,
            ragged_rows=True,
        )
    except (XLRDError, CompDocError, *_BROKEN) as error:
        if _ENCRYPTED in str(error):  # xlrd has no class of its own for it
            raise EncryptedFile(
                f"{file.name} is protected by a password", hint="save a copy without the password and index that"
            ) from error
        raise DamagedFile(f"{file.name} is not a whole Excel workbook ({error})", hint=_DAMAGE_HINT) from error
    title, author, written_at_s = _properties(content)
    reading = Reading(iter(()), title, author or clean_title(book.user_name), written_at_s)
    reading.blocks = _blocks(book, file.name, reading.notes)
    return reading


def _blocks(book: Book, name: str, notes: list[str]) -> Iterator[Block]:
    from xlrd import XLRDError

    formats: dict[int, ShowNumber] = {}
    found_any = False
    damaged: list[str] = []
    for index, sheet_name in enumerate(book.sheet_names()):
        shown_name = clean_title(sheet_name) or f"Sheet{index + 1}"
        try:
            sheet = book.sheet_by_index(index)
        except (XLRDError, *_BROKEN):
            damaged.append(shown_name)
            continue
        # xlrd counts from 0, and past the end.
        merges = [Merge(top + 1, bottom, left, right - 1) for top, bottom, left, right in sheet.merged_cells]
        for block in table_blocks(_rows(book, sheet, formats), shown_name, merges):
            found_any = True
            yield block
        book.unload_sheet(index)
    if damaged and not found_any:
        raise DamagedFile(f"{name}: none of its sheets can be read", hint=_DAMAGE_HINT)
    if damaged:
        notes.append(f"damaged sheets were left out: {', '.join(damaged)}")
    if not found_any:
        raise EmptyFile(f"{name} has no cells with content", hint="there is nothing in it to find")


def _rows(book: Book, sheet: Sheet, formats: dict[int, ShowNumber]) -> Iterator[Row]:
    for row in range(sheet.nrows):
        cells: Cells = {}
        for column, (kind, value) in enumerate(zip(sheet.row_types(row), sheet.row_values(row), strict=True)):
            if shown := _shown(book, sheet, row, column, kind, value, formats):
                cells[column] = shown
        if cells:
            yield row + 1, cells


def _shown(
    book: Book, sheet: Sheet, row: int, column: int, kind: int, value: str | float, formats: dict[int, ShowNumber]
) -> str:
    from xlrd import XL_CELL_BOOLEAN, XL_CELL_DATE, XL_CELL_ERROR, XL_CELL_NUMBER, error_text_from_code

    if isinstance(value, str):
        return value.strip()
    if kind in (XL_CELL_NUMBER, XL_CELL_DATE):
        style = sheet.cell_xf_index(row, column)
        if style not in formats:
            formats[style] = _format(book, style)
        return formats[style](value)
    if kind == XL_CELL_BOOLEAN:
        return "TRUE" if value else "FALSE"
    if kind == XL_CELL_ERROR:
        return error_text_from_code.get(int(value), "")
    return ""


def _format(book: Book, style: int) -> ShowNumber:
    code = ""
    if 0 <= style < len(book.xf_list):
        its_format = book.format_map.get(book.xf_list[style].format_key)
        code = its_format.format_str if its_format is not None else ""
    return number_format(code or "General", epoch_1904=bool(book.datemode))


def _properties(content: bytes) -> tuple[str, str, float | None]:
    """Title, author and the time it was last saved, from the OLE file's summary."""
    import olefile

    if not olefile.isOleFile(content):  # a bare BIFF stream, as Excel wrote until 1995
        return "", "", None
    try:
        with olefile.OleFileIO(content) as ole:
            its = ole.get_metadata()
    except (OSError, *_BROKEN):
        return "", "", None
    saved = its.last_saved_time or its.create_time
    return (
        clean_title(_text(its.title, its.codepage)),
        clean_title(_text(its.author, its.codepage)),
        unix_time(saved) if saved is not None else None,
    )


def _text(value: bytes | str | None, codepage: int | None) -> str:
    if not isinstance(value, bytes):
        return value or ""
    page = (codepage or 1252) & 0xFFFF  # olefile gives it signed
    codec = {65001: "utf-8", 1200: "utf-16-le", 10000: "mac_roman"}.get(page, f"cp{page}")
    try:
        return value.decode(codec, "replace")
    except LookupError:
        return value.decode("cp1252", "replace")
