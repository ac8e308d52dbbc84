"""The app as a whole: themes, the palette, leaving, small and odd terminals, what is imported when."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.color import Color
from textual.pilot import Pilot
from textual.widgets import Input

from app.homebody_app import HomebodyApp
from app.themes import DARK, LIGHT, THEMES
from tests.app.fake_home import FakeHome, citation, done, sentence
from tests.app.tui_pilot import ask, is_at_chat, notices, opening, running, screen_text, settle, wait_until


async def test_the_theme_is_taken_from_the_settings_switched_and_remembered() -> None:
    home = FakeHome(theme="homebody-light")
    async with running(home) as (app, pilot):
        assert app.theme == LIGHT.name
        await pilot.press("f9")
        await settle(pilot)
        assert app.theme == DARK.name
        assert home.themes == [DARK.name]


TEXT_COLOURS = ("foreground", "text-muted", "text-primary", "text-accent", "text-warning", "text-error", "text-success")


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_every_text_colour_can_be_read_on_every_background(theme: object) -> None:
    assert theme in (DARK, LIGHT)
    chosen = DARK if theme is DARK else LIGHT
    variables = chosen.to_color_system().generate()
    for background in ("background", "surface", "panel", "block-cursor-background"):
        for text in TEXT_COLOURS:
            contrast = _contrast(Color.parse(variables[text]), Color.parse(variables[background]))
            needed = 4.5 if background in ("background", "surface") else 3.0
            assert contrast >= needed, f"{text} on {background}: {contrast:.2f}"


def _contrast(one: Color, other: Color) -> float:
    """WCAG 2.1 contrast ratio."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Color) -> float:
    channels = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in colour.normalized]
    return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]


async def test_the_palette_runs_a_command_from_any_screen() -> None:
    home = FakeHome()
    async with running(home) as (app, pilot):
        await ask(pilot, "one")
        await settle(pilot)
        await pilot.press("f3")
        await settle(pilot)
        await pilot.press("ctrl+p")
        await wait_until(pilot, lambda: app.screen.query(Input))
        await pilot.press(*"new")
        await wait_until(pilot, lambda: "Start a new conversation" in screen_text(app))
        await pilot.press("enter")
        await settle(pilot)
        await wait_until(pilot, lambda: is_at_chat(app))
        await wait_until(pilot, lambda: app.chat.transcript.turns == [])


async def test_ctrl_c_stops_an_answer_and_leaves_only_when_pressed_twice() -> None:
    home = FakeHome()
    home.enqueue("some words", threading.Event())
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await wait_until(pilot, lambda: app.chat.transcript.turns[-1].text)
        await pilot.press("ctrl+c")
        await settle(pilot)
        assert not app.chat.is_answering
        assert app.is_running
        await pilot.press("ctrl+c")
        await pilot.pause()
        assert "again to leave" in notices(app)
        assert app._exit is False
        await pilot.press("ctrl+c")
        await pilot.pause()
        assert app._exit is True


async def test_leaving_ends_every_thread() -> None:
    home = FakeHome()
    home.enqueue("words", threading.Event())
    home.enqueue_index(threading.Event())
    app = HomebodyApp(opening(home))
    async with app.run_test() as pilot:
        await wait_until(pilot, lambda: app.home is not None)
        await ask(pilot, "q")
        await wait_until(pilot, lambda: app.chat.transcript.turns[-1].text)
        await pilot.press("f3")
        await pilot.pause()
        app.library_screen().start_indexing([Path("/files")])
        await wait_until(pilot, lambda: home.indexed)
        await pilot.press("ctrl+q")
    await asyncio.get_running_loop().shutdown_default_executor()  # as leaving does: it waits for every thread
    assert sorted(home.ended) == ["answer", "index"]


ANSWER = "A long answer about the harbour.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\n\n- one\n- two"


@pytest.mark.parametrize("size", [(20, 5), (1, 1), (500, 60), (80, 24)], ids=str)
async def test_every_screen_is_drawn_at_odd_sizes(size: tuple[int, int]) -> None:
    home = FakeHome()
    home.conversations.add("Harbours", [("q", "a")])
    home.enqueue(done(ANSWER, sentences=[sentence(ANSWER, "A long answer", 1)], citations=[citation(1)]))
    async with running(home, size=size) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        for key in ("ctrl+o", "f1", "f2", "f3", "f4"):
            await pilot.press(key)
            await settle(pilot)
            assert len(screen_text(app).split("\n")) == size[1]
            await pilot.press("escape")
            await settle(pilot)
        assert app.is_running
        if size == (80, 24):
            assert "harbour" in screen_text(app)


