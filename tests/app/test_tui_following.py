"""Following the folders from the terminal UI: scripted, and once with a real library and real files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Input

from app.follow_log import FollowLog
from app.homebody_app import HomebodyApp
from app.messages import Failure
from app.screens.text_modal import TextModal
from pipelines.errors import LibraryError
from pipelines.events import (
    FileChanged,
    FileFailed,
    Following,
    IndexDone,
    IndexProgress,
    IndexReport,
    Notice,
)
from pipelines.factory import open_home
from pipelines.home import Home
from pipelines.paths import HomePaths
from pipelines.settings import LibrarySettings, Settings
from tests.app.fake_home import FakeHome, document
from tests.app.tui_pilot import DEADLINE_S, flat_text, notices, opening, running, screen_text, wait_until
from tests.fakes import CountableEmbedder, ScriptedChatModel


@asynccontextmanager
async def running_while_following(home: FakeHome) -> AsyncIterator[tuple[HomebodyApp, Pilot[None]]]:
    """As `running`, which waits for every worker to end: this one goes on."""
    app = HomebodyApp(opening(home))
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_until(pilot, lambda: home.following == 1)
        yield app, pilot


DONE = IndexDone(IndexReport(1, 0, 0, (), 3, 0.1))


async def test_the_library_shows_what_following_does() -> None:
    home = FakeHome(follow=True)
    home.roots = ("/files", "/media/stick")
    home.away = {"/media/stick": "not connected: it is not there"}
    home.left_out = ("/files/private",)
    home.unsupported = {".iso": 3, ".dll": 1}
    async with running_while_following(home) as (app, pilot):
        home.tell_followers(
            Following(1, away=("/media/stick",)), IndexProgress("reading", 3, 12, "/files/c.md", rate_per_s=4.0)
        )
        await wait_until(pilot, lambda: "indexing 25 % (reading)" in screen_text(app).splitlines()[0])
        await pilot.press("f3")
        await wait_until(pilot, lambda: "Following 1 folder or file; not connected: /media/stick" in flat_text(app))
        shown = flat_text(app)
        assert "/media/stick (not connected: it is not there)" in shown
        assert "Left out until they are added again: /files/private" in shown
        assert "Of kinds that are not read: 3 .iso, 1 .dll" in shown
        assert "Reading · 3 of 12 files" in shown
        home.files = [document("/files/a.md")]
        home.tell_followers(FileChanged("/files/a.md", "read"), FileFailed("/files/b.pdf", "it is encrypted"), DONE)
        await wait_until(pilot, lambda: "just now: /files/a.md read" in flat_text(app))
        await wait_until(pilot, lambda: "● /files/a.md" in screen_text(app))
        assert "/files/b.pdf not read: it is encrypted" in flat_text(app)
        assert "Reading" not in flat_text(app)
        home.tell_followers(Notice("only words are indexed", "run: homebody models pull"))
        await wait_until(pilot, lambda: "homebody models pull" in notices(app))


async def test_adding_and_updating_go_through_the_one_who_follows(tmp_path: Path) -> None:
    home = FakeHome(follow=True)
    async with running_while_following(home) as (app, pilot):
        await pilot.press("f3")
        await wait_until(pilot, lambda: "/files" in screen_text(app))
        await pilot.press("a")
        await wait_until(pilot, lambda: "A folder or file to add" in screen_text(app))
        app.screen.query_one(Input).value = str(tmp_path)
        await pilot.press("enter")
        await wait_until(pilot, lambda: home.looked_again == [[tmp_path]])
        await pilot.press("u")
        await wait_until(pilot, lambda: home.looked_again == [[tmp_path], []])
        assert home.indexed == []


async def test_following_stops_and_goes_on(tmp_path: Path) -> None:
    home = FakeHome(tmp_path, follow=True)
    async with running_while_following(home) as (app, pilot):
        home.tell_followers(Following(1))
        await pilot.press("f3")
        await wait_until(pilot, lambda: "Following 1" in screen_text(app))
        await pilot.press("s")
        await wait_until(pilot, lambda: "The folders are not followed." in screen_text(app))
        assert home.following == 0
        await pilot.press("u")
        await wait_until(pilot, lambda: home.following == 1)
        home.tell_followers(LibraryError("the disk is full", hint="free some space"))
        await wait_until(pilot, lambda: "the disk is full" in screen_text(app))
        await pilot.press("u")
        await wait_until(pilot, lambda: home.following == 1)
        home.tell_followers(ZeroDivisionError("bug"))
        await wait_until(pilot, lambda: isinstance(app.screen, TextModal))
        await pilot.press("escape")
        await wait_until(pilot, lambda: "Following the folders broke off." in screen_text(app))
    assert home.following == 0


async def test_leaving_ends_the_following() -> None:
    home = FakeHome(follow=True)
    async with running_while_following(home) as (_, pilot):
        await pilot.press("ctrl+q")
    deadline_s = time.monotonic() + DEADLINE_S
    while home.following:  # its thread has been told, and comes to its end by itself
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)
    assert home.ended == ["follow"]


async def test_a_read_only_library_is_not_followed() -> None:
    home = FakeHome(follow=True)
    home.read_only = "process 4711 has this library open for writing"
    async with running(home) as (app, pilot):
        await pilot.press("f3")
        await wait_until(pilot, lambda: "Read only: process 4711" in screen_text(app))
        assert not app.is_following
        assert home.following == 0


async def test_only_files_that_could_not_be_read_are_shown_on_demand() -> None:
    home = FakeHome()
    home.files = [document("/files/a.md"), document("/files/b.pdf", "failed", reason="it is encrypted")]
    async with running(home) as (app, pilot):
        await pilot.press("f3")
        await wait_until(pilot, lambda: "/files/a.md" in screen_text(app))
        await pilot.press("n")
        await wait_until(pilot, lambda: "/files/a.md" not in screen_text(app))
        assert "✗ /files/b.pdf  it is encrypted" in screen_text(app)
        await pilot.press("n")
        await wait_until(pilot, lambda: "/files/a.md" in screen_text(app))


async def test_a_changed_file_is_in_the_library_screen_by_itself(tmp_path: Path) -> None:
    """The real thing: a library, a folder, the system's notices."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.txt").write_text("The ferry leaves at nine.")
    settings = Settings(library=LibrarySettings(follow=True))

    def open_real() -> Home:
        return open_home(
            HomePaths(tmp_path / "home"), settings, chat_model=ScriptedChatModel(), embedder=CountableEmbedder()
        )

    app = HomebodyApp(open_real)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_until(pilot, lambda: app.is_following)
        await pilot.press("f3", "a")
        await wait_until(pilot, lambda: "A folder or file to add" in screen_text(app))
        app.screen.query_one(Input).value = str(folder)
        await pilot.press("enter")
        # Counts, not names: a long path may be cut.
        await wait_until(pilot, lambda: "1 file · 1 passage" in screen_text(app))
        (folder / "b.txt").write_text("The harbour is deep.")
        await wait_until(pilot, lambda: "2 files · 2 passages" in screen_text(app))
        (folder / "a.txt").unlink()
        await wait_until(pilot, lambda: "1 file · 1 passage" in screen_text(app))
        await wait_until(pilot, lambda: "b.txt read" in flat_text(app))
    assert app.home is not None
    app.home.close()


