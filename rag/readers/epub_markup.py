"""The XML of an e-book that is not its text: elements as they stand, and the table of contents.

Read by the standard library's HTML parser, which takes what is not well-formed and knows no entities that a
file declares. Names come in lower case and without their namespace's prefix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from rag.readers.clean_text import clean_title
from rag.readers.package import part_path
from rag.readers.tolerant_parser import TolerantParser

MAX_DEPTH = 100
MAX_TITLES = 20_000
MAX_TITLE_DEPTH = 6


@dataclass(slots=True)
class Element:
    tag: str
    attributes: dict[str, str]
    inside: tuple[str, ...]
    """The tags of the elements around it, outermost first."""
    text: str = ""

    def is_nested_in(self, tag: str) -> bool:
        return tag in self.inside


def elements(source: str) -> Iterator[Element]:
    """All elements in their order, with the text directly in them."""
    parser = _Elements()
    parser.feed(source)
    parser.close()
    yield from parser.found


class _Elements(TolerantParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Element] = []
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        inside = tuple(each.tag for each in self._open)
        element = Element(_local(tag), {name: value or "" for name, value in attrs}, inside)
        self.found.append(element)
        if len(self._open) < MAX_DEPTH:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        local = _local(tag)
        if any(each.tag == local for each in self._open):
            while self._open.pop().tag != local:
                pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1].text += data


class Contents:
    """A table of contents: of each part, the titles it stands under, outermost first, with its own."""

    def __init__(self, folder: str, source: str) -> None:
        """`folder` is where the table itself lies in the archive; `source` its XHTML (EPUB 3) or NCX (EPUB 2)."""
        self.titles: dict[str, tuple[str, ...]] = {}
        parser = _ContentsParser()
        parser.feed(source)
        parser.close()
        above: list[str] = []
        for depth, href, title in parser.entries:
            del above[max(0, depth - 1) :]
            above.append(title)
            path = part_path(folder, unquote(href.partition("#")[0]))
            if href:
                self.titles.setdefault(path, tuple(each for each in above if each)[-MAX_TITLE_DEPTH:])


class _ContentsParser(TolerantParser):
    """Entries in their order: depth (from 1), reference (may be empty) and title."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[int, str, str]] = []
        self._depth = 0
        self._href = ""
        self._words: list[str] | None = None
        self._in_other_list = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        tag = _local(tag)
        attributes = {_local(name): value or "" for name, value in attrs}
        if tag == "nav":
            # Others are lists of pages and of landmarks.
            self._in_other_list = "toc" not in attributes.get("type", "toc").split()
        elif self._in_other_list:
            return
        elif tag in ("ol", "navpoint"):
            self._end_entry()
            self._depth += 1
        elif tag in ("a", "span") and self._depth and self._words is None:
            self._href, self._words = attributes.get("href", ""), []
        elif tag == "text" and self._depth:
            self._href, self._words = "", []
        elif tag == "content" and self._words is not None:
            self._href = attributes.get("src", "")
            self._end_entry()
        elif tag == "li":
            self._end_entry()

    def handle_endtag(self, tag: str) -> None:
        tag = _local(tag)
        if tag == "nav":
            self._in_other_list = False
        elif self._in_other_list:
            return
        elif tag in ("ol", "navpoint"):
            self._end_entry()
            self._depth = max(0, self._depth - 1)
        elif tag in ("a", "li"):
            self._end_entry()

    def handle_data(self, data: str) -> None:
        if self._words is not None:
            self._words.append(data)

    def _end_entry(self) -> None:
        if self._words is not None and len(self.entries) < MAX_TITLES:
            title = clean_title("".join(self._words))
            if title or self._href:
                self.entries.append((min(self._depth, MAX_DEPTH), self._href, title))
        self._words = None


def _local(tag: str) -> str:
    return tag.rpartition(":")[2]