async def test_all_keys_of_an_answer_fit_into_80_columns() -> None:
    home, gate = FakeHome(), threading.Event()
    home.enqueue("Half of", gate, " the answer")
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await wait_until(pilot, lambda: "Half of" in screen_text(app))
        await wait_until(pilot, lambda: "esc Stop" in screen_text(app))
        keys = screen_text(app).splitlines()[-1]
        assert keys == " esc Stop ctrl+n New ctrl+o Sources F1 Help F2 History F3 Library F8 Search"
        await pilot.resize_terminal(100, 24)
        await wait_until(pilot, lambda: screen_text(app).endswith(" F3 Library  F8 Search"))
        gate.set()
        await settle(pilot)


async def test_a_resize_storm_while_streaming() -> None:
    home = FakeHome()
    gates = [threading.Event() for _ in range(8)]
    script: list[str | threading.Event] = []
    for number, gate in enumerate(gates):
        script += [f"word {number} " * 30, gate]
    home.enqueue(*script, "the end")
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        for number, gate in enumerate(gates):
            await pilot.resize_terminal(20 + number * 17 % 61, 5 + number * 7 % 31)
            gate.set()
            await pilot.pause()
        await pilot.resize_terminal(90, 30)
        await settle(pilot)
        assert "the end" in screen_text(app)
        assert "word 7" in screen_text(app)


async def test_without_colour_marks_are_words_and_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    home = FakeHome()
    text = "It cost 900 pounds."
    home.enqueue(done(text, sentences=[sentence(text, text, supported=False, terms=("900",))]))
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        assert "(not in your files: 900)" in screen_text(app)
        assert "█ q" in screen_text(app)


HEAVY = ("chromadb", "llama_cpp", "onnxruntime", "tokenizers", "numpy", "pydantic", "kreuzberg", "markdown_it")


@pytest.mark.parametrize("module", ["app.homebody_app", "app.screens.chat", "app.keys", "app.messages"])
def test_what_the_first_frame_needs_imports_no_engine(module: str, run_python: Callable[[str], str]) -> None:
    code = f"import {module}, sys; print([each for each in {HEAVY!r} if each in sys.modules])"
    assert run_python(code) == "[]"


def test_drawing_the_first_frame_imports_no_engine(run_python: Callable[[str], str]) -> None:
    code = f"""
import asyncio, sys, threading
from app.homebody_app import HomebodyApp
async def main():
    may_go_on = threading.Event()
    def open_home():
        may_go_on.wait()
        raise SystemExit
    app = HomebodyApp(open_home)
    async with app.run_test() as pilot:
        await pilot.pause()
        print([each for each in {HEAVY!r} if each in sys.modules])
        sys.stdout.flush()
        import os; os._exit(0)
asyncio.run(main())
"""
    assert run_python(code) == "[]"


async def test_a_second_screen_is_not_opened_over_itself() -> None:
    home = FakeHome()
    async with running(home) as (app, pilot):
        for key in ("f1", "f1", "f4", "f4", "f2", "f2", "f3", "f3"):
            await _press(pilot, key)
        assert len(app.screen_stack) == 2
        await _press(pilot, "escape")
        assert is_at_chat(app)


async def _press(pilot: Pilot[None], key: str) -> None:
    await pilot.press(key)
    await settle(pilot)


async def test_keys_before_the_library_is_open_say_so() -> None:
    may_open = threading.Event()

    def open_slowly() -> object:
        may_open.wait(20)
        return FakeHome()

    app = HomebodyApp(open_slowly)  # type: ignore[arg-type]  # FakeHome is a Home by shape
    async with app.run_test() as pilot:
        await pilot.press("f2", "f3", "f4")
        await pilot.pause()
        assert is_at_chat(app)
        assert "not open yet" in notices(app)
        may_open.set()
        await settle(pilot)
