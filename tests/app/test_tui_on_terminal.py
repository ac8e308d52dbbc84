"""The terminal UI on a pseudo-terminal with a scripted terminal behind it: what kitty and sixel terminals are sent,
and what happens when it goes away."""

from __future__ import annotations

import base64
import os
import re
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.hang_up import HUNG_UP

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")

PACKAGES = Path(__file__).resolve().parent.parent.parent
DEADLINE_S = 60.0
COLUMNS, ROWS, CELL_PX = 120, 40, (10, 20)
F3, LEAVE = b"\x1bOR", b"\x11"
PLACEHOLDER = "\U0010eeee"

PROGRAM = """\
import sys
sys.path.insert(0, sys.argv[1])
from PIL import Image
from app.homebody_app import run_app
from pipelines.page_picture import PagePicture
from rag.records import DocumentRow
from tests.app.fake_home import FakeHome

home = FakeHome()
home.files = [DocumentRow("/files/photo.jpg", "photo", "image", "embedded", "", 1234, 1, 1)]
red = Image.new("RGB", (300, 300), (200, 0, 0))
home.pages.pictures["/files/photo.jpg", None] = PagePicture(red, 300, 300, (), is_paper=False)
sys.exit(run_app(lambda: home))
"""


class ScriptedTerminal:
    """Answers what it is asked, types, and keeps all that it is sent."""

    def __init__(self, environ: Mapping[str, str], answers: bytes) -> None:
        import fcntl
        import pty
        import termios

        self._terminal, program = pty.openpty()
        size = struct.pack("HHHH", ROWS, COLUMNS, COLUMNS * CELL_PX[0], ROWS * CELL_PX[1])
        fcntl.ioctl(program, termios.TIOCSWINSZ, size)
        other_terminal = {
            "TMUX",
            "STY",
            "ZELLIJ",
            "SSH_CONNECTION",
            "SSH_CLIENT",
            "SSH_TTY",
            "NO_COLOR",
            "KITTY_WINDOW_ID",
        }
        other_terminal |= {"COLUMNS", "LINES"}  # pytest-xdist's workers are told those of the terminal they began in
        inherited = {name: value for name, value in os.environ.items() if name not in other_terminal}
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(PACKAGES)],
            stdin=program,
            stdout=program,
            stderr=program,
            env={**inherited, **environ},
            cwd=PACKAGES,
        )
        os.close(program)
        self._answers = answers
        self._heard = bytearray()
        self._ended = threading.Event()
        threading.Thread(target=self._play, daemon=True).start()

    def _play(self) -> None:
        answered = False
        try:
            while piece := os.read(self._terminal, 65536):
                self._heard.extend(piece)
                if not answered and b"\x1b[c" in self._heard:
                    answered = True
                    self.type(self._answers)
        except OSError:  # the program has ended
            pass
        finally:
            self._ended.set()

    def type(self, keys: bytes) -> None:
        os.write(self._terminal, keys)

    @property
    def text(self) -> str:
        return bytes(self._heard).decode("utf-8", "replace")

    def wait_for(self, sign: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while sign not in self.text:
            assert time.monotonic() < deadline, f"{sign!r} never came; last: {self.text[-2000:]!r}"
            self._ended.wait(0.02)

    def hang_up(self) -> int:
        """Go away without a word; homebody's exit code."""
        os.close(self._terminal)
        try:
            return self._process.wait(DEADLINE_S)
        finally:
            self._process.kill()

    def close(self) -> str:
        """Leave homebody; all that was sent."""
        self.type(LEAVE)
        try:
            assert self._process.wait(DEADLINE_S) == 0
            self._ended.wait(DEADLINE_S)
        finally:
            self._process.kill()
            os.close(self._terminal)
        return self.text


def test_a_kitty_terminal_is_sent_the_picture_once_whole_and_told_to_forget_it() -> None:
    answers = b"\x1b_Gi=31;OK\x1b\\\x1bP>|kitty(0.35.2)\x1b\\\x1b[6;20;10t\x1b[?62;c"
    terminal = ScriptedTerminal({"TERM": "xterm-kitty", "COLORTERM": "truecolor"}, answers)
    terminal.wait_for("Ask something about your files")
    terminal.type(F3)
    terminal.wait_for(PLACEHOLDER)
    sent = terminal.close()
    messages = re.findall(r"\x1b_G([^;\x1b]*)(?:;([^\x1b]*))?\x1b\\", sent)
    (question, *transmitted, forgotten) = [dict(each.split("=") for each in head.split(",")) for head, _ in messages]
    assert question["a"] == "q"
    head = transmitted[0]
    assert (head["a"], head["U"], head["f"], head["q"]) == ("T", "1", "24", "2")
    assert transmitted[-1]["m"] == "0"
    assert [each.get("i") for each in transmitted].count(head["i"]) == 1
    pixels = zlib.decompress(base64.b64decode("".join(payload for _, payload in messages[1:-1])))
    assert pixels == bytes((200, 0, 0)) * (int(head["s"]) * int(head["v"]))
    assert (int(head["s"]), int(head["v"])) == (int(head["c"]) * CELL_PX[0], int(head["r"]) * CELL_PX[1])
    image_id = int(head["i"])
    colour = f"38;2;{image_id >> 16};{image_id >> 8 & 255};{image_id & 255}"
    assert re.search(rf"\x1b\[[\d;]*{colour}m{PLACEHOLDER}", sent), "its number in the placeholders' colour"
    assert sent.index("\x1b_Ga=T") < sent.index(PLACEHOLDER)
    assert (forgotten["a"], forgotten["d"], forgotten["i"]) == ("d", "I", head["i"])


def test_a_terminal_with_sixels_is_sent_a_line_at_a_time_and_nothing_of_kittys() -> None:
    terminal = ScriptedTerminal(
        {"TERM": "xterm-256color", "COLORTERM": "truecolor", "TERM_PROGRAM": ""}, b"\x1b[6;20;10t\x1b[?63;1;4;22c"
    )
    terminal.wait_for("Ask something about your files")
    terminal.type(F3)
    terminal.wait_for("\x1bP")
    sent = terminal.close()
    assert "\x1b_G" not in sent
    assert PLACEHOLDER not in sent
    lines = re.findall(r'\x1b\[(\d+)D\x1b7\x1bP[\d;]*q"1;1;(\d+);(\d+)[^\x1b]*\x1b\\\x1b8\x1b\[(\d+)C', sent)
    assert lines
    for back, width, height, forward in lines:
        assert back == forward
        assert (int(width), int(height)) == (int(back) * CELL_PX[0], CELL_PX[1])


def test_in_a_multiplexer_nothing_is_asked_and_blocks_are_drawn() -> None:
    terminal = ScriptedTerminal({"TERM": "tmux-256color", "COLORTERM": "truecolor", "TMUX": "/tmp/t,1,0"}, b"")
    terminal.wait_for("Ask something about your files")
    terminal.type(F3)
    terminal.wait_for("48;2;200;0;0m")
    sent = terminal.close()
    assert "\x1b[16t" not in sent
    assert "\x1bP" not in sent
    assert "\x1b_G" not in sent


def test_homebody_ends_with_a_terminal_that_goes_away_without_a_signal() -> None:
    terminal = ScriptedTerminal({"TERM": "xterm-256color"}, b"\x1b[?62;c")
    terminal.wait_for("Ask something about your files")
    assert terminal.hang_up() == HUNG_UP
