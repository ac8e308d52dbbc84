"""DOCX (Office Open XML): headings by style, paragraphs, lists, tables and footnotes, in reading order.

The parts are parsed as a stream by expat straight from the archive: memory does not grow with the file, a
document type (the way to XXE and entity bombs) is refused, and the archive's sizes are checked before and
while reading. Nothing is unpacked to disk. Text that was inserted with tracked changes is read, deleted
text, comments, headers and footers are not. No page locators: a DOCX has no pages until it is laid out.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from rag.errors import DamagedFile, EmptyFile, TooLarge
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.contract import MEGABYTE, OpenedFile, Reading, ReadLimits
from rag.records import Block
from rag.stretches import cut_stretches

MAX_ENTRIES = 10_000
MAX_RATIO = 200
"""Uncompressed to compressed size of a part, above RATIO_FREE_BYTES. Real text stays below 60."""
RATIO_FREE_BYTES = 4 * MEGABYTE
MAX_PART_BYTES = 512 * MEGABYTE
MAX_DEPTH = 2000
"""Nested elements; Word writes a few dozen."""
READ_BYTES = 1 << 16

_WORD_NAMESPACES = (
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "http://purl.oclc.org/ooxml/wordprocessingml/main",  # "strict" documents
)
_TITLE = "http://purl.org/dc/elements/1.1/ title"
_FALLBACK = "http://schemas.openxmlformats.org/markup-compatibility/2006 Fallback"
_BOMB_HINT = "it looks like an archive made to fill memory; leave it out with a line in .homebodyignore"


def read_docx(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for what is not a Word document, TooLarge for a bomb, EmptyFile without words."""
    try:
        archive = zipfile.ZipFile(file.stream)
        _check_sizes(archive, file.name)
        if "word/document.xml" not in archive.namelist():
            raise DamagedFile(f"{file.name} is not a Word document", hint="it is some other kind of archive")
        title = _title(archive, file.name)
        levels = _heading_levels(archive, file.name)
        body = _Body(levels, limits.max_text_chars, file.name)
        _parse(archive, "word/document.xml", file.name, body.start, body.end, body.data)
        body.end_section()
        for part, heading in (("word/footnotes.xml", "Footnotes"), ("word/endnotes.xml", "Endnotes")):
            if part in archive.namelist():
                body.path = [(1, heading)]
                _parse(archive, part, file.name, body.start, body.end, body.data)
                body.end_section()
    except (zipfile.BadZipFile, zlib.error, EOFError, expat.ExpatError, NotImplementedError, RuntimeError) as error:
        # RuntimeError: zipfile's for an encrypted entry; NotImplementedError: its for an unknown compression.
        raise DamagedFile(
            f"{file.name} is not a whole Word document ({error})",
            hint="get it again from where it came; it may have been cut off",
        ) from error
    if not body.blocks:
        raise EmptyFile(f"{file.name} has no words", hint="it may hold only pictures")
    return Reading(iter(body.blocks), title or body.first_heading)


def _check_sizes(archive: zipfile.ZipFile, name: str) -> None:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise TooLarge(f"{name} has {len(entries):,} parts, more than {MAX_ENTRIES:,}", hint=_BOMB_HINT)
    for entry in entries:
        expands = entry.file_size > RATIO_FREE_BYTES and entry.file_size > MAX_RATIO * max(1, entry.compress_size)
        if expands or entry.file_size > MAX_PART_BYTES:
            raise TooLarge(f"{name} unpacks to {entry.file_size / MEGABYTE:,.0f} MB in one part", hint=_BOMB_HINT)


def _parse(
    archive: zipfile.ZipFile,
    part: str,
    name: str,
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None],
    data: Callable[[str], None],
) -> None:
    """Feed a part to expat. Names come as `namespace local`."""
    parser = expat.ParserCreate(namespace_separator=" ")
    depth = 0

    def refuse_doctype(*_: object) -> None:
        raise DamagedFile(f"{name} declares a document type, which Word never does", hint=_BOMB_HINT)

    def counted_start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise TooLarge(f"{name} nests more than {MAX_DEPTH:,} elements", hint=_BOMB_HINT)
        start(tag, attributes)

    def counted_end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        end(tag)

    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse_doctype
    parser.StartElementHandler = counted_start
    parser.EndElementHandler = counted_end
    parser.CharacterDataHandler = data
    read_bytes = 0
    with archive.open(part) as stream:
        while piece := stream.read(READ_BYTES):
            read_bytes += len(piece)
            if read_bytes > MAX_PART_BYTES:  # the size in the archive's list lied
                raise TooLarge(f"{name} unpacks to more than it says", hint=_BOMB_HINT)
            parser.Parse(piece, False)
    parser.Parse(b"", True)


