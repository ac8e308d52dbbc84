"""What reading and storing files tell the run that indexes them. Plain values; `pipelines.events` is for the user."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.events import FileFailed, Notice
from rag.documents import Recorded


@dataclass(frozen=True, slots=True)
class FileRead:
    """A file's words are stored, or were already."""

    path: str
    recorded: Recorded
    is_inside: bool = False
    """It lies in another file."""
    goes_on: bool = False
    """It lies on the disk, and what is inside it is still to come: FileSettled, or FileNotRead, ends it."""


@dataclass(frozen=True, slots=True)
class FileNotRead:
    """A file could not be read; it is listed with the reason."""

    failed: FileFailed
    is_unsupported: bool
    """No reader takes its kind: no failure."""
    is_inside: bool = False


@dataclass(frozen=True, slots=True)
class FileGrows:
    """A large file, or a long recording, is being stored."""

    path: str
    chunks: int
    """So far; 0 where a recording tells how far it is."""
    heard_s: float = 0.0
    """Of a recording."""
    length_s: float | None = None
    """Of a recording, where that is known."""


@dataclass(frozen=True, slots=True)
class FileGoesOn:
    """How far a large file from the disk is."""

    path: str
    share: float
    """Of it that was read, 0 to 1."""


@dataclass(frozen=True, slots=True)
class FileSettled:
    """All that is inside a file from the disk was read."""

    path: str


@dataclass(frozen=True, slots=True)
class MembersGone:
    """Files that were inside a file are not any more."""

    count: int


StoringEvent = FileRead | FileNotRead | FileGrows | FileGoesOn | FileSettled | MembersGone | Notice

__all__ = [
    "FileGoesOn",
    "FileGrows",
    "FileNotRead",
    "FileRead",
    "FileSettled",
    "MembersGone",
    "StoringEvent",
]
