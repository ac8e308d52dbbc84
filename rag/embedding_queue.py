"""Which passages still need a vector, in which order, and in which company.

Where texts are padded together, or quantised over a whole batch, a passage's vector depends a little on the
others in its batch. The same library must come out however often indexing was killed, so the company is fixed
when a content is stored: contents join numbered groups, and a group's passages are sorted by length and cut
into batches. After a crash the batches are the same ones: one that was stored in part is embedded again, and
what was missing is stored.

Knows nothing of embedders: `pipelines.ingest` asks one for the vectors.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag.library_db import LibraryDb

BATCH_PASSAGES = 128
"""What is handed to the embedder at once, and at most embedded again after a crash. In smaller ones its threads
wait for each other at the end of each."""

CONTEXT_CHARS = 120
"""Most characters of headings that are embedded before a passage: some 30 tokens, which fit beside 200."""


@dataclass(frozen=True, slots=True)
class PassageBatch:
    """Passages to be embedded in one call."""

    chunk_ids: tuple[int, ...]
    texts: tuple[str, ...]


def passage_text(headings: str, text: str) -> str:
    """What is embedded of a passage: the innermost headings (one a line in `headings`) before its text."""
    context = ""
    for heading in reversed(headings.splitlines()):
        longer = f"{heading} > {context}" if context else heading
        if len(longer) > CONTEXT_CHARS or heading in text:
            break
        context = longer
    return f"{context}\n\n{text}" if context else text


class EmbeddingQueue:
    """The passages without a vector."""

    def __init__(self, db: LibraryDb) -> None:
        self._db = db

    def waiting(self) -> int:
        """How many passages have no vector yet."""
        ((waiting,),) = self._db.query(
            "SELECT count(chunks.chunk_id) - count(vectors.chunk_id) FROM contents"
            " JOIN chunks USING (content_id) LEFT JOIN vectors USING (chunk_id) WHERE state = 'words'"
        )
        return int(waiting)

    def batches(self, *, reading_goes_on: bool, stop: threading.Event) -> Iterator[PassageBatch]:
        """The batches that have a passage without a vector, group by group; those that need none are skipped.

        While reading goes on the last group may still grow, so it waits. Ends early once `stop` is set.
        """
        ((last,),) = self._db.query("SELECT max(embed_group) FROM contents")
        groups = [
            int(row[0])
            for row in self._db.query(
                "SELECT DISTINCT embed_group FROM contents WHERE state = 'words' ORDER BY embed_group"
            )
        ]
        for group in groups:
            if group == last and reading_goes_on:
                return
            rows = self._db.query(
                "SELECT chunks.chunk_id, headings, text, vectors.chunk_id IS NULL FROM contents"
                " JOIN chunks USING (content_id) LEFT JOIN vectors USING (chunk_id)"
                " WHERE embed_group = ? ORDER BY token_count, chunks.chunk_id",
                (group,),
            )
            for start in range(0, len(rows), BATCH_PASSAGES):
                if stop.is_set():
                    return
                batch = rows[start : start + BATCH_PASSAGES]
                if any(row[3] for row in batch):
                    yield PassageBatch(
                        tuple(row[0] for row in batch),
                        tuple(passage_text(row[1], row[2]) for row in batch),
                    )

    def store(self, chunk_ids: Sequence[int], vectors: NDArray[np.float32]) -> int:
        """Store vectors of passages in one transaction; returns how many were new.

        `vectors` has shape (len(chunk_ids), dimension), unit length. Passages that left the library in the
        meantime, or have their vector, are passed over. Raises StorageFull.
        """
        stored = vectors.astype("<f2")
        with self._db.transaction() as connection:
            new = 0
            for chunk_id, vector in zip(chunk_ids, stored, strict=True):
                new += connection.execute(
                    "INSERT INTO vectors (chunk_id, vector) SELECT chunk_id, ? FROM chunks WHERE chunk_id = ?"
                    " ON CONFLICT (chunk_id) DO NOTHING",
                    (vector.tobytes(), chunk_id),
                ).rowcount
            if new:
                marks = ",".join("?" * len(chunk_ids))
                connection.execute(
                    "UPDATE contents SET state = 'embedded' WHERE content_id IN"
                    f" (SELECT content_id FROM chunks WHERE chunk_id IN ({marks}))"
                    " AND NOT EXISTS (SELECT 1 FROM chunks LEFT JOIN vectors USING (chunk_id)"
                    " WHERE chunks.content_id = contents.content_id AND vectors.chunk_id IS NULL)",
                    tuple(chunk_ids),
                )
            return new
