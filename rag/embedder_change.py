"""Changing a library's embedder: the new vectors are collected beside the old ones, which answer meanwhile.

    begin -> collect (`EmbeddingQueue(db, NEXT_VECTORS)`, as often interrupted as need be) -> finish

`finish` is one transaction: vectors, identity and what chromadb has to be told change together, or not at all. What
was collected survives a crash and is thrown away only for a third embedder, or when the old one is chosen again.
Passages stay as they were cut, in the old embedder's tokens.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from rag.embedding_queue import NEXT_VECTORS, EmbeddingQueue
from rag.identity import META_KEY, EmbedderIdentity, read_identity
from rag.library_db import LibraryDb
from rag.ports import TextEmbedder

NEXT_META_KEY = "next_embedder"


@dataclass(frozen=True, slots=True)
class EmbedderChange:
    """A change that is under way."""

    to: EmbedderIdentity
    embedded: int
    """Passages that have their new vector."""
    passages: int
    """All of the library."""


def next_identity(db: LibraryDb) -> EmbedderIdentity | None:
    """The embedder that is to be the library's; None when no change is under way."""
    return read_identity(db, NEXT_META_KEY)


def change_under_way(db: LibraryDb) -> EmbedderChange | None:
    """How far a change has come."""
    identity = next_identity(db)
    if identity is None:
        return None
    ((embedded, passages),) = db.query(
        "SELECT (SELECT count(*) FROM next_vectors), (SELECT count(*) FROM chunks)",
    )
    return EmbedderChange(identity, int(embedded), int(passages))


def begin_change(db: LibraryDb, embedder: TextEmbedder) -> None:
    """Let this embedder be the library's next. A change to it that was begun before goes on where it was."""
    identity = EmbedderIdentity.of(embedder)
    with db.transaction() as connection:
        if next_identity(db) == identity:
            return
        connection.execute("DELETE FROM next_vectors")
        db.write_meta(NEXT_META_KEY, json.dumps(asdict(identity)))


def abandon_change(db: LibraryDb) -> bool:
    """The library's embedder stays. Returns whether a change was under way."""
    with db.transaction() as connection:
        if next_identity(db) is None:
            return False
        connection.execute("DELETE FROM next_vectors")
        connection.execute("DELETE FROM meta WHERE key = ?", (NEXT_META_KEY,))
        return True


def finish_change(db: LibraryDb) -> bool:
    """Put the new vectors in the place of the old ones, once every passage has one; returns whether that was so.

    Raises StorageFull; the old vectors then go on serving.
    """
    with db.transaction() as connection:
        identity = next_identity(db)
        if identity is None or EmbeddingQueue(db, NEXT_VECTORS).waiting():
            return False
        connection.execute("DELETE FROM vectors")
        connection.execute(
            "INSERT INTO vectors (chunk_id, vector) SELECT chunk_id, vector FROM next_vectors ORDER BY chunk_id"
        )
        # One that is still being read stays as it is.
        connection.execute("UPDATE contents SET state = 'embedded' WHERE state = 'words' AND complete = 1")
        connection.execute("DELETE FROM next_vectors")
        connection.execute("DELETE FROM meta WHERE key = ?", (NEXT_META_KEY,))
        db.write_meta(META_KEY, json.dumps(asdict(identity)))
        # chromadb's collection carries the identity in its name: there is nothing to take out of the new one.
        connection.execute("DELETE FROM chroma_pending WHERE operation = 'remove'")
        return True


__all__ = ["EmbedderChange", "abandon_change", "begin_change", "change_under_way", "finish_change", "next_identity"]
