from ctypes import c_int

from pypdfium2 import PdfPage, PdfTextPage

class FPDF_DOCUMENT: ...

FPDF_ERR_PASSWORD: int
FPDF_ERR_SECURITY: int

def FPDF_LoadMemDocument64(data_buf: bytes, size: int, password: bytes | None) -> FPDF_DOCUMENT | None: ...
def FPDF_CloseDocument(document: FPDF_DOCUMENT) -> None: ...
def FPDF_GetLastError() -> int: ...

FPDFBitmap_BGR: int

def FPDFText_GetUnicode(text_page: PdfTextPage, index: int) -> int: ...
def FPDF_PageToDevice(
    page: PdfPage,
    start_x: int,
    start_y: int,
    size_x: int,
    size_y: int,
    rotate: int,
    page_x: float,
    page_y: float,
    device_x: c_int,
    device_y: c_int,
) -> int: ...
