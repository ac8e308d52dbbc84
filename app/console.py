"""Standard output and error as the command line uses them: data on one, talk on the other, nothing hostile on either.

Every text goes through the terminal filter here, and styles are added after it, so no command can forget it.
Styles are for terminals only and respect NO_COLOR and TERM=dumb; nothing depends on them.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TextIO

from app.terminal_text import TerminalTextFilter, clean, clean_line, escape_json

StyleName = Literal["bold", "dim", "red", "yellow", "green", "cyan"]
_SGR: Final = {"bold": "1", "dim": "2", "red": "31", "yellow": "33", "green": "32", "cyan": "36"}

PLAIN_WIDTH: Final = 80
MAX_WIDTH: Final = 100
"""Longer lines are tiring to read; a wide terminal keeps its margin."""


@dataclass(frozen=True, slots=True)
class Styled:
    """A text and how it should look where that is possible."""

    text: str
    style: StyleName


def bold(text: str) -> Styled:
    return Styled(text, "bold")


def dim(text: str) -> Styled:
    return Styled(text, "dim")


class TextStream:
    """One of the two streams."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        self.is_terminal = stream.isatty()
        self.has_styles = self.is_terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        self.can_redraw = self.is_terminal and environ.get("TERM") != "dumb"
        self._stream = stream
        self._words = TerminalTextFilter()

    @property
    def width(self) -> int:
        """Columns to write in: the terminal's, up to a readable line, or 80."""
        if not self.is_terminal:
            return PLAIN_WIDTH
        return max(20, min(shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns, MAX_WIDTH))

    def line(self, *parts: str | Styled) -> None:
        """Write parts as one line; each is cleaned."""
        self._stream.write("".join(map(self._rendered, parts)) + "\n")

    def paragraph(self, text: str, *, indent: str = "", max_lines: int = 0, style: StyleName | None = None) -> None:
        """Write text wrapped and indented, on at most `max_lines` lines (0: all)."""
        for line in wrapped(text, self.width - len(indent), max_lines=max_lines):
            self.line(indent, Styled(line, style) if style else line)

    def words(self, chunk: str) -> None:
        """Write the next piece of a stream of words, at once."""
        self._stream.write(self._words.feed(chunk))
        self._stream.flush()

    def exact(self, document: str) -> None:
        """Write a document that is safe by its own making (JSON)."""
        self._stream.write(document)

    def redraw(self, text: str) -> None:
        """Replace the terminal's current line; for one short line that is about to be replaced again."""
        if self.can_redraw:
            # The line may not wrap, or replacing it would leave its tail behind.
            self._stream.write(f"\r\x1b[K{clean_line(text)[: self.width - 1]}")
            self._stream.flush()

    def erase_line(self) -> None:
        if self.can_redraw:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def flush(self) -> None:
        self._stream.flush()

    def _rendered(self, part: str | Styled) -> str:
        if isinstance(part, str):
            return clean(part)
        text = clean(part.text)
        return f"\x1b[{_SGR[part.style]}m{text}\x1b[0m" if self.has_styles and text else text


def wrapped(text: str, width: int, *, max_lines: int = 0) -> list[str]:
    """The text's words on lines of at most `width` columns; the last one ends in `…` when something was cut."""
    words = " ".join(clean_line(" ".join(text.split())).split())
    width = max(width, 10)
    if words.isascii():
        lines = textwrap.wrap(words, width)
    else:  # wide and combining characters: columns are not characters
        from rich.console import Console as RichConsole
        from rich.text import Text

        columns = RichConsole(width=width, color_system=None)
        lines = [line.plain.rstrip() for line in Text(words).wrap(columns, width)]
    if max_lines and len(lines) > max_lines:
        lines = lines[:max_lines]
        lines[-1] = lines[-1][: width - 1].rstrip() + "…"
    return lines


def _usable(stream: TextIO | None) -> TextIO:
    """The stream, unable to fail on a character that its locale lacks; a closed one becomes one that nobody reads."""
    if stream is None:
        return io.StringIO()
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    return stream


class Console:
    """Both streams, and what commands say on them."""

    def __init__(self, stdout: TextIO, stderr: TextIO, environ: Mapping[str, str] = os.environ) -> None:
        self.out = TextStream(stdout, environ)
        self.err = TextStream(stderr, environ)

    @classmethod
    def of_process(cls) -> Console:
        """On standard output and error."""
        return cls(_usable(sys.stdout), _usable(sys.stderr))

    def json(self, document: Mapping[str, Any]) -> None:
        """One JSON document on one line of standard output."""
        self.out.exact(escape_json(json.dumps(document, ensure_ascii=False, allow_nan=False)) + "\n")
        self.out.flush()

    def say(self, text: str, hint: str = "") -> None:
        """Talk: one message to the user, with what can be done about it."""
        self.err.line(dim("homebody: "), text)
        if hint:
            self.err.line("  ", dim(hint))
        self.err.flush()

    def complain(self, text: str, hint: str = "") -> None:
        """The message of an error that ends the command."""
        self.err.line(Styled("homebody: ", "red"), text)
        if hint:
            self.err.line("  ", hint)
        self.err.flush()


class Progress:
    """What goes on, on standard error: one line redrawn on a terminal, a line now and then elsewhere."""

    REDRAW_S = 0.1
    PLAIN_LINE_S = 10.0

    def __init__(self, stream: TextStream, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._shown_at_s = -float("inf")
        self._topic = ""
        self._drawn = False

    def show(self, topic: str, text: str) -> None:
        """Say where the work stands. A new topic is shown at once, the same one as often as the eye can use."""
        if self._stream.is_terminal and not self._stream.can_redraw and topic == self._topic:
            return
        every_s = self.REDRAW_S if self._stream.can_redraw else self.PLAIN_LINE_S
        now_s = self._clock()
        if topic == self._topic and now_s - self._shown_at_s < every_s:
            return
        self._topic, self._shown_at_s = topic, now_s
        if self._stream.can_redraw:
            self._drawn = True
            self._stream.redraw(text)
        else:
            self._stream.line(text)
            self._stream.flush()

    def clear(self) -> None:
        """Take the redrawn line away, so that something else can be written there."""
        if self._drawn:
            self._stream.erase_line()
            self._drawn = False
        self._topic = ""


def bar(done: float, total: float, *, columns: int = 16) -> str:
    """`━━━━━━╌╌╌╌╌╌╌╌╌╌  38 %`."""
    share = min(max(done / total, 0.0), 1.0) if total else 0.0
    filled = int(share * columns)
    return f"{'━' * filled}{'╌' * (columns - filled)} {share * 100:3.0f} %"
