"""DOCX (Office Open XML): headings by style, paragraphs, lists, tables, alternative texts, then what stands apart.

Its parts come as streams from `rag.readers.package`. Footnotes, endnotes, comments (with who wrote them), headers
and footers follow the text, each under a heading of its own. Text that was inserted or moved here with tracked
changes is read, what was deleted or moved away is not. No page locators: a DOCX has no pages until it is laid out.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field

from rag.readers.blocks import ONLY_PICTURES, or_empty
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.flowing_text import HEADERS, FlowingText
from rag.readers.package import FALLBACK, LocalNames, Package
from rag.readers.package_properties import open_ooxml
from rag.records import Block

_WORD_NAMESPACES = (
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "http://purl.oclc.org/ooxml/wordprocessingml/main",  # "strict" documents
)
_PREFIXES = {
    **dict.fromkeys(_WORD_NAMESPACES, "w"),
    "http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing": "wp",
    "http://purl.oclc.org/ooxml/drawingml/wordprocessingDrawing": "wp",
    "http://schemas.openxmlformats.org/officeDocument/2006/math": "m",
    "http://purl.oclc.org/ooxml/officeDocument/math": "m",
}
_SKIPPED = frozenset({"w:del", "w:moveFrom", "w:rt"})
"""Deleted, moved to where it stands again, and how a Japanese word is pronounced."""
_TEXTS = ("w:t", "m:t")
_APART = (
    ("Footnotes", ("footnotes",)),
    ("Endnotes", ("endnotes",)),
    ("Comments", ("comments",)),
    (HEADERS, ("header", "footer")),
)
"""Heading, and the kinds of the parts under it."""


def read_docx(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for what is not a Word document, TooLarge for a bomb, EmptyFile without words."""
    package, main, reading = open_ooxml(file, "a Word document", "word/document.xml")
    reading.blocks = or_empty(_blocks(package, main, reading, limits), f"{file.name} has no words", hint=ONLY_PICTURES)
    return reading


def _blocks(package: Package, main: str, reading: Reading, limits: ReadLimits) -> Iterator[Block]:
    related = _Related(package, main)
    flow = FlowingText(limits.max_text_chars, package.name)
    body = _Body(_heading_levels(package, related), flow)
    apart = ((heading, part) for heading, kinds in _APART for kind in kinds for part in related.parts(kind))
    last_heading = ""
    for heading, part in (("", main), *apart):
        if not heading or heading != last_heading:
            flow.begin_part(heading)
            body.is_apart = bool(heading)
        last_heading = heading
        for _ in package.steps(part, body):
            yield from flow.take()
    flow.end()
    yield from flow.take()
    reading.title = reading.title or flow.first_heading


class _Related:
    """The parts that the document's main part leads to."""

    def __init__(self, package: Package, main: str) -> None:
        self._relations = list(package.relations(main).values())
        self._folder = posixpath.dirname(main)

    def parts(self, kind: str) -> list[str]:
        """Those of a kind, in their order; where none is named, the usual one, which may not be there."""
        named = [relation.part for relation in self._relations if relation.kind == kind]
        return list(dict.fromkeys(named)) or [posixpath.join(self._folder, f"{kind}.xml")]


@dataclass(slots=True)
class _Style:
    based_on: str = ""
    level: int | None = None


class _Styles:
    """Takes the elements of the styles part."""

    def __init__(self) -> None:
        self.by_id: dict[str, _Style] = {}
        self._current = _Style()
        self._names = LocalNames(_PREFIXES)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = self._names[tag]
        value = _value(attributes, "val")
        if name == "w:style":
            self._current = self.by_id[_value(attributes, "styleId")] = _Style()
        elif name == "w:basedOn":
            self._current.based_on = value
        elif name == "w:outlineLvl" and value.isdigit() and int(value) < 9:
            self._current.level = int(value) + 1
        elif name == "w:name" and self._current.level is None:
            # The names of the built-in styles are English in every language's Word.
            words = value.lower().split()
            if words == ["title"]:
                self._current.level = 0
            elif len(words) == 2 and words[0] == "heading" and words[1].isdigit():
                self._current.level = int(words[1])

    def end(self, tag: str) -> None: ...

    def data(self, text: str) -> None: ...


