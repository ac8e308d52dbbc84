"""Search finds what is spelt out; `scripts/bench_exact.py` measures the same on more, with the real embedder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.keyword_index import KeywordIndex
from rag.library_db import LibraryDb
from rag.search import Search
from rag.vectors import Vectors
from scripts.bench_exact import GOAL, missed_cases, store
from scripts.exact_corpus import make_exact_corpus
from tests.fakes import CountableEmbedder
from tests.rag.stored_library import assert_whole, record


@pytest.mark.parametrize("embedder", [None, CountableEmbedder(dimension=64)])
def test_what_is_spelt_out_is_found_among_its_neighbours(tmp_path: Path, embedder: CountableEmbedder | None) -> None:
    corpus = make_exact_corpus(5)
    with LibraryDb(tmp_path / "library.sqlite") as db:
        ids = store(db, corpus, embedder)
        search = Search(db, Vectors(db, None, exact_up_to=10**9), KeywordIndex(db), embedder)
        missed = missed_cases(search, corpus, ids)
        assert len(missed) <= (1 - GOAL) * len(corpus.cases), [case.query for case in missed]
        assert_whole(db)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeywordIndex]:
    with LibraryDb(tmp_path_factory.mktemp("exact") / "library.sqlite") as db:
        record(db, "/de.txt", ["Die Haftpflichtversicherung zahlt nicht.", "Der Schlüssel liegt unter der Matte."])
        record(db, "/en.txt", ["We received the accommodation yesterday.", "The boiler hums at night."])
        record(db, "/ja.txt", ["昨日は東京タワーに行きました。", "大阪の天気は良いです。"])
        yield KeywordIndex(db)


def first_text(index: KeywordIndex, question: str) -> str:
    found = index.search(question, limit=1)
    if not found:
        return ""
    return str(index._db.query("SELECT text FROM chunks WHERE chunk_id = ?", (found[0],))[0][0])


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("recieved", "received"),
        ("accomodation", "accommodation"),
        ("accommodaiton", "accommodation"),
        ("Versicherung", "Haftpflichtversicherung"),
        ("Haftpflicht Versicherung", "Haftpflichtversicherung"),
        ("Schluessel", "Schlüssel"),
        ("Schlüsselmatte", "Schlüssel"),
        ("boilers humming", "boiler"),
        ("東京タワー", "東京タワー"),
        ("東京", "東京タワー"),
        ("天気", "大阪"),
        ("阪", "大阪"),
    ],
)
def test_other_words_for_a_word_that_no_file_has(index: KeywordIndex, question: str, part: str) -> None:
    assert part in first_text(index, question)


def test_a_correction_is_said_and_words_that_are_there_are_not_corrected(index: KeywordIndex) -> None:
    assert index.find("recieved accommodation", limit=3).misspelt == ("recieved",)
    assert index.find("received boiler", limit=3).misspelt == ()
    assert index.find("qqqqqqqq 12345 xy", limit=3).misspelt == ()


def test_phrases_are_found_word_for_word(index: KeywordIndex) -> None:
    assert len(index.containing("hums at night")) == 1
    assert index.containing("night at hums") == []
    assert len(index.containing("東京タワーに")) == 1
    assert index.containing("京東") == []
    assert index.containing("?!") == []
