"""Sources, conversations, the library, engines and help."""

from __future__ import annotations

import threading
from pathlib import Path

from textual.widgets import Input, OptionList

from app.homebody_app import HomebodyApp
from app.keys import KEYS
from app.screens.engines import EnginesScreen
from app.screens.help import HelpScreen
from app.screens.history import HistoryScreen
from app.screens.library import LibraryScreen
from app.screens.search import SearchScreen
from app.screens.source import SourceScreen
from app.screens.text_modal import TextModal
from app.system_viewer import open_in_system_viewer
from app.widgets.source_row import SourceRow
from pipelines.errors import LibraryError
from pipelines.events import FileFailed, IndexProgress, Notice
from pipelines.home import PassageView
from tests.app.fake_home import FakeHome, chunk, citation, document, done, sentence
from tests.app.tui_pilot import ask, flat_text, is_at_chat, notices, running, screen_text, settle, wait_until

TEXT = "It was built in 1874. It was repaired in 1901."


def answered_home() -> FakeHome:
    home = FakeHome()
    home.enqueue(
        done(
            TEXT,
            sentences=[sentence(TEXT, "It was built in 1874.", 1), sentence(TEXT, "It was repaired in 1901.", 2)],
            citations=[
                citation(1, "/files/a.md", quote="built in 1874", line=3),
                citation(2, "/files/b.md", quote="the repair of 1901", line=9),
            ],
        )
    )
    home.passages[101] = PassageView(
        "/files/a.md",
        "Harbours",
        "text",
        (chunk(1, "What stands before."),),
        chunk(101, "The pier was built in 1874 by Telford.", headings=("Harbours", "Piers")),
        (chunk(2, "What stands behind."),),
    )
    return home


async def test_a_source_opens_at_its_passage_and_the_next_follows() -> None:
    home = answered_home()
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        await pilot.press("ctrl+o")
        await settle(pilot)
        shown = screen_text(app)
        assert isinstance(app.screen, SourceScreen)
        assert "[1] /files/a.md · line 3" in shown
        assert (
            shown.index("What stands before.") < shown.index("█ 1 │ The pier was built") < shown.index("stands behind.")
        )
        assert "Harbours / Piers" in shown
        await pilot.press("n")
        await settle(pilot)
        shown = screen_text(app)
        assert "[2] /files/b.md · line 9" in shown
        assert "has left the library since" in shown
        assert "the repair of 1901" in shown
        await pilot.press("n", "y")
        await settle(pilot)
        assert app.clipboard == "the repair of 1901\n— /files/b.md, line 9"
        await pilot.press("N", "escape")
        await settle(pilot)
        assert is_at_chat(app)


async def test_a_source_row_opens_with_enter_and_with_a_click() -> None:
    home = answered_home()
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        rows = list(app.chat.query(SourceRow))
        rows[1].focus()
        await pilot.press("enter")
        await settle(pilot)
        assert "Source 2 of 2" in screen_text(app)
        await pilot.press("escape")
        await settle(pilot)
        await pilot.click(rows[0])
        await settle(pilot)
        assert "Source 1 of 2" in screen_text(app)
        await pilot.press("escape")
        await settle(pilot)
        rows[0].focus()
        await pilot.press("escape")
        assert app.focused is app.chat.composer


async def test_a_citation_number_in_the_text_opens_its_source() -> None:
    home = answered_home()
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        lines = screen_text(app).splitlines()
        y = next(number for number, line in enumerate(lines) if "[2]" in line)
        await pilot.click(offset=(lines[y].index("[2]") + 1, y))
        await settle(pilot)
        assert "Source 2 of 2" in screen_text(app)


async def test_opening_a_file_that_is_gone_is_said() -> None:
    home = answered_home()
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        await pilot.press("ctrl+o", "o")
        await settle(pilot)
        assert "/files/a.md is no longer there" in notices(app)
    failure = open_in_system_viewer("/nowhere/\x1b]0;x\x07.pdf")
    assert failure is not None
    assert "\x1b" not in failure.text


