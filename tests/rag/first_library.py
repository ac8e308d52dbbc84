"""A library as the first released homebody left it: migration 1 and rows of every kind that it could write."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from rag.schema import APPLICATION_ID, MIGRATIONS

DIMENSION = 8
TEXTS = ("The rent is 1,250.00 euros.", "Frau Müller hat den Schlüssel.", "getUserName fails in build 4711")
"""Of passages 1 to 3; each has another spelling, which that version did not know of."""
IDENTITY = {
    "model_id": "an early embedder",
    "sha256": "00" * 32,
    "dimension": DIMENSION,
    "query_prefix": "",
    "passage_prefix": "",
    "normalised": True,
}
"""Of the embedder, as that version wrote it."""


def make_first_library(file: Path) -> None:
    """Three passages of two files and a file that failed; all passages but the last have their vector, of which
    chromadb was told the first; one answer with a citation."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(
            f"BEGIN;\n{MIGRATIONS[0]}\nPRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = 1;\nCOMMIT;"
        )
        connection.executescript(
            """
            INSERT INTO roots (path, added_at_s) VALUES (CAST('/notes' AS BLOB), 1.0);
            INSERT INTO contents (content_id, sha256, suffix, kind, title, reader, embed_group, state) VALUES
                (1, randomblob(32), '.md', 'text', 'Lease', 'markdown 1', 1, 'embedded'),
                (2, randomblob(32), '.txt', 'text', '', 'text 1', 1, 'words');
            INSERT INTO documents (path, path_text, name_text, size_bytes, mtime_ns, content_id, state, reason) VALUES
                (CAST('/notes/lease.md' AS BLOB), '/notes/lease.md', 'notes/lease.md', 10, 5, 1, 'read', ''),
                (CAST('/notes/copy.md' AS BLOB), '/notes/copy.md', 'notes/copy.md', 10, 6, 1, 'read', ''),
                (CAST('/notes/log.txt' AS BLOB), '/notes/log.txt', 'notes/log.txt', 20, 7, 2, 'read', ''),
                (CAST('/notes/bad.pdf' AS BLOB), '/notes/bad.pdf', 'notes/bad.pdf', 30, 8, NULL, 'failed', 'damaged');
            INSERT INTO conversations VALUES (1, 'The rent', 1.0, 2.0);
            INSERT INTO turns (turn_id, conversation_id, question, answer_text, finish, asked_at_s)
                VALUES (1, 1, 'How much is the rent?', 'It is 1,250 euros.', 'stop', 1.0);
            INSERT INTO citations VALUES (1, 1, 1, '/notes/lease.md', 'text', '{"line": 1}', '1,250.00 euros', 1);
            """
        )
        for place, text in enumerate(TEXTS):
            content_id, ordinal = (1, place) if place < 2 else (2, 0)
            connection.execute(
                "INSERT INTO chunks (content_id, ordinal, text, headings, locator, start_char, end_char, token_count)"
                " VALUES (?, ?, ?, 'Lease', '{\"line\": 1}', 0, ?, 6)",
                (content_id, ordinal, text, len(text)),
            )
        for chunk_id in (1, 2):
            vector = np.eye(DIMENSION, dtype="<f2")[chunk_id].tobytes()
            connection.execute("INSERT INTO vectors (chunk_id, vector) VALUES (?, ?)", (chunk_id, vector))
        connection.execute("DELETE FROM chroma_pending WHERE chunk_id = 1")
        connection.execute("INSERT INTO meta VALUES ('embedder', ?)", (json.dumps(IDENTITY),))


def rows_of_first_library(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of the tables and columns that migration 1 made, by table."""
    columns = _columns_of_migration_1()
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return {
            table: sorted(connection.execute(f"SELECT {', '.join(names)} FROM {table}").fetchall(), key=repr)
            for table, names in columns.items()
        }


def _columns_of_migration_1() -> dict[str, list[str]]:
    with closing(sqlite3.connect(":memory:")) as empty:
        empty.executescript(MIGRATIONS[0])
        tables = [
            row[0]
            for row in empty.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
        ]
        return {
            table: [row[1] for row in empty.execute(f"PRAGMA table_info({table})")]
            for table in tables
            if not table.startswith("sqlite_")
        }
