"""What a source of weights must do, and what it may say while it does it.

A source puts files into a staging folder. Whether they are the right ones is not its business: the pull hashes each
file that a source hands over, against the catalogue, or against what the source itself says where the catalogue has
nothing. Fetching is a generator: iterating it does the work, closing it or setting the stop event ends it, and what
is in the staging folder by then is taken up by the next try.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models.catalog import ModelEntry, ModelFile
from models.checksum import Checksum
from models.errors import DownloadFailed, NotEnoughSpace

WORK_DIR = ".work"
"""Inside a staging folder: each source's unfinished files. Finished ones lie in the staging folder by name."""


@dataclass(frozen=True, slots=True)
class FetchProgress:
    """Bytes that came from the source so far, of all that this fetch wants; resumed ones count as done."""

    file: str
    done_bytes: int
    total_bytes: int
    """0 while unknown."""


@dataclass(frozen=True, slots=True)
class FileFetched:
    """A file is complete in the staging folder, under its own name, and flushed to the disk. Not yet checked."""

    file: str
    path: Path
    checksum: Checksum | None = None
    """What the source says the bytes hash to."""
    revision: str = ""


FetchEvent = FetchProgress | FileFetched


class Fetch(Protocol):
    """A fetch that was prepared: its size is known, nothing has been moved yet."""

    @property
    def download_bytes(self) -> int:
        """Bytes still to come from the source; 0 when unknown."""
        ...

    @property
    def disk_bytes(self) -> int:
        """Most bytes that will be on the disk at once, beyond what is there now."""
        ...

    def run(self, stop: threading.Event) -> Iterator[FetchEvent]:
        """Fetch; ends early, without an error, once `stop` is set.

        Raises SourceUnreachable, NotAtSource, HashMismatch, NotEnoughSpace, DownloadFailed.
        """
        ...


class WeightsSource(Protocol):
    """One place that files can come from."""

    @property
    def name(self) -> str: ...

    def has(self, entry: ModelEntry) -> bool:
        """Whether it should have every file of the model; answered without any connection."""
        ...

    def prepare(self, entry: ModelEntry, files: Sequence[ModelFile], staging: Path) -> Fetch:
        """Find the files there. Raises SourceUnreachable, NotAtSource, HashMismatch, DownloadFailed."""
        ...


def staged_path(staging: Path, file: ModelFile) -> Path:
    """Where a finished file lies until all of its model are there."""
    return staging / file.name


def unfinished_path(staging: Path, source: str, file: ModelFile) -> Path:
    """Apart for each source: what one left half done means nothing to another."""
    return staging / WORK_DIR / source / (file.name + ".part")


@contextlib.contextmanager
def disk_errors_named(folder: Path) -> Iterator[None]:
    """Turn an OSError of the disk into an error that says which folder and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NotEnoughSpace(
                f"no room is left on the disk of {str(folder)!r}",
                hint="free some space and run the same command again: it goes on where it stopped",
            ) from error
        raise DownloadFailed(
            f"{str(error.filename or folder)!r} cannot be used: {error.strerror or error}",
            hint="check the folder's permissions, or set HOMEBODY_HOME to another folder",
        ) from error


def flush_and_rename(unfinished: Path, finished: Path) -> None:
    """Make sure the bytes are on the disk before the name says that they are. Raises OSError."""
    finished.parent.mkdir(parents=True, exist_ok=True)
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
    unfinished.replace(finished)
