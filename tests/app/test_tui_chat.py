"""The conversation: asking, streaming, stopping, failing, going on."""

from __future__ import annotations

import threading

from app.homebody_app import HomebodyApp
from app.messages import AnswerStep, IndexStep
from app.screens.text_modal import TextModal
from app.widgets.open_block import OpenBlock
from app.widgets.transcript import MOUNTED_TURNS
from models.errors import WeightsMissing
from pipelines.errors import SettingsInvalid
from pipelines.events import (
    EngineLoading,
    IndexProgress,
    Notice,
    PromptBuilt,
    PromptProgress,
    Retrieved,
    TextDelta,
)
from tests.app.fake_home import FakeHome, citation, done, sentence
from tests.app.tui_pilot import ask, flat_text, notices, opening, running, screen_text, settle, wait_until


async def test_the_first_frame_does_not_wait_for_the_library() -> None:
    home = FakeHome()
    may_open = threading.Event()

    def open_slowly() -> object:
        assert may_open.wait(20)
        return home

    app = HomebodyApp(open_slowly)  # type: ignore[arg-type]  # FakeHome is a Home by shape
    async with app.run_test(size=(80, 24)) as pilot:
        assert "Opening your library" in screen_text(app)
        assert app.focused is app.chat.composer
        await ask(pilot, "early question")
        await wait_until(pilot, lambda: "Waiting for the library" in screen_text(app))
        assert home.history == []
        may_open.set()
        await wait_until(pilot, lambda: home.history)
        await settle(pilot)
        assert home.history[0].question == "early question"
        assert "An answer." in screen_text(app)


async def test_an_answer_streams_and_ends_with_its_sources() -> None:
    home = FakeHome()
    gate = threading.Event()
    text = "The harbour was built in 1874. It cost 900 pounds."
    home.enqueue(
        EngineLoading("tiny-chat", "chat"),
        Retrieved((), 0.1),
        "The harbour ",
        gate,
        "was built in 1874. It cost 900 pounds.",
        done(
            text,
            sentences=[
                sentence(text, "The harbour was built in 1874.", 1, 2),
                sentence(text, "It cost 900 pounds.", supported=False, terms=("900",)),
            ],
            citations=[citation(2, "/files/b.txt", line=7), citation(1, "/files/a.md", line=3)],
        ),
    )
    async with running(home) as (app, pilot):
        await ask(pilot, "When was it built?")
        await wait_until(pilot, lambda: "The harbour" in app.chat.query_one(OpenBlock).text)
        assert "1874" not in screen_text(app)
        gate.set()
        await settle(pilot)
        shown = flat_text(app)
        assert "The harbour was built in 1874. [1][2]" in shown
        assert "It cost 900 pounds. (not in your files: 900)" in shown
        assert "1 sentence has no source" in shown
        assert shown.index("[1] /files/a.md · line 3") < shown.index("[2] /files/b.txt · line 7")
        assert "20.0 tokens/s" in shown
        assert home.history[0].question == "When was it built?"


async def test_each_phase_before_the_first_word_is_told() -> None:
    home = FakeHome()
    gates = [threading.Event() for _ in range(4)]
    home.enqueue(
        EngineLoading("tiny-chat", "chat"),
        gates[0],
        Retrieved((), 0.25),
        gates[1],
        PromptBuilt(6, 2, 0, 1400),
        gates[2],
        PromptProgress(700, 1400),
        gates[3],
        "words",
    )
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        for gate, phase in zip(
            gates,
            (
                "Loading tiny-chat for chat",
                "Nothing fitting in your files",
                "Reading 6 passages, 2 passages left out to stay quick",
                "Reading 1,400 tokens · 50 %",
            ),
            strict=True,
        ):
            await wait_until(pilot, lambda phase=phase: phase in screen_text(app))  # type: ignore[misc]  # bound now
            gate.set()
        await settle(pilot)
        assert "Reading 1,400" not in screen_text(app)


async def test_stopping_before_the_first_word_gives_the_question_back() -> None:
    home = FakeHome()
    home.enqueue(threading.Event(), "never said")
    async with running(home) as (app, pilot):
        await ask(pilot, "a long question")
        await wait_until(pilot, lambda: home.history)
        await pilot.press("escape")
        await settle(pilot)
        assert app.chat.composer.text == "a long question"
        assert app.chat.transcript.turns == []
        assert not app.chat.is_answering


