"""The conversation store on a real library file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.conversation_store import ConversationStore, StoredCitation
from rag.errors import LibraryError
from rag.library_db import LibraryDb
from rag.records import Locator


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path / "library.sqlite") as opened:
        yield opened


@pytest.fixture
def store(db: LibraryDb) -> ConversationStore:
    seconds = itertools.count(1000)
    return ConversationStore(db, clock=lambda: float(next(seconds)))


def ask(
    store: ConversationStore, question: str, answer: str = "", conversation_id: int | None = None, title: str = "t"
) -> tuple[int, int]:
    begun = store.begin_turn(question, conversation_id=conversation_id, title=title)
    assert begun is not None
    if answer:
        store.end_turn(begun[1], answer_text=answer, finish="stop", model="m", details={})
    return begun


CITATION = StoredCitation(1, 7, "/home/me/lease.pdf", "text", Locator(page=2), "The rent is 940 euros.", True)


def test_the_question_is_there_before_any_answer(store: ConversationStore) -> None:
    conversation_id, turn_id = ask(store, "How much is the rent?")
    (turn,) = store.turns(conversation_id)
    assert (turn.turn_id, turn.question, turn.answer_text, turn.finish) == (
        turn_id,
        "How much is the rent?",
        "",
        "running",
    )


def test_a_turn_comes_back_as_it_was_ended(store: ConversationStore) -> None:
    conversation_id, turn_id = ask(store, "How much is the rent?")
    store.write_user_message(turn_id, "<passage>…</passage> How much is the rent?", model="m")
    store.write_answer(turn_id, "940")
    details = {"sentences": [[0, 10]], "ü": "é"}
    store.end_turn(
        turn_id, answer_text="940 euros.", finish="length", model="m2", details=details, citations=[CITATION]
    )
    (turn,) = store.turns(conversation_id)
    assert turn.user_message == "<passage>…</passage> How much is the rent?"
    assert (turn.answer_text, turn.finish, turn.model, turn.details) == ("940 euros.", "length", "m2", details)
    assert turn.citations == (CITATION,)


def test_ending_a_turn_twice_keeps_the_last_citations_only(store: ConversationStore) -> None:
    conversation_id, turn_id = ask(store, "q")
    for quote in ("first", "second"):
        cited = StoredCitation(1, None, "standard input", "text", Locator(line=4), quote, False)
        store.end_turn(turn_id, answer_text=quote, finish="stop", model="m", details={}, citations=[cited])
    assert [c.quote for c in store.turns(conversation_id)[0].citations] == ["second"]


def test_an_unknown_conversation_takes_no_turn(store: ConversationStore) -> None:
    assert store.begin_turn("q", conversation_id=99, title="t") is None
    assert store.latest() == []
    assert store.turns(99) == []
    assert store.conversation(99) is None
    assert not store.rename(99, "x")
    assert not store.delete(99)


def test_the_latest_conversation_comes_first(store: ConversationStore) -> None:
    first, _ = ask(store, "a", title="first")
    second, _ = ask(store, "b", title="second")
    assert [c.title for c in store.latest()] == ["second", "first"]
    ask(store, "c", conversation_id=first)
    assert [(c.conversation_id, c.turns) for c in store.latest()] == [(first, 2), (second, 1)]
    assert [c.conversation_id for c in store.latest(limit=1)] == [first]


def test_search_finds_questions_answers_and_titles(store: ConversationStore) -> None:
    rent, _ = ask(store, "How much is the rent?", "It is 940 euros.", title="Rent")
    bike, _ = ask(store, "When did I buy it?", "On 14 May, at Lindner's.", title="The touring bike")

    def found(words: str) -> list[int]:
        return [c.conversation_id for c in store.search(words)]

    assert found("rent") == [rent]
    assert found("LINDNER") == [bike]
    assert found("tour") == [bike], "a title, by the beginning of a word"
    assert found("940 much") == [rent], "words of question and answer together"
    assert found("rent lindner") == []
    assert found("inden") == [], "not in any text"
    assert found("indne") == [bike], "a part of a word, when no word begins so"
    assert found("  ") == [bike, rent], "no words: all"


@pytest.mark.parametrize("words", ['"', "' OR 1=1 --", "NEAR(", "a* AND", "100%", "_", "\\", "col:on", "日本"])
def test_search_takes_any_words_literally(store: ConversationStore, words: str) -> None:
    ask(store, "How much is the rent?", "It is 940 euros.")
    assert store.search(words) == []
    odd, _ = ask(store, f"what is x{words}x", "an answer")
    assert [c.conversation_id for c in store.search(words)] == [odd]


def test_deleting_takes_turns_citations_and_words_along(store: ConversationStore, db: LibraryDb) -> None:
    conversation_id, turn_id = ask(store, "How much is the rent?", "940 euros.")
    store.end_turn(turn_id, answer_text="940 euros.", finish="stop", model="m", details={}, citations=[CITATION])
    assert store.delete(conversation_id)
    assert store.search("rent") == []
    for table in ("conversations", "turns", "citations"):
        assert db.connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    db.connection.execute("INSERT INTO turn_words (turn_words) VALUES ('integrity-check')")


def test_a_turn_that_ends_after_its_conversation_was_deleted_is_gone(store: ConversationStore) -> None:
    conversation_id, turn_id = ask(store, "q")
    store.delete(conversation_id)
    store.write_answer(turn_id, "late")
    store.end_turn(turn_id, answer_text="late", finish="stop", model="m", details={}, citations=[CITATION])
    assert store.turns(conversation_id) == []


def test_renaming_keeps_the_place_in_the_list(store: ConversationStore) -> None:
    first, _ = ask(store, "a", title="first")
    ask(store, "b", title="second")
    assert store.rename(first, "renamed")
    assert [c.title for c in store.latest()] == ["second", "renamed"]


def test_what_a_dead_process_left_running_is_interrupted_with_its_text(tmp_path: Path) -> None:
    file = tmp_path / "library.sqlite"
    with LibraryDb(file) as db:
        store = ConversationStore(db)
        conversation_id, turn_id = ask(store, "q1", "done")
        ask(store, "q2", conversation_id=conversation_id)
        store.write_answer(turn_id + 1, "half an ans")
    with LibraryDb(file) as db:
        store = ConversationStore(db)
        assert store.mark_interrupted() == 1
        assert [(t.finish, t.answer_text) for t in store.turns(conversation_id)] == [
            ("stop", "done"),
            ("interrupted", "half an ans"),
        ]
        assert store.mark_interrupted() == 0


def test_a_read_only_library_is_read_and_not_written(tmp_path: Path) -> None:
    file = tmp_path / "library.sqlite"
    with LibraryDb(file) as db:
        conversation_id, _ = ask(ConversationStore(db), "q", "a")
    with LibraryDb(file, read_only=True) as db:
        store = ConversationStore(db)
        assert store.read_only
        assert [t.answer_text for t in store.turns(conversation_id)] == ["a"]
        with pytest.raises(LibraryError) as refused:
            store.begin_turn("q", conversation_id=None, title="t")
        assert refused.value.hint
