"""What stands on a PDF page beside its text: fields that were filled in, and remarks that were put on it.

pdfium's text of a page has neither. A field is told by the name that the form shows for it, a remark by who made it.
Nothing is run: no script of the document, no action of a field.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rag.readers.clean_text import clean_text, clean_title

if TYPE_CHECKING:
    from ctypes import Array

    from pypdfium2 import PdfDocument, PdfFormEnv, PdfPage
    from pypdfium2.raw import FPDF_ANNOTATION

    Give = Callable[[Array[ctypes.c_ushort] | None, int], int]

MAX_ANNOTATIONS = 5_000
"""Of one page."""
MAX_VALUE_CHARS = 100_000
MAX_NAME_CHARS = 80
_UNIT_BYTES = 2
_PASSWORD_FLAG = 1 << 13
_NAME_PART = re.compile(r"\[\d+\]")


def page_remarks(document: PdfDocument, page: PdfPage, shown: str) -> tuple[list[str], list[str]]:
    """The filled fields (`Name: Ada`) and the remarks (`Bob: Really?`) of a page whose text is `shown`."""
    from pypdfium2 import raw

    fields: dict[str, None] = {}
    remarks: dict[str, None] = {}
    unmarked = {raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_POPUP, raw.FPDF_ANNOT_WIDGET}
    for annotation in _annotations(page):
        kind = raw.FPDFAnnot_GetSubtype(annotation)
        if kind == raw.FPDF_ANNOT_WIDGET and document.formenv is not None:
            if field := _field(document.formenv, annotation):
                fields[field] = None
        elif kind not in unmarked and (words := clean_text(_string(annotation, b"Contents")).strip()):
            if _plain(words) in _plain(shown):
                continue  # some programs note what was marked
            author = clean_title(_string(annotation, b"T"))
            remarks[f"{author}: {words}" if author else words] = None
    return list(fields), list(remarks)


def _annotations(page: PdfPage) -> Iterator[FPDF_ANNOTATION]:
    from pypdfium2 import raw

    for index in range(min(raw.FPDFPage_GetAnnotCount(page), MAX_ANNOTATIONS)):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        if annotation:
            try:
                yield annotation
            finally:
                raw.FPDFPage_CloseAnnot(annotation)


def _field(form: PdfFormEnv, annotation: FPDF_ANNOTATION) -> str:
    """`Name: value` of a field that was filled in; empty for others, and for passwords."""
    from pypdfium2 import raw

    kind = raw.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in (raw.FPDF_FORMFIELD_TEXTFIELD, raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX):
        if raw.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD_FLAG:
            return ""
        value = _utf16(lambda buffer, size: raw.FPDFAnnot_GetFormFieldValue(form, annotation, buffer, size))
    elif kind == raw.FPDF_FORMFIELD_CHECKBOX and raw.FPDFAnnot_IsChecked(form, annotation):
        value = "yes"
    elif kind == raw.FPDF_FORMFIELD_RADIOBUTTON and raw.FPDFAnnot_IsChecked(form, annotation):
        value = _utf16(lambda buffer, size: raw.FPDFAnnot_GetFormFieldExportValue(form, annotation, buffer, size))
    else:
        return ""
    value = clean_text(value).strip()
    if not value:
        return ""
    name = _utf16(lambda buffer, size: raw.FPDFAnnot_GetFormFieldAlternateName(form, annotation, buffer, size))
    if not name.strip():
        full = _utf16(lambda buffer, size: raw.FPDFAnnot_GetFormFieldName(form, annotation, buffer, size))
        name = _NAME_PART.sub("", full).rpartition(".")[2]  # `form1[0].page2[0].LastName[0]`
    name = clean_title(name)[:MAX_NAME_CHARS]
    return f"{name}: {value}" if name else value


def _string(annotation: FPDF_ANNOTATION, key: bytes) -> str:
    from pypdfium2 import raw

    return _utf16(lambda buffer, size: raw.FPDFAnnot_GetStringValue(annotation, key, buffer, size))


def _utf16(give: Give) -> str:
    """What pdfium writes into a buffer of its size in bytes, of which it first tells how many it needs."""
    size_bytes = give(None, 0)
    if not _UNIT_BYTES < size_bytes <= MAX_VALUE_CHARS * _UNIT_BYTES:
        return ""
    units = (ctypes.c_ushort * (size_bytes // _UNIT_BYTES + 1))()
    give(units, size_bytes)
    return bytes(units)[:size_bytes].decode("utf-16-le", "replace").rstrip("\0")


def _plain(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
