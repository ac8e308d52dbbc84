"""Put a library right again: indexes made anew, records that belong to nothing removed, a broken file replaced.

What can be derived is derived again and nothing that cannot be is thrown away: conversations are carried over, and
a file that is replaced is kept beside the new one. Whoever calls this holds the writer lock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rag.errors import LibraryError
from rag.library_db import LibraryDb
from rag.library_health import NOT_EMBEDDED, ORPHANS, WORD_INDEXES

KEPT_TABLES = ("roots", "left_out", "conversations", "turns", "citations")
"""What no file can tell again, parents before children. Everything else is read from the files anew."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """A broken library file and what of it could be carried over."""

    kept_as: Path
    conversations: int
    turns: int
    roots: int


def rebuild_word_indexes(db: LibraryDb) -> None:
    """Make every index of words anew from the texts. Some 10 s for 100,000 passages."""
    with db.transaction() as connection:
        for table in WORD_INDEXES:
            connection.execute(f"INSERT INTO {table} ({table}) VALUES ('rebuild')")


def remove_orphans(db: LibraryDb) -> None:
    """Remove what belongs to nothing. Files whose content is gone are read again by the next indexing.

    The indexes of words must be whole: triggers keep them in step with what is removed.
    """
    with db.transaction() as connection:
        connection.execute("PRAGMA defer_foreign_keys = ON")  # files of a removed content are removed next
        for each in ORPHANS:
            connection.execute(f"DELETE FROM {each.table} WHERE {each.condition}")
        connection.execute(f"UPDATE contents SET state = 'words' WHERE {NOT_EMBEDDED}")
        connection.execute(
            "UPDATE vectors_changed SET added = added + 1, removed = added + 1 - (SELECT count(*) FROM vectors)"
        )


def replace_broken_file(file: Path) -> Replaced:
    """Put a library file that SQLite cannot read aside, and begin a new one with what no file can tell again.

    The old one is kept as `<name>.damaged`, or `.damaged.2`, … Raises LibraryError when it cannot be renamed.
    """
    aside = _free_name(file)
    try:
        for suffix in ("-wal", "-shm"):
            beside = file.with_name(file.name + suffix)
            if beside.exists():
                beside.rename(aside.with_name(aside.name + suffix))
        file.rename(aside)
    except OSError as error:
        raise LibraryError(
            f"{file} is damaged and cannot be renamed ({error.strerror or error})",
            hint="close every homebody and do it again",
        ) from error
    with LibraryDb(file) as new:
        counts = {table: _carry_over(aside, new, table) for table in KEPT_TABLES}
    return Replaced(aside, counts["conversations"], counts["turns"], counts["roots"])


def _free_name(file: Path) -> Path:
    aside = file.with_name(f"{file.name}.damaged")
    number = 2
    while aside.exists():
        aside = file.with_name(f"{file.name}.damaged.{number}")
        number += 1
    return aside


def _carry_over(broken: Path, new: LibraryDb, table: str) -> int:
    columns = [row[1] for row in new.query(f"PRAGMA table_info({table})")]
    marks = ", ".join("?" * len(columns))
    carried = 0
    with new.transaction() as connection:
        for row in _readable_rows(broken, table, columns):
            try:
                connection.execute(f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})", row)
            except sqlite3.IntegrityError:  # what it belongs to could not be read, or its values are garbage
                continue
            carried += 1
    return carried


def _readable_rows(broken: Path, table: str, columns: list[str]) -> Iterator[tuple[object, ...]]:
    """Rows from the front up to the first that cannot be read, then from the back down to there."""
    wanted = ", ".join(columns)
    seen: set[object] = set()
    for order in ("ASC", "DESC"):
        try:
            with closing(sqlite3.connect(f"{broken.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                connection.text_factory = lambda text: text.decode("utf-8", "replace")
                for row in connection.execute(f"SELECT {wanted} FROM {table} ORDER BY {columns[0]} {order}"):
                    if row in seen:
                        return
                    seen.add(row)
                    yield row
        except sqlite3.DatabaseError:  # the rest cannot be read from this end
            continue
        return
