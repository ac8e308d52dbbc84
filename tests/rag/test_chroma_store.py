"""The real chromadb, in the folder of each test."""

from __future__ import annotations

import random
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rag.chroma_child import open_collection
from rag.chroma_store import CHILD_COMMAND, ChromaStore
from rag.documents import Documents
from rag.errors import ChromaFailed
from rag.identity import stored_identity
from rag.library_db import LibraryDb
from rag.vectors import ExactVectors, Vectors
from tests.fakes import CountableEmbedder
from tests.rag.stored_library import change_embedder, chunk_ids, embed_all, record

SEGMENT_RECORDS = 1200
"""chromadb writes its HNSW files every 1,000 records; with fewer there is nothing to damage."""


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path / "library.sqlite") as opened:
        yield opened


@pytest.fixture
def store(db: LibraryDb, tmp_path: Path) -> Iterator[ChromaStore]:
    opened = ChromaStore(db, tmp_path / "chroma")
    yield opened
    opened.close()


def bring_in_step(store: ChromaStore) -> list[int]:
    return [progress.done for progress in store.bring_in_step(threading.Event())]


def ids_in_chroma(db: LibraryDb, folder: Path) -> set[int]:
    identity = stored_identity(db)
    assert identity is not None
    client, collection = open_collection(folder, identity)
    ids = {int(each) for each in collection.get(include=[])["ids"]}
    client.close()
    return ids


def ids_in_sqlite(db: LibraryDb) -> set[int]:
    return {row[0] for row in db.query("SELECT chunk_id FROM vectors")}


class RandomEmbedder(CountableEmbedder):
    """Vectors in all directions, the same for the same text."""

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.array(
            [np.random.default_rng(zlib.crc32(text.encode())).normal(size=self.dimension) for text in texts]
        )
        unit: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        return unit


def test_nothing_to_tell_starts_nothing(store: ChromaStore, tmp_path: Path) -> None:
    assert bring_in_step(store) == []
    assert not (tmp_path / "chroma").exists()


def test_additions_and_removals_arrive_and_the_nearest_come_back(
    db: LibraryDb, store: ChromaStore, tmp_path: Path
) -> None:
    embedder = CountableEmbedder()
    record(db, "/cat.txt", ["cat", "cat cat dog", "dog"])
    record(db, "/fox.txt", ["fox"])
    embed_all(db, embedder)
    assert store.behind
    assert bring_in_step(store) == [4]
    assert not store.behind
    assert not (tmp_path / "chroma.damaged").exists()
    Documents(db).remove(["/fox.txt"])
    record(db, "/bee.txt", ["bee"])
    embed_all(db, embedder)
    assert bring_in_step(store) == [2]
    assert ids_in_chroma(db, tmp_path / "chroma") == ids_in_sqlite(db)

    vectors = Vectors(db, store, exact_up_to=2)
    query = embedder.embed_query("cat")
    exact = vectors.search(query, limit=2)
    assert vectors.describe().startswith("exact: 4 vectors; for a single question")
    vectors.warm_up()
    assert not vectors.describe().startswith("chroma")
    assert store.wait_until_opened(60)
    assert vectors.describe() == "chroma: 4 vectors, checked against the library file"
    found = vectors.search(query, limit=2)
    assert [hit.chunk_id for hit in found] == [hit.chunk_id for hit in exact] == chunk_ids(db, "/cat.txt")[:2]
    assert [hit.cosine for hit in found] == pytest.approx([hit.cosine for hit in exact], abs=1e-3)

    record(db, "/cow.txt", ["cow"])
    embed_all(db, embedder)
    assert store.query(query, 2) is None, "it has not been told of the cow"
    assert vectors.search(embedder.embed_query("cow"), limit=1)[0].chunk_id == chunk_ids(db, "/cow.txt")[0]
    vectors.close()


def cut_in_half(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size // 2)


def garble(file: Path) -> None:
    content = bytearray(file.read_bytes())
    start = len(content) // 2
    content[start : start + 4096] = random.Random(1).randbytes(min(4096, len(content) - start))
    file.write_bytes(content)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LibraryDb, Path]]:
    """A library whose chromadb has written its segment."""
    folder = tmp_path_factory.mktemp("large")
    with LibraryDb(folder / "library.sqlite") as db:
        record(db, "/a.txt", [f"passage {n}" for n in range(SEGMENT_RECORDS)])
        embed_all(db, RandomEmbedder(dimension=16))
        bring_in_step(ChromaStore(db, folder / "chroma"))
        yield db, folder / "chroma"


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("*/data_level0.bin", garble),
        ("*/index_metadata.pickle", cut_in_half),
        ("*/*", Path.unlink),
    ],
)
def test_a_damaged_folder_is_put_aside_and_rebuilt_or_does_no_harm(
    large: tuple[LibraryDb, Path], name: str, damage: Callable[[Path], None]
) -> None:
    db, folder = large
    files = sorted(folder.glob(name))
    assert files
    for file in files:
        damage(file)
    store = ChromaStore(db, folder)
    told = bring_in_step(store)
    assert told in ([500, 1000, SEGMENT_RECORDS], []), "rebuilt whole, or found to be whole"
    if told:
        assert folder.with_name("chroma.damaged").exists()
    identity = stored_identity(db)
    assert identity is not None
    client, collection = open_collection(folder, identity)
    exact = ExactVectors(db)
    for number in (3, 400, 1100):
        query = RandomEmbedder(dimension=16).embed_query(f"passage {number}")
        found = collection.query(query_embeddings=query[np.newaxis, :], n_results=1)
        assert found["ids"] == [[str(exact.search(query, limit=1)[0].chunk_id)]]
    client.close()


