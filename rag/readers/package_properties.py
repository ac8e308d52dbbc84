"""What a package says about its document: title, author and date, of Office Open XML and of OpenDocument.

The date is that of the last change: a document lives on after it was begun, often as a copy of an older one.
The author is who began it.
"""

from __future__ import annotations

from dataclasses import dataclass

from rag.readers.clean_text import clean_title
from rag.readers.contract import OpenedFile, Reading
from rag.readers.document_dates import unix_time_of_iso
from rag.readers.package import LocalNames, Package

MAX_CHARS = 2_000

_PREFIXES = {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://purl.org/dc/terms/": "dcterms",
    "urn:oasis:names:tc:opendocument:xmlns:meta:1.0": "meta",
}


@dataclass(frozen=True, slots=True)
class Properties:
    title: str = ""
    author: str = ""
    written_at_s: float | None = None


def open_ooxml(file: OpenedFile, what: str, usual_main: str) -> tuple[Package, str, Reading]:
    """The package, the part where its document begins (`usual_main` mostly), and a reading that awaits its blocks.

    Raises DamagedFile for what is not `what` ("a Word document"), TooLarge for a bomb.
    """
    package = Package(file, what)
    main = package.main_part(usual_main)
    its = ooxml_properties(package)
    return package, main, Reading(iter(()), its.title, its.author, its.written_at_s)


def ooxml_properties(package: Package) -> Properties:
    """Raises DamagedFile."""
    part = "docProps/core.xml"
    if part not in package:
        kinds = {relation.kind: relation.part for relation in package.relations("").values()}
        part = kinds.get("core-properties", "")
    values = _read(package, part)
    written = unix_time_of_iso(values.get("dcterms:modified", ""))
    return Properties(
        clean_title(values.get("dc:title", "")),
        clean_title(values.get("dc:creator", "")),
        unix_time_of_iso(values.get("dcterms:created", "")) if written is None else written,
    )


def odf_properties(package: Package) -> Properties:
    """Raises DamagedFile."""
    values = _read(package, "meta.xml")
    written = unix_time_of_iso(values.get("dc:date", ""))
    return Properties(
        clean_title(values.get("dc:title", "")),
        clean_title(values.get("meta:initial-creator", "") or values.get("dc:creator", "")),
        unix_time_of_iso(values.get("meta:creation-date", "")) if written is None else written,
    )


def _read(package: Package, part: str) -> dict[str, str]:
    values = _Values()
    package.parse(part, values)
    return values.found


class _Values:
    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._names = LocalNames(_PREFIXES)
        self._inside = ""

    def start(self, tag: str, _: dict[str, str]) -> None:
        self._inside = self._names[tag]

    def end(self, _: str) -> None:
        self._inside = ""

    def data(self, text: str) -> None:
        if self._inside and len(self.found) < 100:
            self.found[self._inside] = (self.found.get(self._inside, "") + text)[:MAX_CHARS]
