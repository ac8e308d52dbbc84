"""What a pull of weights tells its caller. Plain frozen values; the app turns them into words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.catalog import Task


@dataclass(frozen=True, slots=True)
class DefaultChosen:
    """Which model was chosen for a task, and why."""

    task: Task
    model_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class AlreadyInstalled:
    """Nothing to do, and nothing was connected to."""

    model_id: str
    path: Path


@dataclass(frozen=True, slots=True)
class PullStarted:
    model_id: str
    title: str
    source: str
    download_bytes: int
    """Still to come; 0 when unknown."""
    licence: str
    upstream: str


@dataclass(frozen=True, slots=True)
class PullProgress:
    model_id: str
    file: str
    done_bytes: int
    total_bytes: int
    """Of the download; 0 when unknown."""
    bytes_per_s: float
    """Over the last seconds; what an earlier try left does not count."""
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class PullChecking:
    """A file's SHA-256 is being computed."""

    model_id: str
    file: str


@dataclass(frozen=True, slots=True)
class SourceSkipped:
    """This source cannot give the model; the next one is asked."""

    model_id: str
    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class PullDone:
    model_id: str
    path: Path
    """The model's folder."""
    source: str
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class PullQuantizing:
    """A copy in 8 bits is being made, and compared with the floats."""

    model_id: str


@dataclass(frozen=True, slots=True)
class PullQuantized:
    model_id: str
    bytes_before: int
    bytes_after: int
    times_as_fast: float
    """A picture through the copy, against the floats."""
    least_cosine: float
    mean_cosine: float
    """Of the pictures' and texts' vectors that were compared."""


@dataclass(frozen=True, slots=True)
class PullNotQuantized:
    """The copy could not be made or keeps too little: the floats serve."""

    model_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class PullStopped:
    """The user stopped it; what has come is kept."""

    model_id: str


PullEvent = (
    DefaultChosen
    | AlreadyInstalled
    | PullStarted
    | PullProgress
    | PullChecking
    | SourceSkipped
    | PullDone
    | PullQuantizing
    | PullQuantized
    | PullNotQuantized
    | PullStopped
)
