"""JSON and JSON Lines: values with the path that leads to them, any size in bounded memory.

ijson's parser (YAJL, in C) takes the text line by line, so that each value has its line; it nests as deep as
memory goes and knows no recursion. Several values in one file are read one after the other, comments are
passed over. From where the text is not JSON it is read as text; in JSON Lines only the line that is wrong.
Numbers are shown as they are written, unless they have an exponent. null and empty values are left out.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from rag.readers.blocks import or_empty
from rag.readers.contract import OpenedFile, Reading, ReadLimits, stream_through
from rag.readers.plain_text import decoded_text, text_blocks
from rag.readers.value_tree import ValueTree
from rag.records import Block

PART_CHARS = 1 << 16
"""A longer line is parsed in parts."""

_LONG_NUMBER = re.compile(r"[0-9]{2000}")
"""Python converts no more than 4,300 digits, and ijson 3.6 crashes when it is refused a number. Two parts that
share one have less than that together.
"""


class _Part(NamedTuple):
    line: int
    """From 1."""
    text: str
    """With its line end, if the part is the end of its line."""


def read_json(file: OpenedFile, _limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile where there is no value."""
    pieces, notes = decoded_text(file)
    return Reading(
        or_empty(_json_blocks(_parts(pieces), notes), f"{file.name} holds no values"),
        notes=notes,
        through=stream_through(file),
    )


def read_json_lines(file: OpenedFile, _limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile where there is no value."""
    pieces, notes = decoded_text(file)
    return Reading(
        or_empty(_record_blocks(_parts(pieces), notes), f"{file.name} holds no values"),
        notes=notes,
        through=stream_through(file),
    )


def _parts(pieces: Iterable[str]) -> Iterator[_Part]:
    line = 1
    begun: list[str] = []
    begun_chars = 0
    for piece in pieces:
        for text in io.StringIO(piece, newline="\n"):  # str.splitlines takes more for line ends than an editor
            begun.append(text)
            begun_chars += len(text)
            ends = text.endswith("\n")
            if ends or begun_chars >= PART_CHARS:
                yield _Part(line, "".join(begun))
                begun, begun_chars = [], 0
                line += ends
    if begun:
        yield _Part(line, "".join(begun))


def _json_blocks(parts: Iterator[_Part], notes: list[str]) -> Iterator[Block]:
    reader = _Values()
    for line, text in parts:
        is_json = reader.feed(text, line)
        yield from reader.tree.take()
        if not is_json:
            reader.tree.close()
            yield from reader.tree.take()
            notes.append(f"from line {line} on it is not JSON that can be parsed; it was read as text")
            yield from text_blocks(itertools.chain([text], (part.text for part in parts)), line, "code")
            return
    if not reader.end():
        notes.append("it ends in the middle; it may have been cut off")
    yield from reader.tree.take()


def _record_blocks(parts: Iterator[_Part], notes: list[str]) -> Iterator[Block]:
    reader = _Values()
    bad_line = bad_lines = 0
    for line, text in parts:
        if line == bad_line or not reader.feed(text, line):
            reader.start_again()
            reader.tree.value("", text, line)
            bad_lines += line != bad_line
            bad_line = line
        elif reader.is_inside and text.endswith("\n"):
            reader.start_again()
            bad_lines += 1
        yield from reader.tree.take()
    if not reader.end():
        bad_lines += 1
    yield from reader.tree.take()
    if bad_lines:
        notes.append(f"{bad_lines:,} line{'s are' if bad_lines > 1 else ' is'} not JSON and read as text")


class _Values:
    """Parses JSON texts that come in parts into a tree of values."""

    def __init__(self) -> None:
        self.tree = ValueTree()
        self._counts: list[int] = []
        """Of each open list the elements so far; -1 for an object."""
        self._key = ""
        self._line = 1
        self._begin()

    def _begin(self) -> None:
        import ijson

        self._events = ijson.sendable_list()
        self._parser = ijson.basic_parse_coro(self._events, multiple_values=True, allow_comments=True)
        self._error = ijson.JSONError

    @property
    def is_inside(self) -> bool:
        """Whether a list or an object is open."""
        return bool(self._counts)

    def feed(self, text: str, line: int) -> bool:
        """Whether it is JSON so far, of the kind that can be parsed. What comes before a fault is taken."""
        self._line = line
        if _LONG_NUMBER.search(text):
            return False
        try:
            self._parser.send(text.encode("utf-8", "replace"))
        except self._error:
            return False
        finally:
            self._take_events()
        return True

    def start_again(self) -> None:
        """With the next text, as if it was the first; what is open is closed."""
        self.tree.end_all()
        self._counts = []
        self._key = ""
        self._begin()

    def end(self) -> bool:
        """Whether the last text was whole."""
        is_whole = not self._counts
        with contextlib.suppress(self._error):  # also where there was no text at all
            self._parser.close()
        self._take_events()
        self.tree.close()
        return is_whole

    def _take_events(self) -> None:
        for event, value in self._events:
            if event == "map_key":
                self._key = value
            elif event in ("end_map", "end_array"):
                self._counts.pop()
                self.tree.end()
            else:
                self._take_value(event, value)
        self._events.clear()

    def _take_value(self, event: str, value: Any) -> None:
        counts = self._counts
        name, self._key = self._key, ""
        is_element = bool(counts) and counts[-1] >= 0
        if event in ("start_map", "start_array"):
            if is_element:
                name = f"[{counts[-1]}]"
            self.tree.begin(name, names_all=event == "start_map" and not is_element)
            counts.append(0 if event == "start_array" else -1)
            if is_element:
                counts[-2] += 1
            return
        if is_element:
            counts[-1] += 1
        if value is not None:
            # A list of plain values reads as `tags: home, lease`, without numbers.
            text = str(value).lower() if event == "boolean" else str(value)
            self.tree.value("" if is_element else name, text, self._line)
