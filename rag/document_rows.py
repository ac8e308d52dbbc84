"""Rows of the table `documents`: set, moved, and asked for by where the files are.

What writes works within the caller's transaction. Knows the table; see `documents.py` for what the rows go through.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePath
from sqlite3 import Connection

from rag.contents import drop_unused_content
from rag.path_text import path_text, range_below
from rag.walk import FoundFile


def at_or_below(paths: Sequence[str] | None, table: str = "") -> list[tuple[str, tuple[bytes, ...]]]:
    """SQL conditions, with their parameters, for the documents at or below each of the paths; None: for all.

    `table` is the name that stands before the column, with its dot.
    """
    if paths is None:
        return [("TRUE", ())]
    path = f"{table}path"
    return [(f"({path} = ? OR ({path} >= ? AND {path} < ?))", range_below(each)) for each in paths]


def name_text(path: str) -> str:
    """`folder/name`: enough to find a file by its name, without the words of every folder above it."""
    return "/".join(PurePath(path_text(path)).parts[-2:])


def set_document(
    connection: Connection,
    file: FoundFile,
    content_id: int | None,
    state: str,
    failure: str = "",
    reason: str = "",
    hint: str = "",
    *,
    unsupported: str = "",
    container_id: int | None = None,
) -> bool:
    """Returns whether the path points to another content than before."""
    path = os.fsencode(file.path)
    before = connection.execute("SELECT content_id FROM documents WHERE path = ?", (path,)).fetchone()
    connection.execute(
        "INSERT INTO documents (path, path_text, name_text, size_bytes, mtime_ns, content_id, state, failure, reason,"
        " hint, unsupported, container_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET"
        " size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns, content_id = excluded.content_id,"
        " state = excluded.state, failure = excluded.failure, reason = excluded.reason, hint = excluded.hint,"
        " unsupported = excluded.unsupported, container_id = excluded.container_id",
        (
            path,
            path_text(file.path),
            name_text(file.path),
            file.size_bytes,
            file.mtime_ns,
            content_id,
            state,
            failure,
            reason,
            hint,
            unsupported,
            container_id,
        ),
    )
    if before is not None and before[0] == content_id:
        return False
    if before is not None:
        drop_unused_content(connection, before[0])
    return True


def move_document(connection: Connection, old: str, new: str) -> None:
    """A file that was read has another path now, and those inside it with it; what was there before goes."""
    ((condition, parameters),) = at_or_below([new])
    replaced = connection.execute(f"SELECT content_id FROM documents WHERE {condition}", parameters).fetchall()
    connection.execute(f"DELETE FROM documents WHERE {condition}", parameters)
    for (content_id,) in replaced:
        drop_unused_content(connection, content_id)
    ((condition, parameters),) = at_or_below([old])
    rows = connection.execute(f"SELECT document_id, path FROM documents WHERE {condition}", parameters).fetchall()
    for document_id, path in rows:
        moved = new + os.fsdecode(path)[len(old) :]
        connection.execute(
            "UPDATE documents SET path = ?, path_text = ?, name_text = ? WHERE document_id = ?",
            (os.fsencode(moved), path_text(moved), name_text(moved), document_id),
        )
