"""Finding passages by meaning: the vectors of the library, compared with a question's.

`ExactVectors` compares with every vector, read from SQLite into one matrix: up to some tens of thousands of
passages that is as fast as an index and cannot be damaged. `Vectors` asks chromadb instead once the library is
larger than that and chromadb has been found whole. Knows nothing of embedders.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag.chroma_store import ChromaStore
from rag.library_db import LibraryDb
from rag.records import Kind

STORED_TYPE = "<f2"


@dataclass(frozen=True, slots=True)
class VectorHit:
    chunk_id: int
    cosine: float


@dataclass(frozen=True, slots=True)
class _Loaded:
    """Vectors as they were in the library at one moment. The arrays are never changed, only replaced."""

    added: int
    removed: int
    vector_ids: NDArray[np.int64]
    """Ascending."""
    chunk_ids: NDArray[np.int64]
    matrix: NDArray[np.float32]
    """Shape (vectors, dimension); its rows are unit vectors."""


_NOTHING = _Loaded(0, 0, np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 0), np.float32))


def count_vectors(db: LibraryDb) -> int:
    """How many vectors the library has, without counting them."""
    ((added, removed),) = db.query("SELECT added, removed FROM vectors_changed")
    return int(added - removed)


class ExactVectors:
    """Compares a vector with every one of the library. Thread-safe; right after any writer's commit.

    Each search asks SQLite what has changed (two counters), loads what was added since, and lets go of what was
    removed: another process's writes are seen like this one's.
    """

    def __init__(self, db: LibraryDb) -> None:
        self._db = db
        self._loaded = _NOTHING
        self._buffer = np.empty((0, 0), np.float32)
        self._lock = threading.Lock()

    def search(
        self, query: NDArray[np.float32], *, limit: int, kinds: frozenset[Kind] | None = None
    ) -> list[VectorHit]:
        """The nearest passages, best first, equally near ones by id. `query` has shape (dimension,), length 1."""
        loaded = self._refreshed()
        if not len(loaded.chunk_ids) or limit < 1:
            return []
        cosines = loaded.matrix @ query
        if kinds is not None:
            cosines = np.where(np.isin(loaded.chunk_ids, self._chunks_of(kinds)), cosines, -np.inf)
        limit = min(limit, len(cosines))
        # All that are as near as the last one taken, so that ties are cut by id and not by chance.
        bar = np.partition(cosines, -limit)[-limit]
        near = np.flatnonzero((cosines >= bar) & np.isfinite(cosines))
        order = np.lexsort((loaded.chunk_ids[near], -cosines[near]))[:limit]
        return [VectorHit(int(loaded.chunk_ids[row]), float(cosines[row])) for row in near[order]]

    def warm_up(self) -> int:
        """Load the vectors now; returns how many there are."""
        return len(self._refreshed().chunk_ids)

    def _refreshed(self) -> _Loaded:
        with self._lock, self._db.snapshot():
            ((added, removed),) = self._db.query("SELECT added, removed FROM vectors_changed")
            loaded = self._loaded
            if (added, removed) == (loaded.added, loaded.removed):
                return loaded
            vector_ids, chunk_ids, matrix = loaded.vector_ids, loaded.chunk_ids, loaded.matrix
            if removed != loaded.removed and len(vector_ids):
                # The index on chunk_id answers this without touching the vectors.
                alive = [row[0] for row in self._db.query("SELECT vector_id FROM vectors ORDER BY chunk_id")]
                kept = np.isin(vector_ids, np.array(alive, np.int64))
                vector_ids, chunk_ids = vector_ids[kept], chunk_ids[kept]
                self._buffer = matrix = matrix[kept]
            new = self._db.query(
                "SELECT vector_id, chunk_id, vector FROM vectors WHERE vector_id > ? ORDER BY vector_id",
                (int(vector_ids[-1]) if len(vector_ids) else 0,),
            )
            if new:
                vector_ids = np.concatenate([vector_ids, np.array([row[0] for row in new], np.int64)])
                chunk_ids = np.concatenate([chunk_ids, np.array([row[1] for row in new], np.int64)])
                matrix = self._appended(matrix, unpacked([row[2] for row in new]))
            self._loaded = _Loaded(added, removed, vector_ids, chunk_ids, matrix)
            return self._loaded

    def _appended(self, matrix: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The matrix with rows behind it, in a buffer with room to grow: searches go on in the old view."""
        before, after = len(matrix), len(matrix) + len(rows)
        if after > len(self._buffer) or self._buffer.shape[1] != rows.shape[1]:
            # Room for a quarter more while vectors keep coming; a first load takes what it needs.
            grown = np.empty((after if not before else after + after // 4, rows.shape[1]), np.float32)
            if before:
                grown[:before] = matrix
            self._buffer = grown
        self._buffer[before:after] = rows
        return self._buffer[:after]

    def _chunks_of(self, kinds: frozenset[Kind]) -> NDArray[np.int64]:
        rows = self._db.query(
            "SELECT chunk_id FROM chunks JOIN contents USING (content_id)"
            f" WHERE kind IN ({','.join('?' * len(kinds))})",
            sorted(kinds),
        )
        return np.array([row[0] for row in rows], np.int64)


def unpacked(blobs: Sequence[bytes]) -> NDArray[np.float32]:
    """Stored vectors as a matrix of shape (len(blobs), dimension)."""
    if not blobs:
        return np.empty((0, 0), np.float32)
    matrix: NDArray[np.float32] = np.frombuffer(b"".join(blobs), STORED_TYPE).reshape(len(blobs), -1).astype(np.float32)
    return matrix


class Vectors:
    """The vectors of a library, by whichever store answers best and is known to be whole.

    A command that asks once and ends gets the exact one: importing chromadb alone takes longer than comparing
    with every vector. A homebody that stays calls `warm_up`: with more than `exact_up_to` vectors chromadb is then
    checked and opened by a thread of its own, and again after each change; until that is done the exact search
    answers. Without `chroma` it always does.
    """

    def __init__(self, db: LibraryDb, chroma: ChromaStore | None, *, exact_up_to: int) -> None:
        self._db = db
        self._chroma = chroma
        self._exact_up_to = exact_up_to
        self._exact = ExactVectors(db)
        self._stays = False

    def search(
        self, query: NDArray[np.float32], *, limit: int, kinds: frozenset[Kind] | None = None
    ) -> list[VectorHit]:
        """The nearest passages, best first. `query` has shape (dimension,) and length 1."""
        # A filter makes chromadb ten times slower; the exact search hardly notices it.
        if kinds is None and self._chroma is not None and count_vectors(self._db) > self._exact_up_to:
            found = self._chroma.query(query, limit)
            if found is not None:
                return [VectorHit(chunk_id, cosine) for chunk_id, cosine in found]
            if self._stays:
                self._chroma.open_in_background()
        return self._exact.search(query, limit=limit, kinds=kinds)

    @property
    def empty(self) -> bool:
        return count_vectors(self._db) == 0

    def warm_up(self) -> None:
        """Load what the next searches need, so that they need not wait."""
        self._stays = True
        if self._chroma is not None and count_vectors(self._db) > self._exact_up_to:
            self._chroma.open_in_background()
        self._exact.warm_up()

    def describe(self) -> str:
        """Which store answers, and why in a few words: for `LibraryStatus.vector_store`."""
        count = count_vectors(self._db)
        if count <= self._exact_up_to:
            return f"exact: {count:,} vectors; chromadb answers beyond {self._exact_up_to:,}"
        if self._chroma is None or not self._stays:
            return f"exact: {count:,} vectors; for a single question that is quicker than starting chromadb"
        if self._chroma.ready:
            return f"chroma: {count:,} vectors, checked against the library file"
        return f"exact: {count:,} vectors; {self._chroma.why_not_ready}"

    def close(self) -> None:
        if self._chroma is not None:
            self._chroma.close()
