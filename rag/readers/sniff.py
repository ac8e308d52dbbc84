"""Which reader takes a file: by its first bytes where those are telling, otherwise by its name.

A PDF or an Office document is read as what it is, whatever it is called. Any other binary file is refused,
saying what it is, and so is a text under the name of a PDF or an Office document.
"""

from __future__ import annotations

from typing import Literal, cast

from rag.errors import DamagedFile, EncryptedFile, ReadError, UnsupportedFile
from rag.readers.container_kind import kind_of_ole, kind_of_zip
from rag.readers.contract import OpenedFile
from rag.readers.encoding import is_wide_text
from rag.readers.mail_kind import is_mail_name, kind_of_mail

Format = Literal[
    "text",
    "code",
    "source",
    "markdown",
    "rst",
    "org",
    "asciidoc",
    "latex",
    "json",
    "jsonl",
    "yaml",
    "tables",
    "xml",
    "subtitles",
    "notebook",
    "html",
    "pdf",
    "docx",
    "pptx",
    "xlsx",
    "xls",
    "odt",
    "ods",
    "odp",
    "rtf",
    "csv",
    "eml",
    "mbox",
    "msg",
    "mhtml",
    "epub",
    "calendar",
    "contacts",
    "archive",
    "recording",
    "picture",
    "svg",
]

HEAD_BYTES = 4096

_FORMATS: dict[Format, str] = {
    "text": "txt text log textile wiki mediawiki creole pod texi texinfo typ sub lrc nfo me 1st po bib ris enw nbib"
    " ledger beancount hledger qif ofx",
    # Languages without a grammar in rag.readers.grammars.
    "code": "m mm kt kts scala groovy pl pm lua r jl swift dart ex exs erl hrl hs ml mli clj cljs lisp el scm rkt f f90"
    " f95 pas ada adb ads d nim zig v sv vhd vhdl asm s zsh fish ps1 bat cmd awk sed sql graphql proto thrift cmake mk"
    " mak gradle dockerfile properties css scss sass less vue svelte diff patch vb vbs bas cls fs fsx fsi psm1 psd1"
    " pyx pxd elm purs cr agda lean vala gd hx coffee tcl vim applescript ahk ino pde cu cuh cl glsl vert frag"
    " hlsl metal wgsl sol stan sas sps do ado bzl bazel nix tf tfvars hcl bicep rego cue jsonnet prisma env jsp asp"
    " aspx cshtml razor erb ejs hbs mustache jinja jinja2 j2 twig haml pug astro tpl tmpl g4 m4 ttl sparql",
    "source": "py pyi js mjs cjs jsx ts mts cts tsx c h cc cpp cxx hh hpp hxx cs java go rs rb php sh bash",
    "markdown": "md markdown mdown mkd mdx qmd rmd",
    "rst": "rst rest",
    "org": "org",
    "asciidoc": "adoc asciidoc",
    "latex": "tex latex ltx sty",
    "json": "json json5 jsonc geojson topojson jsonld webmanifest har arb avsc code-workspace",
    "jsonl": "jsonl ndjson",
    "yaml": "yaml yml",
    "tables": "toml ini cfg conf cnf inf url reg desktop service editorconfig",
    "xml": "xml xsd xsl xslt rss atom opml gpx tcx kml plist webloc rdf owl wsdl xaml csproj vbproj fsproj vcxproj resx"
    " xlf xliff tmx tei dita ditamap fb2 musicxml ttml dfxp",
    "subtitles": "srt vtt sbv ass ssa",
    "notebook": "ipynb",
    "html": "html htm xhtml xht shtml",
    "pdf": "pdf",
    "docx": "docx docm dotx dotm",
    "pptx": "pptx pptm ppsx ppsm potx potm",
    "xlsx": "xlsx xlsm xltx xltm",
    "xls": "xls xlt",
    "odt": "odt ott",
    "ods": "ods ots",
    "odp": "odp otp",
    "rtf": "rtf",
    "csv": "csv tsv tab",
    "eml": "eml emlx",
    "mbox": "mbox mbx",
    "msg": "msg",
    "mhtml": "mht mhtml",
    "epub": "epub",
    "calendar": "ics ical ifb",
    "contacts": "vcf vcard",
    "archive": "zip tar tgz taz gz tbz tbz2 tb2 bz2 txz xz",
    "picture": "jpg jpeg jpe jfif png apng gif bmp dib tif tiff webp heic heif hif avif",
    "svg": "svg svgz",
    # Sound, and films for their sound; `ts` is TypeScript.
    "recording": "mp3 wav wave flac ogg oga opus spx m4a m4b aac aif aiff aifc amr ape caf w64 wma mka"
    " mp4 m4v mkv mov avi webm wmv asf flv f4v mpg mpeg m2ts mts 3gp 3g2 ogv",
}
FORMAT_BY_EXTENSION: dict[str, Format] = {
    extension: format_name for format_name, extensions in _FORMATS.items() for extension in extensions.split()
}
_BINARY_FORMATS: dict[str, str] = {
    "pdf": "a PDF",
    "docx": "a Word document",
    "pptx": "a PowerPoint presentation",
    "xlsx": "an Excel workbook",
    "xls": "an old Excel workbook",
    "odt": "an OpenDocument text",
    "ods": "an OpenDocument spreadsheet",
    "odp": "an OpenDocument presentation",
    "rtf": "a rich text file (RTF)",
    "msg": "an Outlook message",
    "epub": "an e-book (EPUB)",
    "archive": "an archive",
    "picture": "a picture",
}
"""They are known by their bytes; a text is none of them, whatever it is called."""
_MAYBE_MAIL = frozenset({None, "text", "msg", "mbox"})
"""What a mail or a mailbox may be named: list archives are .txt, Thunderbird's mailboxes have no extension."""
_REFUSED: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("doc", "dot"), ("in Word's old format", "save it as .docx and index that")),
    **dict.fromkeys(("ppt", "pps", "pot"), ("in PowerPoint's old format", "save it as .pptx and index that")),
    "xlsb": ("a binary Excel workbook", "save it as .xlsx and index that"),
    **dict.fromkeys(("pages", "numbers"), ("an iWork document", "export it to PDF or an Office format and index that")),
}
"""By extension: documents that people keep and that no reader takes; they are listed with the reason."""
_KIND_NAMES = {"doc": "doc", "ppt": "ppt", "xlsb": "xlsb", "iwork": "pages"}
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
    (b"%!PS", "a PostScript file"),
    (b"\0asm", "a WebAssembly program"),
)
_BINARY_MAGIC_BYTES = (b"MZ", b"GIF8", b"ID3", b"BZh", b"Rar!", b"GGUF", b"OggS", b"fLaC", b"8BPS")
"""These are letters: a text may begin with them. They count only with a byte beside them that no text has."""

