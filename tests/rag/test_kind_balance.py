"""Texts, pictures and recordings in one list: what a query says of the kind, and a place for drowned kinds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rag.kind_balance import FIRST_PLACES, kind_meant, with_other_kinds, without_medium
from rag.library_db import LibraryDb
from rag.passages import Passage
from rag.records import Chunk, Kind, Locator
from tests.fakes import CountableEmbedder
from tests.rag.stored_library import embed_all, record
from tests.rag.test_search import search_of


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("photo of the red bicycle", "image"),
        ("the receipt from the hardware store", "image"),
        ("Screenshots of the error", "image"),
        ("Foto vom Fahrrad", "image"),
        ("where did she mention the budget", "audio"),
        ("what did we say about the roof", "audio"),
        ("voice note about the boiler", "audio"),
        ("Aufnahme von der Sitzung", "audio"),
        ("the picture that he mentioned", None),
        ("who repaired the boiler", None),
        ("what does the contract say about notice", None),
        ("a photosynthesis lecture", None),
        ("pictures in the recording", None),
        ("", None),
    ],
)
def test_a_query_may_say_which_kind_it_looks_for(query: str, kind: Kind | None) -> None:
    assert kind_meant(query) == kind


def test_words_that_only_name_the_medium_are_not_what_a_query_is_about() -> None:
    assert without_medium("photo of a cat").split() == ["of", "a", "cat"]
    assert without_medium("receipts and pictures of the roof").split() == ["receipts", "and", "of", "the", "roof"]
    assert without_medium("Photos") == "Photos"


def test_the_picture_of_a_cat_comes_before_one_whose_description_has_the_word_photo(tmp_path: Path) -> None:
    with LibraryDb(tmp_path / "library.sqlite") as db:
        record(db, "/bill.jpg", ["Photo bill. Taken on Friday. It may show: menu."], kind="image")
        record(db, "/tom.png", ["Picture tom. It may show: Egyptian cat."], kind="image")
        for number in range(6):
            record(db, f"/{number}.md", [f"the roof and the boiler of house {number}"])
        assert search_of(db, None).search("photo of a cat", k=2)[0].path == "/tom.png"


def passages(kinds: str, scores: Sequence[float]) -> list[tuple[Passage, float]]:
    """`t`, `i` and `a`, in their order."""
    named: dict[str, Kind] = {"t": "text", "i": "image", "a": "audio"}
    return [
        (Passage(Chunk(n, n, 0, f"passage {n}", (), Locator()), f"/f{n}", f"f{n}", named[letter]), score)
        for n, (letter, score) in enumerate(zip(kinds, scores, strict=True))
    ]


def order(candidates: Sequence[tuple[Passage, float]]) -> list[int]:
    return [passage.chunk.chunk_id for passage, _ in with_other_kinds(candidates)]


def test_kinds_that_are_not_among_the_first_take_the_last_of_these_places() -> None:
    found = passages("tttttttiiaat", [1.0, 0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.91, 0.9, 0.89])
    moved = list(with_other_kinds(found))
    assert [passage.chunk.chunk_id for passage, _ in moved] == [0, 1, 2, 7, 9, 3, 4, 5, 6, 8, 10, 11]
    scores = [score for _, score in moved]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("kinds", "scores"),
    [
        ("ttttta", [1.0, 0.99, 0.98, 0.97, 0.96, 0.84]),  # far behind
        ("attttttiii", [1.0, 0.99, 0.98, 0.97, 0.96, 0.5, 0.4, 0.3, 0.2, 0.1]),
        ("tttttttttt", [1.0] * 10),
        ("tia", [1.0, 0.9, 0.8]),
        ("", []),
    ],
)
def test_otherwise_the_order_stays(kinds: str, scores: Sequence[float]) -> None:
    assert order(passages(kinds, scores)) == list(range(len(kinds)))


def test_a_kind_that_has_a_place_gets_no_other() -> None:
    scores = [1.0 - n / 100 for n in range(9)]
    assert order(passages("titttttaa", scores)) == [0, 1, 2, 3, 7, 4, 5, 6, 8]


def test_no_more_passages_are_taken_than_the_near_ones() -> None:
    taken: list[int] = []

    def counted() -> Iterator[tuple[Passage, float]]:
        for each in passages("t" * 20, [1.0] * 6 + [0.1] * 14):
            taken.append(each[0].chunk.chunk_id)
            yield each

    next(with_other_kinds(counted()))
    assert len(taken) == 7


def test_a_receipt_is_found_among_many_documents_about_the_same(tmp_path: Path) -> None:
    with LibraryDb(tmp_path / "library.sqlite") as db:
        for number in range(30):
            record(db, f"/d{number}.md", [f"The boiler again: the boiler of house {number} and its boiler room, paid."])
        record(db, "/img.jpg", ["HARDWARE STORE boiler 89.90 total paid"], kind="image")
        record(db, "/memo.wav", ["So, the boiler is paid."], kind="audio")
        embed_all(db, CountableEmbedder())
        search = search_of(db, CountableEmbedder())
        paths = [hit.path for hit in search.search("the boiler receipt, what was paid", k=FIRST_PLACES)]
        assert "/img.jpg" in paths
        paths = [hit.path for hit in search.search("where did she mention that the boiler was paid", k=FIRST_PLACES)]
        assert "/memo.wav" in paths
        only = search.search("kind:text the boiler receipt, what was paid", k=FIRST_PLACES)
        assert {hit.kind for hit in only} == {"text"}
