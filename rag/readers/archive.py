"""Archives as folders: ZIP, TAR (also packed with gzip, bzip2 or xz), and single packed files.

Each entry becomes a file inside; the archive's own text is the list of their names, so that it is found by what it
holds. Nothing is unpacked to disk. A small entry is unpacked into memory, a large one is unpacked again for every
pass over it. What an archive says of sizes is not believed: `rag.reading_session` counts what comes out.

Passed over: folders, links, devices, and what is never entered in a folder either.
"""

from __future__ import annotations

import bz2
import calendar
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import PurePosixPath
from typing import IO, BinaryIO, cast

from rag.errors import DamagedFile, EmptyFile, EncryptedFile, ReadError, TooLarge, UnsupportedFile
from rag.member_paths import clean_member_path, is_junk
from rag.readers.contract import MEGABYTE, Member, OpenedFile, Reading, ReadLimits, stream_through
from rag.records import Block

HELD_BYTES = 32 * MEGABYTE
"""An entry up to this size is unpacked once, into memory."""
MAX_NAMES_CHARS = 20_000
"""Of the list of names that is an archive's own text."""
MAX_UNIX_TIME_S = 1 << 33
"""The year 2242. A TAR may claim any number, an infinite one too."""
TAR_MAGIC_AT = 257
_ENCRYPTED = 0x1

