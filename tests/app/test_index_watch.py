from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from app.cli import run
from app.console import Console
from app.exit_codes import ExitCode
from app.invocation import Invocation
from app.options import Device
from pipelines.errors import LibraryError
from pipelines.events import (
    FileChanged,
    FileFailed,
    Following,
    IndexDone,
    IndexEvent,
    IndexProgress,
    IndexReport,
    Notice,
)
from pipelines.home import Home
from pipelines.paths import HomePaths
from pipelines.settings import Settings
from tests.app.fake_home import FakeHome


class FollowedHome(FakeHome):
    """Says what it was told to and then, as the user does, asks to stop."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.says: list[IndexEvent | Exception] = []

    def follow(self, stop: threading.Event) -> Iterator[IndexEvent]:
        self.following += 1
        try:
            for said in self.says:
                if isinstance(said, Exception):
                    raise said
                yield said
            stop.set()
        finally:
            self.following -= 1
            self.ended.append("follow")


class Shell:
    def __init__(self, root: Path) -> None:
        self.home = FollowedHome(root)
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        out, err = io.StringIO(), io.StringIO()
        invocation = Invocation(self.home.paths, Console(out, err, {}), environ={}, opener=self._open)
        status = run(arguments, invocation)
        self.out, self.err = out.getvalue(), err.getvalue()
        return status

    def _open(self, paths: HomePaths, settings: Settings, *, device: Device | None, write: bool) -> Home:
        assert (paths, device, write, settings) == (self.home.paths, None, True, Settings())
        return cast("Home", self.home)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


REPORT = IndexReport(2, 5, 1, (), 7, 0.5)
SAID: list[IndexEvent | Exception] = [
    Following(2, away=("/media/stick",)),
    IndexProgress("reading", 1, 2, "/files/a.md"),
    IndexDone(REPORT),
    FileChanged("/files/a.md", "read"),
    FileChanged("/files/new/b.md", "moved"),
    FileChanged("/files/\x1b[31mred.md", "removed"),
    FileFailed("/files/c.pdf", "it is encrypted", "save it without a password"),
    Notice("only words are indexed", "run: homebody models pull"),
]


def test_watching_says_a_line_a_change_until_it_is_stopped(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.home.says = SAID
    assert shell("index", str(tmp_path), "--watch") == ExitCode.OK
    assert shell.home.looked_again == [[tmp_path]]
    assert "Following 2 folders and files; not connected: /media/stick" in shell.err
    assert "only words are indexed" in shell.err
    lines = shell.out.splitlines()
    assert lines[0].startswith("2 files read, 5 unchanged, 1 removed")
    assert [line.split() for line in lines[1:3]] == [["read", "/files/a.md"], ["moved", "/files/new/b.md"]]
    assert "\x1b" not in shell.out
    assert "it is encrypted" in shell.out
    assert (shell.home.closed, shell.home.ended) == (1, ["follow"])


def test_many_changes_at_once_are_counted(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.home.says = [*(FileChanged(f"/files/{number}.md", "moved") for number in range(5000)), IndexDone(REPORT)]
    assert shell("index", "--watch") == ExitCode.OK
    lines = shell.out.splitlines()
    assert len(lines) == 21
    assert lines[-1].startswith("2 files read")


def test_watching_prints_an_object_a_line(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.home.says = SAID
    assert shell("index", "--watch", "--json") == ExitCode.OK
    assert shell.home.looked_again == [], "what is in the library is looked through anyway"
    assert [line["event"] for line in shell.lines()] == [
        "following",
        "report",
        "changed",
        "changed",
        "changed",
        "failed",
        "notice",
    ]
    assert shell.lines()[0]["not_connected"] == ["/media/stick"]
    assert shell.lines()[1] == {"event": "report", **REPORT.to_json()}
    assert shell.lines()[2] == {"event": "changed", "path": "/files/a.md", "change": "read"}


def test_a_path_that_is_not_there_is_refused_unless_the_library_has_it(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.home.says = [Following(0)]
    assert shell("index", str(tmp_path / "nowhere"), "--watch") == ExitCode.FAILED
    assert "there is no" in shell.err
    shell.home.roots = (str(tmp_path / "nowhere"),)
    assert shell("index", str(tmp_path / "nowhere"), "--watch") == ExitCode.OK


def test_watching_needs_the_right_to_write(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.home.read_only = "process 4711 has this library open for writing"
    assert shell("index", str(tmp_path), "--watch") == ExitCode.FAILED
    assert "4711" in shell.err
    assert shell.home.ended == []


def test_an_error_ends_it_with_its_hint(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.home.says = [Following(1), LibraryError("the disk is full", hint="free some space")]
    assert shell("index", "--watch") == ExitCode.FAILED
    assert "the disk is full" in shell.err
    assert "free some space" in shell.err


def test_reembedding_is_not_a_thing_to_watch(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert shell("index", "--watch", "--reembed") == ExitCode.USAGE
    assert "homebody index --reembed" in shell.err
