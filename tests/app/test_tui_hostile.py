"""Untrusted text in every place where the terminal UI shows any: nothing of it may act on the terminal.

The app runs without its last gate (the control filter), so these tests see what each screen lets through.
"""

from __future__ import annotations

import re

import pytest
from rich.segment import ControlType, Segment
from textual.app import App, ComposeResult
from textual.color import Color
from textual.widgets import Input, Static

from app.control_filter import ControlFilter
from app.homebody_app import HomebodyApp
from pipelines.errors import PipelineError
from pipelines.events import EngineLoading, IndexProgress, Notice
from pipelines.home import PassageView
from tests.app.fake_home import FakeHome, chunk, citation, document, done, sentence
from tests.app.tui_pilot import AppWithoutLastGate, ask, flat_text, notices, running, screen_text, settle, wait_until

HOSTILE = (
    "a\x1b[2Jb\x1b]52;c;ZXZpbA==\x07c\x1b]8;;http://evil.example\x1b\\d\x1bPq#0\x1b\\e\x9b31mf\x9d0;t\x9cg\x00\x08\x7f"
    "\u202eh\u2066i[@click=app.quit]press[/] [link=http://x]k[/link] [/] [bold]"
)
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def assert_harmless(app: HomebodyApp) -> None:
    shown = screen_text(app)
    found = FORBIDDEN.search(shown.replace("\n", ""))
    assert found is None, f"{found!r} in:\n{shown}"
    for strip in app.screen._compositor.render_strips():
        for segment in strip:
            style = segment.style
            assert style is None or style.link is None
            clicks = str((style.meta if style is not None else {}).get("@click", ""))
            assert "quit" not in clicks


def hostile_home() -> FakeHome:
    home = FakeHome()
    path = f"/files/{HOSTILE}\n.md"
    home.roots = (f"/files/{HOSTILE}",)
    home.files = [document(path), document(path + "2", "failed", reason=HOSTILE)]
    home.conversations.add(HOSTILE, [(HOSTILE, HOSTILE)])
    home.missing = (Notice(HOSTILE, hint=HOSTILE),)
    home.read_only = HOSTILE
    text = f"# {HOSTILE}\n\n{HOSTILE} end.\n\n- {HOSTILE}\n\n| {HOSTILE.replace('|', '')} |\n|---|\n| x |\n"
    home.enqueue(
        EngineLoading(HOSTILE, HOSTILE),
        Notice(HOSTILE, hint=HOSTILE),
        *text,
        done(
            text,
            sentences=[
                sentence(text, f"# {HOSTILE}", 1),
                sentence(text, f"{HOSTILE} end.", supported=False, terms=(HOSTILE,)),
            ],
            citations=[citation(1, path, quote=HOSTILE), citation(2, path, quote=HOSTILE, supported=False)],
        ),
    )
    home.enqueue(PipelineError(HOSTILE, hint=HOSTILE))
    home.passages[101] = PassageView(
        path, HOSTILE, "text", (chunk(1, HOSTILE),), chunk(101, HOSTILE, headings=(HOSTILE,)), (chunk(2, HOSTILE),)
    )
    home.enqueue_index(IndexProgress("reading", 1, 2, path), Notice(HOSTILE), PipelineError(HOSTILE, hint=HOSTILE))
    return home


async def test_no_screen_lets_an_escape_or_markup_through() -> None:
    home = hostile_home()
    async with running(home, size=(120, 50), app_type=AppWithoutLastGate) as (app, pilot):
        assert_harmless(app)
        await ask(pilot, "q")
        await settle(pilot)
        assert_harmless(app)
        assert "[@click=app.quit]press[/]" in flat_text(app)
        await pilot.press("ctrl+o")
        await settle(pilot)
        assert_harmless(app)
        assert "[@click=app.quit]press[/]" in flat_text(app)
        await pilot.press("escape")
        await ask(pilot, HOSTILE)
        await settle(pilot)
        assert_harmless(app)  # the failed turn, with the question given back
        app.chat.composer.text = ""
        for keys in (("f2",), ("f4",), ("f3",), ("f3", "enter")):
            for key in keys:
                await pilot.press(key)
                await settle(pilot)
            assert_harmless(app)
            for _ in keys:
                await pilot.press("escape")
                await settle(pilot)
        assert not FORBIDDEN.search(app.clipboard)
        await pilot.press("ctrl+y")
        assert not FORBIDDEN.search(app.clipboard.replace("\n", ""))