def test_a_folder_that_was_deleted_is_rebuilt(db: LibraryDb, store: ChromaStore, tmp_path: Path) -> None:
    record(db, "/cat.txt", ["cat", "dog"])
    embed_all(db, CountableEmbedder())
    other = ChromaStore(db, tmp_path / "elsewhere" / "chroma")
    assert bring_in_step(store) == [2]
    assert bring_in_step(other) == [2], "SQLite says that chromadb knows all, but this one is empty"
    assert ids_in_chroma(db, tmp_path / "elsewhere" / "chroma") == ids_in_sqlite(db)


def test_another_embedder_has_a_collection_of_its_own(db: LibraryDb, store: ChromaStore, tmp_path: Path) -> None:
    record(db, "/cat.txt", ["cat", "dog"])
    embed_all(db, CountableEmbedder())
    bring_in_step(store)
    change_embedder(db, CountableEmbedder(dimension=32))
    assert bring_in_step(store) == [2]
    assert not (tmp_path / "chroma.damaged").exists()
    assert ids_in_chroma(db, tmp_path / "chroma") == ids_in_sqlite(db)


DIES_BY_SIGNAL = (sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_a_child_that_crashes_takes_nobody_along(db: LibraryDb, tmp_path: Path) -> None:
    record(db, "/cat.txt", ["cat", "dog"])
    embed_all(db, CountableEmbedder())
    store = ChromaStore(db, tmp_path / "chroma", child_command=DIES_BY_SIGNAL)
    with pytest.raises(ChromaFailed, match="killed by signal 11"):
        bring_in_step(store)
    assert store.behind
    vectors = Vectors(db, store, exact_up_to=1)
    vectors.warm_up()
    assert len(vectors.search(CountableEmbedder().embed_query("cat"), limit=5)) == 2
    assert not store.wait_until_opened(60)
    assert "killed by signal 11" in vectors.describe()
    vectors.close()


ENDED_BY_THE_SYSTEM = (sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)")


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_a_child_that_was_ended_from_outside_condemns_nothing(db: LibraryDb, tmp_path: Path) -> None:
    record(db, "/cat.txt", ["cat", "dog"])
    embed_all(db, CountableEmbedder())
    (tmp_path / "chroma").mkdir()
    with pytest.raises(ChromaFailed, match="cut short"):
        bring_in_step(ChromaStore(db, tmp_path / "chroma", child_command=ENDED_BY_THE_SYSTEM))
    assert not (tmp_path / "chroma.damaged").exists()


def test_closing_does_not_wait_for_the_check(db: LibraryDb, store: ChromaStore) -> None:
    record(db, "/cat.txt", ["cat", "dog"])
    embed_all(db, CountableEmbedder())
    store.open_in_background()
    store.close()
    assert not store.wait_until_opened(0)
    store.open_in_background()
    assert not store.wait_until_opened(0)


def test_who_may_not_write_leaves_the_folder_alone(db: LibraryDb, tmp_path: Path) -> None:
    record(db, "/cat.txt", ["cat", "dog"])
    embed_all(db, CountableEmbedder())
    with LibraryDb(db.file, read_only=True) as other:
        vectors = Vectors(other, ChromaStore(other, tmp_path / "chroma"), exact_up_to=1)
        vectors.warm_up()
        assert vectors.describe() == "exact: 2 vectors; chromadb belongs to the homebody that writes"
        vectors.close()
    assert not (tmp_path / "chroma").exists()


def test_a_stop_leaves_the_rest_for_the_next_time(db: LibraryDb, store: ChromaStore, tmp_path: Path) -> None:
    record(db, "/a.txt", [f"passage {n}" for n in range(600)])
    embed_all(db, CountableEmbedder(dimension=16))
    stop = threading.Event()
    for progress in store.bring_in_step(stop):
        assert (progress.done, progress.total) == (500, 600)
        stop.set()
    assert store.behind
    assert bring_in_step(store)[-1] <= 600
    assert not store.behind
    assert ids_in_chroma(db, tmp_path / "chroma") == ids_in_sqlite(db)
    assert CHILD_COMMAND[1:] == ("-P", "-m", "rag.chroma_child")
