"""XML: what its elements and attributes say, with the path that leads to them, any size in bounded memory.

expat parses the text as a stream. Nothing that a document type names is fetched, and one that declares
entities (the way to entity bombs) is not expanded: such a file is read as the text that it is. From where it
is not well-formed it is read as text, too. Elements inside running text give their words. Comments and
processing instructions are left out.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from rag.readers.blocks import or_empty
from rag.readers.clean_text import clean_text
from rag.readers.contract import OpenedFile, Reading, ReadLimits, stream_through
from rag.readers.plain_text import decoded_text, text_blocks
from rag.readers.value_tree import ValueTree
from rag.records import Block
from rag.stretches import STRETCH_CHARS

MAX_DEPTH = 2_000
MAX_COUNTED_NAMES = 1_000
"""Different names of elements in one element that are counted."""

_TAG = re.compile(r"<[a-zA-Z/!][^<>]{0,500}>")
_PREFIX = re.compile(r"^[\w.-]*:")


class _NotReadFurther(Exception):
    """It declares entities, or nests deeper than anybody writes."""


@dataclass(slots=True)
class _Element:
    counts: dict[str, int] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    """The text of this element that was not yet given on."""
    chars: int = 0
    first_line: int = 0
    has_text: bool = False


def read_xml(file: OpenedFile, _limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile where nothing is said."""
    pieces, notes = decoded_text(file)
    blocks = _blocks(map(clean_text, pieces), notes)
    return Reading(
        or_empty(blocks, f"{file.name} says nothing: its elements are empty"), notes=notes, through=stream_through(file)
    )


def _blocks(pieces: Iterator[str], notes: list[str]) -> Iterator[Block]:
    elements = _Elements()
    first_line = 1
    for piece in pieces:
        reason = elements.feed(piece)
        if reason:
            elements.close()
        yield from elements.take()
        if reason:
            line = max(first_line, elements.line)
            notes.append(f"{reason}: it was read as text from line {line} on")
            rest = piece.split("\n", line - first_line)[-1]
            yield from text_blocks(itertools.chain([rest], pieces), line, "code")
            return
        first_line += piece.count("\n")
    if reason := elements.end():
        notes.append(reason)
    yield from elements.take()


class _Elements:
    """Turns what expat finds into values."""

    def __init__(self) -> None:
        self._tree = ValueTree()
        self._open = [_Element()]
        self._inline_depth = 0
        """Open elements inside running text: their words belong to it."""
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.ordered_attributes = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._data
        self._parser.EntityDeclHandler = _refuse_entity
        self._parser.SkippedEntityHandler = self._skipped_entity

    def feed(self, piece: str) -> str:
        """Empty, or why the rest cannot be parsed."""
        try:
            self._parser.Parse(piece, False)
        except _NotReadFurther as reason:
            return str(reason)
        except expat.ExpatError as error:
            return f"line {error.lineno} is not well-formed XML"
        return ""

    def end(self) -> str:
        """Empty, or what is missing."""
        reason = ""
        try:
            self._parser.Parse("", True)
        except expat.ExpatError:
            reason = "it ends in the middle; it may have been cut off"
        except _NotReadFurther as refused:
            reason = str(refused)
        self.close()
        return reason

    def close(self) -> None:
        """Give on what is held."""
        self._give_words()
        self._tree.close()

    @property
    def line(self) -> int:
        """Where the parser stands, from 1."""
        return self._parser.CurrentLineNumber

    def take(self) -> list[Block]:
        """The blocks since the last call."""
        return self._tree.take()

    def _start(self, tag: str, attributes: list[str]) -> None:
        if len(self._open) + self._inline_depth > MAX_DEPTH:
            raise _NotReadFurther(f"it nests more than {MAX_DEPTH:,} elements")
        element = self._open[-1]
        if element.has_text:
            self._inline_depth += 1
            return
        name = _PREFIX.sub("", tag)
        if len(self._open) == 1:
            name = ""  # the root holds everything: its name tells nothing apart
        elif name in element.counts or len(element.counts) < MAX_COUNTED_NAMES:
            element.counts[name] = count = element.counts.get(name, 0) + 1
            name = f"{name}[{count}]" if count > 1 else name
        self._tree.begin(name, names_all=False)
        self._open.append(_Element())
        for attribute, value in zip(attributes[::2], attributes[1::2], strict=True):
            if not attribute.startswith("xmlns"):
                self._value(_PREFIX.sub("", attribute), value)

    def _end(self, _tag: str) -> None:
        if self._inline_depth:
            self._inline_depth -= 1
            return
        self._give_words()
        self._open.pop()
        self._tree.end()

    def _data(self, text: str) -> None:
        element = self._open[-1]
        if not element.has_text:
            if not text.strip():
                return
            element.has_text = True
        if not element.words:
            begins = len(text) - len(text.lstrip())
            element.first_line = self._parser.CurrentLineNumber + text.count("\n", 0, begins)
        element.words.append(text)
        element.chars += len(text)
        if element.chars > STRETCH_CHARS:
            self._give_words()

    def _skipped_entity(self, name: str, is_parameter_entity: bool) -> None:
        if not is_parameter_entity:
            self._data(html.unescape(f"&{name};"))

    def _give_words(self) -> None:
        element = self._open[-1]
        if element.words:
            words = "".join(element.words)
            if "</" in words:  # a feed's items are HTML, written as text
                words = html.unescape(_TAG.sub(" ", words))
            self._value("", " ".join(words.split()), element.first_line)
            element.words, element.chars = [], 0

    def _value(self, name: str, text: str, line: int = 0) -> None:
        self._tree.value(name, text, line or self._parser.CurrentLineNumber)


def _refuse_entity(*_declaration: object) -> None:
    raise _NotReadFurther("it declares entities, which are not expanded")
