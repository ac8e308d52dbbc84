"""Cut streamed Markdown into blocks that are finished and the one that is still being written.

Pure text in, text out: knows no widget. It only has to be right about where a block surely ended; whether a
list was loose or a reference was defined later is settled by the one full rendering at the end.
"""

from __future__ import annotations

import re

_FENCE = re.compile(r"^( {0,3})(`{3,}|~{3,})(.*)$")
_LIST_ITEM = re.compile(r"^ {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)")
_HEADING = re.compile(r"^ {0,3}#{1,6}(?:\s|$)")


class MarkdownBlocks:
    """Fed with deltas; hands out each top-level block once, when no later text can change it."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        """Whole lines of the open block, without their newline."""
        self._rest = ""
        """The last line, still without a newline."""
        self._fence = ""
        """The run of backticks or tildes that closes the fence the text is in; empty outside one."""
        self._in_list = False
        self._blank_in_list = False

    @property
    def open_is_code(self) -> bool:
        """The open block is a code fence of its own (one inside a list is the list's)."""
        return bool(self._fence) and not self._in_list

    @property
    def open_lines(self) -> tuple[str, ...]:
        """The open block as it stands; a fence without its opening line."""
        lines = (*self._lines, self._rest) if self._rest else tuple(self._lines)
        return lines[1:] if self.open_is_code else lines

    def feed(self, delta: str) -> list[str]:
        """Take more text; returns the blocks that it closed, as Markdown source, in order."""
        closed: list[str] = []
        *whole, self._rest = (self._rest + delta).split("\n")
        for line in whole:
            self._take(line.rstrip("\r"), closed)
        return closed

    def _take(self, line: str, closed: list[str]) -> None:
        if self._fence:
            self._lines.append(line)
            if self._closes_fence(line):
                self._fence = ""
                if not self._in_list:
                    self._close(closed)
            return
        blank = not line.strip()
        if self._in_list and self._ends_list(line, blank):
            self._close(closed)
        if blank:
            if self._in_list:
                self._blank_in_list = True
                self._lines.append(line)
            else:
                self._close(closed)
            return
        self._blank_in_list = False
        if not self._in_list and self._lines and (_LIST_ITEM.match(line) or _FENCE.match(line)):
            self._close(closed)  # a list or a fence may interrupt a paragraph
        self._lines.append(line)
        if fence := _FENCE.match(line if not self._in_list else line.lstrip()):
            self._fence = fence[2]
        elif _HEADING.match(line) and not self._in_list:
            self._close(closed)
        elif _LIST_ITEM.match(line):
            self._in_list = True

    def _closes_fence(self, line: str) -> bool:
        run = line.strip()
        return len(run) >= len(self._fence) and not run.strip(self._fence[0])

    def _ends_list(self, line: str, blank: bool) -> bool:
        if blank or _LIST_ITEM.match(line) or line.startswith((" ", "\t")):
            return False
        return self._blank_in_list or bool(_HEADING.match(line) or _FENCE.match(line))

    def _close(self, closed: list[str]) -> None:
        if any(line.strip() for line in self._lines):
            closed.append("\n".join(self._lines).rstrip("\n"))
        self._lines = []
        self._in_list = self._blank_in_list = False
