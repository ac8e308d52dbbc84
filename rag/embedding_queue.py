"""Which passages still need a vector, in which order, and in which company.

Where texts are padded together, or quantised over a whole batch, a passage's vector depends a little on the
others in its batch. The same library must come out however often indexing was killed, so the company is fixed
when a content is stored: contents join numbered groups, and a group's passages are sorted by length and cut
into batches, those of a long content some thousand at a time. After a crash the batches are the same ones: one that
was stored in part is embedded again, and what was missing is stored.

Knows nothing of embedders: `pipelines.ingest` asks one for the vectors.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from rag.library_db import LibraryDb

BATCH_PASSAGES = 128
"""What is handed to the embedder at once, and at most embedded again after a crash. In smaller ones its threads
wait for each other at the end of each."""

WINDOW_PASSAGES = 2048
"""Of one content that are sorted together. A book has fewer; a table of 200 MB, with 300,000, must not be loaded."""

VectorTable = Literal["vectors", "next_vectors"]
VECTORS: Final = "vectors"
NEXT_VECTORS: Final = "next_vectors"

CONTEXT_CHARS = 120
"""Most characters of headings that are embedded before a passage: some 30 tokens, which fit beside 200."""


@dataclass(frozen=True, slots=True)
class PassageBatch:
    """Passages to be embedded in one call."""

    chunk_ids: tuple[int, ...]
    texts: tuple[str, ...]


def passage_text(headings: str, text: str) -> str:
    """What is embedded of a passage: the innermost headings (one a line in `headings`) before its text.

    A heading that the text says itself (`def send` above the function's first lines) is left out, those around it
    are not.
    """
    context = ""
    for heading in reversed(headings.splitlines()):
        longer = f"{heading} > {context}" if context else heading
        if heading in text:
            continue
        if len(longer) > CONTEXT_CHARS:
            break
        context = longer
    return f"{context}\n\n{text}" if context else text


class EmbeddingQueue:
    """The passages without a vector: of the library's embedder, or (`NEXT_VECTORS`) of the one that is to be it."""

    def __init__(self, db: LibraryDb, into: VectorTable = VECTORS) -> None:
        self._db = db
        self._into = into
        self._preferred: tuple[int, ...] = ()

    def prefer(self, content_ids: Iterable[int]) -> None:
        """Let the batches with these contents come first from now on, instead of those preferred before.

        From any thread. Only the order changes, never the company of a passage, so the same vectors come out.
        """
        self._preferred = tuple(content_ids)

    def waiting(self) -> int:
        """How many passages have no vector yet."""
        all_of = " AND state = 'words'" if self._into == VECTORS else ""
        ((waiting,),) = self._db.query(
            f"SELECT count(chunks.chunk_id) - count({self._into}.chunk_id) FROM contents"
            f" JOIN chunks USING (content_id) LEFT JOIN {self._into} USING (chunk_id) WHERE complete = 1{all_of}"
        )
        return int(waiting)

    def batches(self, *, reading_goes_on: bool, stop: threading.Event) -> Iterator[PassageBatch]:
        """The batches that have a passage without a vector, group by group; those that need none are skipped.

        While reading goes on the last group may still grow, so it waits, and so does one that began meanwhile. Ends
        early once `stop` is set.
        """
        ((last,),) = self._db.query("SELECT coalesce(max(embed_group), 0) FROM contents")
        todo = dict.fromkeys(group for group in self._groups() if group < last or not reading_goes_on)
        while todo:
            preferred = self._preferred
            first = [group for group in self._groups_of(preferred) if group in todo]
            group = first[0] if first else next(iter(todo))
            for batch in self._batches_of(group, preferred):
                if stop.is_set():
                    return
                yield batch
                if self._preferred is not preferred:
                    break  # another group may be first now; this one is looked at again
            else:
                del todo[group]

    def _groups(self) -> list[int]:
        """Those with a passage without a vector, in their order; those with a very long content after all others,
        so that a table of hundreds of thousands of rows does not keep the rest waiting for hours."""
        waits = "state = 'words'"
        if self._into != VECTORS:
            waits = (
                f"EXISTS (SELECT 1 FROM chunks LEFT JOIN {self._into} USING (chunk_id)"
                f" WHERE chunks.content_id = contents.content_id AND {self._into}.chunk_id IS NULL)"
            )
        rows = self._db.query(
            "SELECT embed_group, max(EXISTS"
            " (SELECT 1 FROM chunks WHERE chunks.content_id = contents.content_id AND ordinal = ?)) AS is_long"
            f" FROM contents WHERE {waits} AND complete = 1 GROUP BY embed_group ORDER BY is_long, embed_group",
            (WINDOW_PASSAGES,),
        )
        return [int(row[0]) for row in rows]

    def _groups_of(self, content_ids: Sequence[int]) -> list[int]:
        rows = [
            self._db.query("SELECT embed_group FROM contents WHERE content_id = ?", (each,)) for each in content_ids
        ]
        return [int(row[0][0]) for row in rows if row]  # a content may have left the library

    def _batches_of(self, group: int, preferred: Sequence[int]) -> Iterator[PassageBatch]:
        """Those of one group that lack a vector; those with a preferred content first, window by window."""
        ((last,),) = self._db.query(
            "SELECT max(ordinal) FROM contents JOIN chunks USING (content_id) WHERE embed_group = ?", (group,)
        )
        for first in range(0, (last or 0) + 1, WINDOW_PASSAGES):
            yield from self._batches_in(group, first, preferred)

    def _batches_in(self, group: int, first: int, preferred: Sequence[int]) -> Iterator[PassageBatch]:
        """The same for the passages of its contents from `first` on, as many as are sorted together."""
        rows = self._db.query(
            f"SELECT chunks.chunk_id, headings, text, {self._into}.chunk_id IS NULL, content_id FROM contents"
            f" JOIN chunks USING (content_id) LEFT JOIN {self._into} USING (chunk_id)"
            " WHERE embed_group = ? AND complete = 1 AND ordinal >= ? AND ordinal < ?"
            " ORDER BY token_count, chunks.chunk_id",
            (group, first, first + WINDOW_PASSAGES),
        )
        batches = [rows[start : start + BATCH_PASSAGES] for start in range(0, len(rows), BATCH_PASSAGES)]
        lacking = [batch for batch in batches if any(row[3] for row in batch)]
        for batch in sorted(lacking, key=lambda batch: not any(row[4] in preferred for row in batch)):
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
                    f"INSERT INTO {self._into} (chunk_id, vector) SELECT chunk_id, ? FROM chunks WHERE chunk_id = ?"
                    " ON CONFLICT (chunk_id) DO NOTHING",
                    (vector.tobytes(), chunk_id),
                ).rowcount
            if new and self._into == VECTORS:
                marks = ",".join("?" * len(chunk_ids))
                connection.execute(
                    "UPDATE contents SET state = 'embedded' WHERE content_id IN"
                    f" (SELECT content_id FROM chunks WHERE chunk_id IN ({marks}))"
                    # The last passage tells mostly: looking through all of a long content at every batch would cost
                    # the square of its length.
                    " AND (SELECT vectors.chunk_id FROM chunks LEFT JOIN vectors USING (chunk_id)"
                    " WHERE chunks.content_id = contents.content_id ORDER BY ordinal DESC LIMIT 1) IS NOT NULL"
                    " AND NOT EXISTS (SELECT 1 FROM chunks LEFT JOIN vectors USING (chunk_id)"
                    " WHERE chunks.content_id = contents.content_id AND vectors.chunk_id IS NULL)",
                    tuple(chunk_ids),
                )
            return new
