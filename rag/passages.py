"""Stored passages as values, with the file that they are shown under. Only reads.

Knows the tables `chunks`, `contents` and `documents`; not how a passage was found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from rag.filters import NO_FILTERS, Filters, document_condition, register_functions
from rag.library_db import LibraryDb
from rag.path_text import name_without_suffix
from rag.records import Chunk, Kind, Locator
from rag.scope import Scope

ASKED_AT_ONCE = 500
"""SQLite takes 32,766 parameters, older ones 999."""

_CHUNK = "chunk_id, chunks.content_id, ordinal, text, headings, locator"


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk and the file it is shown under: the first by path, where several have this content."""

    chunk: Chunk
    path: str
    title: str
    kind: Kind
    author: str = ""
    written_at_s: float | None = None
    """The document's own date, Unix time; None where it has none."""
    modified_at_s: float | None = None
    """When the file was changed last, Unix time; None where that is not known."""
    files: int = 1
    """How many files have this content."""

    @property
    def dated_s(self) -> float:
        """Unix time: the document's own date, else its file's."""
        return self.written_at_s if self.written_at_s is not None else self.modified_at_s or 0.0


class Passages:
    """Looks passages up by the id of their chunk."""

    def __init__(self, db: LibraryDb) -> None:
        self._db = db

    def by_id(self, chunk_ids: Iterable[int], *, filters: Filters = NO_FILTERS) -> dict[int, Passage]:
        """The passages that are still in the library, by chunk id, under a file that passes the filters."""
        wanted = list(chunk_ids)
        found: dict[int, Passage] = {}
        condition, parameters = document_condition(filters)
        if filters:
            register_functions(self._db)
        for start in range(0, len(wanted), ASKED_AT_ONCE):
            some = wanted[start : start + ASKED_AT_ONCE]
            rows = self._db.query(
                f"SELECT {_CHUNK}, kind, title,"
                " min(path_text), author, written_at_s, documents.mtime_ns, count(*)"  # SQLite: of the least path's row
                " FROM chunks JOIN contents USING (content_id) JOIN documents USING (content_id)"
                f" WHERE chunk_id IN ({','.join('?' * len(some))}) AND {condition} GROUP BY chunk_id",
                (*some, *parameters),
            )
            for row in rows:
                found[row[0]] = Passage(
                    chunk=_chunk(row),
                    path=row[8],
                    title=row[7] or name_without_suffix(row[8]),
                    kind=cast(Kind, row[6]),
                    author=row[9],
                    written_at_s=row[10],
                    modified_at_s=row[11] / 1e9 if row[11] else None,
                    files=row[12],
                )
        return found

    def around(self, chunk_id: int, *, before: int, after: int) -> tuple[Passage, tuple[Chunk, ...]] | None:
        """A passage, and the chunks from `before` ones ahead of it to `after` ones behind it, itself included.

        None when it has left the library.
        """
        passage = self.by_id([chunk_id]).get(chunk_id)
        if passage is None:
            return None
        content_id, ordinal = passage.chunk.content_id, passage.chunk.ordinal
        return passage, tuple(self.between(content_id, ordinal - before, ordinal + after))

    def between(self, content_id: int, first: int, last: int) -> list[Chunk]:
        """The chunks of a content from one place to another, both included, in order."""
        rows = self._db.query(
            f"SELECT {_CHUNK} FROM chunks WHERE content_id = ? AND ordinal BETWEEN ? AND ? ORDER BY ordinal",
            (content_id, first, last),
        )
        return [_chunk(row) for row in rows]

    def first_of(self, content_ids: Sequence[int], *, passages: int, within: Scope | None = None) -> list[int]:
        """Chunk ids: of the first contents as they are given, `passages` in all, each content's first ones together.

        Only those `within` the scope count.
        """
        found: list[int] = []
        each = max(1, -(-passages // max(1, len(content_ids))))
        for content_id in content_ids:
            if len(found) >= passages:
                break
            rows = self._db.query(
                "SELECT chunk_id FROM chunks WHERE content_id = ? ORDER BY ordinal LIMIT ?",
                (content_id, each if within is None else -1),
            )
            chunk_ids = [row[0] for row in rows]
            found += (chunk_ids if within is None else within.only(chunk_ids))[:each]
        return found[:passages]


def _chunk(row: tuple[Any, ...]) -> Chunk:
    return Chunk(
        chunk_id=row[0],
        content_id=row[1],
        ordinal=row[2],
        text=row[3],
        heading_path=tuple(row[4].splitlines()),
        locator=Locator.from_json(json.loads(row[5])),
    )
