"""A stretch of an open file as a file of its own, without copying it; and lines found fast by how they begin.

For what is kept inside another file as it is: a message in a mailbox, an attachment that is not encoded.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO, cast

BUFFER_BYTES = 1 << 16
SEARCH_BYTES = 1 << 20


class _Window(io.RawIOBase):
    """Bytes `begin` to `end` of another stream. Seeks before every read: other windows may be in use beside it."""

    def __init__(self, stream: BinaryIO, begin: int, end: int) -> None:
        super().__init__()
        self._stream = stream
        self._begin = begin
        self._end = end
        self._position = begin

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # io's stub takes any Buffer
        wanted = min(len(buffer), self._end - self._position)
        if wanted <= 0:
            return 0
        self._stream.seek(self._position)
        read = self._stream.read(wanted)
        buffer[: len(read)] = read
        self._position += len(read)
        return len(read)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: self._begin, io.SEEK_CUR: self._position, io.SEEK_END: self._end}[whence]
        self._position = max(self._begin, start + offset)
        return self._position - self._begin

    def tell(self) -> int:
        return self._position - self._begin


def open_window(stream: BinaryIO, begin: int, end: int) -> BinaryIO:
    """A seekable stream of the bytes from `begin` to `end`, at its start. Closing it leaves `stream` open."""
    return cast(BinaryIO, io.BufferedReader(_Window(stream, begin, end), BUFFER_BYTES))


def lines_beginning(
    stream: BinaryIO, prefix: bytes, begin: int, end: int, max_bytes: int
) -> Iterator[tuple[int, bytes]]:
    """Offset and text of every line that begins with `prefix`, cut to `max_bytes`, without its line end.

    Searches in blocks, so that a line costs nothing but its bytes, however long it is. Seeks before every read.
    """
    mark = b"\n" + prefix
    stream.seek(begin)
    held, held_at = b"\n", begin - 1  # as if a line had ended just before
    position = begin
    while position < end:
        stream.seek(position)
        block = stream.read(min(SEARCH_BYTES, end - position))
        if not block:
            return
        position += len(block)
        held += block
        at_end = position >= end
        found = held.find(mark)
        while found >= 0:
            line_end = held.find(b"\n", found + 1, found + 1 + max_bytes)
            if line_end < 0:
                if not at_end and len(held) - found <= max_bytes:
                    break  # its end may be in the next block
                line_end = min(len(held), found + 1 + max_bytes)
            yield held_at + found + 1, held[found + 1 : line_end].rstrip(b"\r")
            found = held.find(mark, found + 1)
        keep = found if found >= 0 else max(0, len(held) - len(mark))
        held_at += keep
        held = held[keep:]
