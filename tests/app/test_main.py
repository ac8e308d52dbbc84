"""The program as it is started: arguments, pipes, signals, terminals. Each test is a process of its own."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from app.terminal_text import is_forbidden
from tests.conftest import PROJECT_ROOT

Homebody = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes, signals and terminals as POSIX has them")

COMMAND = [sys.executable, "-W", "ignore", "-m", "app"]
TIMEOUT_S = 120


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "HOMEBODY_HOME": str(tmp_path / "home"), "NO_COLOR": "1", "TERM": "xterm"}


@pytest.fixture
def homebody(environ: dict[str, str]) -> Homebody:
    def run(
        *arguments: str, stdout: int | IO[str] = subprocess.PIPE, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=PROJECT_ROOT,
            env=environ | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    return run


def test_without_arguments_and_terminal_it_says_how_to_be_used(homebody: Homebody, tmp_path: Path) -> None:
    finished = homebody()
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert 'git diff | homebody ask "What changed?"' in finished.stderr
    assert not (tmp_path / "home").exists()


def test_a_dumb_terminal_is_told_the_same(environ: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    finished = subprocess.run(
        COMMAND,
        cwd=PROJECT_ROOT,
        env=environ | {"TERM": "dumb"},
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    os.close(theirs)
    os.close(ours)
    assert finished.returncode == 2
    assert "homebody ask" in finished.stderr


def test_help_and_version_touch_nothing(homebody: Homebody, tmp_path: Path) -> None:
    assert "Usage: homebody" in homebody("--help").stdout
    assert homebody("--version").stdout.startswith("homebody ")
    assert not (tmp_path / "home").exists()


def test_a_closed_pipe_ends_it_without_a_word(homebody: Homebody) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    finished = homebody("--help", stdout=writing)
    os.close(writing)
    assert (finished.returncode, finished.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_under_the_output_is_one_line(homebody: Homebody) -> None:
    with Path("/dev/full").open("w") as full:
        finished = homebody("--help", stdout=full)
    assert finished.returncode == 1
    assert finished.stderr.splitlines()[0] == "homebody: cannot write: No space left on device"
    assert len(finished.stderr.splitlines()) == 2


def test_streams_that_were_closed_before_the_start_are_survived(environ: dict[str, str]) -> None:
    line = f"{subprocess.list2cmdline(COMMAND)} chats list <&- >&- 2>&-"
    finished = subprocess.run(["sh", "-c", line], cwd=PROJECT_ROOT, env=environ, timeout=TIMEOUT_S, check=False)
    assert finished.returncode == 0


def test_a_locale_without_the_characters_is_survived(homebody: Homebody) -> None:
    finished = homebody("models", "list", env={"PYTHONIOENCODING": "ascii"})
    assert finished.returncode == 0
    assert " ? qwen" in finished.stdout


def test_ctrl_c_at_a_pipe_that_says_nothing(environ: dict[str, str], tmp_path: Path) -> None:
    """Opening a FIFO for writing waits until the program has opened it for reading: then it is waiting for us."""
    fifo = tmp_path / "questions"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [*COMMAND, "ask", "--batch", str(fifo)],
        cwd=PROJECT_ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with fifo.open("w"):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out, err) == (130, "", "")


def test_an_expected_error_is_a_message_and_leaves_no_traceback_anywhere(homebody: Homebody, tmp_path: Path) -> None:
    finished = homebody("ask", "x", "--no-library")
    assert finished.returncode == 3
    assert finished.stderr.splitlines() == [
        "homebody: no chat model is installed",
        "  run: homebody models pull --for chat",
    ]
    log = tmp_path / "home" / "homebody.log"
    assert not log.exists() or "Traceback" not in log.read_text()


def on_a_terminal(arguments: list[str], environ: dict[str, str]) -> tuple[int, str]:
    """Run with standard output and error on a pseudo-terminal; returns the status and every byte that came out."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=PROJECT_ROOT, env=environ, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    pieces: list[bytes] = []
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(ours)
    return process.wait(TIMEOUT_S), b"".join(pieces).decode("utf-8")


OUR_OWN = re.compile(r"\r\x1b\[K|\r\n")
"""What the command line itself writes to a terminal without colours: a status line, redrawn; and the terminal's CR."""


def test_hostile_names_and_texts_reach_no_terminal(environ: dict[str, str], tmp_path: Path) -> None:
    hostile = "\x1b]52;c;aGk=\x07\x1b[2J\x1b]8;;http://evil.example\x1b\\\x9b31m\u202e[red]\x1bPq\x1b\\"
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / f"harbour {hostile.replace('/', '')}\n.md").write_text(f"# Harbour {hostile}\n\nThe harbour {hostile}.\n")
    (folder / f"damaged {hostile.replace('/', '')}.pdf").write_bytes(b"%PDF-1.7 harbour")

    for arguments in (["index", str(folder)], ["search", "harbour"], ["index", f"{folder}/{hostile}"]):
        status, seen = on_a_terminal(arguments, environ)
        assert status == (1 if arguments[-1].endswith("\\") else 0), seen
        assert "␛" in seen
        leaked = [char for char in OUR_OWN.sub("\n", seen) if is_forbidden(char)]
        assert leaked == [], seen


def test_on_a_terminal_the_screens_open_and_close(environ: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(COMMAND, cwd=PROJECT_ROOT, env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    quit_sent = False
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
        if b"homebody" in seen and not quit_sent:
            quit_sent = True
            os.write(ours, b"\x11")  # Ctrl-Q
    os.close(ours)
    assert process.wait(TIMEOUT_S) == 0
    assert b"\x1b[?1049h" in seen
    assert b"\x1b[?1049l" in seen
    assert b"Traceback" not in seen
