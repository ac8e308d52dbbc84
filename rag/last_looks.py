"""What the last look at some roots came to, so that what has not changed since need not be compared file by file.

A look that found the disk and the library in step would, with the same files found and the same documents listed,
find them in step again. Which files were found is kept as a hash; any change of the documents clears the table (by a
trigger). Knows the table, not what is compared.
"""

from __future__ import annotations

import hashlib
import json
import marshal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rag.library_db import LibraryDb
from rag.walk import FileRow

LOOK_VERSION = 1
"""Raised when a look would come to something else with the same files and documents."""


@dataclass(frozen=True, slots=True)
class LastLook:
    """A look that found nothing to do."""

    found: bytes
    """`FilesFound.digest`."""
    unchanged: int
    failed: tuple[tuple[str, str, str], ...]
    """Files that still cannot be read: path, reason and hint."""


@dataclass(slots=True)
class FilesFound:
    """A hash of what a walk finds, folder by folder."""

    _hash: Any = field(default_factory=hashlib.sha256)

    def add(self, rows: list[FileRow]) -> None:
        self._hash.update(marshal.dumps(rows, 2))  # version 2 writes equal values alike

    @property
    def digest(self) -> bytes:
        return bytes(self._hash.digest())


class LastLooks:
    """The table `last_looks`."""

    def __init__(self, db: LibraryDb) -> None:
        self._db = db

    def of(self, key: bytes) -> LastLook | None:
        """The last look by this key that came to an end, unless some document has changed since."""
        rows = self._db.query("SELECT found, unchanged, failed FROM last_looks WHERE key = ? AND found <> x''", (key,))
        if not rows:
            return None
        found, unchanged, failed = rows[0]
        return LastLook(found, unchanged, tuple((path, reason, hint) for path, reason, hint in json.loads(failed)))

    def begin(self, key: bytes) -> None:
        """A look by this key begins. Raises StorageFull, LibraryDamaged."""
        with self._db.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO last_looks VALUES (?, x'', 0, '[]')", (key,))

    def keep(self, key: bytes, look: LastLook) -> None:
        """The look that was begun came to this; not kept when some document has changed since. Raises as `begin`."""
        with self._db.transaction() as connection:
            connection.execute(
                "UPDATE last_looks SET found = ?, unchanged = ?, failed = ? WHERE key = ?",
                (look.found, look.unchanged, json.dumps(look.failed), key),
            )


def look_key(roots: Sequence[str], unsure: Sequence[str], others: Iterable[str]) -> bytes:
    """A key for looks at these roots; `others` are what else decides what a look comes to."""
    return hashlib.sha256(marshal.dumps((LOOK_VERSION, [*roots], [*unsure], sorted(others)), 2)).digest()


__all__ = ["LOOK_VERSION", "FilesFound", "LastLook", "LastLooks", "look_key"]
