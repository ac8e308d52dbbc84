"""What files hold: passages, stored once however many files have these bytes under this suffix.

A large content comes in over many transactions, and goes out over many, so that none is long and nothing is held in
memory. `complete` says which of them are whole: only a whole one can be a file's, so only whole ones are found by
their hash, and what a crash left of one that was coming in is removed when the next indexing starts.

Every function works within the caller's transaction, but for `remove_in_part`. Knows no files: see `documents.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePath
from sqlite3 import Connection

from rag.library_db import LibraryDb
from rag.path_text import path_text
from rag.records import ChunkDraft, DocumentFacts, ReadDocument
from rag.spellings import spellings_column

EMBED_GROUP_CHUNKS = 256
"""A group is closed to new contents once it has this many chunks. Larger groups sort better by length, smaller
ones are searchable by vectors sooner."""

CHUNKS_AT_ONCE = 500
"""Added or removed in a transaction."""


def content_key(sha256: bytes, path: str) -> tuple[bytes, str]:
    """What tells contents apart."""
    return sha256, _suffix(path)


def find_content(connection: Connection, sha256: bytes, path: str, readers: frozenset[str] = frozenset()) -> int | None:
    """The whole content of these bytes under the path's suffix, if one of `readers` (none named: any) made it."""
    row = connection.execute(
        "SELECT content_id, reader FROM contents WHERE sha256 = ? AND suffix = ? AND complete = 1",
        content_key(sha256, path),
    ).fetchone()
    return None if row is None or (readers and row[1] not in readers) else int(row[0])


ChunkRow = tuple[int, str, str, str, str, int, int, int]
"""A passage as it is stored, but for the content's id."""


def chunk_rows(chunks: Sequence[ChunkDraft]) -> list[ChunkRow]:
    """What is stored of passages. Takes its time, so it is done before the transaction."""
    return [
        (
            chunk.ordinal,
            chunk.text,
            headings := "\n".join(" ".join(heading.split()) for heading in chunk.heading_path),
            spellings_column(chunk.text, headings),
            json.dumps(chunk.locator.to_json()),
            chunk.start_char,
            chunk.end_char,
            chunk.token_count,
        )
        for chunk in chunks
    ]


def add_content(
    connection: Connection, path: str, sha256: bytes, facts: DocumentFacts | ReadDocument, chunks: Sequence[ChunkRow]
) -> int:
    """Store a content whole. One that an older reader made of the same bytes is replaced in all files."""
    content_id = begin_content(connection, path, facts.reader)
    add_chunks(connection, content_id, chunks)
    finish_content(connection, content_id, path, sha256, facts)
    return content_id


def begin_content(connection: Connection, path: str, reader: str) -> int:
    """A content whose passages are going to come; it joins its embed group now."""
    cursor = connection.execute(
        "INSERT INTO contents (sha256, suffix, kind, title, reader, embed_group, state, complete)"
        " VALUES (randomblob(32), ?, 'text', '', ?, ?, 'words', 0)",
        (_suffix(path), reader, _open_group(connection)),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def add_chunks(connection: Connection, content_id: int, chunks: Sequence[ChunkRow]) -> None:
    connection.executemany(
        "INSERT INTO chunks"
        " (content_id, ordinal, text, headings, spellings, locator, start_char, end_char, token_count)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((content_id, *row) for row in chunks),
    )


def finish_content(
    connection: Connection, content_id: int, path: str, sha256: bytes, facts: DocumentFacts | ReadDocument
) -> None:
    """All its passages are there. It takes the place of one that an older reader made of the same bytes."""
    older = connection.execute(
        "SELECT content_id FROM contents WHERE sha256 = ? AND suffix = ?", content_key(sha256, path)
    ).fetchone()
    if older is not None:
        connection.execute("UPDATE documents SET content_id = ? WHERE content_id = ?", (content_id, older[0]))
        drop_unused_content(connection, older[0])
    # A title that is only the file's name belongs to the file: its copies have names of their own.
    name = PurePath(path_text(path))
    title = "" if facts.title in (name.name, name.stem) else facts.title
    connection.execute(
        "UPDATE contents SET sha256 = ?, kind = ?, title = ?, author = ?, written_at_s = ?, complete = 1,"
        " state = CASE WHEN EXISTS (SELECT 1 FROM chunks WHERE chunks.content_id = contents.content_id)"
        " THEN 'words' ELSE 'embedded' END WHERE content_id = ?",
        (sha256, facts.kind, title, facts.author, facts.written_at_s, content_id),
    )


def drop_unused_content(connection: Connection, content_id: int | None) -> None:
    """Delete a content that no file has: its passages, words and vectors go with it.

    A large one is only put out of sight here; `remove_in_part` takes it away.
    """
    unused = "content_id = ? AND NOT EXISTS (SELECT 1 FROM documents WHERE documents.content_id = contents.content_id)"
    (is_large,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM chunks WHERE content_id = ? AND ordinal >= ?)", (content_id, CHUNKS_AT_ONCE)
    ).fetchone()
    if is_large:
        connection.execute(f"UPDATE contents SET sha256 = randomblob(32), complete = -1 WHERE {unused}", (content_id,))
    else:
        connection.execute(f"DELETE FROM contents WHERE {unused}", (content_id,))


def remove_in_part(db: LibraryDb, *, coming_in: bool) -> None:
    """Take away what is going out, a few passages a transaction, and, with `coming_in`, what never came whole.

    Only the one that is going to index may say that: nothing can be coming in then.
    """
    for (content_id,) in db.query(
        f"SELECT content_id FROM contents WHERE complete {'<> 1' if coming_in else '= -1'} AND complete <> 1"
    ):
        left = True
        while left:
            with db.transaction() as connection:
                left = bool(
                    connection.execute(
                        "DELETE FROM chunks WHERE chunk_id IN"
                        " (SELECT chunk_id FROM chunks WHERE content_id = ? LIMIT ?)",
                        (content_id, CHUNKS_AT_ONCE),
                    ).rowcount
                )
                if not left:
                    connection.execute("DELETE FROM contents WHERE content_id = ?", (content_id,))


def _open_group(connection: Connection) -> int:
    """The embed group that the next content joins: the last one, until it is full or was begun on."""
    last = int(connection.execute("SELECT coalesce(max(embed_group), 1) FROM contents").fetchone()[0])
    chunk_count, vector_count = connection.execute(
        "SELECT count(chunks.chunk_id), count(vectors.chunk_id) + count(next_vectors.chunk_id) FROM contents"
        " JOIN chunks USING (content_id) LEFT JOIN vectors USING (chunk_id) LEFT JOIN next_vectors USING (chunk_id)"
        " WHERE embed_group = ?",
        (last,),
    ).fetchone()
    return last + 1 if chunk_count >= EMBED_GROUP_CHUNKS or vector_count else last


def _suffix(path: str) -> str:
    return PurePath(path_text(path)).suffix.lower()
