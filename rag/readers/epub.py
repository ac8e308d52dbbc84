"""E-books (EPUB 2 and 3): the chapters in reading order, under the titles that the table of contents gives them.

The archive is read through `rag.readers.package` with its limits, a chapter through the HTML reader. The book's
own XML (contents, metadata) is read by the standard library's tolerant HTML parser: it knows no document types
and no entities but HTML's, so there is nothing to expand or to fetch. No locators: an e-book has no pages.
Of a book with copy protection nothing is read; obfuscated fonts are no protection.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import unquote

from rag.errors import DamagedFile, EmptyFile, EncryptedFile, TooLarge
from rag.readers.clean_text import clean_title
from rag.readers.contract import MEGABYTE, OpenedFile, Reading, ReadLimits
from rag.readers.document_dates import unix_time_of_iso
from rag.readers.encoding import declared_codec
from rag.readers.epub_markup import Contents, elements
from rag.readers.html import page_sections
from rag.readers.package import BOMB_HINT, Package, part_path
from rag.records import Block

MAX_CHAPTER_BYTES = 32 * MEGABYTE
MAX_SPINE = 10_000
MAX_AUTHORS = 3
_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
_PACKAGE_DOCUMENT = "application/oebps-package+xml"
_FONT_ALGORITHMS = frozenset({"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#rc"})
_PAGES = frozenset({"application/xhtml+xml", "text/html", "text/x-oeb1-document", "application/x-dtbook+xml"})
_DECLARED = re.compile(rb"<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([A-Za-z0-9_.-]{2,40})")
DOCUMENT_TYPE_CHARS = 1 << 16
_DOCUMENT_TYPE = re.compile(r"<!DOCTYPE[^>\[]{0,500}\[.*?\]\s*>", re.DOTALL)
"""One with declarations in it: the HTML parser takes it to end at the first of them."""
_PARTIAL_DATE = re.compile(r"(\d{4})(?:-(\d\d))?")


def read_epub(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile, EncryptedFile, TooLarge; EmptyFile for a book without words."""
    book = _Book(Package(file, "an e-book"))
    protected = book.protected()
    if any(chapter in protected for chapter in book.spine):
        raise EncryptedFile(
            f"{file.name} is copy-protected (DRM)", hint="it can only be read in its shop's program; leave it out"
        )
    reading = Reading(iter(()), book.title, book.author, book.written_at_s)
    reading.blocks = _blocks(book, reading, limits)
    return reading


class _Book:
    """What the book's package document says. Raises DamagedFile when there is none."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.name = package.name
        path = self._package_document()
        self._folder = posixpath.dirname(path)
        found = list(elements(self.markup(path)))
        self._items = {each.attributes.get("id", ""): each.attributes for each in found if each.tag == "item"}
        ids = [each.attributes.get("idref", "") for each in found if each.tag == "itemref"][:MAX_SPINE]
        chapters = [self._items[each] for each in ids if each in self._items]
        self.spine = list(
            dict.fromkeys(
                self._path(each.get("href", "")) for each in chapters if each.get("media-type", "").lower() in _PAGES
            )
        )
        self.title = next((title for each in found if each.tag == "title" and (title := clean_title(each.text))), "")
        authors = [clean_title(each.text) for each in found if each.tag == "creator"]
        self.author = ", ".join(dict.fromkeys(author for author in authors[:MAX_AUTHORS] if author))
        self.written_at_s = _date(each.text for each in found if each.tag == "date")
        self._toc_id = next((each.attributes.get("toc", "") for each in found if each.tag == "spine"), "")

    def markup(self, part: str) -> str:
        """A part's text. Raises DamagedFile, TooLarge."""
        if part not in self.package:
            raise DamagedFile(f"{self.name} lacks {part}", hint="get it again from where it came")
        with self.package.open(part) as stream:
            content = stream.read(MAX_CHAPTER_BYTES + 1)
        if len(content) > MAX_CHAPTER_BYTES:
            raise TooLarge(f"{self.name} has a chapter of more than {MAX_CHAPTER_BYTES >> 20} MB", hint=BOMB_HINT)
        return _decoded(content)

    def contents(self) -> Contents:
        """From the navigation document (EPUB 3), or else from the NCX file (EPUB 2); empty when there is neither."""
        navigation = next((each for each in self._items.values() if "nav" in each.get("properties", "").split()), None)
        ncx = self._items.get(self._toc_id) or next(
            (each for each in self._items.values() if each.get("media-type") == "application/x-dtbncx+xml"), None
        )
        for item in (navigation, ncx):
            path = self._path(item.get("href", "")) if item is not None else ""
            if path in self.package:
                contents = Contents(posixpath.dirname(path), self.markup(path))
                if contents.titles:
                    return contents
        return Contents("", "")

    def protected(self) -> frozenset[str]:
        """The parts that only a shop's program can read."""
        if _ENCRYPTION not in self.package:
            return frozenset()
        found: set[str] = set()
        algorithm = ""
        for each in elements(self.markup(_ENCRYPTION)):
            if each.tag == "encryptionmethod" and not each.is_nested_in("keyinfo"):
                algorithm = each.attributes.get("algorithm", "").lower()
            elif each.tag == "cipherreference" and algorithm not in _FONT_ALGORITHMS:
                found.add(unquote(each.attributes.get("uri", "")).lstrip("/"))
        return frozenset(found)

    def _package_document(self) -> str:
        roots = [each.attributes for each in elements(self.markup(_CONTAINER)) if each.tag == "rootfile"]
        roots.sort(key=lambda root: root.get("media-type") != _PACKAGE_DOCUMENT)
        path = next((path for root in roots if (path := root.get("full-path", "")) in self.package), "")
        if not path:
            raise DamagedFile(f"{self.name} does not say what is in it", hint="get it again from where it came")
        return path

    def _path(self, href: str) -> str:
        """Of a part in the archive; whatever the reference says, it names nothing outside."""
        return part_path(self._folder, unquote(href.partition("#")[0]))


