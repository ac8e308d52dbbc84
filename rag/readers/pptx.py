"""PPTX (Office Open XML): slide by slide, its title as the heading; text, tables, alternative texts, notes, comments.

Parts come as streams from `rag.readers.package`, their shapes from `rag.readers.drawing_text`. The words in diagrams
(SmartArt) and charts are read; slide numbers, dates, footers, masters and media are not. Hidden slides are read:
their words are in the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rag.errors import TooLarge
from rag.readers.blocks import ONLY_PICTURES, blocks_at, or_empty
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.drawing_text import shapes_of
from rag.readers.package import LocalNames, Package, Relation, relation_id
from rag.readers.package_properties import open_ooxml
from rag.records import Block, Locator

_PREFIXES = {
    "http://schemas.openxmlformats.org/presentationml/2006/main": "p",
    "http://purl.oclc.org/ooxml/presentationml/main": "p",  # "strict" documents
    "http://schemas.microsoft.com/office/powerpoint/2018/8/main": "p",  # comments of today
    "http://schemas.openxmlformats.org/drawingml/2006/main": "a",
    "http://purl.oclc.org/ooxml/drawingml/main": "a",
}
MAX_COMMENTS = 10_000


def read_pptx(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for what is not a presentation, TooLarge for a bomb, EmptyFile without words."""
    package, main, reading = open_ooxml(file, "a PowerPoint presentation", "ppt/presentation.xml")
    reading.blocks = or_empty(_blocks(package, main, reading, limits), f"{file.name} has no words", hint=ONLY_PICTURES)
    return reading


def _blocks(package: Package, main: str, reading: Reading, limits: ReadLimits) -> Iterator[Block]:
    presentation = _Presentation()
    package.parse(main, presentation)
    if len(presentation.slides) > limits.max_pages:
        raise TooLarge(
            f"{package.name} has {len(presentation.slides):,} slides, more than the limit of {limits.max_pages:,}",
            hint="raise library.max_pages in the settings, or split it",
        )
    relations = package.relations(main)
    authors = _authors(package, relations.values())
    for number, relation in enumerate(presentation.slides, start=1):
        if (to_slide := relations.get(relation)) is None or to_slide.kind != "slide":
            continue
        title, text = _slide(package, to_slide.part, authors)
        reading.title = reading.title or title
        path = (title,) if title and text else ()
        yield from blocks_at(Locator(slide=number), text or title, path)


def _slide(package: Package, part: str, authors: dict[str, str]) -> tuple[str, str]:
    """Title and text of a slide, its diagrams, charts, notes and comments."""
    slide = shapes_of(package, part)
    texts = slide.texts
    for relation in package.relations(part).values():
        if relation.kind in ("diagramData", "chart"):
            words = list(dict.fromkeys(shapes_of(package, relation.part).texts))
            if words:  # a chart names its categories again for each series
                texts.append(", ".join(words) if relation.kind == "chart" else "\n".join(words))
        elif relation.kind == "notesSlide":
            if notes := shapes_of(package, relation.part).texts:
                texts.append("Notes: " + "\n\n".join(notes))
        elif relation.kind == "comments":
            comments = _Comments(authors)
            package.parse(relation.part, comments)
            texts.extend(comments.texts)
    return slide.title, "\n\n".join(texts)


def _authors(package: Package, relations: Iterable[Relation]) -> dict[str, str]:
    """Who commented, by the number or the id that comments give."""
    authors = _Authors()
    for relation in relations:
        if relation.kind in ("commentAuthors", "authors"):
            package.parse(relation.part, authors)
    return authors.names


class _Presentation:
    """Takes the elements of the presentation part."""

    def __init__(self) -> None:
        self.slides: list[str] = []
        """Their relations, in order."""
        self._names = LocalNames(_PREFIXES)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._names[tag] == "p:sldId":
            self.slides.append(relation_id(attributes))

    def end(self, tag: str) -> None: ...

    def data(self, text: str) -> None: ...


class _Authors:
    """Takes the elements of the part that names who commented."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self._names = LocalNames(_PREFIXES)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._names[tag] in ("p:cmAuthor", "p:author") and len(self.names) < MAX_COMMENTS:
            self.names[attributes.get("id", "")] = clean_title(attributes.get("name", ""))

    def end(self, tag: str) -> None: ...

    def data(self, text: str) -> None: ...


class _Comments:
    """Takes the elements of a slide's comments, of those that PowerPoint wrote until 2021 and since."""

    def __init__(self, authors: dict[str, str]) -> None:
        self.texts: list[str] = []
        self._authors = authors
        self._open: list[tuple[int, str, list[str]]] = []
        """Open ones: where it goes among the texts, by whom, its words. Replies stand within what they reply to."""
        self._in_text = False
        self._names = LocalNames(_PREFIXES)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = self._names[tag]
        if name in ("p:cm", "p:reply"):
            self._open.append((len(self.texts), self._authors.get(attributes.get("authorId", ""), ""), []))
        elif name in ("p:text", "a:t"):
            self._in_text = bool(self._open)
        elif name == "a:p" and self._open:
            self._open[-1][2].append("\n")

    def data(self, text: str) -> None:
        if self._in_text:
            self._open[-1][2].append(text)

    def end(self, tag: str) -> None:
        name = self._names[tag]
        if name in ("p:text", "a:t"):
            self._in_text = False
        elif name in ("p:cm", "p:reply") and self._open:
            place, author, parts = self._open.pop()
            words = clean_text("".join(parts)).strip()
            if words and len(self.texts) < MAX_COMMENTS:
                self.texts.insert(place, f"Comment by {author}: {words}" if author else f"Comment: {words}")
