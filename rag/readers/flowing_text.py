"""Paragraphs, items and rows of an office document, as they come, gathered into blocks under their headings.

Headings are not repeated in the blocks' text: they are the heading path. A heading with nothing below it is
a block of its own. Knows nothing of any format.
"""

from __future__ import annotations

import re

from rag.errors import TooLarge
from rag.readers.blocks import blocks_at
from rag.readers.clean_text import clean_text, clean_title
from rag.records import Block, Locator

HEADERS = "Header and footer"
"""The heading of what stands on every page. Its lines are read once, and the pages' numbers not at all."""
_PAGE_NUMBER = re.compile(r"[\W_]*\d{0,4}[\W_]*")
HELD_CHARS = 1 << 20
"""Of a section without a heading below; more is let go in blocks, so that memory does not grow with it."""


class FlowingText:
    """What a format's reader hands on in reading order; it takes the blocks that are ready meanwhile."""

    def __init__(self, max_chars: int, name: str) -> None:
        """`max_chars` of text may come; `name` is the file's, for the message when there is more."""
        self.first_heading = ""
        self._blocks: list[Block] = []
        self._path: list[tuple[int, str]] = []
        self._pieces: list[str] = []
        """Finished paragraphs, items and rows of this section, with what separates them."""
        self._held_chars = 0
        self._last_kind = ""
        self._bare_heading: tuple[tuple[str, ...], str, int] | None = None
        self._seen: set[str] | None = None
        """The lines of headers and footers so far."""
        self._chars_left = max_chars
        self._name = name

    def count(self, text: str) -> None:
        """Of every piece of text as it comes, before it is a paragraph. Raises TooLarge."""
        self._chars_left -= len(text)
        if self._chars_left < 0:
            raise TooLarge(
                f"{self._name} holds more text than is read of one file",
                hint="split it, or raise library.max_file_mb in the settings",
            )

    def add(self, kind: str, text: str) -> None:
        """`kind` says what may follow without a blank line: items follow items, rows rows of their table."""
        text = clean_text(text).strip()
        if not text:
            return
        if self._seen is not None:
            if text in self._seen or _PAGE_NUMBER.fullmatch(text):
                return
            self._seen.add(text)
        if self._held_chars > HELD_CHARS:
            self._flush()
        if self._pieces:
            follows = kind == self._last_kind and kind != "paragraph"
            self._pieces.append("\n" if follows else "\n\n")
        self._pieces.append(f"- {text}" if kind == "item" else text)
        self._held_chars += len(text)
        self._last_kind = kind

    def begin(self, level: int, words: str) -> None:
        """A heading comes; 1 is the highest level, and a title's is 0."""
        words = clean_title(words)
        if not words:
            return
        self.end(next_level=level)
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._bare_heading = (tuple(each for _, each in self._path), words, level)
        self._path.append((level, words))
        self.first_heading = self.first_heading or words

    def begin_part(self, heading: str = "") -> None:
        """What comes stands under no heading but this one, e.g. the footnotes."""
        self.end()
        self._path = [(1, heading)] if heading else []
        self._seen = set() if heading == HEADERS else None

    def end(self, next_level: int = 0) -> None:
        """The section ends, because a heading of `next_level` comes or the document ends."""
        if self._pieces:
            self._flush()
        elif self._bare_heading and next_level <= self._bare_heading[2]:
            self._blocks.append(Block(self._bare_heading[1], heading_path=self._bare_heading[0]))
        self._bare_heading = None

    def take(self) -> list[Block]:
        """The blocks that are ready, each once."""
        taken, self._blocks = self._blocks, []
        return taken

    def _flush(self) -> None:
        path = tuple(each for _, each in self._path)
        self._blocks.extend(blocks_at(Locator(), "".join(self._pieces), path))
        self._pieces.clear()
        self._held_chars = 0
        self._bare_heading = None
