"""What kind of document a ZIP archive or an OLE file is, by what stands in it. Macros are never looked at.

Knows nothing of names and of which kinds are read: `rag.readers.sniff` decides.
"""

from __future__ import annotations

import zipfile
import zlib
from typing import BinaryIO

from rag.errors import EncryptedFile

_MAIN_PARTS = {
    "word/document.xml": "docx",
    "ppt/presentation.xml": "pptx",
    "xl/workbook.xml": "xlsx",
    "xl/workbook.bin": "xlsb",
    "Index/Document.iwa": "iwork",
    "Index.zip": "iwork",
}
_FOLDERS = {"word": "docx", "ppt": "pptx", "xl": "xlsx"}
"""Some programs name the main part otherwise; then the content types' part says that it is an Office document."""
_MIMETYPES = {
    "application/epub+zip": "epub",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.text-template": "odt",
    "application/vnd.oasis.opendocument.text-master": "odt",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.oasis.opendocument.spreadsheet-template": "ods",
    "application/vnd.oasis.opendocument.presentation": "odp",
    "application/vnd.oasis.opendocument.presentation-template": "odp",
}
_MANIFEST = "META-INF/manifest.xml"
MAX_MANIFEST_BYTES = 1 << 20
MAX_MIMETYPE_BYTES = 100
_STREAMS = {
    "EncryptedPackage": "encrypted",
    "WordDocument": "doc",
    "PowerPoint Document": "ppt",
    "Workbook": "xls",
    "Book": "xls",
    "__properties_version1.0": "msg",
}


def kind_of_zip(stream: BinaryIO, name: str) -> str | None:
    """`docx`, `pptx`, `xlsx`, `xlsb`, `odt`, `ods`, `odp`, `epub`, `iwork`, or `zip` for any other archive; None
    when its list of entries cannot be read. The stream stands at its start afterwards.

    Raises EncryptedFile for an OpenDocument file that is; in Office's packages encryption is an OLE file.
    """
    try:
        archive = zipfile.ZipFile(stream)
        names = archive.NameToInfo.keys()
        kind = _MIMETYPES.get(_head_of(archive, "mimetype", MAX_MIMETYPE_BYTES).decode("latin-1").strip())
        if kind in ("odt", "ods", "odp") and b"encryption-data" in _head_of(archive, _MANIFEST, MAX_MANIFEST_BYTES):
            raise EncryptedFile(
                f"{name} is protected by a password", hint="save a copy without the password and index that"
            )
        if kind is None:
            kind = next((kind for part, kind in _MAIN_PARTS.items() if part in names), None)
        if kind is None and "[Content_Types].xml" in names:
            kind = next((_FOLDERS[folder] for name in names if (folder := name.partition("/")[0]) in _FOLDERS), None)
        return kind or "zip"
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, OSError):
        return None
    finally:
        stream.seek(0)


def kind_of_ole(stream: BinaryIO) -> str | None:
    """`encrypted` (an Office Open XML document in it), `doc`, `ppt`, `xls`, `msg`, or `ole` for any other; None
    when its folder cannot be read. The stream stands at its start afterwards."""
    import olefile

    try:
        with olefile.OleFileIO(stream) as ole:
            return next((kind for name, kind in _STREAMS.items() if ole.exists(name)), "ole")
    except (OSError, ValueError, IndexError, TypeError, AttributeError, RecursionError):
        # olefile raises these, beside its own OSErrors, for sectors and entries that lead nowhere.
        return None
    finally:
        stream.seek(0)


def _head_of(archive: zipfile.ZipFile, entry: str, max_bytes: int) -> bytes:
    if entry not in archive.NameToInfo:
        return b""
    with archive.open(entry) as stream:
        return stream.read(max_bytes)
