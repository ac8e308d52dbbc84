"""Plain text and source code: any size in bounded memory, with line locators.

A block is a stretch of up to STRETCH_CHARS characters that ends, if possible, at a blank line, or else at a
line's end, or else between words (a line of a megabyte is many blocks of the same line).
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Literal, NamedTuple

from rag.errors import EmptyFile
from rag.readers.blocks import NOTHING_TO_FIND, or_empty
from rag.readers.clean_text import clean_text
from rag.readers.contract import OpenedFile, Reading, ReadLimits, stream_through
from rag.readers.encoding import find_encoding
from rag.records import Block, Locator
from rag.stretches import cut_stretches

READ_BYTES = 1 << 18
MAX_WHOLE_BYTES = 8 << 20
"""Of a text of some markup; larger files are logs or dumps, and are read as plain text, in bounded memory."""
_BLANK = "holds nothing but white space"


class DecodedText(NamedTuple):
    """A text of any length, as it is read."""

    pieces: Iterator[str]
    """With `\\n` line ends, of any length each."""
    notes: list[str]
    """That the encoding is a guess."""


class WholeText(NamedTuple):
    """A text that is small enough to be held at once."""

    text: str
    """Cleaned; line N of it is line N of the file."""
    notes: list[str]


def decoded_text(file: OpenedFile) -> DecodedText:
    """Raises DamagedFile for bytes that are not text."""
    encoding = find_encoding(file.stream, file.name)
    return DecodedText(_pieces(file.stream, encoding.codec), [encoding.note] if encoding.note else [])


def whole_text(file: OpenedFile) -> WholeText:
    """Raises DamagedFile for bytes that are not text, EmptyFile for nothing but white space."""
    pieces, notes = decoded_text(file)
    text = clean_text("".join(pieces))
    if not text.strip():
        raise EmptyFile(f"{file.name} {_BLANK}", hint=NOTHING_TO_FIND)
    return WholeText(text, notes)


def read_text(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile for nothing but white space."""
    return _read(file, limits, "prose")


def read_code(file: OpenedFile, limits: ReadLimits) -> Reading:
    return _read(file, limits, "code")


def _read(file: OpenedFile, _limits: ReadLimits, syntax: Literal["prose", "code"]) -> Reading:
    pieces, notes = decoded_text(file)
    return Reading(
        or_empty(text_blocks(pieces, 1, syntax), f"{file.name} {_BLANK}"), notes=notes, through=stream_through(file)
    )


def text_blocks(pieces: Iterable[str], first_line: int, syntax: Literal["prose", "code"]) -> Iterator[Block]:
    """Blocks of a text that comes in pieces of any length, and begins at `first_line` of its file."""
    line = first_line
    for stretch in cut_stretches(pieces):
        text = clean_text(stretch)
        body = text.lstrip("\n")
        start = line + len(text) - len(body)
        line += text.count("\n")
        body = body.rstrip()
        if body.strip():
            yield Block(body, Locator(line=start), syntax=syntax)


def _pieces(stream: BinaryIO, codec: str) -> Iterator[str]:
    stream.seek(0)
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(codec)("replace"), translate=True)
    while raw := stream.read(READ_BYTES):
        yield decoder.decode(raw)
    yield decoder.decode(b"", final=True)
