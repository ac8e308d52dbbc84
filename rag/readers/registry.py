"""Which reader function takes which format. The table that the worker process works by.

Readers are imported when the first file of their format comes.
"""

from __future__ import annotations

import importlib
from typing import cast

from rag.readers.contract import OpenedFile, Reader
from rag.readers.sniff import FORMAT_BY_EXTENSION, Format, accepts_name, find_format

_READERS: dict[Format, tuple[str, str]] = {
    "text": ("rag.readers.plain_text", "read_text"),
    "code": ("rag.readers.plain_text", "read_code"),
    "markdown": ("rag.readers.markdown", "read_markdown"),
    "html": ("rag.readers.html", "read_html"),
    "pdf": ("rag.readers.pdf", "read_pdf"),
    "docx": ("rag.readers.docx", "read_docx"),
}

SUPPORTED_EXTENSIONS = frozenset(FORMAT_BY_EXTENSION)


def choose_reader(file: OpenedFile) -> tuple[Reader, str]:
    """The function that reads this file, and its name and version (`pdfium/1`).

    Raises UnsupportedFile, EncryptedFile or DamagedFile, from `find_format`.
    """
    module_name, function_name = _READERS[find_format(file)]
    module = importlib.import_module(module_name)
    return cast(Reader, getattr(module, function_name)), cast(str, module.VERSION)


__all__ = ["SUPPORTED_EXTENSIONS", "accepts_name", "choose_reader"]
