"""Which passages a search may return, as one flag a passage: filters, excluded words and phrases together.

A filter passes whole contents; which content a passage belongs to is kept in memory (four bytes a passage) and
never changes, for ids are not used twice. So a filter costs one look at the table of files, however many passages
there are. Knows nothing of ranking.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rag.filters import Filters, contents_within
from rag.library_db import LibraryDb


@dataclass(frozen=True)
class Scope:
    """The passages that may be found."""

    allowed: NDArray[np.bool_]
    """By chunk id; ids behind its end are not allowed."""

    def holds(self, chunk_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """One flag an id."""
        known = chunk_ids < len(self.allowed)
        if known.all():
            return self.allowed[chunk_ids]
        flags = np.zeros(len(chunk_ids), np.bool_)
        flags[known] = self.allowed[chunk_ids[known]]
        return flags

    def only(self, chunk_ids: Sequence[int]) -> list[int]:
        """Those of the ids that are allowed, in their order."""
        ids = np.fromiter(chunk_ids, np.int64, len(chunk_ids))
        kept: list[int] = ids[self.holds(ids)].tolist()
        return kept

    @cached_property
    def flags(self) -> bytes:
        """The same as bytes of 1 and 0: for SQLite, which looks them up one by one."""
        return self.allowed.tobytes()

    @cached_property
    def share(self) -> float:
        """Of all passages: how many may be found."""
        return float(self.allowed.mean()) if len(self.allowed) else 0.0

    def narrowed(self, chunk_ids: Sequence[int], *, to_them: bool) -> Scope:
        """Only these passages besides (`to_them`), or all but these."""
        ids = np.fromiter(chunk_ids, np.int64, len(chunk_ids))
        ids = ids[ids < len(self.allowed)]
        flags = np.zeros(len(self.allowed), np.bool_) if to_them else self.allowed.copy()
        flags[ids] = self.allowed[ids] if to_them else False
        return Scope(flags)

    def __bool__(self) -> bool:
        return bool(self.allowed.any())


class Scopes:
    """Makes scopes for one library. Thread-safe."""

    def __init__(self, db: LibraryDb) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._content_of = np.zeros(1, np.int32)
        """By chunk id; 0 for an id that was never seen."""

    def whole(self) -> Scope:
        return Scope(np.ones(len(self._refreshed()), np.bool_))

    def within(self, filters: Filters) -> Scope:
        if not filters:
            return self.whole()
        contents = contents_within(self._db, filters)
        content_of = self._refreshed()
        passes = np.zeros(max(int(content_of.max()), max(contents, default=0)) + 1, np.bool_)
        passes[contents] = True
        passes[0] = False
        return Scope(passes[content_of])

    def _refreshed(self) -> NDArray[np.int32]:
        with self._lock:
            rows = self._db.query(
                "SELECT chunk_id, content_id FROM chunks WHERE chunk_id >= ? ORDER BY chunk_id",
                (len(self._content_of),),
            )
            if rows:
                new = np.array(rows, np.int64)
                grown = np.zeros(int(new[-1, 0]) + 1, np.int32)
                grown[: len(self._content_of)] = self._content_of
                grown[new[:, 0]] = new[:, 1]
                self._content_of = grown
            return self._content_of