async def test_stopping_later_keeps_what_was_written() -> None:
    home = FakeHome()
    home.enqueue("Half of", threading.Event(), " the answer")
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await wait_until(pilot, lambda: app.chat.transcript.turns[-1].text)
        await pilot.press("escape")
        await settle(pilot)
        shown = screen_text(app)
        assert "Half of" in shown
        assert "stopped by you" in shown
        assert app.chat.composer.text == ""


async def test_missing_weights_show_the_remedy_and_keep_the_app_up() -> None:
    home = FakeHome()
    home.enqueue("partial ", WeightsMissing("no chat.gguf", hint="run: homebody models pull"))
    async with running(home) as (app, pilot):
        await ask(pilot, "hi")
        await settle(pilot)
        shown = screen_text(app)
        assert "no chat.gguf" in shown
        assert "run: homebody models pull" in shown
        assert "partial" in shown
        assert app.chat.composer.text == "hi"
        assert app.is_running
        await pilot.press("enter")
        await settle(pilot)
        assert "An answer." in screen_text(app)


async def test_a_bug_in_a_worker_is_one_notice_and_the_app_goes_on() -> None:
    home = FakeHome()
    home.enqueue("some words ", ZeroDivisionError("a bug with [@click=app.quit]markup[/]"))
    async with running(home) as (app, pilot):
        await ask(pilot, "hi")
        await wait_until(pilot, lambda: isinstance(app.screen, TextModal))
        await settle(pilot)
        assert "ZeroDivisionError: a bug with [@click=app.quit]markup[/]" in screen_text(app)
        await pilot.press("escape")
        await settle(pilot)
        assert app.chat.composer.text == "hi"
        assert not app.chat.is_answering
        await pilot.press("enter")
        await settle(pilot)
        assert "An answer." in screen_text(app)


async def test_a_second_question_waits_in_the_composer() -> None:
    home = FakeHome()
    gate = threading.Event()
    home.enqueue("slow", gate)
    async with running(home) as (app, pilot):
        await ask(pilot, "first")
        await wait_until(pilot, lambda: home.history)
        await ask(pilot, "second")
        await pilot.pause()
        assert app.chat.composer.text == "second"
        assert "still being written" in notices(app)
        gate.set()
        await settle(pilot)
        assert [turn.question for turn in home.history] == ["first"]


async def test_follow_up_and_ask_again_stay_in_the_conversation_and_new_leaves_it() -> None:
    home = FakeHome()
    async with running(home) as (app, pilot):
        await ask(pilot, "one")
        await settle(pilot)
        await pilot.press("ctrl+r")
        await settle(pilot)
        await pilot.press("ctrl+n")
        await settle(pilot)
        assert app.chat.transcript.turns == []
        await ask(pilot, "two")
        await settle(pilot)
        assert [(turn.question, turn.conversation_id) for turn in home.history] == [
            ("one", None),
            ("one", 7),
            ("two", None),
        ]


async def test_a_new_conversation_stops_the_answer_and_does_not_show_it() -> None:
    home = FakeHome()
    home.enqueue("old words", threading.Event(), " more old words")
    async with running(home) as (app, pilot):
        await ask(pilot, "old")
        await wait_until(pilot, lambda: app.chat.transcript.turns[-1].text)
        await pilot.press("ctrl+n")
        await ask(pilot, "new")
        await settle(pilot)
        await wait_until(pilot, lambda: len(home.history) == 2 and not app.chat.is_answering)
        await settle(pilot)
        shown = screen_text(app)
        assert "old words" not in shown
        assert "An answer." in shown
        assert home.history[1].conversation_id is None


async def test_a_notice_stays_with_its_answer() -> None:
    home = FakeHome()
    home.enqueue(Notice("2 older turns did not fit", hint="start a new conversation"), "Words.")
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        shown = screen_text(app)
        assert "2 older turns did not fit" in shown
        assert "start a new conversation" in shown


async def test_files_that_say_nothing_are_said_to() -> None:
    home = FakeHome()
    text = "Your files don't say."
    home.enqueue(done(text, found_nothing=True))
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        shown = screen_text(app)
        assert text in shown
        assert "no source" not in shown


async def test_copying_takes_the_answer_with_its_sources() -> None:
    home = FakeHome()
    text = "It was built in 1874."
    home.enqueue(done(text, sentences=[sentence(text, text, 1)], citations=[citation(1)]))
    async with running(home) as (app, pilot):
        await pilot.press("ctrl+y")
        assert app.clipboard == ""
        await ask(pilot, "q")
        await settle(pilot)
        await pilot.press("ctrl+y")
        assert app.clipboard == f"{text}\n\nSources:\n[1] /files/harbour.md, line 12"
        assert "Copied" in notices(app)


