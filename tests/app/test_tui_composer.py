"""Writing a question: lines, history, files, long and hostile pastes."""

from __future__ import annotations

from pathlib import Path

from textual import events
from textual.app import App, ComposeResult

from app.path_completion import complete_path, dropped_files, mention_of, mentioned_files, open_mention
from app.widgets.composer import LONG_PASTE_CHARS, Composer
from tests.app.fake_home import FakeHome
from tests.app.tui_pilot import ask, running, screen_text, settle


class Host(App[None]):
    """The smallest app around a composer."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Composer.Submitted] = []

    def compose(self) -> ComposeResult:
        yield Composer()

    def on_composer_submitted(self, event: Composer.Submitted) -> None:
        self.sent.append(event)


async def test_enter_sends_and_newline_keys_do_not() -> None:
    app = Host()
    async with app.run_test() as pilot:
        await pilot.press("a", "shift+enter", "b", "ctrl+j", "c", "enter")
        assert [each.text for each in app.sent] == ["a\nb\nc"]
        await pilot.press("space", "enter")
        assert len(app.sent) == 1  # nothing was asked


async def test_up_and_down_walk_through_the_history_and_keep_the_draft() -> None:
    app = Host()
    async with app.run_test() as pilot:
        composer = app.query_one(Composer)
        for question in ("one", "two\nlines"):
            composer.text = question
            await pilot.press("enter")
        await pilot.press("d")
        await pilot.press("up")
        assert composer.text == "two\nlines"
        await pilot.press("up")  # inside the two lines: the cursor moves
        assert composer.text == "two\nlines"
        await pilot.press("up", "up", "up")
        assert composer.text == "one"
        await pilot.press("down", "down", "down", "down")
        assert composer.text == "d"


async def test_a_long_paste_becomes_an_attachment_and_ctrl_x_takes_it_away() -> None:
    app = Host()
    async with app.run_test() as pilot:
        composer = app.query_one(Composer)
        long_text = "x" * (LONG_PASTE_CHARS + 1)
        composer.post_message(events.Paste(long_text))
        await pilot.pause()
        assert composer.text == ""
        await pilot.press("enter")
        assert app.sent[0].pastes == (long_text,)
        composer.post_message(events.Paste(long_text))
        await pilot.press("ctrl+x", "q", "enter")
        assert app.sent[1].pastes == ()


async def test_a_long_paste_is_shown_sent_and_given_to_the_pipeline() -> None:
    home = FakeHome()
    async with running(home) as (app, pilot):
        app.chat.composer.post_message(events.Paste("y" * 10_000_000))
        await pilot.pause()
        await pilot.pause()
        assert "pasted text (10,000,000 characters)" in screen_text(app)
        await ask(pilot, "what is this?")
        await settle(pilot)
        assert [(each.name, len(each.text)) for each in home.history[0].attachments] == [("pasted text", 10_000_000)]


async def test_pasted_escapes_never_reach_the_editor() -> None:
    app = Host()
    async with app.run_test() as pilot:
        composer = app.query_one(Composer)
        composer.post_message(events.Paste("a\x1b]52;c;aGk=\x07b\x9b2Jc\u202e"))
        await pilot.pause()
        assert not set(composer.text) & set("\x1b\x07\x9b\u202e")
        assert composer.text.startswith("a")


async def test_a_question_given_back_does_not_overwrite_a_new_one() -> None:
    app = Host()
    async with app.run_test() as pilot:
        composer = app.query_one(Composer)
        composer.give_back("old")
        assert composer.text == "old"
        await pilot.pause()
        composer.text = "new"
        composer.give_back("older")
        assert composer.text == "new"


async def test_tab_completes_a_named_file_and_it_is_attached(tmp_path: Path) -> None:
    (tmp_path / "lease-2024.md").write_text("The lease ends on 3 May.", encoding="utf-8")
    home = FakeHome()
    async with running(home) as (app, pilot):
        app.chat.composer.text = f"when does it end? @{tmp_path}/lea"
        app.chat.composer.move_cursor(app.chat.composer.document.end)
        await pilot.press("tab")
        assert app.chat.composer.text.endswith("lease-2024.md")
        await pilot.press("enter")
        await settle(pilot)
        (attachment,) = home.history[0].attachments
        assert attachment.name == str(tmp_path / "lease-2024.md")
        assert "3 May" in attachment.text


async def test_a_dropped_file_becomes_a_mention(tmp_path: Path) -> None:
    file = tmp_path / "two words.txt"
    file.write_text("hello", encoding="utf-8")
    app = Host()
    async with app.run_test() as pilot:
        composer = app.query_one(Composer)
        composer.post_message(events.Paste(f"'{file}'"))
        await pilot.pause()
        assert composer.text == f'@"{file}" '


async def test_a_named_file_that_cannot_be_read_fails_the_turn_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    home = FakeHome()
    async with running(home) as (app, pilot):
        await ask(pilot, f"what is in @{tmp_path}/empty.txt?")
        await settle(pilot)
        assert home.history == []
        assert "empty.txt" in screen_text(app)
        assert app.chat.composer.text.startswith("what is in")


def test_mentions_are_existing_files_only(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    (tmp_path / "b c.txt").touch()
    question = f'compare @{tmp_path}/a.txt, @"{tmp_path}/b c.txt" and @{tmp_path}/none, mail me@home.org @{tmp_path}'
    assert mentioned_files(question) == (tmp_path / "a.txt", tmp_path / "b c.txt")
    assert mentioned_files("@" + "x" * 5000 + " @\x00") == ()
    assert mentioned_files(mention_of(tmp_path / "b c.txt")) == (tmp_path / "b c.txt",)


def test_dropped_files_are_absolute_paths_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a b.txt"
    file.touch()
    escaped = str(file).replace(" ", "\\ ")
    for pasted in (f"'{file}'", escaped, f"file://{str(file).replace(' ', '%20')}", f"{escaped} '{file}'\n"):
        assert set(dropped_files(pasted)) == {file}
    for pasted in ("", "hello", f"see {file}", f"'{file}", str(tmp_path), "/nowhere/at/all", f"'{file}'\nand more"):
        assert dropped_files(pasted) == ()


def test_completion_goes_as_far_as_is_certain(tmp_path: Path) -> None:
    for name in ("report-1.pdf", "report-2.pdf", "\x1bevil", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert complete_path(f"{tmp_path}/r") == f"{tmp_path}/report-"
    assert complete_path(f"{tmp_path}/report-1") == f"{tmp_path}/report-1.pdf"
    assert complete_path(f"{tmp_path}/f") == f"{tmp_path}/folder/"
    assert complete_path(f"{tmp_path}/\x1b") == f"{tmp_path}/\x1b"
    assert complete_path(f"{tmp_path}/") == f"{tmp_path}/"
    assert complete_path(f"{tmp_path}/.h") == f"{tmp_path}/.hidden"
    assert complete_path("/no/such/folder/x") == "/no/such/folder/x"


def test_the_mention_at_the_cursor() -> None:
    assert open_mention("see @~/doc") == "~/doc"
    assert open_mention('see @"/a b') == "/a b"
    assert open_mention("see @done and then") is None
    assert open_mention("mail me@home") is None
