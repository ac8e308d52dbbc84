"""PPTX (Office Open XML): slide by slide, its title as the heading; text, tables, alternative texts and notes.

Parts come as streams from `rag.readers.package`. Shapes are read in the order in which the slide stacks them,
which is how programs read them aloud. The words in diagrams (SmartArt) and charts are read; slide numbers,
dates, footers, comments, masters and media are not. Hidden slides are read: their words are in the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rag.errors import EmptyFile, TooLarge
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.package import FALLBACK, LocalNames, Package, relation_id
from rag.readers.package_properties import open_ooxml
from rag.records import Block, Locator
from rag.stretches import cut_stretches

_PREFIXES = {
    "http://schemas.openxmlformats.org/presentationml/2006/main": "p",
    "http://purl.oclc.org/ooxml/presentationml/main": "p",  # "strict" documents
    "http://schemas.openxmlformats.org/drawingml/2006/main": "a",
    "http://purl.oclc.org/ooxml/drawingml/main": "a",
    "http://schemas.openxmlformats.org/drawingml/2006/chart": "c",
    "http://purl.oclc.org/ooxml/drawingml/chart": "c",
}
_TITLES = ("title", "ctrTitle")
_UNREAD_PLACEHOLDERS = ("sldNum", "dt", "ftr", "hdr")
MAX_PART_CHARS = 1 << 22
"""Of text of one slide; nobody can read more from one."""


def read_pptx(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for what is not a presentation, TooLarge for a bomb, EmptyFile without words."""
    package, main, reading = open_ooxml(file, "a PowerPoint presentation", "ppt/presentation.xml")
    reading.blocks = _blocks(package, main, reading, limits)
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
    found_any = False
    for number, relation in enumerate(presentation.slides, start=1):
        if (to_slide := relations.get(relation)) is None or to_slide.kind != "slide":
            continue
        title, text = _slide(package, to_slide.part)
        reading.title = reading.title or title
        path = (title,) if title and text else ()
        for stretch in cut_stretches([text or title]):
            if stretch.strip():
                found_any = True
                yield Block(stretch.strip("\n"), Locator(slide=number), path)
    if not found_any:
        raise EmptyFile(f"{package.name} has no words", hint="it may hold only pictures")


def _slide(package: Package, part: str) -> tuple[str, str]:
    """Title and text of a slide, its diagrams, charts and notes."""
    slide = _Shapes(package.name)
    package.parse(part, slide)
    texts = slide.texts
    for relation in package.relations(part).values():
        if relation.kind in ("diagramData", "chart"):
            drawn = _Shapes(package.name)
            package.parse(relation.part, drawn)
            if words := list(dict.fromkeys(drawn.texts)):  # a chart names its categories again for each series
                texts.append(", ".join(words) if relation.kind == "chart" else "\n".join(words))
        elif relation.kind == "notesSlide":
            notes = _Shapes(package.name)
            package.parse(relation.part, notes)
            if notes.texts:
                texts.append("Notes: " + "\n\n".join(notes.texts))
    return slide.title, "\n\n".join(texts)


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


@dataclass(slots=True)
class _Shape:
    placeholder: str = ""
    description: str = ""
    paragraphs: list[str] = field(default_factory=list)


class _Shapes:
    """Takes the elements of a slide, a notes page, a diagram's data or a chart."""

    def __init__(self, name: str) -> None:
        self.title = ""
        self.texts: list[str] = []
        """One for each shape or table, in order."""
        self._name = name
        self._names = LocalNames(_PREFIXES)
        self._shapes: list[_Shape] = [_Shape()]
        """Open ones; the first takes what stands in no shape: diagrams and charts."""
        self._paragraph: list[str] | None = None
        self._cells: list[str] = []
        self._cell: list[str] | None = None
        self._rows: list[str] = []
        self._in_text = False
        self._skip_depth = 0
        self._chars = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        # Fallback repeats for old programs what stands in Choice.
        if self._skip_depth or tag == FALLBACK:
            self._skip_depth += 1
            return
        name = self._names[tag]
        if name in ("p:sp", "p:pic", "p:graphicFrame", "p:cxnSp", "p:grpSp"):
            self._shapes.append(_Shape())
        elif name == "p:ph":
            self._shapes[-1].placeholder = attributes.get("type", "body")
        elif name == "p:cNvPr":
            self._shapes[-1].description = attributes.get("descr", "")
        elif name == "a:p":
            self._paragraph = []
        elif name in ("a:t", "c:v"):
            self._in_text = True
        elif name == "a:br" and self._paragraph is not None:
            self._paragraph.append("\n")
        elif name == "a:tc":
            self._cell = []
        elif name == "c:numCache":
            self._skip_depth = 1  # a chart's numbers say nothing without its axes

    def data(self, text: str) -> None:
        if self._skip_depth or not self._in_text:
            return
        self._chars += len(text)
        if self._chars > MAX_PART_CHARS:
            raise TooLarge(f"{self._name} has a slide of more than {MAX_PART_CHARS:,} characters", hint="split it")
        if self._paragraph is not None:
            self._paragraph.append(text)
        else:
            self.texts.append(clean_text(text).strip())

    def end(self, tag: str) -> None:
        if self._skip_depth:
            self._skip_depth -= 1
            return
        name = self._names[tag]
        if name in ("a:t", "c:v"):
            self._in_text = False
        elif name == "a:p" and self._paragraph is not None:
            self._end_paragraph(clean_text("".join(self._paragraph)).strip())
            self._paragraph = None
        elif name == "a:tc" and self._cell is not None:
            self._cells.append(" ".join(" ".join(self._cell).split()))
            self._cell = None
        elif name == "a:tr":
            if any(self._cells):
                self._rows.append(" | ".join(self._cells))
            self._cells = []
        elif name == "a:tbl":
            self._shapes[-1].paragraphs.extend(self._rows)
            self._rows = []
        elif name in ("p:sp", "p:pic", "p:graphicFrame", "p:cxnSp", "p:grpSp") and len(self._shapes) > 1:
            self._end_shape(self._shapes.pop())

    def _end_paragraph(self, text: str) -> None:
        if not text:
            return
        if self._cell is not None:
            self._cell.append(text)
        elif len(self._shapes) > 1:
            self._shapes[-1].paragraphs.append(text)
        else:
            self.texts.append(text)

    def _end_shape(self, shape: _Shape) -> None:
        if shape.placeholder in _UNREAD_PLACEHOLDERS:
            return
        if shape.placeholder in _TITLES and not self.title:
            self.title = clean_title(" ".join(shape.paragraphs))
            return
        if shape.paragraphs:
            self.texts.append("\n".join(shape.paragraphs))
        if description := clean_text(shape.description).strip():
            self.texts.append(f"Picture: {description}")