_UNPACKERS: tuple[tuple[bytes, Callable[[BinaryIO], object]], ...] = (
    (b"\x1f\x8b", lambda stream: gzip.GzipFile(fileobj=stream)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\0", lzma.LZMAFile),
)
"""How each begins, and what opens it as a file of its unpacked bytes."""
_BOMB_HINT = "it looks like an archive made to fill memory; leave it out with a line in .homebodyignore"
_DAMAGED_HINT = "get it again from where it came; it may have been cut off"
_FOREIGN_ERRORS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""What the standard library raises for archives that are not whole. RuntimeError: zipfile's for a missing password;
NotImplementedError: its for an unknown compression; OSError: bz2's for anything."""


def read_archive(file: OpenedFile, _limits: ReadLimits) -> Reading:
    """Raises DamagedFile for what is no archive, EmptyFile for one without files."""
    head = file.stream.read(TAR_MAGIC_AT + 8)
    file.stream.seek(0)
    unpack = next((unpack for magic, unpack in _UNPACKERS if head.startswith(magic)), None)
    if unpack is not None:
        with _translated(file.name):
            unpacked = cast(BinaryIO, unpack(file.stream))
            inner_head = unpacked.read(TAR_MAGIC_AT + 8)
            unpacked.seek(0)
        if not inner_head[TAR_MAGIC_AT:].startswith(b"ustar"):
            return Reading(iter(()), members=iter([_single(file, unpack)]))
        return _read_tar(file, unpacked)
    if head[TAR_MAGIC_AT:].startswith(b"ustar"):
        return _read_tar(file, file.stream)
    return _read_zip(file)


def _single(file: OpenedFile, unpack: Callable[[BinaryIO], object]) -> Member:
    """What a packed file is when it is unpacked: `notes.txt` of `notes.txt.gz`."""
    path = PurePosixPath(file.name)
    name = path.stem if path.suffix.lower() in (".gz", ".bz2", ".xz", ".lzma") else f"{path.name}.unpacked"

    def opened() -> BinaryIO:
        file.stream.seek(0)
        return _guarded(cast(IO[bytes], unpack(file.stream)), name)

    return Member(name, opened, 0, file.mtime_ns)


def _read_zip(file: OpenedFile) -> Reading:
    with _translated(file.name):
        archive = zipfile.ZipFile(file.stream)
        entries = [entry for entry in archive.infolist() if _is_file_in_zip(entry)]
    if not entries:
        raise EmptyFile(f"{file.name} holds no files", hint="there is nothing in it to find")
    in_place = sorted(entries, key=lambda entry: entry.header_offset)
    if any(one.header_offset + one.compress_size >= other.header_offset for one, other in pairwise(in_place)):
        raise TooLarge(f"the files in {file.name} share their bytes", hint=_BOMB_HINT)
    members = (
        Member(entry.filename, partial(_open_in_zip, archive, entry), entry.file_size, _zip_time_ns(entry))
        for entry in entries
    )
    return Reading(_names(entry.filename for entry in entries), members=members)


def _is_file_in_zip(entry: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    return not entry.is_dir() and kind in (0, stat.S_IFREG)


def _open_in_zip(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> BinaryIO:
    name = PurePosixPath(clean_member_path(entry.filename)).name
    if entry.flag_bits & _ENCRYPTED:
        raise EncryptedFile(f"{name} is protected by a password", hint="unpack it with the password and index that")
    with _translated(name):
        return _guarded(archive.open(entry), name)


def _zip_time_ns(entry: zipfile.ZipInfo) -> int:
    """The time that the archive gives, in which time zone it does not say; 0 where it gives none (month 0, day 0)."""
    try:
        return _time_ns(calendar.timegm((*entry.date_time, 0, 0, 0)))
    except ValueError:
        return 0


def _time_ns(unix_time_s: float) -> int:
    """0 for what no file's time is: before 1970, beyond the calendar's end, not a number."""
    return int(unix_time_s) * 1_000_000_000 if 0 < unix_time_s < MAX_UNIX_TIME_S else 0


def _read_tar(file: OpenedFile, stream: BinaryIO) -> Reading:
    with _translated(file.name):
        archive = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 (its members are read later)
        first = archive.next()
    if first is None:
        raise EmptyFile(f"{file.name} holds no files", hint="there is nothing in it to find")
    return Reading(iter(()), members=_tar_members(file, archive, first), through=stream_through(file))


def _tar_members(file: OpenedFile, archive: tarfile.TarFile, first: tarfile.TarInfo) -> Iterator[Member]:
    """Its files as they come: a TAR has no list of them."""
    entry: tarfile.TarInfo | None = first
    while entry is not None:
        if entry.isreg():
            yield Member(entry.name, partial(_open_in_tar, archive, entry), entry.size, _time_ns(entry.mtime))
        with _translated(f"the rest of {file.name}"):
            # tarfile remembers each entry, for looking it up by its name.
            archive.members.clear()  # type: ignore[attr-defined]  # typeshed leaves it out
            entry = archive.next()


def _open_in_tar(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> BinaryIO:
    name = PurePosixPath(clean_member_path(entry.name)).name
    with _translated(name):
        stream = archive.extractfile(entry)
    if stream is None:
        raise UnsupportedFile(f"{name} is no file", hint="only files are read")
    return _guarded(stream, name)


def _names(paths: Iterable[str]) -> Iterator[Block]:
    """The list of the files, as far as it is short enough to be read."""
    lines: list[str] = []
    chars = 0
    for path in map(clean_member_path, paths):
        if is_junk(path):
            continue
        if chars + len(path) > MAX_NAMES_CHARS:
            lines.append("…")
            break
        lines.append(path)
        chars += len(path) + 1
    if lines:
        yield Block("\n".join(lines), heading_path=("Files",))


class _Guarded(io.RawIOBase):
    """An entry while it is unpacked, with the errors of the standard library told as what they mean."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        super().__init__()
        self._stream = stream
        self._name = name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # io's stub takes any Buffer
        with _translated(self._name):
            piece = self._stream.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _translated(self._name):
            return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def _guarded(stream: IO[bytes], name: str) -> BinaryIO:
    """The entry's bytes: in memory when they are few, unpacked anew for each pass when they are many."""
    guarded = io.BufferedReader(_Guarded(stream, name), 1 << 16)
    start = guarded.read(HELD_BYTES + 1)
    if len(start) <= HELD_BYTES:
        guarded.close()
        return io.BytesIO(start)
    del start
    guarded.seek(0)
    return cast(BinaryIO, guarded)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except ReadError:
        raise
    except _FOREIGN_ERRORS as error:
        raise DamagedFile(f"{name} is damaged: it cannot be unpacked ({error})", hint=_DAMAGED_HINT) from error
