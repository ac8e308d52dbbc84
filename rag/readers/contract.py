"""What a reader gets and gives: an open file in, blocks of text out.

A reader is a function `read(file, limits) -> Reading`. It runs in the worker process (`rag.reading_worker`),
so it may crash or hang without harm; it raises a ReadError for what it can tell about the file, and lets
anything else through: that is reported as a damaged file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from pathlib import PurePath
from typing import BinaryIO

from rag.errors import EmptyFile, ReadError, TooLarge
from rag.path_text import path_text
from rag.records import Block, Kind

MEGABYTE = 1 << 20
LARGE_BYTES = MEGABYTE
"""From here on it is worth telling how far a file is."""
CONTAINER_READERS = frozenset({"mbox", "archive"})
"""By the name in their version. They hold nothing but what is inside, one after the other, at any size: the limit
of a file's size is for each file inside."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What one file may cost."""

    max_file_bytes: int = 512 * MEGABYTE
    max_text_chars: int = 512 * MEGABYTE
    """Text that may come out of one file, however small the file is."""
    max_pages: int = 5000
    first_page: int = 1
    """Of a picture with several pages, those before this one are passed over without decoding them."""
    timeout_s: float = 120.0
    """That may pass without any progress: no text, no next file inside."""
    total_timeout_s: float = 3600.0
    """That a file may take in all, the files inside it included."""
    memory_bytes: int = 2048 * MEGABYTE
    """Resident memory of the worker process."""
    max_members: int = 100_000
    """Files inside one file, those inside them included."""
    max_nesting: int = 5
    """Files inside files inside files."""
    max_unpacked_bytes: int = 8192 * MEGABYTE
    """That may come out of the files inside one file together."""
    max_unpacked_ratio: int = 200
    """What comes out of a file, beside its own size. Real archives stay below 60."""
    ratio_free_bytes: int = 256 * MEGABYTE
    """Below this the ratio does not count: small archives of much the same may be packed very tightly."""
    max_pixels: int = 150_000_000
    """Of a picture, as it is decoded."""
    draws: bool = False
    """Somebody looks at pictures: they, and pages without text, are handed over as pixels."""
    listens: bool = False
    """Somebody listens to recordings inside other files: they are announced, and heard elsewhere."""


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file opened for reading: a regular file (no link was followed), or one inside another file."""

    path: str
    """Absolute; of a file inside another: the outer one's path, a slash and the inner one's path."""
    stream: BinaryIO
    """Seekable, at its start."""
    size_bytes: int
    mtime_ns: int
    """0 where it is not known."""

    @property
    def name(self) -> str:
        """The file's name as text, for messages."""
        return path_text(PurePath(self.path).name)

    @property
    def extension(self) -> str:
        """Lower case, without the dot; empty when there is none."""
        return PurePath(self.path).suffix[1:].lower()


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside the one that is being read: an attachment, a message of a mailbox, an entry of an archive."""

    path: str
    """Where it is inside, with `/`: relative, without `.` and `..`, never empty."""
    open: Callable[[], BinaryIO]
    """Opens it, seekable and at its start, held in memory or in the outer file, never written to disk. Called
    at most once, before the next member is taken; raises ReadError. The caller closes the stream."""
    size_bytes: int
    """As the outer file claims: not to be trusted."""
    mtime_ns: int = 0


@dataclass(slots=True)
class Reading:
    """One file being read. Everything but `blocks` and `members` is complete when `blocks` is exhausted."""

    blocks: Iterator[Block]
    """Text in reading order, and drawings where somebody has to look for it (`ReadLimits.draws`)."""
    title: str = ""
    """The document's own; empty when it has none."""
    author: str = ""
    """Who wrote or sent it, as the document says; empty when it does not."""
    written_at_s: float | None = None
    """The document's own date (of a mail: when it was sent), Unix time; None where it has none."""
    _: KW_ONLY
    notes: list[str] = field(default_factory=list)
    """What the user should know of a file that was read, e.g. pages without text."""
    kind: Kind = "text"
    """What the document is for people, and for `kind:` in a query."""
    is_to_be_heard: bool = False
    """It is a recording: its text is what somebody hears in it (`ReadLimits.listens`)."""
    through: Callable[[], float] | None = None
    """How much of the file has been gone through, 0 to 1, while `blocks` and then `members` are taken. None where
    that is not known, or soon over."""
    members: Iterator[Member] = field(default_factory=lambda: iter(()))
    """The files inside it, in its order; taken when `blocks` is exhausted. Each becomes a document of its own."""


Reader = Callable[[OpenedFile, ReadLimits], Reading]


def open_regular(path: str) -> OpenedFile:
    """Open a file for reading. The caller closes `stream`.

    Raises ReadError for what is no regular file, cannot be opened or is not there (a link that took the
    file's place after the walk included), EmptyFile for one without bytes.
    """
    name = path_text(path)
    # O_NONBLOCK: opening a FIFO must not wait for a writer. It has no effect on regular files.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError as error:
        raise ReadError(f"{name} is not there", hint="it was deleted or moved; index its folder again") from error
    except PermissionError as error:
        raise ReadError(f"{name} may not be read", hint="give yourself the right to read it") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ReadError(f"{name} cannot be opened: {reason}", hint="only regular files are read") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ReadError(f"{name} is not a regular file", hint="only regular files are read")
        if status.st_size == 0:
            raise EmptyFile(f"{PurePath(name).name} is empty", hint="there is nothing in it to find")
    except BaseException:
        os.close(descriptor)
        raise
    return OpenedFile(path, os.fdopen(descriptor, "rb"), status.st_size, status.st_mtime_ns)


def stream_through(file: OpenedFile) -> Callable[[], float] | None:
    """`Reading.through` of a reader that goes through the file's bytes once, from the first to the last."""
    if file.size_bytes < LARGE_BYTES:
        return None
    return lambda: file.stream.tell() / file.size_bytes


def has_changed(file: OpenedFile) -> bool:
    """Whether a regular file is another one than when it was opened."""
    after = os.fstat(file.stream.fileno())
    return (after.st_size, after.st_mtime_ns) != (file.size_bytes, file.mtime_ns)


def sha256_of(stream: BinaryIO) -> bytes:
    """Of everything from where the stream stands to its end. Raises OSError."""
    digest = hashlib.sha256()
    while piece := stream.read(MEGABYTE):
        digest.update(piece)
    return digest.digest()


def check_file_size(file: OpenedFile, limits: ReadLimits) -> None:
    """Raises TooLarge."""
    if file.size_bytes > limits.max_file_bytes:
        raise TooLarge(
            f"{file.name} has {file.size_bytes / MEGABYTE:,.0f} MB,"
            f" more than the limit of {limits.max_file_bytes / MEGABYTE:,.0f} MB",
            hint="split it, or raise library.max_file_mb in the settings",
        )
