from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.filters import Filters
from rag.keyword_index import KeywordIndex
from rag.library_db import LibraryDb
from rag.query_terms import MAX_TERMS, match_expression, question_terms, words_of
from rag.scope import Scopes
from tests.rag.stored_library import assert_whole, chunk_ids, record


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path_factory.mktemp("words") / "library.sqlite") as opened:
        record(opened, "/home/house/lease.txt", ["The rent is 640 euros a month.", "Pets are allowed."])
        record(opened, "/home/house/invoice INV-2024-017.pdf", ["Invoice INV-2024-017 for the boiler: 89 euros"])
        record(opened, "/home/house/INV-2024-018.pdf", ["Invoice 018, year 2024. INV of the painter"])
        record(opened, "/home/trip/café crème.txt", ["Der Zug nach Zürich fährt um acht"], headings=("Anreise",))
        record(opened, "/home/trip/notes.txt", ["max_retry_count is 5", "To be, or not to be"])
        record(opened, "/home/trip/photo.jpg", ["a red boiler"], kind="image")
        yield opened
        assert_whole(opened)


@pytest.fixture(scope="module")
def index(db: LibraryDb) -> KeywordIndex:
    return KeywordIndex(db)


def found(db: LibraryDb, ids: list[int]) -> list[str]:
    return [db.connection.execute("SELECT text FROM chunks WHERE chunk_id = ?", (each,)).fetchone()[0] for each in ids]


def test_a_question_finds_what_shares_its_telling_words(db: LibraryDb, index: KeywordIndex) -> None:
    assert found(db, index.search("How much is the rent a month?", limit=5))[0] == "The rent is 640 euros a month."
    assert found(db, index.search("Is a pet allowed?", limit=5)) == ["Pets are allowed."]


def test_accents_and_case_do_not_matter(db: LibraryDb, index: KeywordIndex) -> None:
    assert found(db, index.search("ZUG NACH ZURICH", limit=5)) == ["Der Zug nach Zürich fährt um acht"]


def test_headings_are_words_too(index: KeywordIndex, db: LibraryDb) -> None:
    assert found(db, index.search("anreise", limit=5)) == ["Der Zug nach Zürich fährt um acht"]


def test_an_identifier_is_found_as_it_stands_before_its_parts(db: LibraryDb, index: KeywordIndex) -> None:
    assert found(db, index.search("INV-2024-017", limit=5))[0].startswith("Invoice INV-2024-017")
    assert found(db, index.search("what is max_retry_count?", limit=5)) == ["max_retry_count is 5"]
    assert found(db, index.search("640", limit=5)) == ["The rent is 640 euros a month."]


def test_a_question_of_stop_words_only_still_asks(db: LibraryDb, index: KeywordIndex) -> None:
    assert "To be, or not to be" in found(db, index.search("to be or not to be", limit=5))


def test_kinds_filter(db: LibraryDb, index: KeywordIndex) -> None:
    pictures = Scopes(db).within(Filters(kinds=frozenset({"image"})))
    assert found(db, index.search("boiler", limit=5, within=pictures)) == ["a red boiler"]
    recordings = Scopes(db).within(Filters(kinds=frozenset({"audio"})))
    assert index.search("boiler", limit=5, within=recordings) == []


@pytest.mark.parametrize(
    "question",
    [
        '"',
        '"rent',
        "rent AND",
        "rent NOT (",
        "NEAR(rent, 2",
        "text:rent",
        "rent*",
        "^rent",
        "-rent",
        "re\0nt rent",
        "'",
    ],
)
def test_signs_and_operators_are_only_text(index: KeywordIndex, question: str) -> None:
    index.search(question, limit=5)
    index.named_contents(question)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=st.text(max_size=60))
def test_no_question_breaks_the_query(index: KeywordIndex, question: str) -> None:
    index.search(question, limit=3)
    index.named_contents(question)


def test_no_words_find_nothing(index: KeywordIndex) -> None:
    assert index.search(" ?! ", limit=5) == []
    assert index.named_contents("…") == []


def test_a_question_of_any_length_is_asked(index: KeywordIndex) -> None:
    long_question = " ".join(f"word{n}" for n in range(100_000)) + " 640 rent"
    assert len(question_terms(long_question)) == MAX_TERMS
    index.search(long_question, limit=5)


def test_quoted_phrases_and_words_with_signs_become_phrases() -> None:
    terms = question_terms('who said "peace at last" in foo_bar and not in the other rooms?')
    assert [term.expression for term in terms] == [
        '"peace at last"',
        '"foo bar"',
        '"foobar"',
        '"said"',
        '"peace"',
        '"last"',
        '"foo"',
        '"bar"',
        '"rooms"',
    ]
    assert [term.expression for term in terms if term.decides] == ['"peace at last"', '"foo bar"']
    assert match_expression(['a"b', "c"]) == '"a""b" OR "c"'
    assert words_of("Crème brûlée, 2% naïve_x") == ["crème", "brûlée", "2", "naïve", "x"]


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("what does the lease say?", ["/home/house/lease.txt"]),
        ("lease.txt", ["/home/house/lease.txt"]),
        ("sum up café crème please", ["/home/trip/café crème.txt"]),
        ("house lease", ["/home/house/lease.txt"]),
        ("trip notes", ["/home/trip/notes.txt"]),
        ("INV-2024-018", ["/home/house/INV-2024-018.pdf"]),
        ("the invoice of the painter", []),
        ("house", []),
    ],
)
def test_a_file_is_found_by_its_name(db: LibraryDb, index: KeywordIndex, question: str, named: list[str]) -> None:
    paths = [
        db.connection.execute("SELECT path_text FROM documents WHERE content_id = ?", (each,)).fetchone()[0]
        for each in index.named_contents(question)
    ]
    assert paths == named


def test_within_a_file_the_matching_passages_come_first(db: LibraryDb, index: KeywordIndex) -> None:
    first, second = chunk_ids(db, "/home/house/lease.txt")
    (content_id,) = index.named_contents("lease")
    assert index.search_in(content_id, "are pets allowed in the lease?", limit=2) == [second, first]
    assert index.search_in(content_id, "lease", limit=2) == [first, second]