async def test_reading_further_up_is_not_disturbed_by_new_words() -> None:
    home = FakeHome()
    gate = threading.Event()
    home.enqueue("\n\n".join(f"Paragraph {n}." for n in range(40)), gate, "\n\nThe last words.")
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await wait_until(pilot, lambda: app.chat.transcript.max_scroll_y > 20)
        await pilot.pause()
        assert app.chat.transcript.scroll_y == app.chat.transcript.max_scroll_y
        await pilot.press("ctrl+pageup")
        await pilot.pause()
        reading_at = app.chat.transcript.scroll_y
        gate.set()
        await settle(pilot)
        assert app.chat.transcript.scroll_y == reading_at < app.chat.transcript.max_scroll_y


async def test_a_long_conversation_keeps_a_bounded_number_of_turns_mounted() -> None:
    home = FakeHome()
    long_id = home.conversations.add("Long", [(f"question {n}", f"answer {n}") for n in range(MOUNTED_TURNS + 10)])
    async with running(home) as (app, pilot):
        app.chat.resume(long_id, "Long")
        await settle(pilot)
        assert len(app.chat.transcript.turns) == MOUNTED_TURNS
        app.chat.transcript.scroll_home(animate=False)
        await pilot.pause()
        assert "10 earlier turns" in screen_text(app)
        await pilot.press("f5")
        await settle(pilot)
        assert [turn.question for turn in app.chat.transcript.turns][:2] == ["question 0", "question 1"]
        for _ in range(6):
            await ask(pilot, "more")
            await settle(pilot)
        assert len(app.chat.transcript.turns) < MOUNTED_TURNS * 2
        app.chat.transcript.scroll_home(animate=False)
        await pilot.pause()
        assert "earlier turns" in screen_text(app)


async def test_a_library_that_cannot_be_opened_is_said_with_its_way_out() -> None:
    def refuse() -> object:
        raise SettingsInvalid("models.chat.contxt_tokens: unknown key", hint="correct settings.toml")

    app = HomebodyApp(refuse)  # type: ignore[arg-type]  # never returns one
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: "unknown key" in screen_text(app))
        assert "correct settings.toml" in screen_text(app)
        assert app.is_running


async def test_what_is_missing_and_read_only_is_said_before_the_first_question() -> None:
    home = FakeHome()
    home.missing = (Notice("No chat model is installed.", hint="homebody models pull --for chat"),)
    home.read_only = "Another homebody (pid 4242) is writing to this library."
    async with running(home) as (app, _):
        shown = screen_text(app)
        assert "homebody models pull --for chat" in shown
        assert "pid 4242" in shown
        assert "no chat model" in shown


async def test_the_status_bar_names_a_model_that_is_loading_once() -> None:
    async with running(FakeHome(), size=(80, 24)) as (app, pilot):
        await settle(pilot)
        app.chat.status.activity = "loading tiny-chat"
        await wait_until(pilot, lambda: "loading  tiny-chat · CPU, 2 threads" in screen_text(app).splitlines()[0])
        app.chat.status.activity = "loading another"
        await wait_until(pilot, lambda: "loading another  tiny-chat · CPU" in screen_text(app).splitlines()[0])


async def test_the_status_bar_names_model_and_device() -> None:
    async with running(FakeHome()) as (app, _):
        assert "tiny-chat · CPU, 2 threads" in screen_text(app).splitlines()[0]


async def test_what_homebody_opened_is_closed_once() -> None:
    home = FakeHome()
    async with running(home) as (app, pilot):
        await pilot.press("ctrl+q")
        await pilot.pause()
        assert not app.is_running or app._exit
    assert home.closed == 0  # run_app closes it, when the screen is gone
    assert opening(home)() is home


def test_only_progress_replaces_progress_of_the_same_turn() -> None:
    half = AnswerStep(1, PromptProgress(1, 2), is_progress=True)
    whole = AnswerStep(1, PromptProgress(2, 2), is_progress=True)
    other = AnswerStep(2, PromptProgress(2, 2), is_progress=True)
    notice = AnswerStep(1, Notice("left out"))
    assert whole.can_replace(half)
    assert not other.can_replace(half)
    assert not whole.can_replace(notice)
    assert not notice.can_replace(half)
    reading = IndexStep(IndexProgress("reading", 1, 2), is_progress=True)
    assert IndexStep(IndexProgress("reading", 2, 2), is_progress=True).can_replace(reading)
    assert TextDelta("a") == TextDelta("a")
