"""Get one model's files into its staging folder and check each of them, whatever source they came from.

Knows nothing of which sources there are to ask, nor of where installed models lie.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from models.catalog import ModelEntry, ModelFile
from models.checksum import Checksum, digest_of
from models.errors import HashMismatch, NotEnoughSpace
from models.sources.packaged import PackagedSource
from models.sources.source import WORK_DIR, Fetch, FetchProgress, FileFetched, WeightsSource, staged_path
from pipelines.pull_events import PullChecking, PullEvent, PullProgress, PullStarted

SPARE_DISK_BYTES = 64 * 2**20
PROGRESS_EVERY_S = 0.1
RATE_OVER_S = 5.0


def free_bytes_at(folder: Path) -> int:
    """Free space on the disk that the folder is or would be on."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return shutil.disk_usage(there).free


@dataclass
class OneModel:
    """What is there of one model, and getting the rest of it."""

    entry: ModelEntry
    wanted: Sequence[ModelFile]
    staging: Path
    stop: threading.Event
    free_bytes: Callable[[Path], int]
    staged: dict[str, tuple[Path, str]] = field(default_factory=dict)
    """Files in the staging folder that were hashed and are right."""
    source: str = ""
    revision: str = ""

    def lacking(self) -> list[ModelFile]:
        return [file for file in self.wanted if file.name not in self.staged]

    def take_up_earlier_try(self) -> Iterator[PullEvent]:
        """Whole files of an earlier try; one that cannot be checked without its source is fetched again."""
        for file in self.wanted:
            path = staged_path(self.staging, file)
            if not path.is_file():
                continue
            if file.sha256 is None:
                path.unlink()
                continue
            try:
                yield from self._accept(FileFetched(file.name, path))
            except HashMismatch:
                continue  # deleted, and fetched again

    def fetch_from(self, source: WeightsSource, files: Sequence[ModelFile]) -> Iterator[PullEvent]:
        """Fetch the files and check them. Raises DownloadFailed and its kin."""
        if not files or self.stop.is_set():
            return
        fetch = source.prepare(self.entry, files, self.staging)
        self._refuse_without_room(fetch)
        if source.name != PackagedSource.name:
            self.source = source.name
            yield PullStarted(
                self.entry.id,
                self.entry.title,
                source.name,
                fetch.download_bytes,
                self.entry.licence,
                self.entry.upstream,
            )
        meter = Meter()
        try:
            for event in fetch.run(self.stop):
                if isinstance(event, FileFetched):
                    yield from self._accept(event)
                elif (shown := meter.progress(self.entry.id, event)) is not None:
                    yield shown
        except HashMismatch:
            shutil.rmtree(self.staging / WORK_DIR, ignore_errors=True)
            raise

    def _refuse_without_room(self, fetch: Fetch) -> None:
        needed, free = fetch.disk_bytes + SPARE_DISK_BYTES, self.free_bytes(self.staging)
        if needed > free:
            raise NotEnoughSpace(
                f"{self.entry.id} needs {needed / 1e6:,.0f} MB on the disk of {str(self.staging.parent.parent)!r}, "
                f"{free / 1e6:,.0f} MB are free",
                hint="free some space, or set HOMEBODY_HOME to a folder on another disk",
            )

    def _accept(self, fetched: FileFetched) -> Iterator[PullEvent]:
        """Hash the file; keep it, or delete it and raise HashMismatch."""
        file = self.entry.file(fetched.file)
        wanted = Checksum("sha256", file.sha256) if file.sha256 else fetched.checksum
        yield PullChecking(self.entry.id, file.name)
        found = digest_of(fetched.path, git_sha1=wanted is not None and wanted.algorithm == "git-sha1")
        if wanted is None or not found.matches(wanted):
            fetched.path.unlink()
            self.tidy()
            expected = f"expected {wanted.algorithm} {wanted.hexdigest}" if wanted else "nothing says what to expect"
            raise HashMismatch(
                f"{self.entry.id}/{file.name} is not the file of the catalogue: {expected}, "
                f"got {found.under(wanted.algorithm if wanted else 'sha256')}; it was deleted",
                hint="the source has another file or the way from it is faulty; try another --source",
            )
        self.staged[file.name] = (fetched.path, found.sha256)
        self.revision = fetched.revision or self.revision

    def tidy(self) -> None:
        """Leave no empty folders behind."""
        for folder in (self.staging / WORK_DIR, self.staging):
            if folder.is_dir() and not any(path.is_file() for path in folder.rglob("*")):
                shutil.rmtree(folder)


class Meter:
    """Rate and time left of one fetch, from what its source says; too frequent progress is dropped."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()
        self._shown_at = float("-inf")

    def progress(self, model_id: str, fetched: FetchProgress) -> PullProgress | None:
        """What to show now; None when the last showing was only just now and more is to come."""
        now = self._clock()
        self._seen.append((now, fetched.done_bytes))
        while now - self._seen[0][0] > RATE_OVER_S and len(self._seen) > 2:
            self._seen.popleft()
        is_last = fetched.done_bytes == fetched.total_bytes
        if now - self._shown_at < PROGRESS_EVERY_S and not is_last:
            return None
        self._shown_at = now
        # The first report is where an earlier try ended: it counts as done, not as speed.
        since, at_first = self._seen[0]
        rate = (fetched.done_bytes - at_first) / (now - since) if now > since else 0.0
        left = max(fetched.total_bytes - fetched.done_bytes, 0)
        return PullProgress(
            model_id=model_id,
            file=fetched.file,
            done_bytes=fetched.done_bytes,
            total_bytes=fetched.total_bytes,
            bytes_per_s=rate,
            eta_s=left / rate if rate > 0 and fetched.total_bytes else None,
        )
