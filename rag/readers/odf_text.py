"""ODT and ODP (OpenDocument): headings, paragraphs, lists, tables, notes, comments, alternative texts; slides of a
presentation with their locators.

The content comes as a stream from `rag.readers.package`; a text's headers and footers come last. Deleted text of
tracked changes and tables of contents are not read. No page locators for texts: an ODT has no pages until it is
laid out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from rag.errors import DamagedFile, TooLarge
from rag.readers.blocks import ONLY_PICTURES, blocks_at, or_empty
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.flowing_text import HEADERS, FlowingText
from rag.readers.package import LocalNames, Package
from rag.readers.package_properties import odf_properties
from rag.records import Block, Locator

CONTENT = "content.xml"
_STYLES = "styles.xml"
_OASIS = "urn:oasis:names:tc:opendocument:xmlns:"
ODF_PREFIXES = {
    f"{_OASIS}office:1.0": "office",
    f"{_OASIS}text:1.0": "text",
    f"{_OASIS}table:1.0": "table",
    f"{_OASIS}drawing:1.0": "draw",
    f"{_OASIS}presentation:1.0": "presentation",
    f"{_OASIS}style:1.0": "style",
    f"{_OASIS}svg-compatible:1.0": "svg",
    "http://purl.org/dc/elements/1.1/": "dc",
}
_TEXT = f"{_OASIS}text:1.0 "
_STYLE = f"{_OASIS}style:1.0 "
_PRESENTATION = f"{_OASIS}presentation:1.0 "

_SKIPPED = frozenset({
    "office:forms", "office:scripts", "text:tracked-changes", "text:note-citation",
    "text:ruby-text", "text:table-of-content", "text:illustration-index", "text:table-index", "text:object-index",
    "text:user-index", "text:alphabetical-index", "presentation:footer-decl", "presentation:date-time-decl",
})  # fmt: skip
_EVERY_PAGE = frozenset(f"style:{place}{which}" for place in ("header", "footer") for which in ("", "-left", "-first"))
_UNREAD_FRAMES = ("footer", "header", "date-time", "page-number", "page", "handout")
MAX_SPACES = 100
MAX_NOTES = 100_000
MAX_SLIDE_CHARS = 1 << 22


def read_odt(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for what is not an OpenDocument text, TooLarge for a bomb, EmptyFile without words."""
    package, reading = open_odf(file, "an OpenDocument text")
    reading.blocks = or_empty(_text_blocks(package, reading, limits), f"{file.name} has no words", hint=ONLY_PICTURES)
    return reading


