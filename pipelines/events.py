"""What a pipeline tells its caller while it works. Plain frozen values; the app turns them into words.

Answering yields Retrieved, PromptBuilt, then PromptProgress (PictureProgress where a picture is encoded) and
TextDelta, and ends with AnswerDone.
Indexing yields IndexProgress and FileFailed and ends with IndexDone. Following yields the same, an IndexDone
after each look, FileChanged for single changes and Following when what is followed changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from models.chat import PictureProgress, PromptProgress, TextDelta
from pipelines.turn import Answer
from rag.records import Hit


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know; work goes on."""

    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The question is saved; the answer will be too, as it streams."""

    conversation_id: int | None
    turn_id: int | None


@dataclass(frozen=True, slots=True)
class EngineLoading:
    """A model is being loaded; sent before a wait that can be seconds."""

    model_id: str
    task: str


@dataclass(frozen=True, slots=True)
class Retrieved:
    hits: tuple[Hit, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class PromptBuilt:
    """The prompt as it will be read, and what did not fit."""

    passages_used: int
    passages_left_out: int
    turns_left_out: int
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class AnswerDone:
    answer: Answer


AnswerEvent = (
    Notice
    | TurnStarted
    | EngineLoading
    | Retrieved
    | PromptBuilt
    | PictureProgress
    | PromptProgress
    | TextDelta
    | AnswerDone
)


@dataclass(frozen=True, slots=True)
class IndexProgress:
    phase: Literal["walking", "reading", "embedding", "re-embedding", "looking", "storing"]
    done: int
    total: int
    """0 while unknown."""
    path: str = ""
    """The file at work, where there is one."""
    chunks: int = 0
    """Chunks stored so far in this run."""
    rate_per_s: float = 0.0
    """Of `done`, over this phase."""
    heard_s: float = 0.0
    """How far the recording at `path` is; 0 for what is no recording."""
    length_s: float | None = None
    """How long it is, where that is known."""
    large_file: str = ""
    """The file from the disk that takes a while, and is not among those in `done` yet; empty where none is known to."""
    read_share: float = 0.0
    """How much of it was read, 0 to 1."""

    @property
    def reached(self) -> float:
        """Of `total`; a large file counts for as much of it as was read."""
        return self.done + self.read_share


@dataclass(frozen=True, slots=True)
class FileFailed:
    path: str
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class IndexReport:
    indexed: int
    unchanged: int
    removed: int
    failed: tuple[FileFailed, ...]
    chunks: int
    """Chunks added in this run."""
    seconds: float
    stopped: bool = False
    unsupported: Mapping[str, int] = field(default_factory=dict)
    """How many files there are that no reader takes, by kind (`.iso`), most first. No failures."""
    broken_off: str = ""
    """The large text that was being read when it was stopped: it is read from its beginning the next time."""

    @property
    def changed_nothing(self) -> bool:
        """Nothing in it is worth telling, after a look that nobody asked for."""
        return not (self.indexed or self.removed or self.chunks or self.failed or self.stopped)

    def to_json(self) -> dict[str, Any]:
        return {
            "indexed": self.indexed,
            "unchanged": self.unchanged,
            "removed": self.removed,
            "failed": [{"path": each.path, "reason": each.reason} for each in self.failed],
            "unsupported": sum(self.unsupported.values()),
            "chunks": self.chunks,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class IndexDone:
    report: IndexReport


@dataclass(frozen=True, slots=True)
class FileChanged:
    """A change was followed: what is now in the library of one file."""

    path: str
    change: Literal["read", "moved", "removed"]


@dataclass(frozen=True, slots=True)
class Following:
    """The library's folders are followed from now on; told again whenever one of these changes."""

    roots: int
    """Followed by the system's notices."""
    polled: tuple[str, ...] = ()
    """Looked through every `poll_s` instead."""
    poll_s: float = 0.0
    away: tuple[str, ...] = ()
    """Not connected: their files stay in the library and are found."""

    def to_json(self) -> dict[str, Any]:
        return {
            "event": "following",
            "roots": self.roots,
            "polled": list(self.polled),
            "poll_s": self.poll_s,
            "not_connected": list(self.away),
        }


IndexEvent = Notice | IndexProgress | FileFailed | FileChanged | Following | IndexDone


@dataclass(frozen=True, slots=True)
class SearchResult:
    hits: tuple[Hit, ...]
    seconds: float
    notices: tuple[Notice, ...] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        return {
            "hits": [
                {
                    "rank": hit.rank,
                    "score": round(hit.score, 6),
                    "path": hit.path,
                    "kind": hit.kind,
                    "locator": hit.chunk.locator.to_json(),
                    "text": hit.chunk.text,
                    **({"passage": hit.readable_text} if len(hit.joined) > 1 else {}),
                    **({"others": hit.others} if hit.others else {}),
                }
                for hit in self.hits
            ],
            "seconds": round(self.seconds, 4),
        }


__all__ = [
    "AnswerDone",
    "AnswerEvent",
    "EngineLoading",
    "FileChanged",
    "FileFailed",
    "Following",
    "IndexDone",
    "IndexEvent",
    "IndexProgress",
    "IndexReport",
    "Notice",
    "PictureProgress",
    "PromptBuilt",
    "PromptProgress",
    "Retrieved",
    "SearchResult",
    "TextDelta",
    "TurnStarted",
]
