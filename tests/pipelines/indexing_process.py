"""The process that the kill tests kill: index a folder, say each event on a line.

python -m tests.pipelines.indexing_process LIBRARY_FILE FOLDER [CHROMA_FOLDER [EMBEDDER]]
"""

from __future__ import annotations

import sys
from pathlib import Path

from pipelines.events import IndexProgress
from rag.chroma_place import ChromaFolder
from rag.chroma_store import ChromaStore
from rag.library_db import LibraryDb
from rag.reading import DocumentReader
from rag.writer_lock import WriterLock
from tests.pipelines.canonical_library import SociableEmbedder, embedders_of, ingest_of, never


def main(library_file: str, folder: str, chroma_folder: str = "", embedder: str = "") -> None:
    lock = WriterLock(Path(library_file).with_suffix(".lock"))
    assert lock.acquire(), "the one before is dead: its lock died with it"
    with LibraryDb(Path(library_file)) as db, DocumentReader() as reader:
        chroma = ChromaStore(db, ChromaFolder(Path(chroma_folder))) if chroma_folder else None
        print("begun", flush=True)
        old, new = SociableEmbedder(), SociableEmbedder(dimension=64, model_id="new")
        embedders = embedders_of(db, old, new, named=embedder)
        for event in ingest_of(db, reader, old, chroma, embedders).run([folder], never()):
            print(event.phase if isinstance(event, IndexProgress) else type(event).__name__, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
