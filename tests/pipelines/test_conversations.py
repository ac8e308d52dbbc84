"""Saved conversations as the app sees them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.conversations import SavedConversations, Sources, conversation_title, marked_answer
from pipelines.errors import NoSuchConversation
from pipelines.home import Conversations
from pipelines.turn import CheckedSentence, Turn
from rag.conversation_store import ConversationStore
from rag.errors import LibraryLocked
from rag.library_db import LibraryDb
from tests.pipelines.answer_bench import RENT, Bench, hit


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.search.hits = [hit(RENT, "/home/me/lease.pdf", cosine=0.6)]
    yield made
    made.db.close()


def ask_about_rent(bench: Bench) -> int:
    bench.chat.enqueue("The rent is 940 euros. The landlord is Herbert Kranz.")
    conversation_id = bench.ask("How much is\nthe rent?").conversation_id
    assert conversation_id is not None
    return conversation_id


def test_they_satisfy_what_the_app_expects(bench: Bench) -> None:
    conversations: Conversations = bench.conversations
    conversation_id = ask_about_rent(bench)
    (summary,) = conversations.list()
    assert (summary.conversation_id, summary.title, summary.turns) == (conversation_id, "How much is the rent?", 1)
    assert conversations.search("kranz") == [summary]
    assert conversations.search("zebra") == []


def test_a_turn_comes_back_with_its_marks_and_citations(bench: Bench) -> None:
    (turn,) = bench.conversations.turns(ask_about_rent(bench))
    assert turn.model == "scripted"
    assert [(each.supported, each.unsupported_terms) for each in turn.sentences] == [
        (True, ()),
        (False, ("Herbert Kranz",)),
    ]
    assert turn.citations[0].path == "/home/me/lease.pdf"
    assert [each.quote for each in turn.sentences[0].evidence] == [turn.citations[0].quote]
    assert turn.timings is not None
    assert turn.timings.decode_tokens > 0
    assert not turn.found_nothing


def test_an_answer_that_found_nothing_comes_back_as_one(bench: Bench) -> None:
    bench.search.hits = []
    conversation_id = bench.ask("Who wrote the opera?").conversation_id
    assert conversation_id is not None
    (turn,) = bench.conversations.turns(conversation_id)
    assert turn.found_nothing


def test_history_is_what_the_model_saw(bench: Bench) -> None:
    (past,) = bench.conversations.history(ask_about_rent(bench))
    assert past.user_message in bench.chat.last_prompt
    assert RENT in past.user_message
    assert [passage.text for passage in past.passages] == [RENT]
    assert past.search_query == "How much is\nthe rent?"


def test_the_export_is_a_document_with_sources_and_marks(bench: Bench) -> None:
    conversation_id = ask_about_rent(bench)
    stop = threading.Event()
    bench.chat.enqueue("It is", stop.set, " due soon.")
    bench.events(Turn("When is the rent due?", conversation_id), stop)
    document = bench.conversations.export_markdown(conversation_id)
    assert document.startswith("# How much is the rent?\n")
    assert "> How much is\n> the rent?\n" in document
    assert "The rent is 940 euros. [1] The landlord is Herbert Kranz. [no source]" in document
    assert "[1] /home/me/lease.pdf, line 3: “The monthly rent is 940 euros" in document
    assert "*(stopped)*" in document


def test_renaming_and_deleting(bench: Bench) -> None:
    conversation_id = ask_about_rent(bench)
    bench.conversations.rename(conversation_id, "  The   lease\n")
    assert bench.conversations.list()[0].title == "The lease"
    bench.conversations.delete(conversation_id)
    assert bench.conversations.list() == []


def test_deleting_has_the_engines_forget_too(bench: Bench) -> None:
    conversation_id = ask_about_rent(bench)
    forgotten: list[str] = []
    conversations = SavedConversations(bench.store, forget_prompts=lambda: forgotten.append("prompts"))
    with pytest.raises(NoSuchConversation):
        conversations.delete(conversation_id + 1)
    assert forgotten == []
    conversations.delete(conversation_id)
    assert forgotten == ["prompts"]


@pytest.mark.parametrize("what", ["turns", "rename", "delete", "export_markdown", "history"])
def test_an_id_that_is_none_is_said(bench: Bench, what: str) -> None:
    arguments = (99, "x") if what == "rename" else (99,)
    with pytest.raises(NoSuchConversation, match="99") as refused:
        getattr(bench.conversations, what)(*arguments)
    assert refused.value.hint


def test_a_dead_process_leaves_an_interrupted_turn_with_its_text(bench: Bench, tmp_path: Path) -> None:
    running = bench.conversations.begin("How much is the rent?", None)
    running.asks("the whole prompt", Sources(), search_query="rent", model="m")
    running.has_said("The rent is")
    bench.db.close()  # what is left when the process is killed here
    with LibraryDb(tmp_path / "library.sqlite") as db:
        again = SavedConversations(ConversationStore(db))
        assert again.interrupted_turns == 1
        (turn,) = again.turns(running.conversation_id)
        assert (turn.finish, turn.answer_text) == ("interrupted", "The rent is")
        assert again.history(running.conversation_id)[0].user_message == "the whole prompt"
        assert "homebody ended before the answer did" in again.export_markdown(running.conversation_id)


def test_a_reader_changes_nothing_not_even_what_is_running(bench: Bench, tmp_path: Path) -> None:
    running = bench.conversations.begin("How much is the rent?", None)
    with LibraryDb(tmp_path / "library.sqlite", read_only=True) as db:
        reading = SavedConversations(ConversationStore(db))
        assert reading.turns(running.conversation_id)[0].finish == "running"
        with pytest.raises(LibraryLocked) as refused:
            reading.delete(running.conversation_id)
        assert refused.value.hint
        with pytest.raises(LibraryLocked):
            reading.rename(running.conversation_id, "x")


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("short", "short"),
        ("  two\n lines ", "two lines"),
        ("", "Untitled"),
        ("word " * 40, "word word word word word word word word word word word word…"[:60]),
        ("x" * 100, "x" * 59 + "…"),
    ],
)
def test_titles(question: str, title: str) -> None:
    made = conversation_title(question)
    assert len(made) <= 60
    assert made == title or (len(question) > 100 and made.endswith("word…"))


def test_marks_stand_behind_their_sentences() -> None:
    text = "A. B.\nC."
    sentences = [CheckedSentence(0, 2, (1, 2), True), CheckedSentence(3, 5, (), False), CheckedSentence(6, 8, (), True)]
    assert marked_answer(text, sentences) == "A. [1][2] B. [no source]\nC."
