from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.errors import EmbedderMismatch
from rag.keyword_index import KeywordIndex
from rag.library_db import LibraryDb
from rag.ports import TextEmbedder
from rag.search import Search
from rag.vectors import Vectors
from tests.fakes import CountableEmbedder
from tests.rag.stored_library import embed_all, record


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path / "library.sqlite") as opened:
        yield opened


def search_of(db: LibraryDb, embedder: TextEmbedder | None) -> Search:
    return Search(db, Vectors(db, None, exact_up_to=1000), KeywordIndex(db), embedder)


def test_words_and_vectors_are_joined_and_say_where_they_stood(db: LibraryDb) -> None:
    embedder = CountableEmbedder()
    record(db, "/boats.txt", ["a ferry to the island", "harbour dues"], headings=("Boats",), title="All boats")
    record(db, "/cars.txt", ["a car on the road"])
    embed_all(db, embedder)
    best, *rest = search_of(db, embedder).search("ferry island", k=3)
    assert (best.rank, best.path, best.title, best.kind) == (1, "/boats.txt", "All boats", "text")
    assert (best.words_rank, best.vector_rank) == (1, 1)
    assert best.chunk.heading_path == ("Boats",)
    assert best.chunk.locator.line == 1
    assert best.cosine is not None
    assert best.cosine > 0.5
    assert best.score > rest[0].score
    assert rest[0].words_rank is None
    assert [hit.rank for hit in (best, *rest)] == [1, 2, 3]


@pytest.mark.parametrize("embedder", [None, CountableEmbedder()])
def test_words_alone_answer_while_there_are_no_vectors(db: LibraryDb, embedder: CountableEmbedder | None) -> None:
    record(db, "/boats.txt", ["a ferry to the island"])
    (hit,) = search_of(db, embedder).search("ferry")
    assert (hit.words_rank, hit.vector_rank, hit.cosine) == (1, None, None)
    assert embedder is None or embedder.history == []


def test_another_embedder_is_refused(db: LibraryDb) -> None:
    record(db, "/boats.txt", ["a ferry"])
    embed_all(db, CountableEmbedder())
    with pytest.raises(EmbedderMismatch):
        search_of(db, CountableEmbedder(dimension=32)).search("ferry")


@pytest.mark.parametrize("question", ["", "   ", "?"])
def test_nothing_asked_finds_nothing(db: LibraryDb, question: str) -> None:
    record(db, "/boats.txt", ["a ferry"])
    assert search_of(db, None).search(question) == []


def test_a_copied_file_is_shown_once(db: LibraryDb) -> None:
    record(db, "/b/boats.txt", ["a ferry to the island"])
    record(db, "/a/boats.txt", ["a ferry to the island"])
    assert [hit.path for hit in search_of(db, None).search("ferry")] == ["/a/boats.txt"]


def test_what_says_the_same_is_shown_once_but_numbers_and_names_tell_apart(db: LibraryDb) -> None:
    bill = "The bill for the electricity of the flat in the old town by the river is {} euros, paid by {} in cash."
    record(db, "/1.txt", [bill.format(50, "Ada")])
    record(db, "/2.txt", [bill.format(50, "Ada").replace("cash.", "cash !")])
    record(db, "/3.txt", [bill.format(61, "Ada")])
    record(db, "/4.txt", [bill.format(50, "Eve")])
    assert {hit.path for hit in search_of(db, None).search("bill electricity")} == {"/1.txt", "/3.txt", "/4.txt"}


def test_one_file_does_not_fill_the_list(db: LibraryDb) -> None:
    record(db, "/big.txt", [f"ferry ferry number {n}" for n in range(20)])
    for n in range(4):
        record(db, f"/small{n}.txt", [f"a long text of many other words in which once a ferry came by, the {n}th"])
    search = search_of(db, None)
    paths = [hit.path for hit in search.search("ferry", k=6)]
    assert paths.count("/big.txt") == 3
    assert len(set(paths)) == 4
    assert [hit.path for hit in search.search("ferry", k=6, per_document=1)].count("/big.txt") == 2, "too few others"
    scores = [hit.score for hit in search.search("ferry", k=10)]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 10


def test_a_file_that_is_named_is_found(db: LibraryDb) -> None:
    record(db, "/home/lease 2023.txt", ["Pets are allowed.", "The deposit is three months."])
    for n in range(5):
        record(db, f"/home/{n}.txt", [f"What the year 2023 brought, part {n}: deposit, deposit"])
    paths = [hit.path for hit in search_of(db, None).search("what deposit does the lease 2023 ask for?", k=3)]
    assert paths[0] == "/home/lease 2023.txt"


def test_kinds_filter(db: LibraryDb) -> None:
    embedder = CountableEmbedder()
    record(db, "/cat.txt", ["a cat"])
    record(db, "/cat.jpg", ["a cat on a mat"], kind="image")
    embed_all(db, embedder)
    search = search_of(db, embedder)
    assert [hit.kind for hit in search.search("cat kind:image")] == ["image"]
    assert len(search.search("cat kind:image,text")) == 2


def test_a_question_of_any_length_is_answered(db: LibraryDb) -> None:
    embedder = CountableEmbedder()
    record(db, "/boats.txt", ["a ferry to the island"])
    embed_all(db, embedder)
    assert search_of(db, embedder).search("ferry " * 100_000)[0].path == "/boats.txt"
    assert len(embedder.history[-1][0]) < 3000
