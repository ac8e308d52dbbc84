"""Get weights: from the hub, from wheels of a package index, or from a folder; and say what there is to get.

The only job that connects to a network. Each file is hashed here, whatever source it came from, and a model appears
among the installed ones only when all of its files are right. What was fetched of a pull that ended early is kept
and taken up by the next. Knows nothing of terminals: it yields events.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from models.catalog import ModelEntry, Task, by_preference
from models.errors import DownloadFailed, HashMismatch, NotAtSource, NotEnoughMemory, NotEnoughSpace, SourceUnreachable
from models.fit import Machine, fits, rank_chat
from models.sources.folder import FolderSource
from models.sources.hub import HubSource
from models.sources.packaged import PackagedSource
from models.sources.source import WeightsSource, disk_errors_named
from models.sources.wheels import WheelSource
from models.weights import PARTIAL_DIR, Weights
from pipelines.offline_guard import allow_network
from pipelines.pull_events import (
    AlreadyInstalled,
    DefaultChosen,
    PullChecking,
    PullDone,
    PullEvent,
    PullStopped,
    SourceSkipped,
)
from pipelines.pull_one import OneModel, free_bytes_at
from pipelines.quantize_here import quantize_here


def sources_named(source: str) -> tuple[WeightsSource, ...]:
    """`auto` is the hub, then wheels; anything that is no source's name is a path."""
    if source == "auto":
        return (HubSource(), WheelSource())
    if source == "hub":
        return (HubSource(),)
    if source == "wheels":
        return (WheelSource(),)
    if not Path(source).expanduser().exists():
        raise NotAtSource(f"{source!r} is neither a source nor a path", hint="sources: auto, hub, wheels, or a path")
    return (FolderSource(Path(source)),)


def pull(
    ids: Sequence[str] = (),
    tasks: Sequence[Task] = (),
    *,
    weights: Weights,
    machine: Machine,
    source: str = "auto",
    stop: threading.Event | None = None,
    sources: Sequence[WeightsSource] | None = None,
    free_bytes: Callable[[Path], int] = free_bytes_at,
) -> Iterator[PullEvent]:
    """Install models by id, and for each task the default that fits this machine.

    `sources` replaces what `source` names. Ends early, after a PullStopped, once `stop` is set.
    Raises UnknownModel before anything is fetched; DownloadFailed and its kin (SourceUnreachable, NotAtSource,
    HashMismatch, NotEnoughSpace); NotEnoughMemory when no model for the task fits.
    """
    entries = [weights.catalog.entry(model_id) for model_id in ids]
    work = _Pull(
        weights=weights,
        machine=machine,
        sources=tuple(sources_named(source) if sources is None else sources),
        stop=stop or threading.Event(),
        free_bytes=free_bytes,
    )
    with allow_network(), disk_errors_named(weights.weights_dir), _one_pull_at_a_time(weights.weights_dir):
        for entry in entries:
            yield from work.one_model(entry)
        for task in tasks:
            yield from work.default_for(task)