def _blocks(book: _Book, reading: Reading, limits: ReadLimits) -> Iterator[Block]:
    contents = book.contents()
    above: tuple[str, ...] = ()
    chars = 0
    missing: list[str] = []
    for chapter in book.spine:
        above = contents.titles.get(chapter, above)
        try:
            facts, blocks = page_sections(book.markup(chapter), with_lines=False)
        except DamagedFile:
            missing.append(posixpath.basename(chapter))
            continue
        reading.title = reading.title or facts.title
        for block in blocks:
            chars += len(block.text)
            if chars > limits.max_text_chars:
                raise TooLarge(f"{book.name} holds more than {limits.max_text_chars:,} characters", hint=BOMB_HINT)
            yield replace(block, heading_path=_joined(above, block.heading_path))
    if missing:
        reading.notes.append(f"{len(missing):,} of its chapters are damaged and were left out, the first: {missing[0]}")
        if len(missing) == len(book.spine):
            raise DamagedFile(f"none of the chapters of {book.name} can be read", hint="get it again, it is damaged")
    if not chars:
        raise EmptyFile(f"{book.name} has no words", hint="it may hold only pictures")


def _joined(above: tuple[str, ...], below: tuple[str, ...]) -> tuple[str, ...]:
    """The contents' titles and the chapter's headings, without saying the chapter's title twice."""
    for count in range(min(len(above), len(below)), 0, -1):
        if [_plain(each) for each in above[-count:]] == [_plain(each) for each in below[:count]]:
            return above + below[count:]
    if (
        above
        and below
        and (_plain(above[-1]).endswith(_plain(below[0])) or _plain(below[0]).endswith(_plain(above[-1])))
    ):
        return above + below[1:]  # "1. The Beginning" and "The Beginning"
    return above + below


def _plain(title: str) -> str:
    return "".join(character for character in title.casefold() if character.isalnum())


def _date(told: Iterator[str]) -> float | None:
    for text in told:
        found = unix_time_of_iso(text)
        if found is None and (partial := _PARTIAL_DATE.fullmatch(text.strip())):
            found = unix_time_of_iso(f"{partial[1]}-{partial[2] or '01'}-01")
        if found is not None:
            return found
    return None


def _decoded(content: bytes) -> str:
    """XML says its encoding, or has a mark, or is UTF-8."""
    declared = _DECLARED.match(content.removeprefix(b"\xef\xbb\xbf"))
    codec = declared_codec(declared[1].decode("ascii")) if declared else None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        codec = "utf-16"
    text = content.decode(codec or "utf-8", "replace").removeprefix("\ufeff")
    return _DOCUMENT_TYPE.sub("", text[:DOCUMENT_TYPE_CHARS], count=1) + text[DOCUMENT_TYPE_CHARS:]