async def test_dialogs_notices_and_progress_are_harmless() -> None:
    home = hostile_home()
    home.read_only = ""
    async with running(home, size=(120, 50), app_type=AppWithoutLastGate) as (app, pilot):
        await pilot.press("f2")
        await settle(pilot)
        await pilot.press("d")
        await wait_until(pilot, lambda: "Delete" in screen_text(app))
        assert_harmless(app)
        await pilot.press("n", "r")
        await wait_until(pilot, lambda: app.screen.query(Input))
        assert_harmless(app)
        await pilot.press("escape", "enter")
        await settle(pilot)
        assert_harmless(app)  # resumed, its title in the status bar
        await pilot.press("f3")
        await settle(pilot)
        await pilot.press("u")
        await settle(pilot)
        assert_harmless(app)
        assert not FORBIDDEN.search(notices(app).replace("\n", ""))


async def test_a_hostile_bug_report_is_harmless() -> None:
    home = FakeHome()
    home.enqueue(ZeroDivisionError(HOSTILE))
    async with running(home, app_type=AppWithoutLastGate) as (app, pilot):
        await ask(pilot, "q")
        await wait_until(pilot, lambda: "inside homebody" in screen_text(app))
        assert_harmless(app)


async def test_an_escape_split_over_tokens_is_caught_while_streaming() -> None:
    home = FakeHome()
    home.enqueue("before ", "\x1b", "]52;c;", "ZXZp", "bA==", "\x07", "after")
    async with running(home, app_type=AppWithoutLastGate) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        assert_harmless(app)
        assert "ZXZp" not in screen_text(app)
        assert "after" in screen_text(app)


async def test_links_and_pictures_in_an_answer_show_their_target_and_do_nothing() -> None:
    home = FakeHome()
    home.enqueue(
        "[bank](https://evil.example/login) ![cat](https://evil.example/cat.png) <https://evil.example/a> "
        "[x](source:1) [y](javascript:alert) <b>html</b> [z](file:///etc/passwd)"
    )
    async with running(home, size=(120, 30)) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        shown = flat_text(app)
        assert "bank (https://evil.example/login)" in shown
        assert "cat (picture, not fetched: https://evil.example/cat.png)" in shown
        assert "https://evil.example/a" in shown
        assert "<b>html</b>" in shown
        assert "x (source:1)" in shown
        clicks = [
            segment.style.meta.get("@click")
            for strip in app.screen._compositor.render_strips()
            for segment in strip
            if segment.style is not None and segment.style.meta.get("@click")
        ]
        assert clicks == []


@pytest.mark.parametrize(
    "text",
    [
        "> " * 10_000 + "deep",
        "| a |\n|---|\n" + "| x |\n" * 300,
        "word " * 40_000,
        "x" * 200_000,
        "```\n" * 101,
        "[" * 5_000 + "](" * 100,
        "*" * 3_000 + "a" + "_" * 3_000,
        "\ue000999\ue001 \ue002 \ue003 " * 50,
    ],
    ids=["quotes", "table", "words", "line", "fences", "brackets", "stars", "marks"],
)
async def test_monstrous_markdown_is_drawn_and_the_app_goes_on(text: str) -> None:
    home = FakeHome()
    home.enqueue(text)
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        assert_harmless(app)
        await ask(pilot, "still there?")
        await settle(pilot)
        assert "An answer." in screen_text(app)


async def test_the_last_gate_stops_what_a_screen_forgot() -> None:
    class Forgetful(App[None]):
        def get_line_filters(self) -> list[ControlFilter]:
            return [ControlFilter()]

        def compose(self) -> ComposeResult:
            yield Static("a\x1b[2Jb\x9b31mc\u202ed", markup=False)

    app = Forgetful()
    async with app.run_test(size=(20, 3)) as pilot:
        await pilot.pause()
        drawn = "".join(strip.text for strip in app.screen._compositor.render_strips())
        assert not FORBIDDEN.search(drawn)
        assert "[2Jb" in drawn


def test_the_last_gate_leaves_clean_lines_alone() -> None:
    segments = [Segment("plain — text ✗ 日本"), Segment("\x1b[H", None, [(ControlType.HOME,)])]
    assert ControlFilter().apply(segments, Color(0, 0, 0)) is segments
