"""The ZIP package of an Office or OpenDocument file: its XML parts, read as streams and with limits.

A part is fed to expat straight from the archive: memory does not grow with the file, nothing is unpacked to
disk. A document type (the way to external entities and entity bombs) is refused, and the archive's sizes are
checked before and while reading. What is not read (pictures, macros) is not touched. Knows nothing of what
the parts say, except how Office Open XML relates them.
"""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Protocol
from xml.parsers import expat

from rag.errors import DamagedFile, EncryptedFile, TooLarge
from rag.readers.contract import MEGABYTE, OpenedFile

MAX_ENTRIES = 10_000
MAX_RATIO = 200
"""Uncompressed to compressed size of a part, above RATIO_FREE_BYTES. Real text stays below 60."""
RATIO_FREE_BYTES = 4 * MEGABYTE
MAX_PART_BYTES = 4096 * MEGABYTE
"""A sheet of a million full rows has one to two gigabytes of XML; it is never held."""
MAX_DEPTH = 2000
"""Nested elements; office programs write a few dozen."""
READ_BYTES = 1 << 16
BOMB_HINT = "it looks like an archive made to fill memory; leave it out with a line in .homebodyignore"

FALLBACK = "http://schemas.openxmlformats.org/markup-compatibility/2006 Fallback"
"""Repeats for old programs what stands in Choice."""
_RELATIONS = (
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    "http://purl.oclc.org/ooxml/officeDocument/relationships",  # "strict" documents
)
_RELATIONSHIP = "http://schemas.openxmlformats.org/package/2006/relationships Relationship"


class Elements(Protocol):
    """What takes a part's elements. Names come as `namespace local`, as expat gives them."""

    def start(self, tag: str, attributes: dict[str, str]) -> None: ...

    def end(self, tag: str) -> None: ...

    def data(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Relation:
    """From one part of an Office Open XML package to another."""

    kind: str
    """The last word of its type: `worksheet`, `notesSlide`, `coreProperties`."""
    part: str


class Package:
    """One opened archive. `what` names the kind of file, with its article, in messages: "a Word document"."""

    def __init__(self, file: OpenedFile, what: str) -> None:
        """Raises DamagedFile, TooLarge."""
        self.name = file.name
        self.what = what
        with self._damage():
            self._archive = zipfile.ZipFile(file.stream)
        self._entries = {entry.filename: entry for entry in self._archive.infolist()}
        self._check_sizes()

    def __contains__(self, part: str) -> bool:
        return part in self._entries

    def parse(self, part: str, elements: Elements) -> None:
        """Feed a whole part. Raises DamagedFile, TooLarge; nothing when there is no such part."""
        for _ in self.steps(part, elements):
            pass

    def steps(self, part: str, elements: Elements, *, count_depth: bool = True) -> Iterator[None]:
        """Feed a part, yielding after each READ_BYTES, so that what was collected can be taken meanwhile.

        `count_depth` limits how deep elements nest; without it, where `elements` hold nothing for each level,
        a sheet is read in two thirds of the time.
        """
        if part not in self._entries:
            return
        parser = self._parser(part, elements, count_depth)
        read_bytes = 0
        with self._damage(), self.open(part) as stream:
            while piece := stream.read(READ_BYTES):
                read_bytes += len(piece)
                if read_bytes > MAX_PART_BYTES:  # the size in the archive's list lied
                    raise TooLarge(f"{self.name} unpacks to more than it says", hint=BOMB_HINT)
                parser.Parse(piece, False)
                yield
            parser.Parse(b"", True)
        yield

    @contextmanager
    def open(self, part: str) -> Iterator[IO[bytes]]:
        """A part's bytes. Raises DamagedFile, EncryptedFile."""
        if self._entries[part].flag_bits & 1:
            raise EncryptedFile(
                f"{self.name} is protected by a password", hint="save a copy without the password and index that"
            )
        with self._damage(), self._archive.open(part) as stream:
            yield stream

    def relations(self, part: str) -> dict[str, Relation]:
        """Where a part of an Office Open XML package leads, by id, in its order; `""` is the package itself.

        Targets outside the package are left out: nothing is ever fetched.
        """
        folder, name = posixpath.split(part)
        found = _Relations(folder)
        self.parse(posixpath.join(folder, "_rels", f"{name}.rels"), found)
        return found.by_id

    def main_part(self, usual: str) -> str:
        """The part where an Office Open XML document begins. Raises DamagedFile when there is none."""
        if usual in self:
            return usual
        for relation in self.relations("").values():
            if relation.kind == "officeDocument" and relation.part in self:
                return relation.part
        raise DamagedFile(f"{self.name} is not {self.what}", hint="it is some other kind of archive")

    @contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            expat.ExpatError,
            LookupError,
            ValueError,
            OSError,
            RuntimeError,
        ) as error:
            # LookupError: expat's for an encoding that there is not. ValueError and OSError: zipfile's for impossible
            # offsets and names. RuntimeError: its for an unknown compression (NotImplementedError).
            raise DamagedFile(
                f"{self.name} is not {self.what}, or not whole ({error})",
                hint="get it again from where it came; it may have been cut off",
            ) from error

    def _check_sizes(self) -> None:
        if len(self._archive.infolist()) > MAX_ENTRIES:
            raise TooLarge(
                f"{self.name} has {len(self._archive.infolist()):,} parts, more than {MAX_ENTRIES:,}", hint=BOMB_HINT
            )
        for entry in self._archive.infolist():
            expands = entry.file_size > RATIO_FREE_BYTES and entry.file_size > MAX_RATIO * max(1, entry.compress_size)
            if expands or entry.file_size > MAX_PART_BYTES:
                raise TooLarge(
                    f"{self.name} unpacks to {entry.file_size / MEGABYTE:,.0f} MB in one part", hint=BOMB_HINT
                )

    def _parser(self, part: str, elements: Elements, count_depth: bool) -> expat.XMLParserType:
        parser = expat.ParserCreate(namespace_separator=" ")
        start, end = elements.start, elements.end
        depth = 0

        def refuse_doctype(*_: object) -> None:
            raise DamagedFile(
                f"{self.name} declares a document type in {part}, which office programs never do", hint=BOMB_HINT
            )

        def counted_start(tag: str, attributes: dict[str, str]) -> None:
            nonlocal depth
            depth += 1
            if depth > MAX_DEPTH:
                raise TooLarge(f"{self.name} nests more than {MAX_DEPTH:,} elements", hint=BOMB_HINT)
            start(tag, attributes)

        def counted_end(tag: str) -> None:
            nonlocal depth
            depth -= 1
            end(tag)

        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = refuse_doctype
        parser.StartElementHandler = counted_start if count_depth else start
        parser.EndElementHandler = counted_end if count_depth else end
        parser.CharacterDataHandler = elements.data
        return parser


