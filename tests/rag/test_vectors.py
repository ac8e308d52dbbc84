from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rag.documents import Documents
from rag.exact_vectors import CANDIDATES, ExactVectors, as_float32
from rag.filters import Filters
from rag.library_db import LibraryDb
from rag.scope import Scopes
from rag.vectors import Vectors, count_vectors
from tests.conftest import PROJECT_ROOT
from tests.fakes import CountableEmbedder
from tests.rag.stored_library import assert_whole, chunk_ids, embed_all, record

EMBEDDER = CountableEmbedder()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path / "library.sqlite") as opened:
        yield opened
        assert_whole(opened)


def nearest(vectors: ExactVectors, text: str, limit: int = 3) -> list[int]:
    return [hit.chunk_id for hit in vectors.search(EMBEDDER.embed_query(text), limit=limit)]


def brute_force(db: LibraryDb, query: NDArray[np.float32]) -> dict[int, float]:
    rows = db.connection.execute("SELECT chunk_id, vector FROM vectors")
    return {chunk_id: float(np.frombuffer(blob, "<f2").astype(np.float32) @ query) for chunk_id, blob in rows}


def test_an_empty_library_finds_nothing(db: LibraryDb) -> None:
    assert nearest(ExactVectors(db), "anything") == []


def test_it_agrees_with_comparing_one_by_one(db: LibraryDb) -> None:
    record(db, "/a.txt", [f"word{n % 13} word{n % 7} common" for n in range(60)])
    embed_all(db, EMBEDDER)
    query = EMBEDDER.embed_query("word3 word5 common")
    expected = sorted(brute_force(db, query).items(), key=lambda item: (-item[1], item[0]))[:10]
    hits = ExactVectors(db).search(query, limit=10)
    assert [hit.chunk_id for hit in hits] == [chunk_id for chunk_id, _ in expected]
    assert [hit.cosine for hit in hits] == pytest.approx([cosine for _, cosine in expected], abs=1e-5)


def test_equally_near_ones_are_cut_by_id(db: LibraryDb) -> None:
    record(db, "/a.txt", ["same words here"] * 9)
    embed_all(db, EMBEDDER)
    assert nearest(ExactVectors(db), "same words", 4) == chunk_ids(db, "/a.txt")[:4]


def test_it_follows_additions_removals_and_replacements(db: LibraryDb) -> None:
    vectors = ExactVectors(db)
    for path in ("/cat.txt", "/dog.txt"):
        record(db, path, [f"about {path}", "more"])
    embed_all(db, EMBEDDER)
    assert nearest(vectors, "about cat", 1) == chunk_ids(db, "/cat.txt")[:1]
    record(db, "/fox.txt", ["fox fox fox"])
    assert nearest(vectors, "fox", 1) != chunk_ids(db, "/fox.txt")  # words only so far
    embed_all(db, EMBEDDER)
    assert nearest(vectors, "fox", 1) == chunk_ids(db, "/fox.txt")
    Documents(db).remove(["/cat.txt"])
    record(db, "/dog.txt", ["cat cat"], mtime_ns=2)
    embed_all(db, EMBEDDER)
    assert nearest(vectors, "cat", 1) == chunk_ids(db, "/dog.txt")
    everything = vectors.search(EMBEDDER.embed_query("cat"), limit=100)
    assert {hit.chunk_id for hit in everything} == {*chunk_ids(db, "/dog.txt"), *chunk_ids(db, "/fox.txt")}
    assert count_vectors(db) == len(everything) == 2


def test_it_sees_what_another_process_writes(db: LibraryDb) -> None:
    record(db, "/cat.txt", ["cat"])
    embed_all(db, EMBEDDER)
    vectors = ExactVectors(db)
    assert nearest(vectors, "fox", 1) == chunk_ids(db, "/cat.txt")
    code = (
        "import sys; from pathlib import Path\n"
        "from rag.library_db import LibraryDb; from rag.documents import Documents\n"
        "from tests.fakes import CountableEmbedder; from tests.rag.stored_library import embed_all, record\n"
        "db = LibraryDb(Path(sys.argv[1])); record(db, '/fox.txt', ['fox']); embed_all(db, CountableEmbedder())\n"
        "Documents(db).remove(['/cat.txt']); db.close()"
    )
    subprocess.run([sys.executable, "-c", code, str(db.file)], cwd=PROJECT_ROOT, check=True)
    assert nearest(vectors, "fox") == chunk_ids(db, "/fox.txt")


def test_a_reader_without_the_right_to_write_searches_too(db: LibraryDb) -> None:
    record(db, "/cat.txt", ["cat"])
    embed_all(db, EMBEDDER)
    with LibraryDb(db.file, read_only=True) as other:
        assert nearest(ExactVectors(other), "cat") == chunk_ids(db, "/cat.txt")


