"""Finding passages by meaning: the vectors of the library, compared with a question's.

`ExactVectors` scans every vector in memory: up to some hundred thousand passages that is as fast as an index and
cannot be damaged. `Vectors` asks chromadb instead once the library is larger than that and chromadb has been found
whole. Knows nothing of embedders.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rag.chroma_store import ChromaStore
from rag.exact_vectors import STORED_TYPE, ExactVectors, VectorHit
from rag.library_db import LibraryDb
from rag.scope import Scope


def count_vectors(db: LibraryDb) -> int:
    """How many vectors the library has, without counting them."""
    ((added, removed),) = db.query("SELECT added, removed FROM vectors_changed")
    return int(added - removed)


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

    def search(self, query: NDArray[np.float32], *, limit: int, within: Scope | None = None) -> list[VectorHit]:
        """The nearest passages, best first. `query` has shape (dimension,) and length 1."""
        # A filter makes chromadb ten times slower; the scan is the quicker for it.
        if within is None and self._chroma is not None and count_vectors(self._db) > self._exact_up_to:
            found = self._chroma.query(query, limit)
            if found is not None:
                return [VectorHit(chunk_id, cosine) for chunk_id, cosine in found]
            if self._stays:
                self._chroma.open_in_background()
        return self._exact.search(query, limit=limit, within=within)

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


__all__ = ["ExactVectors", "VectorHit", "Vectors", "count_vectors", "unpacked"]
