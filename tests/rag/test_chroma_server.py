"""The same collection code over a Chroma server, started here on loopback."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.chroma_place import ChromaServer, close_client, open_collection
from rag.chroma_store import ChromaStore
from rag.documents import Documents
from rag.errors import ChromaUnreachable
from rag.identity import stored_identity
from rag.library_db import LibraryDb
from rag.vectors import Vectors
from tests.fakes import CountableEmbedder
from tests.rag.stored_library import chunk_ids, embed_all, record

RUN = "from chromadb.cli.cli import app; app()"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/v2/heartbeat", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    folder = tmp_path_factory.mktemp("server")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", RUN, "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    waiting = threading.Event()
    while not answers(url):
        assert process.poll() is None, "chroma run ended"
        waiting.wait(0.1)
    yield ChromaServer(url)
    process.terminate()
    process.wait(30)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path / "library.sqlite") as opened:
        yield opened


def bring_in_step(store: ChromaStore) -> list[int]:
    return [progress.done for progress in store.bring_in_step(threading.Event())]


def ids_on(server: ChromaServer, db: LibraryDb) -> set[int]:
    identity = stored_identity(db)
    assert identity is not None
    client, collection = open_collection(db, server, identity)
    ids = {int(each) for each in collection.get(include=[])["ids"]}
    close_client(server, client)
    return ids


def ids_in_sqlite(db: LibraryDb) -> set[int]:
    return {row[0] for row in db.query("SELECT chunk_id FROM vectors")}


def test_a_library_is_kept_in_step_and_asked_by_who_writes_and_by_who_only_reads(
    db: LibraryDb, server: ChromaServer
) -> None:
    embedder = CountableEmbedder()
    record(db, "/cat.txt", ["cat", "cat cat dog", "dog"])
    record(db, "/fox.txt", ["fox"])
    embed_all(db, embedder)
    writer = ChromaStore(db, server)
    assert bring_in_step(writer) == [4]
    Documents(db).remove(["/fox.txt"])
    assert bring_in_step(writer) == [1]
    assert ids_on(server, db) == ids_in_sqlite(db)
    with LibraryDb(db.file, read_only=True) as reading:
        store = ChromaStore(reading, server)
        vectors = Vectors(reading, store, exact_up_to=1)
        vectors.warm_up()
        assert store.wait_until_opened(60)
        assert vectors.describe().startswith("chroma: 3 vectors")
        hits = vectors.search(embedder.embed_query("cat"), limit=2)
        assert [hit.chunk_id for hit in hits] == chunk_ids(reading, "/cat.txt")[:2]
        vectors.close()
    writer.close()


def test_two_libraries_on_one_server_do_not_see_each_other(db: LibraryDb, server: ChromaServer, tmp_path: Path) -> None:
    embedder = CountableEmbedder()
    record(db, "/cat.txt", ["cat"])
    embed_all(db, embedder)
    assert bring_in_step(ChromaStore(db, server)) == [1]
    with LibraryDb(tmp_path / "other.sqlite") as other:
        record(other, "/dogs.txt", ["dog", "dog dog fox", "fox"])
        embed_all(other, embedder)
        assert bring_in_step(ChromaStore(other, server)) == [3]
        assert ids_on(server, other) == ids_in_sqlite(other)
    assert ids_on(server, db) == ids_in_sqlite(db)
    assert bring_in_step(ChromaStore(db, server)) == [], "nothing of it was taken for damage"


def test_a_collection_that_lost_records_is_built_anew(db: LibraryDb, server: ChromaServer) -> None:
    record(db, "/cat.txt", ["cat", "dog", "fox"])
    embed_all(db, CountableEmbedder())
    store = ChromaStore(db, server)
    bring_in_step(store)
    identity = stored_identity(db)
    assert identity is not None
    client, collection = open_collection(db, server, identity)
    collection.delete(ids=[str(chunk_ids(db, "/cat.txt")[0])])
    close_client(server, client)
    assert bring_in_step(store) == [3]
    assert ids_on(server, db) == ids_in_sqlite(db)


def test_a_server_that_does_not_answer_is_named_and_every_vector_is_compared(db: LibraryDb) -> None:
    nowhere = ChromaServer(f"http://127.0.0.1:{free_port()}")
    record(db, "/cat.txt", ["cat", "dog"])
    embed_all(db, CountableEmbedder())
    store = ChromaStore(db, nowhere)
    with pytest.raises(ChromaUnreachable, match="does not answer") as caught:
        bring_in_step(store)
    assert nowhere.url in str(caught.value)
    assert "library.chroma_url" in caught.value.hint
    vectors = Vectors(db, store, exact_up_to=1)
    vectors.warm_up()
    assert len(vectors.search(CountableEmbedder().embed_query("cat"), limit=5)) == 2
    assert not store.wait_until_opened(60)
    assert "does not answer" in vectors.describe()
    vectors.close()
