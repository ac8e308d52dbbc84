"""Answering with a scripted model: what is said, what is saved, and when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.chat import TextDelta
from models.errors import EngineFailed
from pipelines.answer import NOTHING_FOUND
from pipelines.errors import EmptyQuestion, FileNotUsable, NoSuchConversation, QueryNotUnderstood
from pipelines.events import AnswerDone, AnswerEvent, EngineLoading, PromptBuilt, Retrieved, TurnStarted
from pipelines.prompt import INSTRUCTION
from pipelines.settings import AnswerSettings, ChatSettings, Settings
from pipelines.turn import Attachment, Turn
from rag.errors import EmbedderMismatch
from tests.fakes import ScriptedChatModel
from tests.pipelines.answer_bench import BIKE, RENT, Bench, answer_of, hit, notices_of


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.db.close()


def text_of(events: list[AnswerEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_a_question_is_answered_from_a_passage_and_cites_it(bench: Bench) -> None:
    bench.search.hits = [hit(RENT, "/home/me/lease.pdf", chunk_id=7)]
    bench.chat.enqueue("The rent is 940 euros.")
    events = bench.events(Turn("How much is the rent?"))
    answer = answer_of(events)
    assert text_of(events) == answer.text == "The rent is 940 euros."
    assert answer.grounded
    assert answer.finish == "stop"
    (citation,) = answer.citations
    assert (citation.n, citation.chunk_id, citation.path, citation.supported) == (1, 7, "/home/me/lease.pdf", True)
    assert "940 euros" in citation.quote
    assert answer.sentences[0].citations == (1,)
    kinds = [type(event) for event in events]
    assert kinds[:3] == [TurnStarted, Retrieved, PromptBuilt]
    assert kinds[-1] is AnswerDone
    assert "[Passage 1: lease.pdf, line 3]\nThe monthly rent" in bench.chat.last_prompt


def test_an_invented_number_is_marked(bench: Bench) -> None:
    bench.search.hits = [hit(RENT)]
    bench.chat.enqueue("The rent is 980 euros.")
    answer = bench.ask("How much is the rent?")
    assert not answer.grounded
    assert answer.sentences[0].unsupported_terms == ("980",)


@pytest.mark.parametrize("question", ["", "  \n\t "])
def test_an_empty_question_is_refused_and_leaves_nothing(bench: Bench, question: str) -> None:
    with pytest.raises(EmptyQuestion) as refused:
        bench.events(Turn(question))
    assert refused.value.hint
    assert bench.conversations.list() == []


def test_an_unknown_conversation_is_refused(bench: Bench) -> None:
    with pytest.raises(NoSuchConversation):
        bench.events(Turn("How much is the rent?", conversation_id=77))


# Nothing found


def test_when_nothing_fits_the_program_says_so_without_a_model(bench: Bench) -> None:
    bench.search.hits = [hit(BIKE, cosine=0.05)]
    answer = bench.ask("What is the capital of Peru?")
    assert answer.text == NOTHING_FOUND
    assert answer.found_nothing
    assert answer.citations == ()
    assert bench.chat.history == []
    (turn,) = bench.conversations.turns(answer.conversation_id or 0)
    assert (turn.answer_text, turn.finish) == (NOTHING_FOUND, "stop")


def test_an_empty_library_names_the_command(bench: Bench) -> None:
    bench.library_is_empty = True
    events = bench.events(Turn("How much is the rent?"))
    assert notices_of(events) == ["No file has been indexed yet."]
    assert answer_of(events).found_nothing


def test_the_model_may_say_that_the_files_dont(bench: Bench) -> None:
    bench.search.hits = [hit(RENT)]
    bench.chat.enqueue("Your files don't say.")
    answer = bench.ask("Who is my landlord, and how much is the rent?")
    assert answer.found_nothing
    assert answer.citations == ()


@pytest.mark.parametrize("written", [(), (" \n",)])
def test_an_empty_answer_is_said(bench: Bench, written: tuple[str, ...]) -> None:
    bench.search.hits = [hit(RENT)]
    bench.chat.enqueue(*written)
    events = bench.events(Turn("How much is the rent?"))
    assert notices_of(events) == ["scripted wrote no answer."]
    assert answer_of(events).citations == ()
    assert isinstance(events[-1], AnswerDone)


@pytest.mark.parametrize("talk", ["hello", "Thanks!", "who are you?", "tell me a joke"])
def test_talk_searches_nothing_and_cites_nothing(bench: Bench, talk: str) -> None:
    bench.search.hits = [hit(RENT, cosine=0.9)]
    bench.chat.enqueue("Hello! How can I help you?")
    answer = bench.ask(talk)
    assert bench.search.history == []
    assert answer.citations == ()
    assert answer.grounded
    assert not answer.found_nothing
    assert bench.chat.last_prompt.endswith(f"user: {talk}")


def test_without_the_library_the_model_just_talks(bench: Bench) -> None:
    bench.search.hits = [hit(RENT, cosine=0.9)]
    bench.chat.enqueue("Lima.")
    events = bench.events(Turn("What is the capital of Peru?", use_library=False))
    assert bench.search.history == []
    assert answer_of(events).text == "Lima."
    assert not answer_of(events).grounded, "no source says so"


# Conversations


def test_a_follow_up_repeats_the_prompt_and_adds_to_its_end(bench: Bench) -> None:
    bench.search.hits = [hit(BIKE, cosine=0.6)]
    bench.chat.enqueue("On 14 May 2022.")
    bench.chat.enqueue("It cost 1,249 euros.")
    first = bench.ask("When did I buy the bike?")
    second = bench.ask("and how much was it?", first.conversation_id)
    assert bench.search.history == ["When did I buy the bike?", "and how much was it? buy bike"]
    assert bench.chat.history[1][: len(bench.chat.history[0])] == bench.chat.history[0]
    assert bench.chat.last_prompt.count("[Passage 1") == 1, "the passage is in the older turn: not again"
    assert second.grounded, "and the older turn's passage supports the answer"
    assert second.citations[0].quote == "It cost 1,249.00 EUR with the rack."
    new_tokens = second.timings.prompt_tokens - second.timings.cached_tokens
    assert new_tokens <= bench.chat.count_tokens(f"{INSTRUCTION}and how much was it?") + 4


def test_a_follow_up_is_not_drawn_away_by_what_fits_its_words_alone(bench: Bench) -> None:
    rent, other = hit(RENT, chunk_id=1, cosine=0.5), hit("The next vaccination is due in May.", chunk_id=2, cosine=0.55)
    bench.search.hits = [rent]
    bench.chat.enqueue("The rent is 940 euros.")
    bench.chat.enqueue("On the third working day.")
    bench.chat.enqueue("In May.")
    first = bench.ask("How much is the rent?")
    bench.search.hits = [other, rent]
    bench.ask("And when is it due?", first.conversation_id)
    assert "vaccination" not in bench.chat.last_prompt
    bench.search.hits = [hit(other.chunk.text, chunk_id=2, cosine=0.7), rent]
    bench.ask("And when is her vaccination due?", first.conversation_id)
    assert "vaccination is due in May" in bench.chat.last_prompt, "clearly nearer: it is the new matter"


def test_a_new_matter_that_nothing_fits_is_not_left_to_the_model(bench: Bench) -> None:
    bench.search.hits = [hit(BIKE, cosine=0.6)]
    bench.chat.enqueue("On 14 May 2022.")
    first = bench.ask("When did I buy the bike?")
    bench.search.hits = []
    assert bench.ask("What is the capital of Peru?", first.conversation_id).text == NOTHING_FOUND
    bench.chat.enqueue("At Lindner.")
    assert bench.ask("Where did it happen?", first.conversation_id).text == "At Lindner.", "leans on the conversation"


def test_talk_about_the_last_answer_is_checked_against_its_passages(bench: Bench) -> None:
    bench.search.hits = [hit(RENT, cosine=0.7)]
    bench.chat.enqueue("The rent is 940 euros.")
    bench.chat.enqueue("The monthly rent: 940 euros.")
    first = bench.ask("How much is the rent?")
    again = bench.ask("Say that again, please", first.conversation_id)
    assert again.grounded
    assert again.citations[0].n == 1


def test_turns_are_numbered_in_one_conversation(bench: Bench) -> None:
    bench.search.hits = [hit(RENT, cosine=0.7)]
    bench.chat.enqueue("The rent is 940 euros.")
    bench.chat.enqueue("Two months' rent.")
    first = bench.ask("How much is the rent?")
    bench.ask("And the deposit?", first.conversation_id)
    assert first.conversation_id is not None
    saved = bench.conversations.turns(first.conversation_id)
    assert [turn.question for turn in saved] == ["How much is the rent?", "And the deposit?"]
    assert saved[0].citations == first.citations
    assert saved[0].sentences == first.sentences
    assert [(c.title, c.turns) for c in bench.conversations.list()] == [("How much is the rent?", 2)]


# Saving


def test_the_question_is_saved_before_the_model_is_asked(bench: Bench) -> None:
    bench.search.hits = [hit(RENT)]
    seen: list[str] = []

    def look() -> None:
        (conversation,) = bench.conversations.list()
        seen.extend(turn.question for turn in bench.conversations.turns(conversation.conversation_id))

    bench.chat.enqueue(look, "The rent is 940 euros.")
    bench.ask("How much is the rent?")
    assert seen == ["How much is the rent?"]


def test_the_answer_is_saved_by_time_while_it_streams(bench: Bench) -> None:
    bench.search.hits = [hit(RENT)]
    saved: list[str] = []

    def look() -> None:
        (conversation,) = bench.conversations.list()
        saved.append(bench.store.turns(conversation.conversation_id)[0].answer_text)

    def a_second_passes() -> None:
        bench.clock.advance(1.0)

    bench.chat.enqueue("The rent", look, a_second_passes, " is 940", look, " euros", look, a_second_passes, ".", look)
    bench.ask("How much is the rent?")
    assert saved == ["", "The rent is", "The rent is", "The rent is 940 euros."]


def test_a_stopped_answer_is_kept_and_still_ends_with_answer_done(bench: Bench) -> None:
    bench.search.hits = [hit(RENT)]
    stop = threading.Event()
    bench.chat.enqueue("The rent is", stop.set, " 940 euros.")
    events = bench.events(Turn("How much is the rent?"), stop)
    answer = answer_of(events)
    assert (answer.text, answer.finish) == ("The rent is", "stopped")
    (turn,) = bench.conversations.turns(answer.conversation_id or 0)
    assert (turn.answer_text, turn.finish) == ("The rent is", "stopped")


def test_stopped_before_the_model_was_reached(bench: Bench) -> None:
    bench.search.hits = [hit(RENT)]
    stop = threading.Event()
    stop.set()
    answer = answer_of(bench.events(Turn("How much is the rent?"), stop))
    assert (answer.text, answer.finish, bench.chat.history) == ("", "stopped", [])


def test_closing_the_iterator_keeps_what_was_said(bench: Bench) -> None:
    bench.search.hits = [hit(RENT)]
    bench.chat.enqueue("The rent is 940 euros.")
    bench.chat.enqueue("Again.")
    events = bench.pipeline.answer(Turn("How much is the rent?"), threading.Event())
    for event in events:
        if isinstance(event, TextDelta):
            break
    events.close()  # type: ignore[attr-defined]  # it is a generator
    (conversation,) = bench.conversations.list()
    (turn,) = bench.conversations.turns(conversation.conversation_id)
    assert (turn.answer_text, turn.finish) == ("The", "stopped")
    assert bench.ask("How much is the rent?").text == "Again.", "the model is free again"


def test_a_failing_model_marks_the_turn_and_keeps_the_text(bench: Bench) -> None:
    bench.search.hits = [hit(RENT)]
    bench.chat.enqueue("The rent is", EngineFailed("the engine broke", hint="again"))
    with pytest.raises(EngineFailed):
        bench.events(Turn("How much is the rent?"))
    (conversation,) = bench.conversations.list()
    (turn,) = bench.conversations.turns(conversation.conversation_id)
    assert (turn.answer_text, turn.finish) == ("The rent is", "failed")


def test_a_failing_search_marks_the_turn(bench: Bench) -> None:
    bench.search.error = EmbedderMismatch("another embedder", hint="homebody index --reembed")
    with pytest.raises(EmbedderMismatch):
        bench.events(Turn("How much is the rent?"))
    (conversation,) = bench.conversations.list()
    assert bench.conversations.turns(conversation.conversation_id)[0].finish == "failed"


def test_a_turn_that_is_not_to_be_saved_is_not(bench: Bench) -> None:
    bench.search.hits = [hit(RENT)]
    bench.chat.enqueue("The rent is 940 euros.")
    answer = answer_of(bench.events(Turn("How much is the rent?", save=False)))
    assert answer.turn_id is None
    assert bench.conversations.list() == []


def test_a_read_only_home_answers_and_says_that_it_does_not_save(tmp_path: Path) -> None:
    bench = Bench(tmp_path, read_only=True)
    bench.search.hits = [hit(RENT)]
    bench.chat.enqueue("The rent is 940 euros.")
    events = bench.events(Turn("How much is the rent?"))
    assert answer_of(events).grounded
    assert notices_of(events) == ["This conversation is not saved: another homebody has the library open."]
    assert bench.conversations.list() == []
    bench.db.close()


# Timings, engines


def test_times_are_those_of_the_clock_and_the_engine(bench: Bench) -> None:
    bench.search.hits = [hit(RENT)]
    bench.chat.enqueue(lambda: bench.clock.advance(2.0), "The rent is", lambda: bench.clock.advance(3.0), " 940 euros.")
    timings = bench.ask("How much is the rent?").timings
    assert timings.ttft_s == pytest.approx(2.0)
    assert timings.total_s == pytest.approx(5.0)
    assert timings.decode_tokens == 6
    assert timings.decode_tokens_per_s == pytest.approx(bench.chat.decode_tokens_per_s)


def test_loading_is_said_before_it_happens(bench: Bench) -> None:
    bench.search.hits = [hit(RENT)]
    bench.chat_to_load = "qwen"
    bench.chat.enqueue("The rent is 940 euros.")
    events = bench.events(Turn("How much is the rent?"))
    assert EngineLoading("qwen", "chat") in events
    assert [type(e) for e in events].index(EngineLoading) < [type(e) for e in events].index(PromptBuilt)


def test_the_answer_is_cut_at_the_turns_own_limit(bench: Bench) -> None:
    bench.search.hits = [hit(RENT)]
    bench.chat.enqueue("The rent is 940 euros.")
    answer = answer_of(bench.events(Turn("How much is the rent?", max_tokens=3)))
    assert (answer.text, answer.finish) == ("The rent is", "length")


# Filters in the question


def test_filters_choose_the_files_and_are_not_asked_of_the_model(bench: Bench) -> None:
    bench.search.hits = [hit(RENT)]
    bench.chat.enqueue("The rent is 940 euros.")
    answer = bench.ask("How much is the rent kind:pdf in:/home/me -draft?")
    assert bench.search.history == ["How much is the rent?"]
    (place,) = bench.search.places
    assert place.filters.suffixes == {".pdf"}
    assert place.filters.folders == ("/home/me",)
    assert place.without == ("draft",)
    assert bench.chat.last_prompt.endswith("How much is the rent?")
    assert "kind:" not in bench.chat.last_prompt
    assert answer.conversation_id is not None
    assert bench.conversations.turns(answer.conversation_id)[0].question.endswith("-draft?")


def test_a_follow_up_stays_in_the_place_of_its_question(bench: Bench) -> None:
    bench.search.hits = [hit(RENT)]
    for said in ("The rent is 940 euros.", "It is due on the third working day.", "No.", "The deposit is two months."):
        bench.chat.enqueue(said)
    first = bench.ask('How much is the "monthly rent" kind:pdf?')
    bench.ask("And when is it due?", first.conversation_id)
    bench.ask("And is it late?", first.conversation_id)
    bench.ask("How large is the deposit of the flat in the harbour street?", first.conversation_id)
    assert [bool(place.filters) for place in bench.search.places] == [True, True, True, False]
    assert [place.phrases for place in bench.search.places] == [("monthly rent",), (), (), ()]


def test_a_question_that_only_names_files_is_about_those(bench: Bench) -> None:
    bench.search.hits = [hit(RENT, cosine=None)]
    bench.chat.enqueue("The rent is 940 euros.")
    bench.ask("Summarise kind:pdf after:2025-01")
    assert bench.search.history == [""]
    assert "940 euros" in bench.chat.last_prompt


def test_nothing_found_where_the_filters_look_is_said(bench: Bench) -> None:
    events = bench.events(Turn("How much is the rent kind:pdf?"))
    assert any("filters" in notice for notice in notices_of(events))
    assert answer_of(events).found_nothing


def test_a_filter_that_makes_no_sense_is_refused_before_anything_is_saved(bench: Bench) -> None:
    with pytest.raises(QueryNotUnderstood, match="no date"):
        bench.ask("How much is the rent after:soon?")
    with pytest.raises(EmptyQuestion, match="filters"):
        bench.ask("kind:pdf")
    assert bench.conversations.list() == []


def test_without_the_library_nothing_is_a_filter(bench: Bench) -> None:
    bench.chat.enqueue("Nothing.")
    bench.events(Turn("What does after:soon mean?", use_library=False))
    assert bench.chat.last_prompt.endswith("What does after:soon mean?")


# Attachments and long questions


def test_a_short_attachment_is_read_whole_and_cited_by_line(bench: Bench) -> None:
    bench.chat.enqueue("The deposit is two months' rent.")
    attached = Attachment(
        "lease.txt", "Terms of the lease.\n\nThe rent is 940 euros.\nThe deposit is two months' rent.\n"
    )
    events = bench.events(Turn("How much is the deposit?", attachments=(attached,), use_library=False))
    answer = answer_of(events)
    assert notices_of(events) == []
    assert "[Passage 1: lease.txt, line 1]\nTerms of the lease." in bench.chat.last_prompt
    (citation,) = answer.citations
    assert (citation.chunk_id, citation.path, citation.locator.line) == (None, "lease.txt", 4)


def test_a_long_attachment_is_searched_and_that_is_said(bench: Bench) -> None:
    bench.prefill_tokens_per_s = 30.0
    lines = [f"Entry {n}: the weather was mild and nothing happened in the garden." for n in range(200)]
    lines[140] = "Entry 140: the plumber replaced the valve and took 85 euros."
    bench.chat.enqueue("The plumber took 85 euros.")
    events = bench.events(
        Turn("What did the plumber take?", attachments=(Attachment("diary.txt", "\n".join(lines)),), use_library=False)
    )
    answer = answer_of(events)
    (notice,) = notices_of(events)
    assert notice.startswith("diary.txt: ")
    assert "passages are read" in notice
    assert answer.grounded
    assert answer.citations[0].locator.line == 141
    assert answer.timings.prompt_tokens < 500


def test_an_attachment_of_one_passage_is_not_said_to_be_read_in_part(bench: Bench) -> None:
    bench.prefill_tokens_per_s = 0.5
    bench.chat.enqueue("The rent is 940 euros.")
    attached = Attachment("lease.txt", "The rent is 940 euros.")
    events = bench.events(Turn("How much is the rent?", attachments=(attached,), use_library=False))
    assert "The rent is 940 euros." in bench.chat.last_prompt
    assert notices_of(events) == []


def test_a_question_of_a_hundred_thousand_words_is_searched_not_read(bench: Bench) -> None:
    bench.prefill_tokens_per_s = 30.0
    filler = "\n\n".join(f"Paragraph {n} is about nothing much." for n in range(16_000))
    question = f"{filler}\n\nThe treasure lies under the oak.\n\n{filler}\n\nWhere does the treasure lie?"
    assert len(question.split()) > 100_000
    bench.chat.enqueue("The treasure lies under the oak.")
    events = bench.events(Turn(question, use_library=False))
    answer = answer_of(events)
    assert any("long text" in notice for notice in notices_of(events))
    assert bench.chat.last_prompt.endswith("Question: Where does the treasure lie?")
    assert answer.grounded
    assert answer.citations[0].path == "the pasted text"


def test_an_attachment_without_text_is_refused(bench: Bench) -> None:
    with pytest.raises(FileNotUsable, match="standard input"):
        bench.events(Turn("What changed?", attachments=(Attachment("standard input", " \n"),)))


def test_a_context_too_small_for_the_history_drops_old_turns_and_says_so(tmp_path: Path) -> None:
    settings = Settings(chat=ChatSettings(max_tokens=50, context_tokens=512), answer=AnswerSettings(passages=2))
    bench = Bench(tmp_path, settings=settings, chat=ScriptedChatModel(context_tokens=512))
    conversation_id: int | None = None
    dropped: list[int] = []
    said: list[bool] = []
    for n in range(12):
        bench.search.hits = [
            hit(f"Entry {n}: " + "the river rose by some centimetres again " * 5, chunk_id=n, cosine=0.9)
        ]
        bench.chat.enqueue(f"In entry {n} the river rose.")
        events = bench.events(Turn(f"What about the river in entry {n}?", conversation_id))
        conversation_id = answer_of(events).conversation_id
        dropped.extend(event.turns_left_out for event in events if isinstance(event, PromptBuilt))
        said.append(any("no longer read" in text for text in notices_of(events)))
    assert dropped[0] == 0
    assert dropped == sorted(dropped), "what was dropped stays dropped"
    assert dropped[-1] > 0
    hops = [n for n in range(1, 12) if dropped[n] > dropped[n - 1]]
    assert said == [n in hops for n in range(12)]
    assert all(dropped[n] - dropped[n - 1] >= 2 for n in hops), "in large hops"
    bench.db.close()
