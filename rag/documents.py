"""The files of the library, from being seen to being gone. Every change is one transaction.

    found -> read (findable by words) -> embedded        and from anywhere: failed, removed

A content is stored once, by its bytes' hash and its suffix: a moved or copied file reuses passages and vectors.
A content that no file has any more leaves in the transaction that takes its last file.

Knows the tables, not the files: `pipelines.ingest` decides what has changed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from sqlite3 import Connection

from rag.errors import ReadError
from rag.library_db import LibraryDb
from rag.path_text import path_text
from rag.records import ChunkDraft, ReadDocument
from rag.spellings import spellings_column
from rag.walk import FoundFile

EMBED_GROUP_CHUNKS = 256
"""A group is closed to new contents once it has this many chunks. Larger groups sort better by length, smaller
ones are searchable by vectors sooner."""

CHANGED_AT_ONCE = 500
"""Files a transaction, where many are removed or moved."""

_SEPARATOR = os.sep.encode()
_PAST_SEPARATOR = bytes([_SEPARATOR[0] + 1])


@dataclass(frozen=True, slots=True)
class UnreadFile:
    """What the library knows about a file that it has not read."""

    size_bytes: int
    mtime_ns: int
    failed: bool
    """False: found, and not tried yet."""
    failure: str
    """What `record_failure` was told: decides whether it is worth another try."""
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class Recorded:
    content_id: int
    chunks_added: int
    """0 when the library had this content already."""
    changed: bool
    """Whether the path holds something else than before; false for a file that was only touched."""


class Documents:
    """The writing side of the tables `documents`, `contents` and `chunks`."""

    def __init__(self, db: LibraryDb) -> None:
        self._db = db

    def read_files(self, below: Sequence[str] | None = None) -> set[tuple[str, int, int]]:
        """(path, size in bytes, mtime in ns) of every file that was read: equal to the `FoundFile` of one that
        has not changed. `below`: only files at or below these paths.

        In one read and without a step of Python for each: this is what indexing an unchanged folder costs.
        """
        files: set[tuple[str, int, int]] = set()
        for condition, parameters in _at_or_below(below):
            as_shown = f"FROM documents WHERE state = 'read' AND {condition} AND CAST(path_text AS BLOB)"
            files.update(self._db.query(f"SELECT path_text, size_bytes, mtime_ns {as_shown} = path", parameters))
            # Names that are not UTF-8 are shown otherwise than they are.
            odd = self._db.query(f"SELECT path, size_bytes, mtime_ns {as_shown} <> path", parameters)
            files.update((os.fsdecode(path), size_bytes, mtime_ns) for path, size_bytes, mtime_ns in odd)
        return files

    def unread_files(self, below: Sequence[str] | None = None) -> dict[str, UnreadFile]:
        """Files that were only found, or failed, by their path as `FoundFile` has it; `below` as in `read_files`."""
        unread: dict[str, UnreadFile] = {}
        for condition, parameters in _at_or_below(below):
            rows = self._db.query(
                "SELECT path, size_bytes, mtime_ns, state = 'failed', failure, reason, hint FROM documents"
                f" WHERE state <> 'read' AND {condition}",
                parameters,
            )
            unread.update(
                (os.fsdecode(path), UnreadFile(size, mtime, bool(failed), *rest))
                for path, size, mtime, failed, *rest in rows
            )
        return unread

    def some_below(self, path: str, limit: int) -> list[str]:
        """At most `limit` of the files at or below a path, as `FoundFile` has them."""
        ((condition, parameters),) = _at_or_below([path])
        rows = self._db.query(f"SELECT path FROM documents WHERE {condition} LIMIT ?", (*parameters, limit))
        return [os.fsdecode(row[0]) for row in rows]

    def has_file_of_size(self, size_bytes: int) -> bool:
        """Whether some file that was read has this size, so that a new one may be its copy."""
        return bool(
            self._db.query(
                "SELECT 1 FROM documents WHERE size_bytes = ? AND content_id IS NOT NULL LIMIT 1", (size_bytes,)
            )
        )

    def begin(self, files: Iterable[FoundFile]) -> None:
        """List files that were seen and not read yet. Paths that are listed already are left as they are."""
        with self._db.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO documents (path, path_text, name_text, size_bytes, mtime_ns, state)"
                " VALUES (?, ?, ?, ?, ?, 'found')",
                (
                    (os.fsencode(path), path_text(path), _name_text(path), size_bytes, mtime_ns)
                    for path, size_bytes, mtime_ns in files
                ),
            )

    def record(self, file: FoundFile, sha256: bytes, document: ReadDocument, chunks: Sequence[ChunkDraft]) -> Recorded:
        """A file was read: store its passages, or join it to the content that has them already.

        What the path held before goes, if no other file has it. Raises StorageFull, LibraryDamaged.
        """
        with self._db.transaction() as connection:
            content_id = _find_content(connection, sha256, file.path)
            chunks_added = 0
            if content_id is None:
                content_id = _add_content(connection, file.path, sha256, document, chunks)
                chunks_added = len(chunks)
            changed = _set_document(connection, file, content_id, "read")
            return Recorded(content_id, chunks_added, changed)

    def record_copy(self, file: FoundFile, sha256: bytes) -> Recorded | None:
        """Join a file to a content that the library has; None when it has none with this hash and suffix."""
        with self._db.transaction() as connection:
            content_id = _find_content(connection, sha256, file.path)
            if content_id is None:
                return None
            return Recorded(content_id, 0, _set_document(connection, file, content_id, "read"))

    def record_failure(self, file: FoundFile, error: ReadError, failure: str) -> None:
        """A file could not be read: it stays listed with the reason; `failure` comes back in `UnreadFile`.

        It is only tried when it is new or has changed, so what the library held of it is no longer what the
        file says: those passages go.
        """
        with self._db.transaction() as connection:
            _set_document(connection, file, None, "failed", failure, str(error), error.hint)

    def remove(self, paths: Iterable[str]) -> int:
        """Take files out of the library. Returns how many there were."""
        removed = 0
        to_remove = [os.fsencode(path) for path in paths]
        for start in range(0, len(to_remove), CHANGED_AT_ONCE):
            with self._db.transaction() as connection:
                for path in to_remove[start : start + CHANGED_AT_ONCE]:
                    row = connection.execute("SELECT content_id FROM documents WHERE path = ?", (path,)).fetchone()
                    if row is None:
                        continue
                    connection.execute("DELETE FROM documents WHERE path = ?", (path,))
                    _drop_unused_content(connection, row[0])
                    removed += 1
        return removed

    def remove_below(self, path: str) -> int:
        """Take the file or folder out of the library. Returns how many files left."""
        ((condition, parameters),) = _at_or_below([path])
        rows = self._db.query(f"SELECT path FROM documents WHERE {condition}", parameters)
        return self.remove(os.fsdecode(row[0]) for row in rows)

    def move(self, moves: Sequence[tuple[str, str]]) -> None:
        """Files that were read have another path now, (old, new), and their bytes are the same.

        What the library held under a new path goes. Files inside a file move with it.
        """
        for start in range(0, len(moves), CHANGED_AT_ONCE):
            with self._db.transaction() as connection:
                for old, new in moves[start : start + CHANGED_AT_ONCE]:
                    _move_document(connection, old, new)


def _move_document(connection: Connection, old: str, new: str) -> None:
    ((condition, parameters),) = _at_or_below([new])
    replaced = connection.execute(f"SELECT content_id FROM documents WHERE {condition}", parameters).fetchall()
    connection.execute(f"DELETE FROM documents WHERE {condition}", parameters)
    for (content_id,) in replaced:
        _drop_unused_content(connection, content_id)
    ((condition, parameters),) = _at_or_below([old])
    rows = connection.execute(f"SELECT document_id, path FROM documents WHERE {condition}", parameters).fetchall()
    for document_id, path in rows:
        moved = new + os.fsdecode(path)[len(old) :]
        connection.execute(
            "UPDATE documents SET path = ?, path_text = ?, name_text = ? WHERE document_id = ?",
            (os.fsencode(moved), path_text(moved), _name_text(moved), document_id),
        )


def _at_or_below(paths: Sequence[str] | None) -> list[tuple[str, tuple[bytes, ...]]]:
    """SQL conditions, with their parameters, for the documents at or below each of the paths; None: for all."""
    if paths is None:
        return [("TRUE", ())]
    return [
        # The half-open range of bytes in which everything under the path lies.
        ("(path = ? OR (path >= ? AND path < ?))", (itself, itself + _SEPARATOR, itself + _PAST_SEPARATOR))
        for itself in map(os.fsencode, paths)
    ]


def _name_text(path: str) -> str:
    """`folder/name`: enough to find a file by its name, without the words of every folder above it."""
    return "/".join(PurePath(path_text(path)).parts[-2:])


def _suffix(path: str) -> str:
    return PurePath(path_text(path)).suffix.lower()


def _find_content(connection: Connection, sha256: bytes, path: str) -> int | None:
    row = connection.execute(
        "SELECT content_id FROM contents WHERE sha256 = ? AND suffix = ?", (sha256, _suffix(path))
    ).fetchone()
    return None if row is None else int(row[0])


def _add_content(
    connection: Connection, path: str, sha256: bytes, document: ReadDocument, chunks: Sequence[ChunkDraft]
) -> int:
    # A title that is only the file's name belongs to the file: its copies have names of their own.
    name = PurePath(path_text(path))
    title = "" if document.title in (name.name, name.stem) else document.title
    cursor = connection.execute(
        "INSERT INTO contents (sha256, suffix, kind, title, author, written_at_s, reader, embed_group, state)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'words')",
        (
            sha256,
            _suffix(path),
            document.kind,
            title,
            document.author,
            document.written_at_s,
            document.reader,
            _open_group(connection),
        ),
    )
    content_id = cursor.lastrowid
    assert content_id is not None
    connection.executemany(
        "INSERT INTO chunks"
        " (content_id, ordinal, text, headings, spellings, locator, start_char, end_char, token_count)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                content_id,
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
        ),
    )
    return content_id


def _open_group(connection: Connection) -> int:
    """The embed group that the next content joins: the last one, until it is full or was begun on."""
    last = int(connection.execute("SELECT coalesce(max(embed_group), 1) FROM contents").fetchone()[0])
    chunk_count, vector_count = connection.execute(
        "SELECT count(chunks.chunk_id), count(vectors.chunk_id) FROM contents"
        " JOIN chunks USING (content_id) LEFT JOIN vectors USING (chunk_id) WHERE embed_group = ?",
        (last,),
    ).fetchone()
    return last + 1 if chunk_count >= EMBED_GROUP_CHUNKS or vector_count else last


def _set_document(
    connection: Connection,
    file: FoundFile,
    content_id: int | None,
    state: str,
    failure: str = "",
    reason: str = "",
    hint: str = "",
) -> bool:
    """Returns whether the path points to another content than before."""
    path = os.fsencode(file.path)
    before = connection.execute("SELECT content_id FROM documents WHERE path = ?", (path,)).fetchone()
    connection.execute(
        "INSERT INTO documents"
        " (path, path_text, name_text, size_bytes, mtime_ns, content_id, state, failure, reason, hint)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET"
        " size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns, content_id = excluded.content_id,"
        " state = excluded.state, failure = excluded.failure, reason = excluded.reason, hint = excluded.hint",
        (
            path,
            path_text(file.path),
            _name_text(file.path),
            file.size_bytes,
            file.mtime_ns,
            content_id,
            state,
            failure,
            reason,
            hint,
        ),
    )
    if before is not None and before[0] == content_id:
        return False
    if before is not None:
        _drop_unused_content(connection, before[0])
    return True


def _drop_unused_content(connection: Connection, content_id: int | None) -> None:
    """Delete a content that no file has: its passages, words and vectors go with it."""
    connection.execute(
        "DELETE FROM contents WHERE content_id = ?"
        " AND NOT EXISTS (SELECT 1 FROM documents WHERE documents.content_id = contents.content_id)",
        (content_id,),
    )
