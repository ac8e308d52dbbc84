"""A small library for tests: files that exist in SQLite only, read and embedded as the pipelines would."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence

from rag.documents import Documents, Recorded
from rag.embedder_change import begin_change, finish_change
from rag.embedding_queue import NEXT_VECTORS, EmbeddingQueue
from rag.identity import claim_identity
from rag.library_db import LibraryDb
from rag.ports import TextEmbedder
from rag.records import Block, ChunkDraft, Kind, Locator, ReadDocument
from rag.walk import FoundFile


def found(path: str, *, size_bytes: int = 100, mtime_ns: int = 1) -> FoundFile:
    return FoundFile(path, size_bytes, mtime_ns)


def record(
    db: LibraryDb,
    path: str,
    texts: Sequence[str],
    *,
    headings: tuple[str, ...] = (),
    title: str = "",
    kind: Kind = "text",
    mtime_ns: int = 1,
) -> Recorded:
    """Store a file whose passages are `texts`, one a line of the file."""
    whole = "\n".join(texts)
    document = ReadDocument(title, kind, (Block(whole, heading_path=headings),), "test 1")
    drafts = [
        ChunkDraft(ordinal, text, headings, Locator(line=ordinal + 1), 0, len(text), len(text.split()))
        for ordinal, text in enumerate(texts)
    ]
    digest = hashlib.sha256(whole.encode()).digest()
    return Documents(db).record(found(path, size_bytes=len(whole), mtime_ns=mtime_ns), digest, document, drafts)


def embed_all(db: LibraryDb, embedder: TextEmbedder) -> int:
    """Embed what waits, as indexing does; returns how many batches it took."""
    claim_identity(db, embedder)
    queue, batches = EmbeddingQueue(db), 0
    for batch in queue.batches(reading_goes_on=False, stop=threading.Event()):
        queue.store(batch.chunk_ids, embedder.embed_passages(batch.texts))
        batches += 1
    return batches


def change_embedder(db: LibraryDb, embedder: TextEmbedder) -> None:
    """Give the library another embedder, as indexing does in the end."""
    begin_change(db, embedder)
    queue = EmbeddingQueue(db, NEXT_VECTORS)
    for batch in queue.batches(reading_goes_on=False, stop=threading.Event()):
        queue.store(batch.chunk_ids, embedder.embed_passages(batch.texts))
    assert finish_change(db)


def chunk_ids(db: LibraryDb, path: str) -> list[int]:
    rows = db.connection.execute(
        "SELECT chunk_id FROM chunks JOIN documents USING (content_id) WHERE path_text = ? ORDER BY ordinal", (path,)
    )
    return [row[0] for row in rows]


def assert_whole(db: LibraryDb) -> None:
    """No orphans on either side, and every index agrees with its table."""
    connection = db.connection
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    for index in ("chunk_words", "document_names"):
        connection.execute(f"INSERT INTO {index} ({index}, rank) VALUES ('integrity-check', 1)")
    counted = connection.execute(
        "SELECT (SELECT count(*) FROM contents WHERE content_id NOT IN"
        " (SELECT content_id FROM documents WHERE content_id IS NOT NULL)),"
        " (SELECT count(*) FROM contents WHERE complete <> 1),"
        " (SELECT count(*) FROM vectors WHERE chunk_id NOT IN (SELECT chunk_id FROM chunks)),"
        " (SELECT added - removed FROM vectors_changed) - (SELECT count(*) FROM vectors),"
        " (SELECT count(*) FROM documents WHERE (state = 'read') <> (content_id IS NOT NULL)),"
        " (SELECT count(*) FROM documents WHERE container_id IN"
        " (SELECT document_id FROM documents WHERE container_id IS NOT NULL)),"
        " (SELECT count(*) FROM contents WHERE (state = 'words') <> EXISTS"
        " (SELECT 1 FROM chunks LEFT JOIN vectors USING (chunk_id)"
        " WHERE chunks.content_id = contents.content_id AND vectors.chunk_id IS NULL))"
    ).fetchone()
    assert counted == (0, 0, 0, 0, 0, 0, 0)
