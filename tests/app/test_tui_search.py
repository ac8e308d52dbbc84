"""The plain search, and filters where queries are typed."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Input, OptionList

from app.screens.search import SearchScreen
from app.screens.source import SourceScreen
from app.widgets.filter_hints import FilterHints
from app.widgets.passage_list import PassageView
from pipelines.errors import LibraryError
from pipelines.events import Notice, SearchResult
from pipelines.home import PassageView as StoredPassage
from pipelines.turn import Locator
from rag.records import Chunk, Hit
from tests.app.fake_home import FakeHome, chunk
from tests.app.tui_pilot import ask, flat_text, is_at_chat, running, screen_text, settle

PIER = Chunk(7, 1, 0, "The pier was built in 1874.\nIts building took years.", (), Locator(line=12))


def hit(rank: int, found: Chunk, path: str = "/files/a.md") -> Hit:
    return Hit(rank, 0.5, found, path, "A", "text")


def searching_home() -> FakeHome:
    home = FakeHome()
    ledger = chunk(8, "Ledger of 1901 \x1b[31mred", line=3)
    home.found.append(SearchResult((hit(1, PIER), hit(2, ledger, "/files/b.md")), 0.12, (Notice("by words only"),)))
    home.passages[7] = StoredPassage("/files/a.md", "A", "text", (), PIER, ())
    return home


async def test_tab_goes_on_with_a_filter_and_with_the_path_of_a_picture(tmp_path: Path) -> None:
    (tmp_path / "bicycle.jpg").write_bytes(b"")
    home = searching_home()
    async with running(home) as (app, pilot):
        await pilot.press("f8")
        await settle(pilot)
        line = app.screen.query_one("#query", Input)
        for typed, completed in {
            "rent kind:pd": "rent kind:pdf ",
            f"red like:{tmp_path}/bi": f"red like:{tmp_path}/bicycle.jpg",
            f'like:"{tmp_path}/bi': f'like:"{tmp_path}/bicycle.jpg',
        }.items():
            line.value, line.cursor_position = typed, len(typed)
            await pilot.press("tab")
            assert line.value == completed
        line.value = f"like:{tmp_path}/bicycle.jpg"
        await pilot.press("enter")
        await settle(pilot)
        assert home.looked_for == [f"like:{tmp_path}/bicycle.jpg"]


async def test_a_search_lists_passages_and_opens_them_with_their_words_marked() -> None:
    home = searching_home()
    async with running(home) as (app, pilot):
        await pilot.press("f8")
        await settle(pilot)
        assert isinstance(app.screen, SearchScreen)
        await pilot.press(*"built")
        await pilot.press("enter")
        await settle(pilot)
        assert home.looked_for == ["built"]
        shown = flat_text(app)
        assert "2 passages in 0.12 s by words only" in shown
        assert "1 /files/a.md · line 12 The pier was built in 1874." in shown
        assert "\x1b" not in shown
        await pilot.press("enter")
        await settle(pilot)
        assert isinstance(app.screen, SourceScreen)
        shown = flat_text(app)
        assert "Passage 1 of 2" in shown
        assert "[1] /files/a.md" in shown
        (view,) = [each for each in app.screen.query(PassageView) if each.chunk_id == 7]
        assert view.first_mark_share > 0
        await pilot.press("n")
        await settle(pilot)
        assert "Passage 2 of 2" in screen_text(app)
        await pilot.press("escape")
        await settle(pilot)
        assert isinstance(app.screen, SearchScreen)
        assert app.focused is app.screen.query_one("#hits", OptionList)
        await pilot.press("escape")
        await settle(pilot)
        assert is_at_chat(app)


async def test_search_can_be_asked_for_in_the_composer() -> None:
    home = searching_home()
    async with running(home) as (app, pilot):
        await ask(pilot, "/search pier kind:md")
        await settle(pilot)
        assert isinstance(app.screen, SearchScreen)
        assert home.looked_for == ["pier kind:md"]
        assert home.history == []
        assert "/files/a.md" in screen_text(app)


async def test_what_cannot_be_searched_and_what_is_not_found_are_said() -> None:
    home = FakeHome()
    home.found.append(LibraryError("after:never is no date", hint="write a year"))
    async with running(home) as (app, pilot):
        await ask(pilot, "/search x after:never")
        await settle(pilot)
        assert "after:never is no date write a year" in flat_text(app)
        await pilot.press("backspace", "enter")
        await settle(pilot)
        assert "Nothing in your files fits." in screen_text(app)


async def test_filters_are_shown_in_words_while_they_are_typed_and_tab_completes_them() -> None:
    home = FakeHome()
    async with running(home) as (app, pilot):
        hints = app.chat.query_one(FilterHints)
        assert not hints.display
        app.chat.composer.focus()
        app.chat.composer.insert("rent since when? after:yes")
        await settle(pilot)
        assert "tab: yesterday" in screen_text(app)
        await pilot.press("tab")
        await settle(pilot)
        assert app.chat.composer.text == "rent since when? after:yesterday "
        assert "Filters: since yesterday" in screen_text(app)
        app.chat.composer.text = "rent"
        await settle(pilot)
        assert not hints.display