async def test_conversations_are_found_resumed_renamed_and_deleted() -> None:
    home = FakeHome()
    home.conversations.add("Harbours", [("when?", "In **1874**."), ("where?", "At Ardrossan.")], updated_at_s=10)
    home.conversations.add("Invoices", [("how much?", "900.")], updated_at_s=20)
    async with running(home) as (app, pilot):
        await pilot.press("f2")
        await settle(pilot)
        shown = screen_text(app)
        assert shown.index("Invoices") < shown.index("Harbours")  # latest first
        await pilot.press("slash", *"harb")
        await settle(pilot)
        assert "Invoices" not in screen_text(app)
        await pilot.press("enter", "r")
        await wait_until(pilot, lambda: "A new title" in screen_text(app))
        app.screen.query_one(Input).value = "Old harbours"
        await pilot.press("enter")
        await settle(pilot)
        assert home.conversations.kept[1][0] == "Old harbours"
        await pilot.press("escape")  # leaves the screen: the search does not have the focus
        await settle(pilot)
        assert is_at_chat(app)
        await pilot.press("f2")
        await settle(pilot)
        await pilot.press("down", "enter")
        await settle(pilot)
        shown = screen_text(app)
        assert "Old harbours" in shown.splitlines()[0]
        assert "At Ardrossan." in shown
        assert app.chat.conversation_id == 1
        await pilot.press("up")
        assert app.chat.composer.text == "where?"
        app.chat.composer.text = ""
        await pilot.press("f2")
        await settle(pilot)
        await pilot.press("down", "d")
        await wait_until(pilot, lambda: "Delete “Old harbours”?" in screen_text(app))
        await pilot.press("n")
        await settle(pilot)
        assert 1 in home.conversations.kept
        await pilot.press("d")
        await wait_until(pilot, lambda: "go for good" in screen_text(app))
        await pilot.press("y")
        await settle(pilot)
        assert 1 not in home.conversations.kept
        await pilot.press("escape")
        await settle(pilot)
        assert app.chat.transcript.turns == []
        assert app.chat.conversation_id is None


async def test_a_conversation_that_vanished_is_said() -> None:
    home = FakeHome()
    home.conversations.add("Gone", [("q", "a")])
    async with running(home) as (app, pilot):
        await pilot.press("f2")
        await settle(pilot)
        del home.conversations.kept[1]
        await pilot.press("enter")
        await settle(pilot)
        assert "no conversation 1" in notices(app)
        assert is_at_chat(app)


async def test_indexing_goes_on_while_a_question_is_answered(tmp_path: Path) -> None:
    home = FakeHome()
    gate = threading.Event()
    home.files = [document("/files/a.md"), document("/files/b.pdf", "failed", reason="it is encrypted")]
    home.enqueue_index(
        IndexProgress("reading", 30, 120, "/files/c.md", rate_per_s=10.0),
        gate,
        FileFailed("/files/x.pdf", "damaged"),
        IndexProgress("embedding", 10, 40),
    )
    async with running(home) as (app, pilot):
        await pilot.press("f3")
        await settle(pilot)
        shown = screen_text(app)
        assert "2 files · 6 passages" in shown
        assert "1 could not be read" in shown
        assert "✗ /files/b.pdf  it is encrypted" in shown
        await pilot.press("a")
        await wait_until(pilot, lambda: "A folder or file to add" in screen_text(app))
        app.screen.query_one(Input).value = str(tmp_path)
        await pilot.press("enter")
        await wait_until(pilot, lambda: "Reading · 30 of 120 files · 10/s · 9 s left" in screen_text(app))
        assert home.indexed == [[tmp_path]]
        await pilot.press("escape")
        await wait_until(pilot, lambda: "indexing 25 % (reading)" in screen_text(app).splitlines()[0])
        await ask(pilot, "meanwhile")
        await wait_until(pilot, lambda: "An answer." in screen_text(app))
        assert app.library_screen().is_indexing
        gate.set()
        await settle(pilot)
        assert not app.library_screen().is_indexing
        assert "indexing" not in screen_text(app).splitlines()[0]
        await pilot.press("f3")
        await settle(pilot)
        assert "Up to date: 1 file read" in flat_text(app)


async def test_indexing_stops_and_what_is_added_meanwhile_follows(tmp_path: Path) -> None:
    home = FakeHome()
    home.enqueue_index(IndexProgress("reading", 1, 9), threading.Event())
    home.enqueue_index(LibraryError("the disk is full", hint="free some space"))
    async with running(home) as (app, pilot):
        await pilot.press("f3")
        await settle(pilot)
        library = app.library_screen()
        await pilot.press("u")
        await wait_until(pilot, lambda: "Reading · 1 of 9 files" in screen_text(app))
        assert home.indexed == [[Path("/files")]]
        library.start_indexing([tmp_path])
        await pilot.pause()
        assert len(home.indexed) == 1
        library._stop.set()
        await settle(pilot)
        assert home.indexed[1] == [tmp_path]
        assert "the disk is full" in screen_text(app)
        assert "free some space" in screen_text(app)
        await pilot.press("u")
        await settle(pilot)
        assert len(home.indexed) == 3


