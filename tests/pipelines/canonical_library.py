"""A library as plain values without ids: equal for two libraries that say the same."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.engine_room import EngineRoom
from pipelines.foreground import Foreground
from pipelines.ingest import Ingest
from pipelines.library_embedders import Embedders, LibraryEmbedders, OnlyEmbedder
from pipelines.paths import HomePaths
from pipelines.settings import EmbedSettings, Settings
from pipelines.text_engines import TextEngines
from rag.chroma_place import ChromaFolder, open_collection
from rag.chroma_store import ChromaStore
from rag.chunking import Chunker
from rag.identity import stored_identity
from rag.library_db import LibraryDb
from rag.ports import TextEmbedder
from rag.reading import DocumentReader
from rag.walk import walk
from tests.fakes import CountableEmbedder
from tests.rag.stored_library import assert_whole


class SociableEmbedder(CountableEmbedder):
    """Vectors that depend a little on the other texts of their call, as some engines' do."""

    def embed_passages(self, texts: Any) -> NDArray[np.float32]:
        vectors = super().embed_passages(texts)
        vectors = vectors + 0.05 * vectors.mean(axis=0)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    def iter_passages(self, texts: Any) -> Any:
        """In fours, so that there is a moment to be killed in between."""
        vectors = self.embed_passages(texts)
        for start in range(0, len(texts), 4):
            yield np.arange(start, min(start + 4, len(texts))), vectors[start : start + 4]


def ingest_of(
    db: LibraryDb,
    reader: DocumentReader,
    embedder: TextEmbedder,
    chroma: ChromaStore | None = None,
    embedders: Embedders | None = None,
) -> Ingest:
    return Ingest(
        db=db,
        walk=partial(walk, accepts=lambda name: name.endswith((".txt", ".zip"))),
        reader=reader,
        split=Chunker(embedder.count_tokens, 60).split_blocks,
        embedders=embedders or OnlyEmbedder(lambda: embedder),
        chroma=chroma,
        foreground=Foreground(),
    )


def embedders_of(db: LibraryDb, *installed: TextEmbedder, named: str) -> LibraryEmbedders:
    """As a home with these embedders and this setting would choose."""
    room = EngineRoom(HomePaths(db.file.parent), Settings(embed=EmbedSettings(model=named)))
    return LibraryEmbedders(db, TextEngines(room, embedders=installed))


def dump(db: LibraryDb) -> dict[str, Any]:
    """Documents by path, contents by hash with their passages and vectors. Checks that the library is whole."""
    assert_whole(db)
    documents = {
        path: (size, sha256, suffix, state, reason)
        for path, size, sha256, suffix, state, reason in db.query(
            "SELECT path, size_bytes, sha256, suffix, documents.state, reason"
            " FROM documents LEFT JOIN contents USING (content_id)"
        )
    }
    contents = {
        (sha256, suffix): (kind, title, reader, state)
        for sha256, suffix, kind, title, reader, state in db.query(
            "SELECT sha256, suffix, kind, title, reader, state FROM contents"
        )
    }
    chunks = {
        (sha256, suffix, ordinal): rest
        for sha256, suffix, ordinal, *rest in db.query(
            "SELECT sha256, suffix, ordinal, text, headings, locator, start_char, end_char, token_count, vector"
            " FROM contents JOIN chunks USING (content_id) LEFT JOIN vectors USING (chunk_id)"
        )
    }
    return {"documents": documents, "contents": contents, "chunks": chunks}


def assert_chroma_in_step(db: LibraryDb, folder: Path) -> None:
    """chromadb has the vectors' ids, all of them and no others."""
    identity = stored_identity(db)
    assert identity is not None
    assert db.query("SELECT count(*) FROM chroma_pending") == [(0,)]
    client, collection = open_collection(db, ChromaFolder(folder), identity)
    assert {int(each) for each in collection.get(include=[])["ids"]} == {
        row[0] for row in db.query("SELECT chunk_id FROM vectors")
    }
    client.close()


def never() -> threading.Event:
    """A stop signal that nobody gives."""
    return threading.Event()