def _title(archive: zipfile.ZipFile, name: str) -> str:
    if "docProps/core.xml" not in archive.namelist():
        return ""
    found: list[str] = []
    inside = False

    def start(tag: str, _: dict[str, str]) -> None:
        nonlocal inside
        inside = tag == _TITLE

    def end(_: str) -> None:
        nonlocal inside
        inside = False

    def data(text: str) -> None:
        if inside:
            found.append(text)

    _parse(archive, "docProps/core.xml", name, start, end, data)
    return clean_title("".join(found))


@dataclass(slots=True)
class _Style:
    based_on: str = ""
    level: int | None = None


def _heading_levels(archive: zipfile.ZipFile, name: str) -> dict[str, int]:
    """Outline level (1 is the highest; a title is 0) of the paragraph styles that are headings, by style id."""
    if "word/styles.xml" not in archive.namelist():
        return {}
    styles: dict[str, _Style] = {}
    current = _Style()

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal current
        local = _local(tag)
        value = _value(attributes, "val")
        if local == "style":
            current = styles[_value(attributes, "styleId")] = _Style()
        elif local == "basedOn":
            current.based_on = value
        elif local == "outlineLvl" and value.isdigit() and int(value) < 9:
            current.level = int(value) + 1
        elif local == "name" and current.level is None:
            # The names of the built-in styles are English in every language's Word.
            words = value.lower().split()
            if words == ["title"]:
                current.level = 0
            elif len(words) == 2 and words[0] == "heading" and words[1].isdigit():
                current.level = int(words[1])

    _parse(archive, "word/styles.xml", name, start, lambda _: None, lambda _: None)
    levels: dict[str, int] = {}
    for style_id, style in styles.items():
        ancestor: _Style | None = style
        for _ in range(20):  # chains are short; a loop must end
            if ancestor is None or ancestor.level is not None:
                break
            ancestor = styles.get(ancestor.based_on)
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
    """Collects blocks from the elements of a document, footnotes or endnotes part."""

    def __init__(self, levels: dict[str, int], max_chars: int, name: str) -> None:
        self.blocks: list[Block] = []
        self.path: list[tuple[int, str]] = []
        self.first_heading = ""
        self._levels = levels
        self._max_chars = max_chars
        self._name = name
        self._paragraphs: list[_Paragraph] = []
        """Open ones; a text box puts paragraphs within a paragraph."""
        self._pieces: list[str] = []
        """Finished paragraphs, items and rows of this section, with what separates them."""
        self._last_kind = ""
        self._tables = 0
        self._cells: list[list[str]] = []
        """Open table rows, innermost last: the texts of their finished cells."""
        self._cell_texts: list[list[str]] = []
        """Open cells, innermost last."""
        self._in_text = False
        self._skip_depth = 0
        self._bare_heading: tuple[tuple[str, ...], str, int] | None = None
        self._chars = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        # Fallback repeats for old programs what stands in Choice.
        if self._skip_depth or tag == _FALLBACK:
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
            self._chars += len(text)
            if self._chars > self._max_chars:
                raise TooLarge(f"{self._name} holds more than {self._max_chars:,} characters", hint=_BOMB_HINT)
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
            self._begin_section(paragraph.level, clean_title(text))
        elif paragraph.is_item:
            self._add("item", f"- {text}")
        else:
            self._add("paragraph", text)

    def _add(self, kind: str, text: str) -> None:
        """`kind` says what may follow without a blank line: items follow items, rows rows of their table."""
        if self._cell_texts:
            self._cell_texts[-1].append(" ".join(text.split()))
            return
        if self._pieces:
            follows = kind == self._last_kind and kind != "paragraph"
            self._pieces.append("\n" if follows else "\n\n")
        self._pieces.append(text)
        self._last_kind = kind

    def _begin_section(self, level: int, words: str) -> None:
        self.end_section(next_level=level)
        while self.path and self.path[-1][0] >= level:
            self.path.pop()
        self._bare_heading = (tuple(each for _, each in self.path), words, level)
        self.path.append((level, words))
        self.first_heading = self.first_heading or words

    def end_section(self, next_level: int = 0) -> None:
        """Turn what was collected into blocks. A heading without anything below it is a block itself."""
        text = "".join(self._pieces)
        self._pieces = []
        if text:
            path = tuple(each for _, each in self.path)
            self.blocks.extend(_stretches(text, path))
        elif self._bare_heading and next_level <= self._bare_heading[2]:
            self.blocks.append(Block(self._bare_heading[1], heading_path=self._bare_heading[0]))
        self._bare_heading = None


def _stretches(text: str, path: tuple[str, ...]) -> Iterator[Block]:
    for stretch in cut_stretches([text]):
        if stretch.strip():
            yield Block(stretch.strip("\n"), heading_path=path)
