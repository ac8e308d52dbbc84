"""The files of the library, from being seen to being gone. Every change is one transaction.

    found -> read (findable by words) -> embedded        and from anywhere: failed, removed

A content is stored once, by its bytes' hash and its suffix: a moved or copied file reuses passages and vectors.
A content that no file has any more leaves in the transaction that takes its last file. A file inside another one
has a row of its own, see `members.py`; one that is found and has a content already still waits for those inside it.

Knows the tables, not the files: `pipelines.ingest` decides what has changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from sqlite3 import Connection
from typing import TypeVar

from rag.contents import (
    ChunkRow,
    add_chunks,
    add_content,
    begin_content,
    chunk_rows,
    drop_unused_content,
    find_content,
    finish_content,
    remove_in_part,
)
from rag.document_rows import at_or_below, move_document, name_text, set_document
from rag.errors import ReadError
from rag.library_db import LibraryDb
from rag.path_text import path_text
from rag.records import ChunkDraft, DocumentFacts, ReadDocument
from rag.walk import FoundFile

CHANGED_AT_ONCE = 500
"""Files a transaction, where many are removed or moved."""


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


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file that was read, and what is to be stored of it."""

    file: FoundFile
    sha256: bytes
    document: DocumentFacts | ReadDocument
    rows: Sequence[ChunkRow]
    """Its passages, as `rag.contents.chunk_rows` makes them."""
    container_id: int | None = None
    """The row of the outermost file that it is inside of."""
    awaits_members: bool = False
    """What is inside of it is still to come: it is not done yet."""


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
        for condition, parameters in at_or_below(below):
            # Names that are not UTF-8 are shown otherwise than they are, with a backslash: these come as they are.
            rows = self._db.query(
                "SELECT iif(instr(path_text, '\\') AND CAST(path_text AS BLOB) <> path, path, path_text),"
                f" size_bytes, mtime_ns FROM documents WHERE state = 'read' AND container_id IS NULL AND {condition}",
                parameters,
            )
            files.update(rows)
            odd = [row for row in rows if type(row[0]) is bytes]
            files.difference_update(odd)
            files.update((os.fsdecode(path), size_bytes, mtime_ns) for path, size_bytes, mtime_ns in odd)
        return files

    def unsupported_files(self, failure: str, below: Sequence[str] | None = None) -> set[tuple[str, int, int]]:
        """As `read_files`, those that no reader takes and that were recorded with this `failure`."""
        files: set[tuple[str, int, int]] = set()
        for condition, parameters in at_or_below(below):
            rows = self._db.query(
                "SELECT path, size_bytes, mtime_ns FROM documents"
                " WHERE state = 'failed' AND unsupported <> '' AND container_id IS NULL AND failure = ?"
                f" AND {condition}",
                (failure, *parameters),
            )
            files.update((os.fsdecode(path), size_bytes, mtime_ns) for path, size_bytes, mtime_ns in rows)
        return files

    def unread_files(self, below: Sequence[str] | None = None, *, but_unsupported: str = "") -> dict[str, UnreadFile]:
        """Files that were only found, or failed, by their path as `FoundFile` has it; `below` as in `read_files`.

        Without those that `unsupported_files` gives for the failure `but_unsupported`.
        """
        unread: dict[str, UnreadFile] = {}
        for condition, parameters in at_or_below(below):
            rows = self._db.query(
                "SELECT path, size_bytes, mtime_ns, state = 'failed', failure, reason, hint FROM documents"
                " WHERE state <> 'read' AND container_id IS NULL AND (unsupported = '' OR failure <> ?)"
                f" AND {condition}",
                (but_unsupported, *parameters),
            )
            unread.update(
                (os.fsdecode(path), UnreadFile(size, mtime, bool(failed), *rest))
                for path, size, mtime, failed, *rest in rows
            )
        return unread

    def count_unsupported(self, below: Sequence[str] | None = None) -> dict[str, int]:
        """How many files no reader takes, by what kind they are (`.iso`), most first."""
        counted: dict[str, int] = {}
        # The plus keeps SQLite from looking at all files below a path: these are the fewer ones.
        for condition, parameters in at_or_below(below, "+"):
            rows = self._db.query(
                "SELECT unsupported, count(*) FROM documents"
                f" WHERE state = 'failed' AND unsupported <> '' AND {condition} GROUP BY unsupported",
                parameters,
            )
            for label, count in rows:
                counted[label] = counted.get(label, 0) + count
        return dict(sorted(counted.items(), key=lambda each: (-each[1], each[0])))

    def some_below(self, path: str, limit: int) -> list[str]:
        """At most `limit` of the files at or below a path, as `FoundFile` has them; none inside another file."""
        ((condition, parameters),) = at_or_below([path])
        rows = self._db.query(
            f"SELECT path FROM documents WHERE {condition} AND container_id IS NULL LIMIT ?", (*parameters, limit)
        )
        return [os.fsdecode(row[0]) for row in rows]

    def has_file_of_size(self, size_bytes: int) -> bool:
        """Whether some file that was read has this size, so that a new one may be its copy."""
        return bool(
            self._db.query(
                "SELECT 1 FROM documents WHERE size_bytes = ? AND content_id IS NOT NULL LIMIT 1", (size_bytes,)
            )
        )

    def together(self) -> AbstractContextManager[Connection]:
        """What is changed inside is one transaction, all of it or nothing."""
        return self._db.transaction()

    def begin(self, files: Iterable[FoundFile]) -> None:
        """List files that were seen and not read yet. Paths that are listed already are left as they are."""
        with self._db.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO documents (path, path_text, name_text, size_bytes, mtime_ns, state)"
                " VALUES (?, ?, ?, ?, ?, 'found')",
                (
                    (os.fsencode(path), path_text(path), name_text(path), size_bytes, mtime_ns)
                    for path, size_bytes, mtime_ns in files
                ),
            )

    def record(
        self,
        file: FoundFile,
        sha256: bytes,
        document: DocumentFacts | ReadDocument,
        chunks: Sequence[ChunkDraft],
        *,
        container_id: int | None = None,
        awaits_members: bool = False,
    ) -> Recorded:
        """As `record_read`."""
        return self.record_read(ReadFile(file, sha256, document, chunk_rows(chunks), container_id, awaits_members))

    def record_read(self, read: ReadFile) -> Recorded:
        """A file was read: store its passages, or join it to the content that has them already.

        What the path held before goes, if no other file has it. Raises StorageFull, LibraryDamaged.
        """
        path = read.file.path
        with self._db.transaction() as connection:
            content_id = find_content(connection, read.sha256, path, frozenset({read.document.reader}))
            is_new, chunks_added = content_id is None, 0
            if content_id is None:
                content_id = add_content(connection, path, read.sha256, read.document, read.rows)
                chunks_added = len(read.rows)
            state = "found" if read.awaits_members else "read"
            is_other = set_document(connection, read.file, content_id, state, container_id=read.container_id)
            return Recorded(content_id, chunks_added, is_other or is_new)

    def begin_content(self, path: str, reader: str, chunks: Sequence[ChunkDraft]) -> int:
        """The first passages of a file with too many for one transaction; nobody finds them yet. Returns its id."""
        rows = chunk_rows(chunks)
        with self._db.transaction() as connection:
            content_id = begin_content(connection, path, reader)
            add_chunks(connection, content_id, rows)
            return content_id

    def add_to_content(self, content_id: int, chunks: Sequence[ChunkDraft]) -> None:
        """More passages of it."""
        rows = chunk_rows(chunks)
        with self._db.transaction() as connection:
            add_chunks(connection, content_id, rows)

    def finish_content(
        self,
        file: FoundFile,
        content_id: int,
        sha256: bytes,
        facts: DocumentFacts,
        chunks_added: int,
        *,
        container_id: int | None = None,
        awaits_members: bool = False,
    ) -> Recorded:
        """All passages of a content are there: the file was read, as with `record`."""
        with self._db.transaction() as connection:
            finish_content(connection, content_id, file.path, sha256, facts)
            state = "found" if awaits_members else "read"
            set_document(connection, file, content_id, state, container_id=container_id)
        remove_in_part(self._db, coming_in=False)
        return Recorded(content_id, chunks_added, True)

    def abandon_content(self, content_id: int) -> None:
        """Its file cannot be read to the end: what came of it goes."""
        with self._db.transaction() as connection:
            connection.execute("UPDATE contents SET complete = -1 WHERE content_id = ? AND complete = 0", (content_id,))
        remove_in_part(self._db, coming_in=False)

    def clear_what_a_crash_left(self) -> None:
        """Take away contents that never came whole. Only for the one that is going to index."""
        remove_in_part(self._db, coming_in=True)

    def record_failure(
        self,
        file: FoundFile,
        error: ReadError,
        failure: str,
        *,
        unsupported: str = "",
        container_id: int | None = None,
    ) -> None:
        """A file could not be read: it stays listed with the reason; `failure` comes back in `UnreadFile`.

        It is only tried when it is new or has changed, so what the library held of it is no longer what the
        file says: those passages go. `unsupported` says what kind of file it is that no reader takes.
        """
        self.record_failures([(file, error, unsupported)], failure, container_id=container_id)

    def record_failures(
        self, files: Iterable[tuple[FoundFile, ReadError, str]], failure: str, *, container_id: int | None = None
    ) -> None:
        """The same for many."""
        for some in _in_lots(files):
            with self._db.transaction() as connection:
                for file, error, unsupported in some:
                    set_document(
                        connection,
                        file,
                        None,
                        "failed",
                        failure,
                        str(error),
                        error.hint,
                        unsupported=unsupported,
                        container_id=container_id,
                    )

    def remove(self, paths: Iterable[str]) -> int:
        """Take files, and the files inside them, out of the library. Returns how many there were."""
        removed = 0
        for some in _in_lots(map(os.fsencode, paths)):
            rows = [
                row
                for path in some
                for row in self._db.query(
                    "SELECT inner.document_id FROM documents JOIN documents AS inner"
                    " ON inner.container_id = documents.document_id WHERE documents.path = ?",
                    (path,),
                )
            ]
            rows += [
                row
                for path in some
                for row in self._db.query("SELECT document_id FROM documents WHERE path = ?", (path,))
            ]
            removed += self.remove_rows(row[0] for row in rows)
        return removed

    def remove_below(self, path: str) -> int:
        """Take the file or folder out of the library. Returns how many files left."""
        ((condition, parameters),) = at_or_below([path])
        # Files inside others before these, so that a crash leaves what is removed the next time.
        rows = self._db.query(
            f"SELECT document_id FROM documents WHERE {condition} ORDER BY container_id IS NULL", parameters
        )
        return self.remove_rows(row[0] for row in rows)

    def remove_rows(self, document_ids: Iterable[int]) -> int:
        """Take these rows out, a few a transaction; those inside others come before these."""
        removed = 0
        for some in _in_lots(document_ids):
            with self._db.transaction() as connection:
                for document_id in some:
                    row = connection.execute(
                        "DELETE FROM documents WHERE document_id = ? RETURNING content_id", (document_id,)
                    ).fetchone()
                    if row is not None:
                        drop_unused_content(connection, row[0])
                        removed += 1
        remove_in_part(self._db, coming_in=False)
        return removed

    def move(self, moves: Sequence[tuple[str, str]]) -> None:
        """Files that were read have another path now, (old, new), and their bytes are the same.

        What the library held under a new path goes. Files inside a file move with it.
        """
        for start in range(0, len(moves), CHANGED_AT_ONCE):
            with self._db.transaction() as connection:
                for old, new in moves[start : start + CHANGED_AT_ONCE]:
                    move_document(connection, old, new)


T = TypeVar("T")


def _in_lots(items: Iterable[T]) -> Iterator[list[T]]:
    """So many as one transaction changes."""
    rest = iter(items)
    while some := list(islice(rest, CHANGED_AT_ONCE)):
        yield some
