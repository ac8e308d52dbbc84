"""Hash files as they are read, saying how far it got. Knows nothing of catalogues."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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
