"""The files that a PDF carries: of an invoice its data, of a portfolio all there is. They become files inside it."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from rag.errors import DamagedFile, TooLarge
from rag.readers.contract import MEGABYTE, Member, ReadLimits

if TYPE_CHECKING:
    from pypdfium2 import PdfAttachment, PdfDocument

MAX_ATTACHMENTS = 5000


def attached_files(document: PdfDocument, name: str, limits: ReadLimits) -> Iterator[Member]:
    """`name` is the document's, for messages."""
    from pypdfium2 import PdfiumError

    for index in range(min(document.count_attachments(), MAX_ATTACHMENTS)):
        try:
            attachment = document.get_attachment(index)
            told = attachment.get_name().replace("\\", "/").rpartition("/")[2].strip()
        except PdfiumError:
            continue
        path = told if told.strip(".") else f"part {index + 1}"
        yield Member(path, partial(_open_attachment, attachment, name, limits), 0)


def _open_attachment(attachment: PdfAttachment, name: str, limits: ReadLimits) -> BinaryIO:
    from pypdfium2 import PdfiumError, raw

    size_bytes = ctypes.c_ulong()
    raw.FPDFAttachment_GetFile(attachment, None, 0, size_bytes)
    if size_bytes.value > limits.max_file_bytes:
        raise TooLarge(
            f"a file attached to {name} has {size_bytes.value / MEGABYTE:,.0f} MB,"
            f" more than the limit of {limits.max_file_bytes / MEGABYTE:,.0f} MB",
            hint="save it as a file and index that, or raise library.max_file_mb in the settings",
        )
    try:
        return io.BytesIO(bytes(attachment.get_data()))
    except PdfiumError as error:
        raise DamagedFile(f"a file attached to {name} cannot be taken out", hint="save it as a file") from error
