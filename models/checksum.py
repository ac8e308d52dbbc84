"""Hash files as they are read, saying how far it got, and not again while they stay as they were.

Knows nothing of catalogues.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

READ_BYTES = 4 * 2**20

OnBytes = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the bytes of a file must hash to."""

    algorithm: Literal["sha256", "git-sha1"]
    """git-sha1: the id of a git blob, which is all that a hub says of small files: SHA-1 over a header and the
    bytes. Enough to notice damage, not an attacker: such files are text that is parsed, never code."""
    hexdigest: str


@dataclass(frozen=True, slots=True)
class FileDigest:
    """What a file was found to hash to."""

    bytes: int
    sha256: str
    git_sha1: str

    def matches(self, wanted: Checksum) -> bool:
        return wanted.hexdigest == (self.sha256 if wanted.algorithm == "sha256" else self.git_sha1)

    def under(self, algorithm: str) -> str:
        return self.sha256 if algorithm == "sha256" else self.git_sha1


class FileStamp(BaseModel):
    """What a file looked like when it was hashed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    bytes: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path, sha256: str | None = None) -> FileStamp:
        """`sha256` is the file's where the caller knows it; None hashes. Raises OSError."""
        status = path.stat()
        known = unchanged_sha256_of(path) if sha256 is None else sha256
        return cls(bytes=status.st_size, mtime_ns=status.st_mtime_ns, sha256=known)

    def describes(self, path: Path) -> bool:
        """Whether the file has this hash. It is read only where its time is another one: copied, or changed.

        Raises OSError.
        """
        status = path.stat()
        if status.st_size != self.bytes:
            return False
        return status.st_mtime_ns == self.mtime_ns or unchanged_sha256_of(path) == self.sha256


def digest_of(path: Path, on_bytes: OnBytes | None = None, *, git_sha1: bool = False) -> FileDigest:
    """Hash a file. SHA-1 costs as much again, so it is computed only when asked for. Raises OSError."""
    size = path.stat().st_size
    sha256 = hashlib.sha256()
    blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False) if git_sha1 else None
    done = 0
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            sha256.update(block)
            if blob is not None:
                blob.update(block)
            done += len(block)
            if on_bytes is not None:
                on_bytes(done, size)
    return FileDigest(done, sha256.hexdigest(), blob.hexdigest() if blob is not None else "")


def sha256_of(path: Path, on_bytes: OnBytes | None = None) -> str:
    """The SHA-256 of a file, in hexadecimal. Raises OSError."""
    return digest_of(path, on_bytes).sha256


def unchanged_sha256_of(path: Path) -> str:
    """As `sha256_of`; a file is read once a process, and again when its size or its time changes. Raises OSError."""
    status = path.stat()
    return _sha256_of(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256_of(path: Path, _inode: int, _bytes: int, _mtime_ns: int) -> str:
    return sha256_of(path)