_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NEVER_SOUND = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"%PDF-", b"SQLite format 3\0")
"""No recording begins with one of these."""
_PICTURE_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
"""Of files in ISO's base format, which most films have too."""
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
"""gzip, bzip2 and xz: a TAR is in them, or a single file."""
_TAR_AT, _TAR = 257, b"ustar"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
OLE_SCAN_BYTES = 1 << 20

_UNSUPPORTED_HINT = (
    "convert it to a kind that is read (text, PDF, an Office format, JPEG, MP3, ZIP), or leave it out with a line in"
    " .homebodyignore"
)
_ACCEPTED = FORMAT_BY_EXTENSION.keys() | _REFUSED.keys()


def accepts_name(name: str) -> bool:
    """Whether a file of this name is worth opening when a folder is indexed. Fast: asked for every file."""
    dot = name.rfind(".")
    if dot > 0 and (name[dot + 1 :] in _ACCEPTED or name[dot + 1 :].lower() in _ACCEPTED):
        return True
    return (dot <= 0 and name.lower() in TEXT_NAMES) or is_mail_name(name)


def find_format(file: OpenedFile) -> Format:
    """Which reader takes it; the stream stands at its start afterwards.

    Raises DamagedFile when its name promises another kind than its bytes are, EncryptedFile for an encrypted
    Office document, UnsupportedFile for what no reader takes.
    """
    head = file.stream.read(HEAD_BYTES)
    file.stream.seek(0)
    named = FORMAT_BY_EXTENSION.get(file.extension)
    if named == "recording":  # whether it is one, only its decoder can tell
        refuse_silent_kinds(file)
        return named
    if head.find(b"%PDF-", 0, 1024) >= 0 and (named == "pdf" or head.startswith(b"%PDF-")):
        return "pdf"
    if head.startswith((_ZIP, _EMPTY_ZIP)):
        return _format_of_zip(file, named)
    if named in (None, "archive") and _is_packed_or_tar(head):
        return "archive"
    if head.startswith(_OLE):
        return _format_of_ole(file, named)
    if head.startswith(b"{\\rtf"):
        return "rtf"
    if named in (None, "picture", "svg") and _is_picture(head, named):
        return "picture"
    if named == "svg":
        return named
    if (what := _magic(head)) is not None:
        if named is not None:
            raise DamagedFile(f"{file.name} is not what its name says: it is {what}", hint="correct its name")
        raise UnsupportedFile(f"{file.name} is {what}, which is not read", hint=_UNSUPPORTED_HINT)
    if (named in _MAYBE_MAIL or is_mail_name(file.name)) and (mail_kind := kind_of_mail(head)) is not None:
        return mail_kind
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:200].lower()
    is_html = start.startswith((b"<!doctype html", b"<html"))
    if named == "xls" and (is_html or not (start.startswith(b"<") or b"\0" in head)):
        return "html" if is_html else "csv"  # what many programs export under Excel's old name
    if named in _BINARY_FORMATS:
        raise DamagedFile(
            f"{file.name} is not {_BINARY_FORMATS[named]}",
            hint="get it again from where it came, or correct its name",
        )
    if named is not None:
        return named
    # Of a kind that its name does not tell. Text in an unusual encoding is tried; find_encoding refuses others.
    if b"\0" in head and not is_wide_text(head):
        raise UnsupportedFile(f"{file.name} is of a kind that homebody does not know", hint=_UNSUPPORTED_HINT)
    return "html" if is_html else "text"


