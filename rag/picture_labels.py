"""What pictures are said to show by a user's own labels: a sentence of their descriptions that changes with the list.

A content notes by which list and encoder it was labelled. One that was labelled by another is due, and what it costs
is a comparison with the vector that is stored already: no file is opened. Where the sentence changes, the passage is
stored anew and waits for its vector as any new one does. Knows no encoder and no wording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag.exact_vectors import STORED_TYPE, as_float32
from rag.library_db import LibraryDb
from rag.spellings import spellings_column


@dataclass(frozen=True, slots=True)
class PictureToLabel:
    """A picture whose labels may be others by now."""

    content_id: int
    vector: NDArray[np.float32] | None
    """Of its first page or frame, shape (dimension,); None where there is none, which only happens without a list."""
    chunk_id: int | None
    """Of the passage that ends its description; None where it has none."""
    description: str


class PictureLabels:
    """Thread-safe as the library file is."""

    def __init__(self, db: LibraryDb, heading: str, count_tokens: Callable[[str], int]) -> None:
        """`heading` is what descriptions stand under."""
        self._db = db
        self._heading = heading
        self._count_tokens = count_tokens

    def waiting(self, labelled_by: str, limit: int) -> list[PictureToLabel]:
        """Pictures that were not labelled by this list and encoder; with the empty one, those that any has labelled."""
        has_vector = "length(image_vectors.vector) > 0" if labelled_by else "1"
        rows = self._db.query(
            "SELECT due.content_id, due.vector, chunks.chunk_id, chunks.text FROM ("
            "  SELECT contents.content_id AS content_id, image_vectors.vector AS vector,"
            "  (SELECT max(ordinal) FROM chunks WHERE chunks.content_id = contents.content_id AND headings = ?) AS last"
            "  FROM contents LEFT JOIN image_vectors"
            "  ON image_vectors.content_id = contents.content_id AND image_vectors.place = 0"
            # `<> 'text'` says no more, but lets SQLite use the index of the few that are not texts.
            "  WHERE kind = 'image' AND kind <> 'text' AND complete = 1 AND labelled_by <> ?"
            f"  AND {has_vector} LIMIT ?) AS due"
            " LEFT JOIN chunks ON chunks.content_id = due.content_id AND chunks.ordinal = due.last",
            (self._heading, labelled_by, limit),
        )
        return [
            PictureToLabel(
                content_id,
                as_float32(np.frombuffer(vector, STORED_TYPE)) if vector else None,
                chunk_id,
                text or "",
            )
            for content_id, vector, chunk_id, text in rows
        ]

    def store(self, descriptions: Iterable[tuple[PictureToLabel, str]], labelled_by: str) -> int:
        """Pictures with their descriptions as they are now, in one transaction; returns how many have changed.

        What has left the library meanwhile is passed over. Raises StorageFull, LibraryDamaged.
        """
        rows = [
            (picture, text, spellings_column(text, self._heading), self._count_tokens(text))
            for picture, text in descriptions
        ]
        changed = 0
        with self._db.transaction() as connection:
            for picture, text, spellings, token_count in rows:
                if text != picture.description and picture.chunk_id is not None:
                    old = connection.execute(
                        "DELETE FROM chunks WHERE chunk_id = ? RETURNING ordinal, locator, start_char, end_char",
                        (picture.chunk_id,),
                    ).fetchone()
                    if old is None:
                        continue  # another look at its file was quicker
                    ordinal, locator, start_char, end_char = old
                    new_end = start_char + len(text)
                    # A new row, so that whoever has loaded or embedded the old one takes it for what it is: gone.
                    connection.execute(
                        "INSERT INTO chunks"
                        " (content_id, ordinal, text, headings, spellings, locator, start_char, end_char, token_count)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        (
                            picture.content_id,
                            ordinal,
                            text,
                            self._heading,
                            spellings,
                            locator,
                            start_char,
                            new_end,
                            token_count,
                        ),
                    )
                    connection.execute(
                        "UPDATE chunks SET start_char = start_char + ?1, end_char = end_char + ?1"
                        " WHERE content_id = ?2 AND ordinal > ?3",
                        (new_end - end_char, picture.content_id, ordinal),
                    )
                    connection.execute(
                        "UPDATE contents SET state = 'words' WHERE content_id = ?", (picture.content_id,)
                    )
                    changed += 1
                connection.execute(
                    "UPDATE contents SET labelled_by = ? WHERE content_id = ?", (labelled_by, picture.content_id)
                )
        return changed
