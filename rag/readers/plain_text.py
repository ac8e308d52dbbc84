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
from rag.readers.clean_text import clean_text
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.encoding import find_encoding
from rag.records import Block, Locator
from rag.stretches import cut_stretches

READ_BYTES = 1 << 18


class WholeText(NamedTuple):
    """A text that is small enough to be held at once."""

    text: str
    """Cleaned; line N of it is line N of the file."""
    notes: list[str]


def whole_text(file: OpenedFile) -> WholeText:
    """Raises DamagedFile for bytes that are not text, EmptyFile for nothing but white space."""
    encoding = find_encoding(file.stream, file.name)
    text = clean_text("".join(decoded_pieces(file.stream, encoding.codec)))
    if not text.strip():
        raise EmptyFile(f"{file.name} holds nothing but white space", hint="there is nothing in it to find")
    return WholeText(text, [encoding.note] if encoding.note else [])


def read_text(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile for nothing but white space."""
    return _read(file, limits, "prose")


def read_code(file: OpenedFile, limits: ReadLimits) -> Reading:
    return _read(file, limits, "code")


def _read(file: OpenedFile, _limits: ReadLimits, syntax: Literal["prose", "code"]) -> Reading:
    encoding = find_encoding(file.stream, file.name)
    notes = [encoding.note] if encoding.note else []
    return Reading(_blocks(file, encoding.codec, syntax), notes=notes)


def _blocks(file: OpenedFile, codec: str, syntax: Literal["prose", "code"]) -> Iterator[Block]:
    found_any = False
    for block in text_blocks(decoded_pieces(file.stream, codec), 1, syntax):
        found_any = True
        yield block
    if not found_any:
        raise EmptyFile(f"{file.name} holds nothing but white space", hint="there is nothing in it to find")


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


def decoded_pieces(stream: BinaryIO, codec: str) -> Iterator[str]:
    """The stream's text from its start, with `\\n` line ends, in pieces of any length."""
    stream.seek(0)
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(codec)("replace"), translate=True)
    while raw := stream.read(READ_BYTES):
        yield decoder.decode(raw)
    yield decoder.decode(b"", final=True)
