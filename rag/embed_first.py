"""What to embed first: the files that a question is about, and their neighbours.

Words find a file before it has vectors; the next question is likely about the same folder. Only reads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rag.library_db import LibraryDb
from rag.path_text import range_below

MOST_NEIGHBOURS = 200
"""Contents of one folder; more would hold up everything else."""


def embed_first(db: LibraryDb, content_ids: Sequence[int]) -> list[int]:
    """Of the contents that were found, those without vectors, and then those in the same folders.

    In the order in which they were found. Empty when nothing waits for vectors.
    """
    if not content_ids or not db.query("SELECT 1 FROM contents WHERE state = 'words' LIMIT 1"):
        return []
    marks = ",".join("?" * len(content_ids))
    waiting = {
        row[0]
        for row in db.query(
            f"SELECT content_id FROM contents WHERE state = 'words' AND content_id IN ({marks})", content_ids
        )
    }
    first = dict.fromkeys(each for each in content_ids if each in waiting)
    for folder in _folders_of(db, content_ids):
        _, first_inside, past = range_below(folder)
        neighbours = db.query(
            "SELECT content_id FROM documents JOIN contents USING (content_id)"
            " WHERE path >= ? AND path < ? AND contents.state = 'words' LIMIT ?",
            (first_inside, past, MOST_NEIGHBOURS),
        )
        first.update(dict.fromkeys(row[0] for row in neighbours))
    return list(first)


def _folders_of(db: LibraryDb, content_ids: Sequence[int]) -> list[str]:
    folders: dict[str, None] = {}
    for content_id in content_ids:
        rows = db.query(
            "SELECT path FROM documents WHERE content_id = ? AND container_id IS NULL ORDER BY path", (content_id,)
        )
        folders.update(dict.fromkeys(str(Path(os.fsdecode(row[0])).parent) for row in rows))
    return list(folders)
