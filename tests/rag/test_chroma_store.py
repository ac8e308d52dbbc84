"""The real chromadb, in the folder of each test."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.chroma_place import ChromaFolder, ChromaPlace, open_collection
from rag.chroma_store import CHILD_COMMAND, ChromaStore
from rag.documents import Documents
from rag.errors import ChromaFailed
from rag.identity import stored_identity
from rag.library_db import LibraryDb
from rag.vectors import Vectors
from tests.fakes import CountableEmbedder
from tests.rag.stored_library import change_embedder, chunk_ids, embed_all, record


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path / "library.sqlite") as opened:
        yield opened


@pytest.fixture
def store(db: LibraryDb, tmp_path: Path) -> Iterator[ChromaStore]:
    opened = ChromaStore(db, ChromaFolder(tmp_path / "chroma"))
    yield opened
    opened.close()


def bring_in_step(store: ChromaStore) -> list[int]:
    return [progress.done for progress in store.bring_in_step(threading.Event())]


def ids_in_chroma(db: LibraryDb, place: Path | ChromaPlace) -> set[int]:
    identity = stored_identity(db)
    assert identity is not None
    client, collection = open_collection(db, ChromaFolder(place) if isinstance(place, Path) else place, identity)
    ids = {int(each) for each in collection.get(include=[])["ids"]}
    client.close()
    return ids


def ids_in_sqlite(db: LibraryDb) -> set[int]:
    return {row[0] for row in db.query("SELECT chunk_id FROM vectors")}


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


def test_a_folder_that_was_deleted_is_rebuilt(db: LibraryDb, store: ChromaStore, tmp_path: Path) -> None:
    record(db, "/cat.txt", ["cat", "dog"])
    embed_all(db, CountableEmbedder())
    other = ChromaStore(db, ChromaFolder(tmp_path / "elsewhere" / "chroma"))
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
    store = ChromaStore(db, ChromaFolder(tmp_path / "chroma"), child_command=DIES_BY_SIGNAL)
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
        bring_in_step(ChromaStore(db, ChromaFolder(tmp_path / "chroma"), child_command=ENDED_BY_THE_SYSTEM))
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
        vectors = Vectors(other, ChromaStore(other, ChromaFolder(tmp_path / "chroma")), exact_up_to=1)
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
