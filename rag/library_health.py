"""What is wrong with a library file, found by asking it: pages, indexes of words, records that belong to nothing.

Looks only, repairs nothing: `library_repair.py` does. Knows the tables; of files on the disk only whether they are
there.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rag.library_db import LibraryDb, translated_errors
from rag.mounted import is_below
from rag.path_text import path_text
from rag.roots import Roots

WORD_INDEXES = ("chunk_words", "document_names", "turn_words")
"""FTS5 tables over the texts of other tables: each can be made anew from those."""


def broken_pages(db: LibraryDb) -> list[str]:
    """What SQLite finds wrong with the file's pages, at most five of it."""
    faults = [str(row[0]) for row in db.query("PRAGMA quick_check(5)")]
    return [] if faults == ["ok"] else faults


def broken_word_indexes(file: Path) -> list[str]:
    """The indexes of words that do not agree with the texts they are of.

    FTS5 is asked by an INSERT that writes nothing, so the file must be writable. Raises LibraryLocked while another
    process writes, LibraryDamaged for a file whose pages are broken.
    """
    broken: list[str] = []
    with translated_errors(file), closing(sqlite3.connect(file, timeout=2.0, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for table in WORD_INDEXES:
            try:
                connection.execute(f"INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 1)")
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_CORRUPT:
                    raise
                broken.append(table)
        connection.execute("ROLLBACK")
    return broken


@dataclass(frozen=True, slots=True)
class Orphans:
    """Rows that belong to nothing: how they are called, and which they are."""

    name: str
    table: str
    condition: str
    """Of a WHERE; also what `library_repair.py` deletes by."""

    @property
    def counted(self) -> str:
        return f"SELECT count(*) FROM {self.table} WHERE {self.condition}"


ORPHANS: tuple[Orphans, ...] = (
    Orphans("vectors without a passage", "vectors", "chunk_id NOT IN (SELECT chunk_id FROM chunks)"),
    Orphans("passages without a content", "chunks", "content_id NOT IN (SELECT content_id FROM contents)"),
    Orphans(
        "contents that lost passages",
        "contents",
        # A file that only holds others has none of its own.
        "complete = 1 AND NOT EXISTS (SELECT 1 FROM documents AS outer_file"
        " JOIN documents AS inner_file ON inner_file.container_id = outer_file.document_id"
        " WHERE outer_file.content_id = contents.content_id)"
        " AND (SELECT count(*) FROM chunks WHERE chunks.content_id = contents.content_id)"
        " <> (SELECT coalesce(max(ordinal), 0) + 1 FROM chunks WHERE chunks.content_id = contents.content_id)",
    ),
    Orphans(
        "files inside a file that is gone",
        "documents",
        "container_id IS NOT NULL AND container_id NOT IN (SELECT document_id FROM documents)",
    ),
    Orphans(
        "files whose content is gone",
        "documents",
        # One that waits for the files inside it is not read yet, and has a content.
        "(state = 'read' AND content_id IS NULL) OR content_id NOT IN (SELECT content_id FROM contents)",
    ),
    Orphans(
        "contents without a file",
        "contents",
        "complete = 1 AND content_id NOT IN (SELECT content_id FROM documents WHERE content_id IS NOT NULL)",
    ),
    Orphans(
        "vectors of pictures that are gone", "image_vectors", "content_id NOT IN (SELECT content_id FROM contents)"
    ),
    Orphans("coming vectors without a passage", "next_vectors", "chunk_id NOT IN (SELECT chunk_id FROM chunks)"),
    Orphans("citations of answers that are gone", "citations", "turn_id NOT IN (SELECT turn_id FROM turns)"),
    Orphans(
        "changes for chromadb about vectors that are gone",
        "chroma_pending",
        "operation = 'add' AND chunk_id NOT IN (SELECT chunk_id FROM vectors)",
    ),
)
"""In the order in which they are deleted: what one leaves behind, a later one finds. A file whose content or passages
are gone is found new by the next indexing, and read again."""

NOT_EMBEDDED = (
    "state = 'embedded' AND content_id IN"
    " (SELECT content_id FROM chunks LEFT JOIN vectors USING (chunk_id) WHERE vectors.chunk_id IS NULL)"
)
"""Contents that are said to have all their vectors, and have not."""

_WRONG_NOTES: dict[str, str] = {
    "contents said to be embedded that are not": f"SELECT count(*) FROM contents WHERE {NOT_EMBEDDED}",
    "a wrong count of vectors": "SELECT abs(added - removed - (SELECT count(*) FROM vectors)) FROM vectors_changed",
}


def orphans(db: LibraryDb) -> dict[str, int]:
    """How many records there are that belong to nothing, or say what is not so; only what there is."""
    statements = {each.name: each.counted for each in ORPHANS} | _WRONG_NOTES
    with db.snapshot():
        counts = {name: int(db.query(statement)[0][0]) for name, statement in statements.items()}
    return {name: count for name, count in counts.items() if count}


def vanished_files(db: LibraryDb) -> Iterator[str]:
    """Files of the library that are no longer on the disk, as text to be shown; one look at the disk for each.

    Those below a root that is not connected are not looked for: they have not vanished.
    """
    away = [row.path for row in Roots(db).listed() if row.away]
    for (path,) in db.query("SELECT path FROM documents WHERE container_id IS NULL ORDER BY path"):
        name = os.fsdecode(path)
        if not os.path.lexists(path) and not any(is_below(path_text(name), root) for root in away):
            yield path_text(name)