def read_odp(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for what is no presentation, TooLarge for a bomb, EmptyFile without words."""
    package, reading = open_odf(file, "an OpenDocument presentation")
    reading.blocks = or_empty(_slide_blocks(package, reading, limits), f"{file.name} has no words", hint=ONLY_PICTURES)
    return reading


def open_odf(file: OpenedFile, what: str) -> tuple[Package, Reading]:
    """Raises DamagedFile, TooLarge."""
    package = Package(file, what)
    if CONTENT not in package:
        raise DamagedFile(f"{file.name} is not {what}", hint="it is some other kind of archive")
    its = odf_properties(package)
    return package, Reading(iter(()), its.title, its.author, its.written_at_s)


def _text_blocks(package: Package, reading: Reading, limits: ReadLimits) -> Iterator[Block]:
    flow = FlowingText(limits.max_text_chars, package.name)
    body = _Body(flow)
    for _ in package.steps(CONTENT, body):
        yield from flow.take()
    for heading, apart in (("Footnotes", body.notes), ("Comments", body.comments)):
        flow.begin_part(heading)
        for words in apart:
            flow.add("paragraph", words)
    flow.begin_part(HEADERS)
    package.parse(_STYLES, _HeadersAndFooters(flow))
    flow.end()
    yield from flow.take()
    reading.title = reading.title or flow.first_heading


def _slide_blocks(package: Package, reading: Reading, limits: ReadLimits) -> Iterator[Block]:
    slides = _Slides(package.name)
    for _ in package.steps(CONTENT, slides):
        for number, title, text in slides.finished:
            if number > limits.max_pages:
                raise TooLarge(
                    f"{package.name} has more slides than the limit of {limits.max_pages:,}",
                    hint="raise library.max_pages in the settings, or split it",
                )
            reading.title = reading.title or title
            path = (title,) if title and text else ()
            yield from blocks_at(Locator(slide=number), text or title, path)
        slides.finished.clear()


class _Paragraphs(ABC):
    """Takes the elements of a content part and hands on whole paragraphs, headings, items and rows."""

    def __init__(self) -> None:
        self.names = LocalNames(ODF_PREFIXES)
        self._open: list[list[str]] = []
        """Paragraphs, innermost last: a text box or a footnote puts paragraphs within one."""
        self._levels: list[int | None] = []
        self._cells: list[list[str]] = []
        self._cell_texts: list[list[str]] = []
        self._tables = 0
        self._list_depth = 0
        self._skip_depth = 0
        self._description: list[str] | None = None
        self._comment: list[str] | None = None
        """The paragraphs of the comment that is open."""
        self._commenter: list[str] = []
        self._in_creator = False
        self._title_styles = {"Title"}

    @abstractmethod
    def hand_on(self, kind: str, text: str) -> None:
        """A paragraph, an item or a row."""

    @abstractmethod
    def hand_on_heading(self, level: int, words: str) -> None: ...

    @abstractmethod
    def hand_on_comment(self, author: str, words: str) -> None:
        """`author` may be empty."""

    @abstractmethod
    def count(self, text: str) -> None:
        """Of every piece of text as it comes. Raises TooLarge."""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = self.names[tag]
        if self._skip_depth or name in _SKIPPED:
            self._skip_depth += 1
        elif name == "text:p" or name == "text:h":
            self._open.append([])
            level = attributes.get(f"{_TEXT}outline-level", "1") if name == "text:h" else ""
            is_title = attributes.get(f"{_TEXT}style-name") in self._title_styles
            self._levels.append(int(level) if level.isdigit() and len(level) < 3 else 0 if is_title else None)
        elif name == "table:table-row":
            self._cells.append([])
        elif name == "table:table-cell":
            self._cell_texts.append([])
        elif name == "text:list-item":
            self._list_depth += 1
        elif name in ("svg:title", "svg:desc"):
            self._description = []
        elif name == "office:annotation":
            self._comment, self._commenter = [], []
        elif self._comment is not None and name.startswith(("dc:", "?:")):
            self._in_creator = name == "dc:creator"
            self._skip_depth += not self._in_creator  # its date
        elif name == "style:style":
            if attributes.get(f"{_STYLE}parent-style-name") == "Title":
                self._title_styles.add(attributes.get(f"{_STYLE}name", ""))
        elif self._open:
            self._start_in_paragraph(name, attributes)

    def _start_in_paragraph(self, name: str, attributes: dict[str, str]) -> None:
        if name == "text:s":
            spaces = attributes.get(f"{_TEXT}c", "1")
            self._open[-1].append(" " * min(int(spaces) if spaces.isdigit() and len(spaces) < 6 else 1, MAX_SPACES))
        elif name == "text:tab":
            self._open[-1].append("\t")
        elif name == "text:line-break":
            self._open[-1].append("\n")

    def data(self, text: str) -> None:
        if self._skip_depth:
            return
        if self._description is not None:
            self.count(text)
            self._description.append(text)
        elif self._in_creator:
            self._commenter.append(text)
        elif self._open:
            self.count(text)
            self._open[-1].append(text)

    def end(self, tag: str) -> None:
        if self._skip_depth:
            self._skip_depth -= 1
            return
        name = self.names[tag]
        if name in ("text:p", "text:h") and self._open:
            self._end_paragraph("".join(self._open.pop()), self._levels.pop())
        elif name == "table:table-cell" and self._cell_texts:
            texts = self._cell_texts.pop()
            if self._cells:
                self._cells[-1].append(" ".join(" ".join(texts).split()))
        elif name == "table:table-row" and self._cells:
            cells = self._cells.pop()
            if any(cells):
                self._place(f"row of table {self._tables}", " | ".join(cells))
        elif name == "table:table":
            self._tables += 1
        elif name == "text:list-item":
            self._list_depth -= 1
        elif name == "dc:creator":
            self._in_creator = False
        elif name == "office:annotation" and self._comment is not None:
            words, author = "\n".join(self._comment).strip(), clean_title("".join(self._commenter))
            self._comment = None
            if words:
                self.hand_on_comment(author, words)
        elif name in ("svg:title", "svg:desc") and self._description is not None:
            if words := clean_title("".join(self._description)):
                self._place("paragraph", f"Picture: {words}")
            self._description = None

    def _end_paragraph(self, text: str, level: int | None) -> None:
        if self._comment is not None:
            self._comment.append(text)
        elif level is not None and not self._cell_texts:
            self.hand_on_heading(level, text)
        else:
            self._place("item" if self._list_depth else "paragraph", text)

    def _place(self, kind: str, text: str) -> None:
        if self._cell_texts:
            self._cell_texts[-1].append(text)
        else:
            self.hand_on(kind, text)


class _Body(_Paragraphs):
    """Of a text document."""

    def __init__(self, flow: FlowingText) -> None:
        super().__init__()
        self.notes: list[str] = []
        self.comments: list[str] = []
        self._flow = flow
        self._note_depth = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self.names[tag] == "text:note" and not self._skip_depth:
            self._note_depth += 1
        super().start(tag, attributes)

    def end(self, tag: str) -> None:
        if self.names[tag] == "text:note" and not self._skip_depth:
            self._note_depth -= 1
        super().end(tag)

    def hand_on(self, kind: str, text: str) -> None:
        if self._note_depth:
            if len(self.notes) < MAX_NOTES:
                self.notes.append(text)
        else:
            self._flow.add(kind, text)

    def hand_on_heading(self, level: int, words: str) -> None:
        self._flow.begin(level, words)

    def hand_on_comment(self, author: str, words: str) -> None:
        if len(self.comments) < MAX_NOTES:
            self.comments.append(f"{author}: {words}" if author else words)

    def count(self, text: str) -> None:
        self._flow.count(text)


class _HeadersAndFooters(_Body):
    """Of a text document's styles."""

    def __init__(self, flow: FlowingText) -> None:
        super().__init__(flow)
        self._on_every_page = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._on_every_page += self.names[tag] in _EVERY_PAGE
        super().start(tag, attributes)

    def end(self, tag: str) -> None:
        super().end(tag)
        self._on_every_page -= self.names[tag] in _EVERY_PAGE

    def hand_on(self, kind: str, text: str) -> None:
        if self._on_every_page:
            super().hand_on(kind, text)

    def hand_on_heading(self, _level: int, words: str) -> None:
        self.hand_on("paragraph", words)


class _Slides(_Paragraphs):
    """Of a presentation; `finished` grows by number, title and text of each slide."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.finished: list[tuple[int, str, str]] = []
        self._name = name
        self._number = 0
        self._title: list[str] = []
        self._texts: list[str] = []
        self._notes: list[str] = []
        self._comments: list[str] = []
        self._frames: list[str] = []
        """Classes of the open frames."""
        self._in_notes = False
        self._chars = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = self.names[tag]
        if name == "draw:page":
            self._number += 1
        elif name == "presentation:notes":
            self._in_notes = True
        elif name == "draw:frame":
            self._frames.append(attributes.get(f"{_PRESENTATION}class", ""))
        super().start(tag, attributes)

    def end(self, tag: str) -> None:
        super().end(tag)
        name = self.names[tag]
        if name == "draw:frame" and self._frames:
            self._frames.pop()
        elif name == "presentation:notes":
            self._in_notes = False
        elif name == "draw:page":
            if self._notes:
                self._texts.append("Notes: " + "\n".join(self._notes))
            text = clean_text("\n".join([*self._texts, *self._comments])).strip()
            self.finished.append((self._number, clean_title(" ".join(self._title)), text))
            self._title, self._texts, self._notes, self._comments, self._chars = [], [], [], [], 0

    def hand_on(self, kind: str, text: str) -> None:
        frame = self._frames[-1] if self._frames else ""
        if not self._number or not text.strip() or frame in _UNREAD_FRAMES:
            return
        if self._in_notes:
            self._notes.append(text)
        elif frame == "title":
            self._title.append(text)
        else:
            self._texts.append(f"- {text}" if kind == "item" else text)

    def hand_on_heading(self, _level: int, words: str) -> None:
        self.hand_on("paragraph", words)

    def hand_on_comment(self, author: str, words: str) -> None:
        self._comments.append(f"Comment by {author}: {words}" if author else f"Comment: {words}")

    def count(self, text: str) -> None:
        self._chars += len(text)
        if self._chars > MAX_SLIDE_CHARS:
            raise TooLarge(f"{self._name} has a slide of more than {MAX_SLIDE_CHARS:,} characters", hint="split it")