def relation_id(attributes: dict[str, str]) -> str:
    """An element's `r:id`; empty when it has none."""
    for namespace in _RELATIONS:
        if (value := attributes.get(f"{namespace} id")) is not None:
            return value
    return ""


class _Relations:
    def __init__(self, folder: str) -> None:
        self.by_id: dict[str, Relation] = {}
        self._folder = folder

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == _RELATIONSHIP and attributes.get("TargetMode") != "External":
            target = attributes.get("Target", "")
            part = part_path(self._folder, target)
            kind = attributes.get("Type", "").rpartition("/")[2]
            self.by_id[attributes.get("Id", "")] = Relation(kind, part)

    def end(self, tag: str) -> None: ...

    def data(self, text: str) -> None: ...


def part_path(folder: str, reference: str) -> str:
    """The part that something in `folder` refers to; whatever it says, it names nothing outside the archive.

    An absolute reference begins at the archive's root; names in the archive have no slash before them.
    """
    return posixpath.normpath(posixpath.join("/", folder, reference)).lstrip("/")


class LocalNames(dict[str, str]):
    """`prefix:local` of a name that expat gives, remembered; the local name alone for a namespace not told.

    Documents name one vocabulary by several namespaces (transitional and strict); the prefixes here are ours.
    """

    def __init__(self, prefixes: dict[str, str]) -> None:
        """`prefixes`: ours, by namespace."""
        super().__init__()
        self._prefixes = prefixes

    def __missing__(self, tag: str) -> str:
        namespace, _, local = tag.rpartition(" ")
        prefix = self._prefixes.get(namespace)
        short = f"{prefix}:{local}" if prefix else f"?:{local}"
        if len(self) < 10_000:  # a file that invents names must not fill memory
            self[tag] = short
        return short


__all__ = ["BOMB_HINT", "FALLBACK", "Elements", "LocalNames", "Package", "Relation", "part_path", "relation_id"]
