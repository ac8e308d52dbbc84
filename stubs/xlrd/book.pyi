from xlrd.formatting import XF, Format
from xlrd.sheet import Sheet

class Book:
    datemode: int
    user_name: str
    xf_list: list[XF]
    format_map: dict[int, Format]
    def sheet_names(self) -> list[str]: ...
    def sheet_by_index(self, sheetx: int) -> Sheet: ...
    def unload_sheet(self, sheet_name_or_index: int) -> None: ...
