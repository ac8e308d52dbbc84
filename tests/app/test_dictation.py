"""Dictation in the terminal UI: a key begins and ends it, words appear where the cursor is, nothing is sent."""

from __future__ import annotations

import threading

import pytest
from textual import events

from app.widgets.composer import Composer
from app.widgets.microphone import REPEAT_S, HeldKey, MicrophoneLine
from pipelines.dictate import Dictated, DictationDone, Listening
from pipelines.errors import WeightsMissing
from tests.app.fake_home import FakeHome
from tests.app.tui_pilot import notices, running, screen_text, wait_until


def test_a_key_that_is_pressed_twice_and_one_that_is_held() -> None:
    now_s = 0.0
    key = HeldKey(lambda: now_s)
    assert key.press(is_running=False) == "start"
    now_s = 5.0
    assert not key.was_released
    assert key.press(is_running=True) == "stop"
    now_s = 20.0
    assert key.press(is_running=False) == "start"
    for _ in range(30):
        now_s += 0.03 if now_s > 20.4 else 0.5
        assert key.press(is_running=True) == "hold"
        assert not key.was_released
    now_s += REPEAT_S
    assert key.was_released


async def test_words_appear_where_the_cursor_is_and_can_be_changed_before_they_are_sent() -> None:
    said = threading.Event()
    home = FakeHome()
    home.spoken = [
        Listening(0.5, 1.2),
        Dictated("when was the harbor"),
        said,
        Dictated("When was the harbour built?"),
        DictationDone("When was the harbour built?", "stop"),
    ]
    async with running(home) as (app, pilot):
        composer = app.screen.query_one(Composer)
        await pilot.press(*"so")
        await pilot.press("f6")
        await wait_until(pilot, lambda: composer.text == "so when was the harbor")
        line = app.screen.query_one(MicrophoneLine)
        assert line.display
        assert "0:01" in screen_text(app)
        await pilot.press("x", "enter")
        assert composer.text == "so when was the harbor"
        said.set()
        await wait_until(pilot, lambda: not line.display)
        assert composer.text == "so When was the harbour built?"
        assert home.dictations == 1
        assert not home.history
        await pilot.press("backspace", "!")
        assert composer.text == "so When was the harbour built!"


async def test_nothing_else_can_be_written_meanwhile() -> None:
    said = threading.Event()
    home = FakeHome()
    home.spoken = [Dictated("kind:p one"), said, Dictated("kind:p one two"), DictationDone("kind:p one two", "stop")]
    async with running(home) as (app, pilot):
        composer = app.screen.query_one(Composer)
        composer.remember(["an older question"])
        await pilot.press("f6")
        await wait_until(pilot, lambda: composer.text == "kind:p one")
        for key in ("ctrl+j", "up", "ctrl+z", "ctrl+y"):
            await pilot.press(key)
            assert composer.text == "kind:p one", key
        app.copy_to_clipboard("pasted")
        composer.action_paste()
        composer.post_message(events.Paste("pasted"))
        composer.move_cursor((0, len("kind:p")))
        await pilot.press("tab")
        assert composer.text == "kind:p one"
        said.set()
        await wait_until(pilot, lambda: not composer.is_dictating)
        assert composer.text == "kind:p one two"


async def test_escape_ends_it_and_keeps_what_was_understood() -> None:
    home = FakeHome()
    home.spoken = [Dictated("one two"), threading.Event(), DictationDone("one two three", "stop")]
    async with running(home) as (app, pilot):
        composer = app.screen.query_one(Composer)
        await pilot.press("f6")
        await wait_until(pilot, lambda: composer.text == "one two")
        await pilot.press("escape")
        await wait_until(pilot, lambda: not composer.is_dictating)
        assert composer.text == "one two three"


@pytest.mark.parametrize(
    "error", [WeightsMissing("no speech model is installed", hint="run: homebody models pull --for speech")]
)
async def test_what_is_missing_is_said_with_its_remedy_and_the_app_stays_up(error: Exception) -> None:
    home = FakeHome()
    home.spoken = [error]
    async with running(home) as (app, pilot):
        await pilot.press("f6")
        await wait_until(pilot, lambda: "models pull --for speech" in notices(app))
        composer = app.screen.query_one(Composer)
        assert not composer.is_dictating
        await pilot.press("a")
        assert composer.text == "a"
        assert app.is_running