def _heading_levels(package: Package, related: _Related) -> dict[str, int]:
    """Outline level (1 is the highest; a title is 0) of the paragraph styles that are headings, by style id."""
    styles = _Styles()
    package.parse(related.parts("styles")[0], styles)
    levels: dict[str, int] = {}
    for style_id, style in styles.by_id.items():
        ancestor: _Style | None = style
        for _ in range(20):  # chains are short; a loop must end
            if ancestor is None or ancestor.level is not None:
                break
            ancestor = styles.by_id.get(ancestor.based_on)
        if ancestor is not None and ancestor.level is not None:
            levels[style_id] = ancestor.level
    return levels


def _value(attributes: dict[str, str], local: str) -> str:
    for namespace in _WORD_NAMESPACES:
        if (value := attributes.get(f"{namespace} {local}")) is not None:
            return value
    return ""


@dataclass(slots=True)
class _Paragraph:
    parts: list[str] = field(default_factory=list)
    level: int | None = None
    is_item: bool = False


class _Body:
    """Takes the elements of a document's main part, and of those that stand apart."""

    def __init__(self, levels: dict[str, int], flow: FlowingText) -> None:
        self._levels = levels
        self._flow = flow
        self._names = LocalNames(_PREFIXES)
        self._paragraphs: list[_Paragraph] = []
        """Open ones; a text box puts paragraphs within a paragraph."""
        self._tables = 0
        self._cells: list[list[str]] = []
        """Open table rows, innermost last: the texts of their finished cells."""
        self._cell_texts: list[list[str]] = []
        """Open cells, innermost last."""
        self._in_text = False
        self._skip_depth = 0
        self._commenter = ""
        """Who wrote the comment that begins."""
        self.is_apart = False
        """What comes stands apart from the text: nothing in it is a heading of the document."""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = self._names[tag]
        # Fallback repeats for old programs what stands in Choice.
        if self._skip_depth or tag == FALLBACK or name in _SKIPPED:
            self._skip_depth += 1
        elif name == "w:p":
            self._paragraphs.append(_Paragraph())
        elif name == "w:tr":
            self._cells.append([])
        elif name == "w:tc":
            self._cell_texts.append([])
        elif name == "w:comment":
            self._commenter = clean_title(_value(attributes, "author"))
        elif name == "wp:docPr":
            if description := clean_title(attributes.get("descr", "")):
                self._flow.count(description)
                self._add("paragraph", f"Picture: {description}")
        elif self._paragraphs:
            self._start_in_paragraph(name, attributes)

    def _start_in_paragraph(self, name: str, attributes: dict[str, str]) -> None:
        paragraph = self._paragraphs[-1]
        if name in _TEXTS:
            self._in_text = True
        elif name in ("w:tab", "w:ptab"):
            paragraph.parts.append("\t")
        elif name in ("w:br", "w:cr"):
            paragraph.parts.append("\n")
        elif name == "w:noBreakHyphen":
            paragraph.parts.append("-")
        elif name == "w:pStyle":
            paragraph.level = self._levels.get(_value(attributes, "val"), paragraph.level)
        elif name == "w:outlineLvl":
            level = _value(attributes, "val")
            paragraph.level = int(level) + 1 if level.isdigit() and int(level) < 9 else None
        elif name == "w:numPr":
            paragraph.is_item = True

    def data(self, text: str) -> None:
        if self._in_text and not self._skip_depth:
            self._flow.count(text)
            self._paragraphs[-1].parts.append(text)

    def end(self, tag: str) -> None:
        if self._skip_depth:
            self._skip_depth -= 1
            return
        name = self._names[tag]
        if name in _TEXTS:
            self._in_text = False
        elif name == "w:p" and self._paragraphs:
            self._end_paragraph(self._paragraphs.pop())
        elif name == "w:tc" and self._cell_texts:
            texts = self._cell_texts.pop()
            if self._cells:
                self._cells[-1].append(" ".join(texts))
        elif name == "w:tr" and self._cells:
            cells = self._cells.pop()
            if any(cells):
                self._add(f"row of table {self._tables}", " | ".join(cells))
        elif name == "w:tbl":
            self._tables += 1

    def _end_paragraph(self, paragraph: _Paragraph) -> None:
        text = clean_text("".join(paragraph.parts)).strip()
        if not text:
            return
        if self._commenter:
            text, self._commenter = f"{self._commenter}: {text}", ""
        if paragraph.level is not None and not self._cell_texts and not self.is_apart:
            self._flow.begin(paragraph.level, text)
        else:
            self._add("item" if paragraph.is_item else "paragraph", text)

    def _add(self, kind: str, text: str) -> None:
        if self._cell_texts:
            item = f"- {text}" if kind == "item" else text
            self._cell_texts[-1].append(" ".join(item.split()))
        else:
            self._flow.add(kind, text)
