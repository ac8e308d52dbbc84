"""DOCX (Office Open XML): headings by style, paragraphs, lists, tables and footnotes, in reading order.

Its parts come as streams from `rag.readers.package`. Text that was inserted with tracked changes is read,
deleted text, comments, headers and footers are not. No page locators: a DOCX has no pages until it is laid out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from rag.errors import DamagedFile, EmptyFile
from rag.readers.clean_text import clean_text
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.flowing_text import FlowingText
from rag.readers.package import FALLBACK, Package
from rag.readers.package_properties import ooxml_properties
from rag.records import Block

_WORD_NAMESPACES = (
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "http://purl.oclc.org/ooxml/wordprocessingml/main",  # "strict" documents
)


def read_docx(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for what is not a Word document, TooLarge for a bomb, EmptyFile without words."""
    package = Package(file, "a Word document")
    if "word/document.xml" not in package:
        raise DamagedFile(f"{file.name} is not a Word document", hint="it is some other kind of archive")
    its = ooxml_properties(package)
    reading = Reading(iter(()), its.title, its.author, its.written_at_s)
    reading.blocks = _blocks(package, reading, limits)
    return reading


def _blocks(package: Package, reading: Reading, limits: ReadLimits) -> Iterator[Block]:
    flow = FlowingText(limits.max_text_chars, package.name)
    body = _Body(_heading_levels(package), flow)
    found_any = False
    for part, heading in (
        ("word/document.xml", ""),
        ("word/footnotes.xml", "Footnotes"),
        ("word/endnotes.xml", "Endnotes"),
    ):
        flow.begin_part(heading)
        for _ in package.steps(part, body):
            yield from (taken := flow.take())
            found_any = found_any or bool(taken)
    flow.end()
    yield from (taken := flow.take())
    if not found_any and not taken:
        raise EmptyFile(f"{package.name} has no words", hint="it may hold only pictures")
    reading.title = reading.title or flow.first_heading


@dataclass(slots=True)
class _Style:
    based_on: str = ""
    level: int | None = None


class _Styles:
    """Takes the elements of the styles part."""

    def __init__(self) -> None:
        self.by_id: dict[str, _Style] = {}
        self._current = _Style()

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        local = _local(tag)
        value = _value(attributes, "val")
        if local == "style":
            self._current = self.by_id[_value(attributes, "styleId")] = _Style()
        elif local == "basedOn":
            self._current.based_on = value
        elif local == "outlineLvl" and value.isdigit() and int(value) < 9:
            self._current.level = int(value) + 1
        elif local == "name" and self._current.level is None:
            # The names of the built-in styles are English in every language's Word.
            words = value.lower().split()
            if words == ["title"]:
                self._current.level = 0
            elif len(words) == 2 and words[0] == "heading" and words[1].isdigit():
                self._current.level = int(words[1])

    def end(self, tag: str) -> None: ...

    def data(self, text: str) -> None: ...


def _heading_levels(package: Package) -> dict[str, int]:
    """Outline level (1 is the highest; a title is 0) of the paragraph styles that are headings, by style id."""
    styles = _Styles()
    package.parse("word/styles.xml", styles)
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


def _local(tag: str) -> str:
    """The local name of a WordprocessingML element; empty for others."""
    namespace, _, local = tag.rpartition(" ")
    return local if namespace in _WORD_NAMESPACES else ""


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
    """Takes the elements of a document, footnotes or endnotes part."""

    def __init__(self, levels: dict[str, int], flow: FlowingText) -> None:
        self._levels = levels
        self._flow = flow
        self._paragraphs: list[_Paragraph] = []
        """Open ones; a text box puts paragraphs within a paragraph."""
        self._tables = 0
        self._cells: list[list[str]] = []
        """Open table rows, innermost last: the texts of their finished cells."""
        self._cell_texts: list[list[str]] = []
        """Open cells, innermost last."""
        self._in_text = False
        self._skip_depth = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        # Fallback repeats for old programs what stands in Choice.
        if self._skip_depth or tag == FALLBACK:
            self._skip_depth += 1
            return
        local = _local(tag)
        if local == "p":
            self._paragraphs.append(_Paragraph())
        elif local == "tr":
            self._cells.append([])
        elif local == "tc":
            self._cell_texts.append([])
        elif self._paragraphs:
            self._start_in_paragraph(local, attributes)

    def _start_in_paragraph(self, local: str, attributes: dict[str, str]) -> None:
        paragraph = self._paragraphs[-1]
        if local == "t":
            self._in_text = True
        elif local in ("tab", "ptab"):
            paragraph.parts.append("\t")
        elif local in ("br", "cr"):
            paragraph.parts.append("\n")
        elif local == "noBreakHyphen":
            paragraph.parts.append("-")
        elif local == "pStyle":
            paragraph.level = self._levels.get(_value(attributes, "val"), paragraph.level)
        elif local == "outlineLvl":
            level = _value(attributes, "val")
            paragraph.level = int(level) + 1 if level.isdigit() and int(level) < 9 else None
        elif local == "numPr":
            paragraph.is_item = True

    def data(self, text: str) -> None:
        if self._in_text and not self._skip_depth:
            self._flow.count(text)
            self._paragraphs[-1].parts.append(text)

    def end(self, tag: str) -> None:
        if self._skip_depth:
            self._skip_depth -= 1
            return
        local = _local(tag)
        if local == "t":
            self._in_text = False
        elif local == "p" and self._paragraphs:
            self._end_paragraph(self._paragraphs.pop())
        elif local == "tc" and self._cell_texts:
            texts = self._cell_texts.pop()
            if self._cells:
                self._cells[-1].append(" ".join(texts))
        elif local == "tr" and self._cells:
            cells = self._cells.pop()
            if any(cells):
                self._add(f"row of table {self._tables}", " | ".join(cells))
        elif local == "tbl":
            self._tables += 1

    def _end_paragraph(self, paragraph: _Paragraph) -> None:
        text = clean_text("".join(paragraph.parts)).strip()
        if not text:
            return
        if paragraph.level is not None and not self._cell_texts:
            self._flow.begin(paragraph.level, text)
        else:
            self._add("item" if paragraph.is_item else "paragraph", text)

    def _add(self, kind: str, text: str) -> None:
        if self._cell_texts:
            item = f"- {text}" if kind == "item" else text
            self._cell_texts[-1].append(" ".join(item.split()))
        else:
            self._flow.add(kind, text)