def refuse_silent_kinds(file: OpenedFile) -> None:
    """Raises DamagedFile for what surely is no recording, saying what it is. The stream stands at its start then."""
    head = file.stream.read(HEAD_BYTES)
    file.stream.seek(0)
    if head.startswith(_NEVER_SOUND):
        what = _magic(head) or "a PDF"
        raise DamagedFile(f"{file.name} is no recording: it is {what}", hint="correct its name, or name another file")


def _magic(head: bytes) -> str | None:
    for magic, what in _MAGIC:
        if head.startswith(magic) and (magic not in _BINARY_MAGIC_BYTES or not _looks_like_text(head)):
            return what
    if head[4:8] == b"ftyp":
        return "a film or a picture (MP4, HEIC)"
    if head.startswith(b"RIFF") and head[8:12] in (b"WAVE", b"AVI ", b"WEBP"):
        return "a recording, a film or a picture (RIFF)"
    return None


def _is_picture(head: bytes, named: Format | None) -> bool:
    """By its first bytes: what a picture is called tells little, cameras and browsers name many wrongly."""
    return (
        head.startswith(_PICTURES)
        or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS)
        or (head.startswith(b"BM") and named == "picture")
    )


def _is_packed_or_tar(head: bytes) -> bool:
    return (head.startswith(_PACKED) and not _looks_like_text(head)) or head[_TAR_AT:].startswith(_TAR)


def _looks_like_text(head: bytes) -> bool:
    return not any(byte < 9 or 13 < byte < 27 for byte in head[:512])


def _format_of_zip(file: OpenedFile, named: Format | None) -> Format:
    kind = kind_of_zip(file.stream, file.name)
    if kind in FORMAT_BY_EXTENSION.values():
        return cast(Format, kind)
    if kind == "zip" and named in (None, "archive"):
        return "archive"
    if kind in _KIND_NAMES:
        raise _refused(file, kind)
    if named == "epub":
        return named  # packed by hand, without the entry that says so; its reader says what else is missing
    if named in _BINARY_FORMATS:
        if kind is None:
            return named  # cut off, probably: its reader says so
        raise DamagedFile(f"{file.name} is not {_BINARY_FORMATS[named]}: it is a zip archive", hint="correct its name")
    if named is not None:
        raise DamagedFile(f"{file.name} is not what its name says: it is a zip archive", hint="correct its name")
    raise DamagedFile(f"{file.name} is a zip archive that is not whole", hint="get it again from where it came")


def _format_of_ole(file: OpenedFile, named: Format | None) -> Format:
    kind = kind_of_ole(file.stream)
    if kind in FORMAT_BY_EXTENSION.values():
        return cast(Format, kind)
    if kind is None and _ENCRYPTED_PACKAGE in file.stream.read(OLE_SCAN_BYTES):
        kind = "encrypted"  # cut off; that it is encrypted is the reason that matters
    file.stream.seek(0)
    if kind == "encrypted":
        raise EncryptedFile(
            f"{file.name} is protected by a password", hint="save a copy without the password and index that"
        )
    if kind in _KIND_NAMES or file.extension in _REFUSED:
        raise _refused(file, kind)
    if named is not None:
        raise DamagedFile(
            f"{file.name} is not what its name says, or not whole: it is an old Office document",
            hint="get it again from where it came, or correct its name",
        )
    raise UnsupportedFile(f"{file.name} is an old Office document, which is not read", hint=_UNSUPPORTED_HINT)


def _refused(file: OpenedFile, kind: str | None) -> ReadError:
    what, hint = _REFUSED[_KIND_NAMES.get(kind or "", file.extension)]
    return UnsupportedFile(f"{file.name} is {what}, which is not read", hint=hint)
