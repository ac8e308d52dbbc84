"""What comes out of the files inside one file, counted while it is read: sizes that a file claims are never believed.

One budget is for the outermost file; each file inside is opened through it. Knows nothing of formats and processes.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import BinaryIO, cast

from rag.errors import ReadError, TooLarge
from rag.path_text import path_text
from rag.readers.contract import MEGABYTE, Member, OpenedFile, ReadLimits

BUFFER_BYTES = 1 << 16
_BOMB_HINT = "it looks like an archive made to fill memory; leave it out with a line in .homebodyignore"


class Exhausted(Exception):
    """The outermost file's budget is used up: nothing more is taken out of it."""

    def __init__(self, error: ReadError) -> None:
        super().__init__(str(error))
        self.error = error
        self.was_told = False


@dataclass(slots=True)
class Budget:
    """What may still come out of the files inside one file."""

    name: str
    bytes_most: int
    bytes_left: int
    members_left: int

    @classmethod
    def of(cls, file: OpenedFile, limits: ReadLimits) -> Budget:
        by_ratio = max(limits.ratio_free_bytes, limits.max_unpacked_ratio * file.size_bytes)
        most = min(limits.max_unpacked_bytes, by_ratio)
        return cls(file.name, most, most, limits.max_members)

    def spend_bytes(self, count: int) -> None:
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise Exhausted(
                TooLarge(
                    f"{self.name} unpacks to more than {self.bytes_most / MEGABYTE:,.0f} MB:"
                    " the rest of it is not read",
                    hint=_BOMB_HINT,
                )
            )

    def spend_member(self) -> None:
        self.members_left -= 1
        if self.members_left < 0:
            raise Exhausted(
                TooLarge(
                    f"{self.name} holds more files than are taken: the rest of it is not read",
                    hint="unpack it, and index the folder",
                )
            )


class CountedStream(io.RawIOBase):
    """A file inside another: what is read of it for the first time is counted."""

    def __init__(self, stream: BinaryIO, name: str, budget: Budget, max_bytes: int) -> None:
        super().__init__()
        self._stream = stream
        self._name = name
        self._budget = budget
        self._max_bytes = max_bytes
        self._counted_to = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # io's stub takes any Buffer
        piece = self._stream.read(len(buffer))
        buffer[: len(piece)] = piece
        self._count(self._stream.tell())
        return len(piece)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        position = self._stream.seek(offset, whence)
        self._count(position)  # seeking forward in something packed unpacks all of it
        return position

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()

    def _count(self, position: int) -> None:
        if position <= self._counted_to:
            return
        new, self._counted_to = position - self._counted_to, position
        if position > self._max_bytes:
            raise TooLarge(
                f"{self._name} has more than {self._max_bytes / MEGABYTE:,.0f} MB",
                hint="unpack it and split it, or raise library.max_file_mb in the settings",
            )
        self._budget.spend_bytes(new)


@contextmanager
def open_member(member: Member, path: str, budget: Budget, limits: ReadLimits) -> Iterator[OpenedFile]:
    """A file inside another, counted. Raises ReadError, and Exhausted, also from its stream."""
    counted = CountedStream(member.open(), path_text(PurePath(path).name), budget, limits.max_file_bytes)
    with io.BufferedReader(counted, BUFFER_BYTES) as stream:
        yield OpenedFile(path, cast(BinaryIO, stream), member.size_bytes, member.mtime_ns)
