"""The weights of this machine as one thing to ask: what there is, what fits, get, check, remove.

Wires the catalogue, the weights folder and the machine's figures together for `homebody models`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, get_args

from models.catalog import Task
from models.errors import WeightsDamaged, WeightsMissing
from models.fit import Machine
from models.sources.source import WeightsSource
from models.weights import Weights
from pipelines.engines import Engines
from pipelines.models_listing import ModelListing, models_listing
from pipelines.paths import HomePaths
from pipelines.pull import pull
from pipelines.pull_events import PullEvent
from pipelines.settings import Settings

TASKS: Final[tuple[Task, ...]] = get_args(Task)
STARTER_TASKS: Final[tuple[Task, ...]] = ("chat", "embed")
"""What asking one's files takes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What reading every byte of a model's files showed."""

    model_id: str
    ok: bool
    detail: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class VerifyProgress:
    model_id: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class ModelShelf:
    weights: Weights
    machine: Machine
    sources: Sequence[WeightsSource] | None = None
    """Replaces the sources that a pull names."""

    def listing(self, tasks: Sequence[Task] = ()) -> tuple[ModelListing, ...]:
        """Every model of the catalogue, or those for the tasks."""
        return models_listing(self.weights, self.machine, tasks=tasks)

    def pull(
        self, ids: Sequence[str], tasks: Sequence[Task], *, source: str, stop: threading.Event
    ) -> Iterator[PullEvent]:
        """Install models by id, and for each task the default that fits. Raises UnknownModel, DownloadFailed."""
        return pull(
            ids, tasks, weights=self.weights, machine=self.machine, source=source, stop=stop, sources=self.sources
        )

    def verify(self, ids: Sequence[str] = ()) -> Iterator[VerifyProgress | Verdict]:
        """Read every byte of these models, or of all installed ones; a Verdict each. Raises UnknownModel."""
        named = [self.weights.catalog.entry(each).id for each in ids]
        for model_id in named or [model.id for model in self.weights.list_installed()]:
            yield VerifyProgress(model_id, 0, self.weights.catalog.entry(model_id).bytes)
            try:
                self.weights.verify(model_id)
            except (WeightsMissing, WeightsDamaged) as error:
                yield Verdict(model_id, ok=False, detail=str(error), remedy=error.hint)
            else:
                yield Verdict(model_id, ok=True)

    def remove(self, model_id: str) -> int:
        """Delete a model's files; returns the bytes freed. Raises UnknownModel."""
        return self.weights.remove(model_id)


def open_shelf(paths: HomePaths, settings: Settings) -> ModelShelf:
    """The weights in the data folder, judged by this machine. Looks at the hardware (half a second), writes nothing."""
    engines = Engines(paths, settings)
    return ModelShelf(engines.weights, engines.machine())


__all__ = ["STARTER_TASKS", "TASKS", "ModelShelf", "Task", "Verdict", "VerifyProgress", "open_shelf"]
