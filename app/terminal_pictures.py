"""Which kind of picture this terminal can show, and how large its cells are in pixels.

Asked once, before Textual reads the keyboard, with a question that every terminal answers at the end, so that nobody
waits for those that know nothing of pictures. What must not be asked (a multiplexer, a distant machine, a terminal that
would print the question) gets blocks, which every terminal with colours can show.
"""

from __future__ import annotations

import os
import re
import struct
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Protocol = Literal["kitty", "sixel", "blocks", "off"]
Wish = Literal["auto", "kitty", "sixel", "blocks", "off"]
"""As the setting `look.pictures` has it."""

ANSWER_WITHIN_S = 0.3
DEFAULT_CELL_PX = (10, 20)
MAX_CELL_PX = 200
MIN_KITTY = (0, 28)
"""Placeholder characters came with this version."""

_ATTRIBUTES = "\x1b[c"
"""Primary device attributes: answered by all terminals there are. Last, so that its answer ends the waiting."""
_CELL_SIZE = "\x1b[16t"
_KITTY = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
_VERSION = "\x1b[>q"

_ATTRIBUTES_ANSWER = re.compile(rb"\x1b\[\?([\d;]*)c")
_CELL_SIZE_ANSWER = re.compile(rb"\x1b\[6;(\d{1,4});(\d{1,4})t")
_KITTY_ANSWER = re.compile(rb"\x1b_Gi=31;OK\x1b\\")
_VERSION_ANSWER = re.compile(rb"\x1bP>\|(\w+)[ (](\d+)\.(\d+)[^\x1b]*\x1b\\")
_SIXEL_ATTRIBUTE = b"4"

_BETWEEN = ("TMUX", "STY", "ZELLIJ", "SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")
"""Something stands between homebody and the terminal that shows it."""
_PLAIN = ("", "dumb", "linux", "screen", "tmux", "vt100", "vt220", "ansi", "cygwin")


@dataclass(frozen=True, slots=True)
class TerminalPictures:
    """What the terminal said of itself."""

    kitty: bool = False
    sixel: bool = False
    cell_px: tuple[int, int] = DEFAULT_CELL_PX
    """Width and height."""

    def chosen(self, wish: Wish) -> Protocol:
        """The user knows best; of itself homebody takes the sharpest that was answered for."""
        if wish != "auto":
            return wish
        return "kitty" if self.kitty else "sixel" if self.sixel else "blocks"


def ask_terminal(environ: Mapping[str, str] = os.environ, *, within_s: float = ANSWER_WITHIN_S) -> TerminalPictures:
    """Ask the terminal that standard input and output are. Never raises: who cannot be asked gets blocks."""
    if not may_be_asked(environ):
        return TerminalPictures()
    try:
        return understood(_answer(questions(environ), within_s))
    except (OSError, ValueError, ImportError):  # no terminal after all, or one of Windows
        return TerminalPictures()


def may_be_asked(environ: Mapping[str, str]) -> bool:
    term = environ.get("TERM", "")
    return not any(environ.get(name) for name in _BETWEEN) and term.partition("-")[0] not in _PLAIN


def questions(environ: Mapping[str, str]) -> str:
    """kitty's is put only where it is understood: others may print it."""
    names = f"{environ.get('TERM', '')} {environ.get('TERM_PROGRAM', '')}".lower()
    knows_kitty = bool(environ.get("KITTY_WINDOW_ID")) or "kitty" in names or "ghostty" in names
    return (_KITTY + _VERSION if knows_kitty else "") + _CELL_SIZE + _ATTRIBUTES


def understood(answer: bytes) -> TerminalPictures:
    """What the answers say; nothing where they say nothing."""
    attributes = _ATTRIBUTES_ANSWER.search(answer)
    cell = _CELL_SIZE_ANSWER.search(answer)
    return TerminalPictures(
        kitty=_KITTY_ANSWER.search(answer) is not None and _has_placeholders(answer),
        sixel=attributes is not None and _SIXEL_ATTRIBUTE in attributes[1].split(b";"),
        cell_px=_plausible((int(cell[2]), int(cell[1]))) if cell else DEFAULT_CELL_PX,
    )


def cell_px_now(known: tuple[int, int]) -> tuple[int, int]:
    """The cells' size as the system has it: it changes with the font. `known` where it has none."""
    try:
        import fcntl
        import termios

        rows, columns, width, height = struct.unpack(
            "HHHH", fcntl.ioctl(sys.__stdout__ or 1, termios.TIOCGWINSZ, bytes(8))
        )
    except (OSError, ValueError, ImportError):
        return known
    if not (rows and columns and width and height):
        return known
    return _plausible((width // columns, height // rows), otherwise=known)


def _has_placeholders(answer: bytes) -> bool:
    version = _VERSION_ANSWER.search(answer)
    if version is None:
        return False
    name = version[1].lower()
    return name == b"ghostty" or (name == b"kitty" and (int(version[2]), int(version[3])) >= MIN_KITTY)


def _plausible(cell_px: tuple[int, int], otherwise: tuple[int, int] = DEFAULT_CELL_PX) -> tuple[int, int]:
    return cell_px if all(1 < each <= MAX_CELL_PX for each in cell_px) else otherwise


def _answer(asked: str, within_s: float) -> bytes:
    """What comes back until the last question is answered or the time is over. Raises OSError, ImportError."""
    import select
    import termios
    import tty

    keyboard, screen = 0, 1
    answer = b""
    try:
        before = termios.tcgetattr(keyboard)
    except termios.error as error:
        raise OSError(str(error)) from error
    try:
        tty.setcbreak(keyboard, termios.TCSANOW)
        os.write(screen, asked.encode("ascii"))
        deadline = time.monotonic() + within_s
        while _ATTRIBUTES_ANSWER.search(answer) is None:
            ready, _, _ = select.select([keyboard], [], [], max(0.0, deadline - time.monotonic()))
            if not ready or not (piece := os.read(keyboard, 1024)):
                break
            answer += piece
    finally:
        termios.tcsetattr(keyboard, termios.TCSANOW, before)
    return answer
