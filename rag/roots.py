"""The files and folders that the user asked for, what was taken out of them, and whether they are there now.

A root whose drive is not connected must never be taken for one that was emptied: its files stay in the library and
are found. What counts as connected:

- A root that cannot be looked at (it is missing, its server does not answer) is not.
- A root on another file system than when it was indexed, where none of the library's files is found, is not: it is
  the empty folder that a drive is mounted on, or another drive in its place. Numbers of file systems alone say
  nothing, since they may change whenever the machine starts.
- The same holds for every file system mounted somewhere below a root.

Knows the tables and looks at the disk; decides nothing about single files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.documents import Documents
from rag.library_db import LibraryDb
from rag.mounted import is_below, mounts
from rag.path_text import path_text, range_below

FILES_LOOKED_FOR = 20
"""When a root is on another file system than before: one of these is enough to know it by."""


@dataclass(frozen=True, slots=True)
class RootRow:
    """A root as it is listed."""

    path: str
    """As text that may be shown."""
    away: str
    """Why it is not connected, in words; empty when it is."""


class Roots:
    """The tables `roots`, `left_out` and `mounts`."""

    def __init__(self, db: LibraryDb) -> None:
        self._db = db

    # --- what is indexed ---

    def paths(self) -> tuple[str, ...]:
        """All roots, in the order of their paths, as the file system has them (`os.fsdecode`)."""
        return tuple(os.fsdecode(row[0]) for row in self._db.query("SELECT path FROM roots ORDER BY path"))

    def add(self, roots: Iterable[str]) -> None:
        """Remember that the user asked for these, which are there: what was left out by that name comes back."""
        known = {row[0]: row[1] for row in self._db.query("SELECT path, device FROM roots")}
        left_out = {row[0] for row in self._db.query("SELECT path FROM left_out")}
        wanted = {path: _device_of(os.fsdecode(path)) for path in map(os.fsencode, roots)}
        changed = [(path, time.time(), device) for path, device in wanted.items() if known.get(path, -1) != device]
        returning = [(path,) for path in wanted if path in left_out]
        if not changed and not returning:
            return
        with self._db.transaction() as connection:
            connection.executemany(
                "INSERT INTO roots (path, added_at_s, device) VALUES (?, ?, ?)"
                " ON CONFLICT (path) DO UPDATE SET device = excluded.device",
                changed,
            )
            connection.executemany("DELETE FROM left_out WHERE path = ?", returning)

    def left_out(self) -> frozenset[str]:
        """Files and folders that were taken out of a root, as the file system has them."""
        return frozenset(os.fsdecode(row[0]) for row in self._db.query("SELECT path FROM left_out"))

    def forget(self, path: Path) -> int:
        """Take a file or folder, and the roots in it, out of the library. Returns how many files left.

        Inside another root it stays out, until `add` names it.
        """
        name = os.fspath(path)
        itself, first, past = range_below(name)
        removed = Documents(self._db).remove_below(name)
        with self._db.transaction() as connection:
            for table in ("roots", "left_out", "mounts"):
                connection.execute(
                    f"DELETE FROM {table} WHERE path = ? OR (path >= ? AND path < ?)", (itself, first, past)
                )
            if any(is_below(name, root) for root in self.paths()):
                connection.execute("INSERT INTO left_out VALUES (?, ?)", (itself, time.time()))
        return removed

    # --- what is there ---

    def listed(self) -> tuple[RootRow, ...]:
        """All roots, for people. Looks at the disk."""
        return tuple(RootRow(path_text(path), self.why_away(path)) for path in self.paths())

    def why_away(self, root: str, *, named: bool = False) -> str:
        """Why a root is not connected, in words; empty when it is, or when it is no root.

        `named`: the user has just asked for it by name, so what is there is what is meant, unless nothing is.
        """
        rows = self._db.query("SELECT device FROM roots WHERE path = ?", (os.fsencode(root),))
        if not rows:
            return ""
        (before,) = rows[0]
        try:
            status = Path(root).stat()
        except FileNotFoundError:
            return "not connected: it is not there"
        except OSError as error:
            return f"not connected: {(error.strerror or str(error)).lower()}"
        if before is None or _as_stored(status.st_dev) == before or self._knows_a_file_of(root):
            return ""
        if _is_empty(root):
            return "not connected: only the empty folder is there that its drive is mounted on"
        return "" if named else "not connected: another drive is in its place"

    def away_below(self, roots: Sequence[str]) -> tuple[str, ...]:
        """Mount points below `roots` whose file system was there before and is not now: their files are unsure."""
        known = [os.fsdecode(row[0]) for row in self._db.query("SELECT path FROM mounts")]
        return tuple(
            path
            for path in known
            if any(is_below(path, root) for root in roots) and not os.path.ismount(path) and _is_empty(path)
        )

    def note_mounts(self, roots: Sequence[str]) -> None:
        """Remember which file systems are mounted below these roots."""
        below = {
            each.path for each in mounts() if any(each.path != root and is_below(each.path, root) for root in roots)
        }
        known = {os.fsdecode(row[0]) for row in self._db.query("SELECT path FROM mounts")}
        away = set(self.away_below(roots))
        here = {path for path in known if any(is_below(path, root) for root in roots)}
        new, old = below - known, here - below - away
        if not new and not old:
            return
        with self._db.transaction() as connection:
            connection.executemany("INSERT INTO mounts VALUES (?)", [(os.fsencode(path),) for path in new])
            connection.executemany("DELETE FROM mounts WHERE path = ?", [(os.fsencode(path),) for path in old])

    def _knows_a_file_of(self, root: str) -> bool:
        """Whether one of the library's files is where it was, or the library has none there."""
        files = Documents(self._db).some_below(root, FILES_LOOKED_FOR)
        return not files or any(os.path.lexists(file) for file in files)


def _device_of(path: str) -> int | None:
    try:
        return _as_stored(Path(path).stat().st_dev)
    except OSError:
        return None


def _as_stored(device: int) -> int:
    """SQLite's integers have a sign."""
    return device & (2**63 - 1)


def _is_empty(folder: str) -> bool:
    """Whether nothing can be found there."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except NotADirectoryError:
        return False
    except OSError:
        return True