def test_a_log_ends_with_why_it_ended() -> None:
    log = FollowLog(clock=lambda: 0.0)
    log.begin()
    assert (log.lines(), log.activity, log.is_ended) == ([], "", False)
    log.take(IndexProgress("reading", 0, 4))
    assert log.activity == "indexing 0 % (reading)"
    log.take(IndexProgress("embedding", 4, 4))
    assert log.activity == ""
    log.end(Failure("the disk is full", "free some space"))
    assert (log.lines(), log.is_ended) == (["the disk is full", "free some space"], True)
    log.begin()
    assert not log.is_ended


def test_a_look_that_found_nothing_leaves_no_activity_behind() -> None:
    """Its end is not told, so its beginning must not count; the first one's is, and may take long."""
    log = FollowLog(clock=lambda: 0.0)
    log.take(IndexProgress("walking", 0, 0))
    assert log.activity == "indexing"
    log.take(IndexProgress("reading", 2, 2))
    assert log.activity == "indexing 100 % (reading)"
    log.take(IndexDone(IndexReport(2, 0, 0, (), 2, 1.0)))
    log.take(IndexProgress("walking", 0, 0))
    assert log.activity == ""
    log.take(IndexProgress("reading", 1, 2))
    assert log.activity == "indexing 50 % (reading)"
    log.take(IndexProgress("reading", 2, 2))
    assert log.activity == ""
