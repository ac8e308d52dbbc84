"""What terminals say of themselves, and what homebody makes of it; asked for real through a pseudo-terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app.terminal_pictures import DEFAULT_CELL_PX, TerminalPictures, may_be_asked, questions, understood

KITTY_OK = b"\x1b_Gi=31;OK\x1b\\"
ATTRIBUTES_WITH_SIXEL = b"\x1b[?63;1;2;4;6;9;15;22c"
ATTRIBUTES = b"\x1b[?62;22c"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"", TerminalPictures()),
        (ATTRIBUTES, TerminalPictures()),
        (b"\x1b[?64c", TerminalPictures()),  # a 4 in a number is no sixels
        (b"\x1b[6;17;8t" + ATTRIBUTES_WITH_SIXEL, TerminalPictures(sixel=True, cell_px=(8, 17))),
        (KITTY_OK + b"\x1bP>|kitty(0.35.2)\x1b\\\x1b[6;36;18t" + ATTRIBUTES, TerminalPictures(True, False, (18, 36))),
        (KITTY_OK + b"\x1bP>|ghostty 1.1.3\x1b\\" + ATTRIBUTES, TerminalPictures(kitty=True)),
        (KITTY_OK + b"\x1bP>|kitty(0.26.5)\x1b\\" + ATTRIBUTES, TerminalPictures()),  # before placeholders
        (KITTY_OK + b"\x1bP>|WezTerm 20240203-110809\x1b\\" + ATTRIBUTES_WITH_SIXEL, TerminalPictures(sixel=True)),
        (b"\x1b_Gi=31;ENOTSUPPORTED\x1b\\\x1bP>|kitty(0.35.2)\x1b\\" + ATTRIBUTES, TerminalPictures()),
        (b"typed\x1b[6;0;9999t" + ATTRIBUTES, TerminalPictures(cell_px=DEFAULT_CELL_PX)),
    ],
)  # fmt: skip
def test_what_terminals_answer(answer: bytes, expected: TerminalPictures) -> None:
    assert understood(answer) == expected


@pytest.mark.parametrize("name", ["TMUX", "STY", "ZELLIJ", "SSH_CONNECTION", "SSH_TTY"])
def test_nothing_is_asked_through_something_in_between(name: str) -> None:
    assert may_be_asked({"TERM": "xterm-256color"})
    assert not may_be_asked({"TERM": "xterm-256color", name: "/tmp/x,1,0"})


@pytest.mark.parametrize("term", ["", "dumb", "linux", "screen-256color", "tmux-256color"])
def test_nothing_is_asked_of_plain_terminals(term: str) -> None:
    assert not may_be_asked({"TERM": term})


def test_kittys_question_is_put_only_to_those_who_understand_it() -> None:
    assert "\x1b_G" not in questions({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"})
    assert "\x1b_G" in questions({"TERM": "xterm-kitty"})
    assert "\x1b_G" in questions({"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"})
    assert questions({"TERM": "xterm"}).endswith("\x1b[c"), "the one that all answer comes last"


def test_the_user_knows_best() -> None:
    both = TerminalPictures(kitty=True, sixel=True)
    assert both.chosen("auto") == "kitty"
    assert both.chosen("blocks") == "blocks"
    assert TerminalPictures(sixel=True).chosen("auto") == "sixel"
    assert TerminalPictures().chosen("auto") == "blocks"
    assert TerminalPictures().chosen("sixel") == "sixel"
    assert both.chosen("off") == "off"


ASKING = """\
import sys
sys.path.insert(0, sys.argv[1])
from app.terminal_pictures import ask_terminal
print(ask_terminal({"TERM": "xterm-256color"}, within_s=float(sys.argv[2])), flush=True)
"""


def asked_through_a_terminal(answer: Callable[[bytes], bytes], within_s: float) -> tuple[str, bytes]:
    """What a process on a pseudo-terminal makes of a terminal that answers so; and what it was sent."""
    import pty
    import termios
    import tty

    terminal, program = pty.openpty()
    tty.setraw(program)
    packages = str(Path(__file__).resolve().parent.parent.parent)
    process = subprocess.Popen(
        [sys.executable, "-c", ASKING, packages, str(within_s)], stdin=program, stdout=program, stderr=subprocess.PIPE
    )
    before = termios.tcgetattr(program)
    heard = bytearray()

    def play() -> None:
        answered = False
        while True:
            try:
                heard.extend(os.read(terminal, 4096))
            except OSError:
                return
            if not answered and b"\x1b[c" in heard:
                answered = True
                os.write(terminal, answer(bytes(heard)))
            if b"TerminalPictures(" in heard and b")" in heard.partition(b"TerminalPictures(")[2]:
                return

    player = threading.Thread(target=play, daemon=True)
    player.start()
    _, errors = process.communicate(timeout=60)
    player.join(timeout=60)
    assert process.returncode == 0, errors.decode()
    assert termios.tcgetattr(program) == before, "the terminal is as it was"
    os.close(program)
    os.close(terminal)
    questions_sent, mark, said = bytes(heard).partition(b"TerminalPictures")
    return (mark + said).decode().strip(), questions_sent


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_a_terminal_with_sixels_is_asked_and_understood() -> None:
    said, sent = asked_through_a_terminal(lambda _: b"\x1b[6;17;8t" + ATTRIBUTES_WITH_SIXEL, 60.0)
    assert said == "TerminalPictures(kitty=False, sixel=True, cell_px=(8, 17))"
    assert sent == b"\x1b[16t\x1b[c"


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_a_terminal_that_says_nothing_gets_blocks() -> None:
    said, _ = asked_through_a_terminal(lambda _: b"", 0.05)
    assert said == f"TerminalPictures(kitty=False, sixel=False, cell_px={DEFAULT_CELL_PX})"
