"""Files inside files, as documents of their own: attachments, messages of a mailbox, entries of an archive.

Their path is the outer file's, a slash and the inner path; `container_id` is the outermost file's row, the only one
of them that lies on the disk. They come and go with it: they are neither walked nor compared with the disk, and
they are what they were for as long as it is.

An outermost file is read only when all inside it are settled; until then it is found, and the next indexing goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from sqlite3 import Connection

from rag.contents import find_content
from rag.document_rows import at_or_below, set_document
from rag.documents import Documents, Recorded
from rag.library_db import LibraryDb
from rag.walk import FoundFile


@dataclass(frozen=True, slots=True)
class Standing:
    """What makes an earlier reading count: the readers there are, and how failures that stand begin."""

    readers: frozenset[str] = frozenset()
    """Names and versions; none named: any reader's work counts."""
    failure: str = ""
    """The beginning of the `failure` of files that would fail again."""

    @property
    def readers_json(self) -> str:
        return json.dumps(sorted(self.readers))


@dataclass(frozen=True, slots=True)
class Joined:
    """A file that has the bytes of a content that is known."""

    recorded: Recorded
    is_settled: bool
    """False: what is inside of it is not all known; it has to be looked through."""


@dataclass(frozen=True, slots=True)
class FailedMember:
    path: str
    """As text that may be shown."""
    reason: str
    hint: str


