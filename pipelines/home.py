"""The front door: everything that the terminal, the command line and the tests can ask of homebody.

A Home is built by `pipelines.factory.open_home`; engines behind it load on first use. Its generators do the
work as they are iterated: closing one, or setting its stop event, ends the work at the next safe point.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipelines.dictate import DictationEvent
from pipelines.events import AnswerEvent, IndexEvent, Notice, SearchResult
from pipelines.look import Look
from pipelines.page_picture import Pages
from pipelines.paths import HomePaths
from pipelines.settings import Settings
from pipelines.transcribe import TranscribeEvent
from pipelines.turn import Answer, CheckedSentence, Citation, Placement, Timings, Turn
from rag.records import Chunk, DocumentRow, Kind


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    conversation_id: int
    title: str
    turns: int
    updated_at_s: float
    """Unix time."""


@dataclass(frozen=True, slots=True)
class SavedTurn:
    """A turn as it is kept: the question before generation starts, the answer as it streamed."""

    turn_id: int
    question: str
    answer_text: str
    """What there was when it ended, or when the process died."""
    finish: str
    """stop, length, stopped, failed, or interrupted (the process ended in the middle)."""
    sentences: tuple[CheckedSentence, ...]
    citations: tuple[Citation, ...]
    model: str
    asked_at_s: float
    found_nothing: bool = False
    timings: Timings | None = None
    """None where the turn did not end by itself, and of turns kept by older versions."""


@dataclass(frozen=True, slots=True)
class PassageView:
    """A passage in its surroundings, for the source screen."""

    path: str
    title: str
    kind: Kind
    before: tuple[Chunk, ...]
    cited: Chunk
    after: tuple[Chunk, ...]
    author: str = ""
    """As the document says; empty when it does not."""
    written_at_s: float | None = None
    """The document's own date, Unix time; None where it has none."""
    modified_at_s: float | None = None
    """When the file was changed last, Unix time."""


@dataclass(frozen=True, slots=True)
class LibraryStatus:
    roots: tuple[str, ...]
    documents: int
    failed: int
    chunks: int
    chunks_embedded: int
    embedder: str
    vector_store: str
    """`exact`, or `chroma`, and why in a few words."""
    away: Mapping[str, str] = field(default_factory=dict)
    """Roots that are not connected, with the reason; their files are still found."""
    unsupported: Mapping[str, int] = field(default_factory=dict)
    """How many files below the roots no reader takes, by kind (`.iso`), most first. Not among `documents`."""
    left_out: tuple[str, ...] = ()
    """Files and folders inside a root that were forgotten: they stay out until they are added by name."""
    next_embedder: str = ""
    """The one that is to take its place; empty when no change is under way."""
    chunks_reembedded: int = 0
    """Chunks that have their vector of the next embedder."""


@dataclass(frozen=True, slots=True)
class EnginesStatus:
    """What would run, or runs, for each task."""

    chat_model: str
    """Empty when no chat weights are installed."""
    chat_loaded: bool
    placement: dict[str, Placement]
    missing: tuple[Notice, ...]
    """One a task whose weights are not installed, with the command that gets them."""


class Conversations(Protocol):
    """Saved as they happen; a crash loses at most the last second of an answer."""

    def list(self, *, limit: int = 200) -> Sequence[ConversationSummary]:
        """Latest first."""
        ...

    def search(self, words: str, *, limit: int = 50) -> Sequence[ConversationSummary]: ...

    def turns(self, conversation_id: int) -> Sequence[SavedTurn]:
        """Oldest first. Raises NoSuchConversation."""
        ...

    def rename(self, conversation_id: int, title: str) -> None: ...

    def delete(self, conversation_id: int) -> None: ...

    def export_markdown(self, conversation_id: int) -> str: ...


