"""The doctor's subject is what is there, and the main job under watch leaves nothing behind."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from threading import Event

import pytest

from models.errors import EngineFailed
from pipelines.checkup import Terminal
from pipelines.doctor import report, run_checks
from pipelines.events import IndexDone, IndexEvent, IndexReport, SearchResult
from pipelines.examination import JOB_QUESTION, SocketWatch, check_main_job, subject_of
from pipelines.home import EnginesStatus, Home
from pipelines.paths import HomePaths
from pipelines.settings import Settings
from tests.app.fake_home import FakeHome

TERMINAL = Terminal(interactive=False, encoding="utf-8", columns=80, name="xterm")


class WatchedHome(FakeHome):
    """Keeps what it was given; `listen` opens a door to others while it works."""

    def __init__(self, *, listen: bool = False, chat: bool = True) -> None:
        super().__init__()
        self.listen = listen
        self.chat = chat
        self.read: list[str] = []
        self.searched: list[str] = []

    def index(
        self, roots: Iterable[Path], stop: Event, *, reembed: bool = False, named: bool = True
    ) -> Iterator[IndexEvent]:
        assert not stop.is_set()
        assert not reembed
        assert named
        self.read += [file.read_text() for root in roots for file in root.iterdir()]
        yield IndexDone(IndexReport(1, 0, 0, (), 1, 0.1))

    def search(
        self, query: str, *, k: int = 10, kinds: Collection[str] | None = None, like: Path | None = None
    ) -> SearchResult:
        assert k
        assert kinds is None
        assert like is None
        self.searched.append(query)
        if self.listen:
            with socket.socket() as door:
                door.bind(("0.0.0.0", 0))
                door.listen()
                self.watch_once()
        return SearchResult((), 0.1)

    def watch_once(self) -> None:
        """Stay in that state until it was surely looked at."""
        watch = SocketWatch()
        watch.sample()
        assert watch.seen
        Event().wait(0.2)

    def engines(self) -> EnginesStatus:
        return super().engines() if self.chat else EnginesStatus("", False, {}, ())


def run_job(home: WatchedHome, root: Path) -> tuple[list[tuple[str, str, str]], HomePaths]:
    opened: list[HomePaths] = []

    def open_home(paths: HomePaths, settings: Settings) -> Home:
        assert settings == Settings()
        opened.append(paths)
        return home

    checks = list(check_main_job(HomePaths(root), Settings(), open_home))
    assert home.closed == 1
    return [(each.name, each.status, each.detail) for each in checks], opened[0]


def test_the_main_job_is_done_in_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    (tmp_path / "profile.json").write_text("{}")
    home = WatchedHome()
    checks, used = run_job(home, tmp_path)

    assert [(name, status) for name, status, _ in checks] == [("network", "ok"), ("sockets", "ok")]
    assert "indexing, searching and answering: nothing was attempted" in checks[0][2]
    assert len(home.read) == 1
    assert home.searched == [JOB_QUESTION]
    assert [(turn.question, turn.save) for turn in home.history] == [(JOB_QUESTION, False)]
    assert used.root != tmp_path
    assert not used.root.exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["models", "profile.json"]
    assert (tmp_path / "models" / "tiny").is_dir()


def test_without_a_model_it_does_what_it_can_and_says_so(tmp_path: Path) -> None:
    home = WatchedHome(chat=False)
    checks, _ = run_job(home, tmp_path)
    assert "indexing and searching, without a model" in checks[0][2]
    assert home.history == []


@pytest.mark.skipif(os.name != "posix", reason="lists the sockets of a process as Linux and macOS do")
def test_a_socket_beyond_this_machine_is_seen(tmp_path: Path) -> None:
    checks, _ = run_job(WatchedHome(listen=True), tmp_path)
    assert checks[1][:2] == ("sockets", "fail")
    assert "listening" in checks[1][2]


def test_loopback_is_not_beyond_this_machine() -> None:
    watch = SocketWatch()
    with socket.create_server(("127.0.0.1", 0)):
        watch.sample()
    assert (watch.seen, watch.samples, watch.failure) == (set(), 1, "")


def test_a_job_that_fails_cleans_up(tmp_path: Path) -> None:
    home = WatchedHome()
    home.enqueue(EngineFailed("broke", hint="again"))
    with pytest.raises(EngineFailed):
        run_job(home, tmp_path)
    assert home.closed == 1
    assert list(tmp_path.iterdir()) == []


def test_the_subject_of_an_empty_home(tmp_path: Path) -> None:
    subject = subject_of(HomePaths(tmp_path / "home"), device=None, terminal=TERMINAL, environ={})
    assert subject.settings == Settings()
    assert subject.hardware.cpu.worker_cores >= 1
    assert set(subject.placements) == {"ocr", "labels"}, "what comes with homebody; nothing else is installed"
    assert not (tmp_path / "home").exists()


def test_broken_settings_and_unknown_models_are_findings_not_failures(tmp_path: Path) -> None:
    paths = HomePaths(tmp_path)
    paths.settings_file.write_text("[chat]\ncolour = 1\n")
    environ = {"HOMEBODY_CHAT_MODEL": "no-such-model"}
    broken = subject_of(paths, device="cpu", terminal=TERMINAL, environ={})
    assert broken.settings_error is not None
    assert "chat.colour" in broken.settings_error[0]

    paths.settings_file.unlink()
    found = report(unknown := subject_of(paths, device="cpu", terminal=TERMINAL, environ=environ), run_checks(unknown))
    weights = next(check for check in found.checks if check.name == "chat weights")
    assert weights.status == "fail"
    assert "no-such-model" in weights.detail