async def test_a_bug_while_indexing_leaves_the_library_usable() -> None:
    home = FakeHome()
    home.enqueue_index(IndexProgress("reading", 1, 9), ZeroDivisionError("bug"))
    async with running(home) as (app, pilot):
        await pilot.press("f3")
        await settle(pilot)
        await pilot.press("u")
        await wait_until(pilot, lambda: isinstance(app.screen, TextModal))
        await pilot.press("escape")
        await settle(pilot)
        assert not app.library_screen().is_indexing
        assert "Indexing broke off" in screen_text(app)


async def test_the_library_filters_shows_and_forgets() -> None:
    home = FakeHome()
    home.files = [document("/files/a.md"), document("/other/b.pdf", "failed", reason="it is encrypted")]
    async with running(home) as (app, pilot):
        await pilot.press("f3")
        await settle(pilot)
        await pilot.press("slash", *"other")
        await settle(pilot)
        assert "/files/a.md" not in screen_text(app)
        await pilot.press("enter", "enter")
        await settle(pilot)
        assert isinstance(app.screen, TextModal)
        assert "it is encrypted" in screen_text(app)
        await pilot.press("escape", "f")
        await wait_until(pilot, lambda: "A folder or file to take out" in screen_text(app))
        await pilot.press("enter")
        await wait_until(pilot, lambda: "Take /files out of the library?" in screen_text(app))
        await pilot.press("y")
        await settle(pilot)
        assert home.forgotten == [Path("/files")]
        assert "1 files left the library" in notices(app) or "1 file left the library" in notices(app)


async def test_a_read_only_library_says_so_instead_of_writing() -> None:
    home = FakeHome()
    home.read_only = "Another homebody (pid 7) is writing."
    async with running(home) as (app, pilot):
        await pilot.press("f3")
        await settle(pilot)
        await pilot.press("a", "u", "f")
        await settle(pilot)
        assert isinstance(app.screen, LibraryScreen)
        assert home.indexed == []
        assert "read only" in notices(app)


async def test_a_library_that_breaks_is_said_on_its_screen() -> None:
    home = FakeHome()
    async with running(home) as (app, pilot):
        home.broken = LibraryError("library.sqlite is damaged", hint="keep it")
        await pilot.press("f3")
        await settle(pilot)
        assert "library.sqlite is damaged" in notices(app)
        await pilot.press("escape", "f4")
        await settle(pilot)
        assert app.is_running


async def test_engines_show_placement_reasons_and_what_is_missing() -> None:
    home = FakeHome()
    home.missing = (Notice("The chat model is not installed.", hint="homebody models pull"),)
    async with running(home) as (app, pilot):
        await pilot.press("f4")
        await settle(pilot)
        shown = screen_text(app)
        assert isinstance(app.screen, EnginesScreen)
        assert "two cores decode faster than one" in shown
        assert "homebody models pull" in shown
        assert "tiny-embed" in shown
        await pilot.press("escape")
        assert is_at_chat(app)


async def test_help_lists_every_key_of_the_registry() -> None:
    home = FakeHome()
    async with running(home, size=(120, 100)) as (app, pilot):
        await pilot.press("f1")
        await settle(pilot)
        assert isinstance(app.screen, HelpScreen)
        shown = flat_text(app)
        for each in KEYS:
            assert each.help in shown, each


def test_every_key_has_its_action() -> None:
    places: dict[str, type] = {
        "everywhere": HomebodyApp,
        "source": SourceScreen,
        "history": HistoryScreen,
        "library": LibraryScreen,
        "search": SearchScreen,
        "panel": HelpScreen,
    }
    from app.screens.chat import ChatScreen

    places["conversation"] = ChatScreen
    for each in KEYS:
        if each.place in places:
            assert hasattr(places[each.place], f"action_{each.action}"), each


def test_no_two_actions_share_a_key_in_one_place() -> None:
    for place in {each.place for each in KEYS}:
        keys = [key for each in KEYS if each.place in (place, "everywhere") for key in each.keys.split(",")]
        assert len(keys) == len(set(keys)), place


async def test_the_lists_are_empty_in_words() -> None:
    home = FakeHome()
    async with running(home) as (app, pilot):
        await pilot.press("f2")
        await settle(pilot)
        assert "No conversations yet." in screen_text(app)
        assert app.focused is app.screen.query_one(OptionList)  # its keys work all the same
        await pilot.press("escape", "f3")
        await settle(pilot)
        assert "Press a to add a folder." in screen_text(app)