@contextmanager
def _one_pull_at_a_time(weights_dir: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    partial = weights_dir / PARTIAL_DIR
    partial.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(partial / "pull.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise DownloadFailed(
            f"another homebody is fetching weights into {str(weights_dir)!r}", hint="wait until it is done"
        ) from error
    try:
        yield
    finally:
        lock.release()


@dataclass
class _Pull:
    """One command: what was found unreachable once is not asked again."""

    weights: Weights
    machine: Machine
    sources: tuple[WeightsSource, ...]
    stop: threading.Event
    free_bytes: Callable[[Path], int]
    unreachable: dict[str, str] = field(default_factory=dict)
    """Source -> why."""

    def default_for(self, task: Task) -> Iterator[PullEvent]:
        """The most preferred model that fits the machine and that a source can give."""
        ranked = self._ranked(task)
        if (there := self._good_enough_here(task, ranked)) is not None:
            yield from self.one_model(there)
            return
        failures: list[DownloadFailed] = []
        for entry, reason in ranked:
            asked = [source for source in self._sources_for(entry) if source.name not in self.unreachable]
            if not asked:
                continue
            yield DefaultChosen(task, entry.id, reason)
            try:
                yield from self.one_model(entry)
                return
            except NotEnoughSpace:
                raise
            except DownloadFailed as error:
                # A smaller model may be had where this one cannot.
                failures.append(error)
                if (last := asked[-1].name) not in self.unreachable:
                    yield SourceSkipped(entry.id, last, str(error))
        if self.stop.is_set():
            return
        raise _most_telling(failures) or NotAtSource(
            f"no source that was asked has a model for {task}", hint="see: homebody models list"
        )

    def _ranked(self, task: Task) -> list[tuple[ModelEntry, str]]:
        """Candidates that fit the memory, best first, each with the reason."""
        if task == "chat":
            ranked = [(each.entry, each.verdict.reason) for each in rank_chat(self.weights.catalog.model, self.machine)]
        else:
            judged = [(each, fits(each, self.machine)) for each in by_preference(self.weights.catalog.model, task)]
            ranked = [(entry, verdict.reason) for entry, verdict in judged if verdict.fits]
        if not ranked:
            raise NotEnoughMemory(
                f"no model for {task} fits {self.machine.free_memory_bytes / 1e9:.1f} GB of free memory",
                hint="close other programs and try again; see: homebody models fit",
            )
        return ranked

    def _good_enough_here(self, task: Task, ranked: Sequence[tuple[ModelEntry, str]]) -> ModelEntry | None:
        """An installed model that is preferred no less than what can surely be had: then nobody is asked.

        Surely is without the hub: otherwise every start of a machine without it would wait for it to not answer.
        Preference counts here and not predicted speed, so that one slow measurement fetches no second model.
        """
        entries = [entry for entry, _ in ranked]
        to_be_had = [entry for entry in entries if self._sources_for(entry)]
        surely = [entry for entry in to_be_had if any(each.name != HubSource.name for each in self._sources_for(entry))]
        mark = next(iter(surely or to_be_had), None)
        for entry in entries:
            no_less = mark is None or entry.default_order[task] <= mark.default_order[task]
            if no_less and self.weights.installed(entry.id) is not None:
                return entry
        return None

    def _sources_for(self, entry: ModelEntry) -> list[WeightsSource]:
        return [source for source in self.sources if source.has(entry)]

    def one_model(self, entry: ModelEntry) -> Iterator[PullEvent]:
        """Install one model, asking the sources in turn for what is still lacking."""
        started_at = time.monotonic()
        folder = self.weights.folder(entry.id)
        if self.weights.installed(entry.id) is not None:
            yield PullChecking(entry.id, entry.files[0].name)
        faulty = self.weights.faulty_files(entry.id)
        if not faulty:
            yield AlreadyInstalled(entry.id, folder)
            yield from quantize_here(entry, folder)
            return
        model = OneModel(entry, faulty, self.weights.staging_dir(entry.id), self.stop, self.free_bytes)
        yield from model.take_up_earlier_try()
        yield from model.fetch_from(PackagedSource(), [file for file in model.lacking() if file.packaged])
        yield from self._ask_in_turn(model)
        if model.lacking():  # nothing was raised, so the user stopped it
            yield PullStopped(entry.id)
            return
        self.weights.adopt(entry.id, model.staged, source=model.source, revision=model.revision)
        shutil.rmtree(model.staging, ignore_errors=True)
        yield PullDone(entry.id, folder, model.source, entry.bytes, time.monotonic() - started_at)
        yield from quantize_here(entry, folder)

    def _ask_in_turn(self, model: OneModel) -> Iterator[PullEvent]:
        failures: list[DownloadFailed] = []
        sources = self._sources_for(model.entry)
        for source in sources:
            if self.stop.is_set() or not model.lacking():
                return
            if source.name in self.unreachable:
                failures.append(SourceUnreachable(self.unreachable[source.name], hint="check the network connection"))
                continue
            try:
                yield from model.fetch_from(source, model.lacking())
            except NotEnoughSpace:
                raise
            except DownloadFailed as error:
                if isinstance(error, SourceUnreachable):
                    self.unreachable[source.name] = str(error)
                failures.append(error)
                yield SourceSkipped(model.entry.id, source.name, str(error))
        if model.lacking() and not self.stop.is_set():
            model.tidy()
            raise _most_telling(failures) or NotAtSource(
                f"{model.entry.id} is at none of: {', '.join(source.name for source in self.sources)}",
                hint=f"it can be had from: {', '.join(_places(model.entry)) or 'nowhere but a folder'}",
            )


def _most_telling(failures: Sequence[DownloadFailed]) -> DownloadFailed | None:
    """Of several sources' failures the one to show: wrong bytes before a missing file before no answer."""
    for kind in (HashMismatch, NotAtSource, SourceUnreachable, DownloadFailed):
        for failure in failures:
            if isinstance(failure, kind):
                return failure
    return None


def _places(entry: ModelEntry) -> list[str]:
    return [name for name, there in (("hub", entry.hub is not None), ("wheels", entry.in_wheels)) if there]
