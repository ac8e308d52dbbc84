"""Which reader takes a file: by its first bytes where those are telling, otherwise by its name.

A PDF or a Word document is read as what it is, whatever it is called. Any other binary file is refused,
saying what it is, and so is a text under the name of a PDF or a Word document.
"""

from __future__ import annotations

from typing import Literal

from rag.errors import DamagedFile, EncryptedFile, UnsupportedFile
from rag.readers.contract import OpenedFile

Format = Literal["text", "code", "markdown", "html", "pdf", "docx"]

HEAD_BYTES = 4096

_FORMATS: dict[Format, str] = {
    "text": "txt text log rst adoc asciidoc org tex textile wiki csv tsv srt vtt sub nfo me 1st",
    "code": "py pyi js mjs cjs jsx ts tsx c h cc cpp cxx hh hpp hxx m mm cs java kt kts scala groovy go rs rb php pl pm"
    " lua r jl swift dart ex exs erl hrl hs ml mli clj cljs lisp el scm rkt f f90 f95 pas ada adb ads d nim zig v sv"
    " vhd vhdl asm s sh bash zsh fish ps1 bat cmd awk sed sql graphql proto thrift cmake mk mak gradle dockerfile"
    " json jsonl json5 ndjson yaml yml toml ini cfg conf properties xml xsd xsl css scss sass less vue svelte"
    " diff patch",
    "markdown": "md markdown mdown mkd mdx qmd rmd",
    "html": "html htm xhtml",
    "pdf": "pdf",
    "docx": "docx docm dotx dotm",
}
FORMAT_BY_EXTENSION: dict[str, Format] = {
    extension: format_name for format_name, extensions in _FORMATS.items() for extension in extensions.split()
}
_NAMES_OF_TEXTS = (
    "readme license licence copying changelog changes news authors contributors contributing install notice todo"
    " notes history thanks makefile dockerfile rakefile gemfile vagrantfile jenkinsfile"
)
TEXT_NAMES = frozenset(_NAMES_OF_TEXTS.split())
"""Files without an extension that are text, in lower case."""

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x7fELF", "a program (ELF)"),
    (b"MZ", "a Windows program"),
    (b"\xfe\xed\xfa\xce", "a macOS program"),
    (b"\xfe\xed\xfa\xcf", "a macOS program"),
    (b"\xce\xfa\xed\xfe", "a macOS program"),
    (b"\xcf\xfa\xed\xfe", "a macOS program"),
    (b"\xca\xfe\xba\xbe", "a Java class or a macOS program"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"8BPS", "a Photoshop picture"),
    (b"OggS", "an Ogg recording"),
    (b"fLaC", "a FLAC recording"),
    (b"ID3", "an MP3 recording"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"GGUF", "a model (GGUF)"),
    (b"{\\rtf", "a rich text file (RTF)"),
    (b"%!PS", "a PostScript file"),
    (b"\0asm", "a WebAssembly program"),
)
_BINARY_MAGIC_BYTES = (b"MZ", b"GIF8", b"ID3", b"BZh", b"Rar!", b"GGUF", b"OggS", b"fLaC", b"8BPS")
"""These are letters: a text may begin with them. They count only with a byte beside them that no text has."""

_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
OLE_SCAN_BYTES = 1 << 20

_UNSUPPORTED_HINT = "kinds that are read: text, source code, Markdown, HTML, PDF, DOCX"


def accepts_name(name: str) -> bool:
    """Whether a file of this name is worth opening when a folder is indexed. Fast: asked for every file."""
    dot = name.rfind(".")
    if dot > 0:
        return name[dot + 1 :] in FORMAT_BY_EXTENSION or name[dot + 1 :].lower() in FORMAT_BY_EXTENSION
    return name.lower() in TEXT_NAMES


def find_format(file: OpenedFile) -> Format:
    """Which reader takes it; the stream stands at its start afterwards.

    Raises DamagedFile when its name promises another kind than its bytes are, EncryptedFile for an encrypted
    Office document, UnsupportedFile for what no reader takes.
    """
    head = file.stream.read(HEAD_BYTES)
    file.stream.seek(0)
    named = FORMAT_BY_EXTENSION.get(file.extension)
    if head.find(b"%PDF-", 0, 1024) >= 0 and (named == "pdf" or head.startswith(b"%PDF-")):
        return "pdf"
    if head.startswith(_ZIP):
        return _format_of_zip(file, named)
    if head.startswith(_OLE):
        raise _ole_error(file, named)
    if (what := _magic(head)) is not None:
        if named is not None:
            raise DamagedFile(f"{file.name} is not what its name says: it is {what}", hint="correct its name")
        raise UnsupportedFile(f"{file.name} is {what}, which is not read", hint=_UNSUPPORTED_HINT)
    if named == "pdf":
        raise DamagedFile(f"{file.name} is not a PDF", hint="get it again from where it came, or correct its name")
    if named == "docx":
        raise DamagedFile(
            f"{file.name} is not a Word document", hint="get it again from where it came, or correct its name"
        )
    if named is not None:
        return named
    # Named by the user, of a kind that its name does not tell: text is tried; find_encoding refuses others.
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:200].lower()
    return "html" if start.startswith((b"<!doctype html", b"<html")) else "text"


def _magic(head: bytes) -> str | None:
    for magic, what in _MAGIC:
        if head.startswith(magic) and (magic not in _BINARY_MAGIC_BYTES or not _looks_like_text(head)):
            return what
    if head[4:8] == b"ftyp":
        return "a film or a picture (MP4, HEIC)"
    if head.startswith(b"RIFF") and head[8:12] in (b"WAVE", b"AVI ", b"WEBP"):
        return "a recording, a film or a picture (RIFF)"
    return None


def _looks_like_text(head: bytes) -> bool:
    return not any(byte < 9 or 13 < byte < 27 for byte in head[:512])


def _format_of_zip(file: OpenedFile, named: Format | None) -> Format:
    if named == "docx":
        return "docx"
    import zipfile

    try:
        names = set(zipfile.ZipFile(file.stream).namelist())
    except (zipfile.BadZipFile, NotImplementedError):
        names = set()
    file.stream.seek(0)
    if "word/document.xml" in names:
        return "docx"
    if named is not None:
        raise DamagedFile(f"{file.name} is not what its name says: it is a zip archive", hint="correct its name")
    raise UnsupportedFile(f"{file.name} is a zip archive, which is not read", hint="unpack it and index the folder")


def _ole_error(file: OpenedFile, named: Format | None) -> DamagedFile | EncryptedFile | UnsupportedFile:
    content = file.stream.read(OLE_SCAN_BYTES)
    file.stream.seek(0)
    if _ENCRYPTED_PACKAGE in content:
        return EncryptedFile(
            f"{file.name} is protected by a password", hint="save a copy without the password and index that"
        )
    if named is not None and named != "docx":
        return DamagedFile(
            f"{file.name} is not what its name says: it is an old Office document", hint="correct its name"
        )
    return UnsupportedFile(f"{file.name} is in Word's old format", hint="save it as .docx and index that")
