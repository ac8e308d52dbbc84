"""The values that travel through the library: blocks, chunks, documents, hits.

Plain frozen values. They know nothing of SQLite, of files or of engines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from rag.pictures import Drawing

Kind = Literal["text", "image", "audio"]
DocumentState = Literal["found", "words", "embedded", "failed", "unsupported"]
"""found: seen, not read. words: read, findable by words. embedded: vectors too. failed: see its reason.
unsupported: of a kind that no reader takes, see its reason."""

KINDS: tuple[Kind, ...] = ("text", "image", "audio")


@dataclass(frozen=True, slots=True)
class Locator:
    """A place inside a document. Only the fields that its kind of document has are set."""

    page: int | None = None
    """1-based."""
    box: tuple[float, float, float, float] | None = None
    """x0, y0, x1, y1: PDF points from the page's top left, or pixels of a picture."""
    line: int | None = None
    """1-based."""
    start_s: float | None = None
    end_s: float | None = None
    sheet: str | None = None
    row: int | None = None
    """1-based, of a sheet or of a table without sheets. A block with a row has one row a line, without gaps."""
    slide: int | None = None
    """1-based."""

    def to_json(self) -> dict[str, Any]:
        """Only what is set: `{"page": 3}`, `{}`."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items() if v is not None}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Locator:
        values = dict(stored)
        if values.get("box") is not None:
            values["box"] = tuple(values["box"])
        return cls(**values)

    def __str__(self) -> str:
        """For people: `page 3`, `line 120`, `0:12-0:15`, `Q3 row 14`, `row 14`, or nothing."""
        if self.page is not None:
            return f"page {self.page}"
        if self.slide is not None:
            return f"slide {self.slide}"
        if self.sheet is not None:
            return f"{self.sheet} row {self.row}" if self.row is not None else self.sheet
        if self.row is not None:
            return f"row {self.row}"
        if self.line is not None:
            return f"line {self.line}"
        if self.start_s is not None:
            end = f"-{_clock(self.end_s)}" if self.end_s is not None else ""
            return f"{_clock(self.start_s)}{end}"
        return ""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a document's text that a reader found, in reading order."""

    text: str
    locator: Locator = field(default_factory=Locator)
    heading_path: tuple[str, ...] = ()
    """The headings this block stands under, outermost first."""
    syntax: Literal["prose", "markdown", "code"] = "prose"
    """How a splitter may cut it."""
    drawing: Drawing | None = None
    """In place of text: pixels that somebody has to look at. A passage is never made of it."""


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """What a reader tells of a file besides its text."""

    title: str
    kind: Kind
    reader: str
    """Name and version of the reader, so that a better one can be noticed later."""
    author: str = ""
    """As the document says; empty when it does not."""
    written_at_s: float | None = None
    """The document's own date, Unix time; None where it has none: then the file's counts."""


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """What a reader made of one file."""

    title: str
    kind: Kind
    blocks: tuple[Block, ...]
    reader: str
    """Name and version of the reader, so that a better one can be noticed later."""
    author: str = ""
    """As the document says; empty when it does not."""
    written_at_s: float | None = None
    """The document's own date, Unix time; None where it has none: then the file's counts."""


@dataclass(frozen=True, slots=True)
class ChunkDraft:
    """A passage ready to be stored."""

    ordinal: int
    """Its place in the document, from 0."""
    text: str
    heading_path: tuple[str, ...]
    locator: Locator
    start_char: int
    end_char: int
    """Its span in the document's text: the blocks' texts joined by a blank line."""
    token_count: int
    """In the embedder's tokens, without special tokens."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stored passage."""

    chunk_id: int
    """Never used twice in one library."""
    content_id: int
    ordinal: int
    text: str
    heading_path: tuple[str, ...]
    locator: Locator


@dataclass(frozen=True, slots=True)
class Hit:
    """One passage found for a query."""

    rank: int
    """From 1."""
    score: float
    """Fused rank score; comparable within one search only."""
    chunk: Chunk
    path: str
    """The document's absolute path, as text that may be shown (undecodable bytes escaped)."""
    title: str
    kind: Kind
    words_rank: int | None = None
    vector_rank: int | None = None
    cosine: float | None = None
    """Similarity of query and passage, where vectors took part."""
    others: int = 0
    """How many other files say the same: copies, and passages that are alike but for signs; the newest is shown."""
    joined: tuple[Chunk, ...] = ()
    """The passage with its neighbours under the same headings, in reading order; empty where they were not asked for.
    `chunk` is one of them, and the one to cite."""

    @property
    def readable_text(self) -> str:
        """The passage with its neighbours, where they were asked for."""
        return "\n\n".join(each.text for each in self.joined) if self.joined else self.chunk.text


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """One file as the library lists it."""

    path: str
    title: str
    kind: Kind
    state: DocumentState
    reason: str
    """Why it failed; empty otherwise."""
    size_bytes: int
    chunk_count: int
    embedded_count: int
    hint: str = ""
    """What the user can do about it."""