class Home(Protocol):
    """What the app is handed. Methods may block: call them off the UI's thread. All are thread-safe."""

    @property
    def paths(self) -> HomePaths: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def conversations(self) -> Conversations: ...

    @property
    def pages(self) -> Pages:
        """Where citations stand on PDF pages, and what these look like."""
        ...

    @property
    def read_only_because(self) -> str:
        """Empty when this process may write; otherwise who holds the library, in a sentence."""
        ...

    def answer(self, turn: Turn, stop: threading.Event) -> Iterator[AnswerEvent]:
        """Answer one question; ends with AnswerDone, a stopped one too. Raises EXPECTED_ERRORS."""
        ...

    def index(
        self, roots: Iterable[Path], stop: threading.Event, *, reembed: bool = False, named: bool = True
    ) -> Iterator[IndexEvent]:
        """Bring the library up to date with these files and folders; ends with IndexDone.

        `named`: the user has just named these roots, so what is there counts, even on another drive than before.

        Where the settings name another embedder than the library's, every vector is made anew with that one, and the
        old ones serve until all are there. `reembed` does so with the embedder at hand, whatever the settings say.
        """
        ...

    def follow(self, stop: threading.Event) -> Iterator[IndexEvent]:
        """Bring the library up to date with all its folders, and keep it so until `stop` is set.

        An IndexDone comes after each look that changed something. Raises LibraryLocked when another process
        writes, or when this one is indexing.
        """
        ...

    def look_again(self, roots: Iterable[Path] = ()) -> bool:
        """While somebody follows: look through these files and folders next, new ones included; without any,
        through all. False when nobody follows, and nothing was asked."""
        ...

    def search(
        self, query: str, *, k: int = 10, kinds: Collection[str] | None = None, like: Path | None = None
    ) -> SearchResult:
        """`query` may have filters (`rag/query.py`); `kinds` narrows it further, by names that `kind:` takes.

        `like` is a picture: those of the library that look like it are found. Raises QueryNotUnderstood for a filter
        that makes no sense; for a picture, WeightsMissing without a CLIP and FileNotUsable for what is none.
        """
        ...

    def transcribe(
        self, path: Path, stop: threading.Event, *, exact_words: bool = False
    ) -> Iterator[TranscribeEvent | Notice]:
        """What is said in a recording, as it is recognised; ends with TranscriptDone. A run that was stopped or
        killed is taken up by the next. `exact_words`: find the seconds of each word, for subtitles; a tenth more work.
        Raises EXPECTED_ERRORS, WeightsMissing where no recogniser is installed."""
        ...

    def dictate(self, stop: threading.Event) -> Iterator[DictationEvent]:
        """What is said into the microphone, as it is understood, until `stop` is set or nothing more is said; ends with
        DictationDone. Raises EXPECTED_ERRORS, DeviceUnavailable where there is no microphone."""
        ...

    def look(self, path: Path, stop: threading.Event, *, labels: Sequence[str] = ()) -> Look:
        """What is known of a picture: its text with boxes, what it may show, its EXIF, a description.

        `labels` are compared with it in place of those of the settings. Raises EXPECTED_ERRORS; FileNotUsable for
        what is no picture, WeightsMissing for labels without a CLIP."""
        ...

    def on_disk(self, path: str) -> str:
        """What other programs can open: a file's own path, or that of a copy of one inside another file.

        The path itself where no copy is made of its kind. May take seconds. Raises EXPECTED_ERRORS.
        """
        ...

    def passage(self, chunk_id: int, *, before: int = 2, after: int = 2) -> PassageView | None:
        """None when the passage has left the library since."""
        ...

    def library(self) -> LibraryStatus: ...

    def documents(self, *, containing: str = "", limit: int = 1000, only_failed: bool = False) -> Sequence[DocumentRow]:
        """Files of the library, by path; `containing` is a part of the path, and may have filters as a query has.

        Raises QueryNotUnderstood for a filter that makes no sense.
        """
        ...

    def forget(self, root: Path) -> int:
        """Take a file or folder out of the library (the files stay). Returns how many documents left."""
        ...

    def engines(self) -> EnginesStatus: ...

    def warm_up(self, stop: threading.Event) -> Iterator[Notice]:
        """Load the chat model and the embedder before the first question; yields what it is doing."""
        ...

    def set_theme(self, theme: str) -> None:
        """Remember the theme in the settings file."""
        ...

    def close(self) -> None:
        """Stop background work, flush, release the lock. Safe to call twice."""
        ...


__all__ = [
    "Answer",
    "Chunk",
    "ConversationSummary",
    "Conversations",
    "DocumentRow",
    "EnginesStatus",
    "Home",
    "LibraryStatus",
    "PassageView",
    "SavedTurn",
]
