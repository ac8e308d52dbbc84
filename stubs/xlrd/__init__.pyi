"""The part of xlrd that homebody uses (2.0)."""

from typing import IO

from xlrd.book import Book

XL_CELL_NUMBER: int
XL_CELL_DATE: int
XL_CELL_BOOLEAN: int
XL_CELL_ERROR: int
error_text_from_code: dict[int, str]

class XLRDError(Exception): ...

def open_workbook(
    *,
    logfile: IO[str],
    file_contents: bytes,
    formatting_info: bool = ...,
    on_demand: bool = ...,
    ragged_rows: bool = ...,
) -> Book: ...
