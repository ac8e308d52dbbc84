"""Which reader function takes which format. The table that the worker process works by.

Readers are imported when the first file of their format comes.
"""

from __future__ import annotations

import importlib
from typing import cast

from rag.readers.contract import OpenedFile, Reader, ReadLimits
from rag.readers.sniff import FORMAT_BY_EXTENSION, Format, accepts_name, find_format
from rag.readers.unsupported import refuse_name

_READERS: dict[Format, tuple[str, str, str]] = {
    "text": ("text/1", "rag.readers.plain_text", "read_text"),
    "code": ("text/1", "rag.readers.plain_text", "read_code"),
    "source": ("source/2", "rag.readers.source_code", "read_source_code"),
    "markdown": ("markdown/3", "rag.readers.markdown", "read_markdown"),
    "rst": ("rst/1", "rag.readers.rst", "read_rst"),
    "org": ("org/1", "rag.readers.org", "read_org"),
    "asciidoc": ("asciidoc/1", "rag.readers.asciidoc", "read_asciidoc"),
    "latex": ("latex/2", "rag.readers.latex", "read_latex"),
    "json": ("json/1", "rag.readers.json_text", "read_json"),
    "jsonl": ("json/1", "rag.readers.json_text", "read_json_lines"),
    "yaml": ("settings/1", "rag.readers.settings_text", "read_yaml"),
    "tables": ("settings/1", "rag.readers.settings_text", "read_tables"),
    "xml": ("xml/1", "rag.readers.xml_text", "read_xml"),
    "subtitles": ("subtitles/1", "rag.readers.subtitles", "read_subtitles"),
    "notebook": ("notebook/1", "rag.readers.notebook", "read_notebook"),
    "html": ("html/2", "rag.readers.html", "read_html"),
    "pdf": ("pdfium/5", "rag.readers.pdf", "read_pdf"),
    "docx": ("docx/3", "rag.readers.docx", "read_docx"),
    "odt": ("odf/2", "rag.readers.odf_text", "read_odt"),
    "ods": ("odf/2", "rag.readers.ods", "read_ods"),
    "odp": ("odf/2", "rag.readers.odf_text", "read_odp"),
    "xls": ("xls/1", "rag.readers.xls", "read_xls"),
    "rtf": ("rtf/2", "rag.readers.rtf", "read_rtf"),
    "csv": ("csv/2", "rag.readers.csv_table", "read_csv"),
    "pptx": ("pptx/2", "rag.readers.pptx", "read_pptx"),
    "xlsx": ("xlsx/2", "rag.readers.xlsx", "read_xlsx"),
    "eml": ("mail/1", "rag.readers.eml", "read_eml"),
    "mbox": ("mbox/1", "rag.readers.mbox", "read_mbox"),
    "msg": ("msg/2", "rag.readers.msg", "read_msg"),
    "mhtml": ("mhtml/1", "rag.readers.mhtml", "read_mhtml"),
    "epub": ("epub/1", "rag.readers.epub", "read_epub"),
    "calendar": ("ics/1", "rag.readers.calendar_ics", "read_calendar"),
    "contacts": ("vcf/1", "rag.readers.contacts_vcf", "read_contacts"),
    "archive": ("archive/1", "rag.readers.archive", "read_archive"),
    "picture": ("picture/2", "rag.readers.picture", "read_picture"),
    "svg": ("svg/1", "rag.readers.svg", "read_svg"),
    "recording": ("recording/1", "rag.readers.recording", "announce_recording"),
}
"""Name and version, module and function. A version is raised when the reader would make something else of a file."""

READER_VERSIONS = frozenset(version for version, _, _ in _READERS.values())
"""What an older version made of a file is read again."""

SUPPORTED_EXTENSIONS = frozenset(FORMAT_BY_EXTENSION)


def choose_reader(file: OpenedFile) -> tuple[Reader, str]:
    """The function that reads this file, and its name and version.

    Raises UnsupportedFile, EncryptedFile or DamagedFile, from `find_format`.
    """
    version, module_name, function_name = _READERS[find_format(file)]
    return cast(Reader, getattr(importlib.import_module(module_name), function_name)), version


def reading_identity(limits: ReadLimits) -> str:
    """Changes when a file that was not read is worth another try: with a reader's version, a kind, a limit."""
    return f"{' '.join(sorted(READER_VERSIONS))} {' '.join(sorted(SUPPORTED_EXTENSIONS))} {limits}"


__all__ = [
    "READER_VERSIONS",
    "SUPPORTED_EXTENSIONS",
    "accepts_name",
    "choose_reader",
    "reading_identity",
    "refuse_name",
]