class Members:
    """Reads and writes the rows of files inside files. `documents` writes all others."""

    def __init__(self, db: LibraryDb, documents: Documents) -> None:
        self._db = db
        self._documents = documents

    def join(
        self,
        file: FoundFile,
        sha256: bytes,
        standing: Standing,
        *,
        reader: str = "",
        container_id: int | None = None,
    ) -> Joined | None:
        """Give a file the content that is known of these bytes, and what is inside another file of them.

        None when none of the readers that count (`reader`: only this one) has read them.
        """
        readers = frozenset({reader}) if reader else standing.readers
        known = find_content(self._db.connection, sha256, file.path, readers)
        if known is None:
            return None  # mostly; without waiting for other writers
        if self._is_as_it_was(file, known, container_id) and self._all_stand(os.fsencode(file.path), standing):
            return Joined(Recorded(known, 0, False), True)  # mails of a mailbox that has grown: nothing to write
        with self._db.transaction() as connection:
            content_id = find_content(connection, sha256, file.path, readers)
            if content_id is None:
                return None
            path = os.fsencode(file.path)
            alike = connection.execute(
                "SELECT path FROM documents WHERE content_id = ? AND state = 'read' ORDER BY path <> ? LIMIT 1",
                (content_id, path),
            ).fetchone()
            is_settled = alike is not None and self._all_stand(alike[0], standing)
            # Nothing that was inside the path's file before may stay beside what is copied.
            is_settled = is_settled and (alike[0] == path or not self.has_any(file.path))
            state = "read" if is_settled else "found"
            changed = set_document(connection, file, content_id, state, container_id=container_id)
            if is_settled and alike[0] != path:
                self._copy(connection, alike[0], file.path, container_id)
            return Joined(Recorded(content_id, 0, changed), is_settled)

    def settle(self, path: str) -> None:
        """All that is inside this file is recorded."""
        with self._db.transaction() as connection:
            connection.execute("UPDATE documents SET state = 'read' WHERE path = ?", (os.fsencode(path),))

    def document_id(self, path: str) -> int:
        """Of a file that is listed."""
        ((document_id,),) = self._db.query("SELECT document_id FROM documents WHERE path = ?", (os.fsencode(path),))
        return int(document_id)

    def has_any(self, path: str) -> bool:
        """Whether something is inside this file."""
        condition, parameters = _inside(os.fsencode(path))
        return bool(self._db.query(f"SELECT 1 FROM documents WHERE {condition} LIMIT 1", parameters))

    def paths_inside(self, path: str) -> Iterator[str]:
        """Of all files inside this one."""
        condition, parameters = _inside(os.fsencode(path))
        for (inner,) in self._db.query(f"SELECT path FROM documents WHERE {condition}", parameters):
            yield os.fsdecode(inner)

    def keep_only(self, path: str, seen: Collection[str]) -> int:
        """Take out of the library what is no longer inside this file. Returns how many left."""
        condition, parameters = _inside(os.fsencode(path))
        gone = [
            document_id
            for document_id, inner in self._db.query(
                f"SELECT document_id, path FROM documents WHERE {condition}", parameters
            )
            if os.fsdecode(inner) not in seen
        ]
        return self._documents.remove_rows(gone)

    # --- for comparing with the disk ---

    def counts(self, below: Sequence[str] | None = None) -> dict[tuple[str, int, int], int]:
        """How many files inside were read, by the (path, size in bytes, mtime in ns) of the outermost one."""
        counted: dict[tuple[str, int, int], int] = {}
        for condition, parameters in at_or_below(below, "outer_one."):
            rows = self._db.query(
                "SELECT outer_one.path, outer_one.size_bytes, outer_one.mtime_ns, sum(documents.state = 'read')"
                " FROM documents JOIN documents AS outer_one ON outer_one.document_id = documents.container_id"
                f" WHERE {condition} GROUP BY documents.container_id",
                parameters,
            )
            counted.update(((os.fsdecode(path), size, mtime), count) for path, size, mtime, count in rows)
        return counted

    def failed(self, below: Sequence[str] | None = None) -> list[tuple[str, FailedMember]]:
        """The outermost file's path with each file inside it that could not be read; those that no reader takes
        are not among them."""
        found: list[tuple[str, FailedMember]] = []
        for condition, parameters in at_or_below(below, "outer_one."):
            rows = self._db.query(
                "SELECT outer_one.path, documents.path_text, documents.reason, documents.hint"
                " FROM documents JOIN documents AS outer_one ON outer_one.document_id = documents.container_id"
                f" WHERE documents.state = 'failed' AND documents.unsupported = '' AND {condition}"
                " ORDER BY documents.path",
                parameters,
            )
            found.extend((os.fsdecode(row[0]), FailedMember(*row[1:])) for row in rows)
        return found

    def to_read_again(self, standing: Standing) -> set[str]:
        """Outermost files that, or something inside of which, an older reader has read, or would fare better now."""
        again: set[bytes] = set()
        if standing.readers:
            of_older = [
                reader
                for (reader,) in self._db.query("SELECT DISTINCT reader FROM contents")
                if reader not in standing.readers
            ]
            again.update(
                row[0]
                for reader in of_older
                for row in self._db.query(
                    "SELECT coalesce(outer_one.path, documents.path) FROM contents JOIN documents USING (content_id)"
                    " LEFT JOIN documents AS outer_one ON outer_one.document_id = documents.container_id"
                    " WHERE contents.reader = ?",
                    (reader,),
                )
            )
        if standing.failure:
            again.update(
                row[0]
                for row in self._db.query(
                    "SELECT DISTINCT outer_one.path FROM documents"
                    " JOIN documents AS outer_one ON outer_one.document_id = documents.container_id"
                    " WHERE documents.state = 'failed' AND instr(documents.failure, ?) <> 1",
                    (standing.failure,),
                )
            )
        return set(map(os.fsdecode, again))

    # ---

    def _is_as_it_was(self, file: FoundFile, content_id: int, container_id: int | None) -> bool:
        """Whether the file's row says already what `join` would write."""
        return bool(
            self._db.query(
                "SELECT 1 FROM documents WHERE path = ? AND content_id = ? AND state = 'read' AND size_bytes = ?"
                " AND mtime_ns = ? AND container_id IS ?",
                (os.fsencode(file.path), content_id, file.size_bytes, file.mtime_ns, container_id),
            )
        )

    def _all_stand(self, path: bytes, standing: Standing) -> bool:
        """Whether everything inside would be read as it was."""
        condition, parameters = _inside(path)
        return not self._db.query(
            "SELECT 1 FROM documents LEFT JOIN contents USING (content_id)"
            f" WHERE {condition} AND (documents.state = 'found'"
            " OR (documents.state = 'failed' AND instr(failure, ?) <> 1)"
            " OR (documents.state = 'read' AND ? <> '[]' AND reader NOT IN (SELECT value FROM json_each(?)))) LIMIT 1",
            (*parameters, standing.failure, standing.readers_json, standing.readers_json),
        )

    def _copy(self, connection: Connection, source: bytes, target: str, container_id: int | None) -> None:
        """What is inside `source` is inside `target` as well."""
        condition, parameters = _inside(source)
        rows = connection.execute(
            "SELECT path, size_bytes, mtime_ns, content_id, state, failure, reason, hint, unsupported"
            f" FROM documents WHERE {condition} ORDER BY path",
            parameters,
        ).fetchall()
        outermost = container_id or self.document_id(target)
        for path, size, mtime, content_id, *rest, unsupported in rows:
            inner = FoundFile(target + os.fsdecode(path[len(source) :]), size, mtime)
            set_document(connection, inner, content_id, *rest, unsupported=unsupported, container_id=outermost)


def _inside(path: bytes) -> tuple[str, tuple[bytes, bytes]]:
    """An SQL condition, with its parameters, for the documents inside a file."""
    return "documents.path > ? AND documents.path < ? AND documents.container_id IS NOT NULL", (
        path + b"/",
        path + b"0",
    )


__all__ = ["FailedMember", "Joined", "Members", "Standing"]
