"""What the library holds, for people: its files, its roots, its counts. Only reads."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, cast

from rag.filters import NO_FILTERS, Filters, document_condition, register_functions
from rag.library_db import LibraryDb
from rag.path_text import name_without_suffix
from rag.readers.sniff import FORMAT_BY_EXTENSION
from rag.records import DocumentRow, DocumentState, Kind

_KIND_OF_FORMAT: dict[str, Kind] = {"picture": "image", "svg": "image", "recording": "audio"}


@dataclass(frozen=True, slots=True)
class Counts:
    documents: int
    """Those that no reader takes are not among them."""
    failed: int
    chunks: int
    chunks_embedded: int
    chroma_pending: int
    """Changes that chromadb has not been told yet."""


def count_library(db: LibraryDb) -> Counts:
    ((*counts,),) = db.query(
        "SELECT (SELECT count(*) FROM documents)"
        " - (SELECT count(*) FROM documents WHERE state = 'failed' AND unsupported <> ''),"
        " (SELECT count(*) FROM documents WHERE state = 'failed' AND unsupported = ''),"
        " (SELECT count(*) FROM chunks), (SELECT count(*) FROM vectors), (SELECT count(*) FROM chroma_pending)"
    )
    return Counts(*counts)


def list_roots(db: LibraryDb) -> tuple[str, ...]:
    """The files and folders that the user asked for, as text to be shown, by path."""
    rows = db.query("SELECT path FROM roots ORDER BY path")
    return tuple(row[0].decode("utf-8", "backslashreplace") for row in rows)


def list_documents(
    db: LibraryDb,
    *,
    containing: str = "",
    filters: Filters = NO_FILTERS,
    limit: int = 1000,
    only_failed: bool = False,
) -> tuple[DocumentRow, ...]:
    """Files by path, at most `limit`; `containing` is a part of the path, upper or lower case alike; `only_failed`:
    only those that could not be read.

    Those that no reader takes come last: a folder of pictures must not hide its texts.
    """
    failed = " AND documents.state = 'failed'" if only_failed else ""
    passing, parameters = _condition(filters)
    register_functions(db)
    asked = (containing, passing, parameters)
    listed = _list(db, asked, limit, f"documents.unsupported = ''{failed}")
    if len(listed) < limit and not only_failed:
        listed += _list(db, asked, limit - len(listed), "documents.unsupported <> ''")
    return listed


def _list(db: LibraryDb, asked: tuple[str, str, list[Any]], limit: int, condition: str) -> tuple[DocumentRow, ...]:
    containing, passing, parameters = asked
    rows = db.query(
        "SELECT path_text, title, kind, iif(unsupported <> '', 'unsupported', documents.state), contents.state,"
        " reason, hint, size_bytes,"
        " (SELECT count(*) FROM chunks WHERE chunks.content_id = documents.content_id),"
        " (SELECT count(*) FROM chunks JOIN vectors USING (chunk_id) WHERE chunks.content_id = documents.content_id)"
        " FROM documents LEFT JOIN contents USING (content_id)"
        rf" WHERE {condition} AND {passing} AND path_text LIKE '%' || ? || '%' ESCAPE '\' ORDER BY path LIMIT ?",
        (*parameters, containing.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_"), limit),
    )
    return tuple(
        DocumentRow(
            path=path,
            title=title or name_without_suffix(path),
            kind=cast(Kind, kind or _kind_by_name(path)),
            state=_state(document_state, content_state),
            reason=reason,
            hint=hint,
            size_bytes=size_bytes,
            chunk_count=chunks,
            embedded_count=embedded,
        )
        for path, title, kind, document_state, content_state, reason, hint, size_bytes, chunks, embedded in rows
    )


def _condition(filters: Filters) -> tuple[str, list[Any]]:
    """As for passages, but a file that was not read, and has no kind yet, is what its name says."""
    passing, parameters = document_condition(filters)
    if not filters.kinds and not filters.suffixes:
        return passing, parameters
    others, other_parameters = document_condition(replace(filters, kinds=frozenset(), suffixes=frozenset()))
    endings = [f"*{suffix}" for suffix in sorted(filters.suffixes | _suffixes_of(filters.kinds))]
    by_name = " OR ".join(["folded_name(path_text) GLOB ?"] * len(endings))
    return (
        f"({passing} OR (documents.content_id IS NULL AND {others} AND ({by_name})))",
        [*parameters, *other_parameters, *endings],
    )


def _suffixes_of(kinds: Collection[Kind]) -> frozenset[str]:
    return frozenset(
        f".{extension}" for extension, form in FORMAT_BY_EXTENSION.items() if _KIND_OF_FORMAT.get(form, "text") in kinds
    )


def _kind_by_name(path: str) -> Kind:
    form = FORMAT_BY_EXTENSION.get(PurePath(path).suffix[1:].lower())
    return _KIND_OF_FORMAT.get(form, "text") if form else "text"


def _state(document_state: str, content_state: str | None) -> DocumentState:
    return cast(DocumentState, content_state if document_state == "read" else document_state)