def test_kinds_filter(db: LibraryDb) -> None:
    record(db, "/cat.txt", ["cat"])
    record(db, "/cat.jpg", ["cat cat dog"], kind="image")
    embed_all(db, EMBEDDER)
    query, vectors = EMBEDDER.embed_query("cat"), ExactVectors(db)
    pictures = Scopes(db).within(Filters(kinds=frozenset({"image"})))
    assert [hit.chunk_id for hit in vectors.search(query, limit=5, within=pictures)] == chunk_ids(db, "/cat.jpg")
    recordings = Scopes(db).within(Filters(kinds=frozenset({"audio"})))
    assert vectors.search(query, limit=5, within=recordings) == []


def test_all_float16_numbers_become_the_same_float32() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].reshape(-1, 64)
    assert np.array_equal(as_float32(finite), finite.astype(np.float32))


class GivenVectors(CountableEmbedder):
    """An embedder whose texts are row numbers of a matrix."""

    def __init__(self, matrix: NDArray[np.float32]) -> None:
        super().__init__(dimension=matrix.shape[1])
        self.matrix = matrix

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.matrix[[int(text) for text in texts]]


def test_of_very_many_nearly_all_of_the_nearest_are_found(db: LibraryDb) -> None:
    random = np.random.default_rng(3)
    topics = random.standard_normal((40, 96), np.float32) + 0.5  # all point to one side, as some models' do
    matrix = topics[random.integers(0, 40, 3 * CANDIDATES)] + 0.8 * random.standard_normal((3 * CANDIDATES, 96))
    matrix = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
    embedder = GivenVectors(matrix)
    record(db, "/a.txt", [str(n) for n in range(len(matrix))])
    embed_all(db, embedder)
    vectors = ExactVectors(db)
    ids = np.array(chunk_ids(db, "/a.txt"))
    found_of_10 = found_of_50 = 0
    for row in range(0, len(matrix), 300):
        hits = vectors.search(matrix[row], limit=50)
        assert hits[0].chunk_id == ids[row]
        nearest = ids[np.argsort(-(matrix @ matrix[row]), kind="stable")]
        found_of_10 += len({hit.chunk_id for hit in hits[:10]} & {*nearest[:10].tolist()})
        found_of_50 += len({hit.chunk_id for hit in hits} & {*nearest[:50].tolist()})
    asked = len(range(0, len(matrix), 300))
    assert found_of_10 >= 0.99 * 10 * asked
    assert found_of_50 >= 0.97 * 50 * asked


def test_vectors_that_are_all_the_same_are_cut_by_id(db: LibraryDb) -> None:
    embedder = GivenVectors(np.tile(np.eye(1, 64, dtype=np.float32), (5 * CANDIDATES, 1)))
    record(db, "/a.txt", [str(n) for n in range(5 * CANDIDATES)])
    embed_all(db, embedder)
    hits = ExactVectors(db).search(embedder.matrix[0], limit=5)
    assert [hit.chunk_id for hit in hits] == chunk_ids(db, "/a.txt")[:5]


def test_searching_goes_on_while_another_thread_indexes(db: LibraryDb) -> None:
    vectors, failures = ExactVectors(db), list[BaseException]()
    record(db, "/0.txt", ["word0 cat"])
    embed_all(db, EMBEDDER)
    done = threading.Event()

    def search_all_the_time() -> None:
        try:
            while not done.is_set():
                hits = vectors.search(EMBEDDER.embed_query("cat"), limit=5)
                assert all(-1.01 < hit.cosine < 1.01 for hit in hits)
                assert hits
        except BaseException as error:
            failures.append(error)

    searchers = [threading.Thread(target=search_all_the_time) for _ in range(2)]
    for each in searchers:
        each.start()
    for number in range(1, 15):
        record(db, f"/{number}.txt", [f"word{number} cat"])
        embed_all(db, EMBEDDER)
        if number % 3 == 0:
            Documents(db).remove([f"/{number - 1}.txt"])
    done.set()
    for each in searchers:
        each.join()
    assert failures == []
    assert len(vectors.search(EMBEDDER.embed_query("cat"), limit=99)) == count_vectors(db) == 11


def test_a_single_question_is_answered_without_chromadb(db: LibraryDb) -> None:
    record(db, "/a.txt", ["cat", "dog"])
    embed_all(db, EMBEDDER)
    vectors = Vectors(db, None, exact_up_to=1)
    assert not vectors.empty
    vectors.warm_up()
    assert len(vectors.search(EMBEDDER.embed_query("cat"), limit=5)) == 2
    assert vectors.describe().startswith("exact: 2 vectors; for a single question")
    vectors.close()
