"""The library file: SQLite, the truth. Opens it, brings its schema up to date, hands out transactions.

Knows the file and its schema, not what the tables mean: `documents.py`, `keyword_index.py`, `vectors.py`
and `conversation_store.py` do. One connection a thread; WAL, so readers never wait for the writer.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from rag.errors import LibraryDamaged, LibraryError, LibraryLocked, LibraryTooNew, StorageFull
from rag.schema import APPLICATION_ID, MIGRATIONS
from rag.spellings import spellings_column

BUSY_TIMEOUT_S = 10.0


@contextmanager
def translated_errors(file: Path) -> Iterator[None]:
    """Turn sqlite3's errors into the library's, by result code.

    Raises StorageFull, LibraryDamaged, LibraryLocked or LibraryError from the foreign error. Programming
    errors (a wrong statement) are bugs and pass through.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        extended_code = getattr(error, "sqlite_errorcode", 0)
        code = extended_code & 0xFF
        # A quota or a limit on the file's size is reported as a failed write.
        if code == sqlite3.SQLITE_FULL or extended_code == sqlite3.SQLITE_IOERR_WRITE:
            raise StorageFull(
                f"the disk takes no more of {file}", hint="free some space, then do it again: nothing was lost"
            ) from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise LibraryDamaged(
                f"{file} is damaged ({error})",
                hint="move it away, keep it (it holds your conversations), and run `homebody index` again",
            ) from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise LibraryLocked(
                f"another program holds {file}", hint="close it, or wait for it to finish, and do it again"
            ) from error
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM):
            raise LibraryError(
                f"{file} cannot be used ({error})", hint="check that the folder exists and that you may write to it"
            ) from error
        raise


class LibraryDb:
    """The open library file. Thread-safe: each thread gets a connection of its own.

    Raises LibraryTooNew for a file that a newer homebody wrote, LibraryDamaged for one that is no database.
    Read-only never creates or migrates: one that is missing is refused, and one that is `behind` lacks tables.
    """

    def __init__(self, file: Path, *, read_only: bool = False) -> None:
        self.file = file
        self.read_only = read_only
        self._thread = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._connections_lock = threading.Lock()
        self._write_lock = threading.RLock()
        self._closed = False
        self.behind = False
        """Whether an older homebody wrote it, and it was opened read-only: only few things can be asked of it."""
        with translated_errors(file):
            self._open_or_migrate()

    def _open_or_migrate(self) -> None:
        connection = self.connection
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        application_id: int = connection.execute("PRAGMA application_id").fetchone()[0]
        empty = connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is None
        if application_id != APPLICATION_ID and (version or not empty):
            raise LibraryDamaged(f"{self.file} is some other program's database", hint="set HOMEBODY_HOME elsewhere")
        if version > len(MIGRATIONS):
            raise LibraryTooNew(
                f"{self.file} was written by a newer homebody (schema {version}, this one knows {len(MIGRATIONS)})",
                hint="update homebody; an older one does not guess at a newer library",
            )
        if self.read_only:
            self.behind = version < len(MIGRATIONS)
            return
        connection.execute("PRAGMA journal_mode = WAL")  # kept in the file: only now that it is known to be ours
        if version < len(MIGRATIONS):
            self.make_known("spellings_column", 2, spellings_column)
        for number in range(version, len(MIGRATIONS)):
            # One transaction a step: a crash in the middle leaves the version before it, whole. executescript
            # ends any open transaction first, so the script brings its own.
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{MIGRATIONS[number]}\n"
                f"PRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {number + 1};\nCOMMIT;"
            )

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection, in autocommit mode. Write inside `transaction()`, read through `query`."""
        existing: sqlite3.Connection | None = getattr(self._thread, "connection", None)
        if existing is not None:
            return existing
        if self._closed:
            raise LibraryError("the library is closed")
        mode = "ro" if self.read_only else "rwc"
        with translated_errors(self.file):
            connection = sqlite3.connect(
                f"{self.file.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,  # only so that close() may close every thread's connection
            )
            # NORMAL under WAL survives any crash of the process; a power cut may lose the last transactions,
            # never the file's integrity, and indexing resumes from where it was.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
        self._thread.connection, self._thread.functions = connection, set()
        with self._connections_lock:
            self._connections.append(connection)
        return connection

    def make_known(self, name: str, arguments: int, function: Callable[..., Any]) -> None:
        """Let this thread's statements call a deterministic function. One name always stands for one function.

        Only the first time on a connection: SQLite would prepare all its statements anew.
        """
        connection = self.connection
        if name not in self._thread.functions:
            connection.create_function(name, arguments, function, deterministic=True)
            self._thread.functions.add(name)

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of a SELECT, as tuples. Raises LibraryDamaged, LibraryLocked or LibraryError."""
        with translated_errors(self.file):
            return self.connection.execute(statement, parameters).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads of this thread inside see one state of the library."""
        with translated_errors(self.file):
            connection = self.connection
            if connection.in_transaction:
                yield
                return
            connection.execute("BEGIN")
            try:
                yield
            finally:
                connection.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing. Writers within the process take turns; readers do not wait.

        Raises StorageFull, LibraryDamaged, LibraryLocked; the transaction is then rolled back.
        """
        with self._write_lock, translated_errors(self.file):
            connection = self.connection
            if connection.in_transaction:  # nested: the outer one decides
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite may have rolled back by itself, e.g. on a full disk
                    connection.execute("ROLLBACK")
                raise

    def read_meta(self, key: str) -> str | None:
        rows = self.query("SELECT value FROM meta WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else None

    def write_meta(self, key: str, value: str) -> None:
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def close(self) -> None:
        """Close every thread's connection. Safe to call twice."""
        self._closed = True
        with self._connections_lock:
            connections, self._connections = self._connections, []
        for connection in connections:
            connection.close()
        self._thread = threading.local()

    def __enter__(self) -> LibraryDb:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
