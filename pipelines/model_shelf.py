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
from models.fit import ChatSpeed, Machine
from models.hardware import Hardware, find_hardware
from models.profile import DeviceProfile, ProfileStore
from models.sources.source import WeightsSource
from models.weights import Weights
from pipelines.models_listing import ModelListing, models_listing
from pipelines.paths import HomePaths
from pipelines.pull import pull
from pipelines.pull_events import PullEvent

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


def open_shelf(paths: HomePaths) -> ModelShelf:
    """The weights in the data folder, judged by this machine. Looks at the hardware (half a second), writes nothing."""
    hardware = find_hardware()
    profile = ProfileStore(paths.profile_file, hardware.fingerprint()).current
    return ModelShelf(Weights(paths.weights_dir), machine_for_fit(hardware, profile))


def machine_for_fit(hardware: Hardware, profile: DeviceProfile) -> Machine:
    """What fitting is judged by: free memory, and the speed that was measured here, or else a guess."""
    measured = [rates for rates in profile.chat.values() if rates.weights_bytes]
    if measured:
        # The largest says most about those that may not fit or be too slow.
        largest = max(measured, key=lambda rates: rates.weights_bytes)
        speed = ChatSpeed.from_measurement(
            weights_bytes=largest.weights_bytes,
            prefill_tokens_per_s=largest.prefill_tokens_per_s,
            decode_tokens_per_s=largest.decode_tokens_per_s,
        )
    else:
        speed = ChatSpeed.guess(
            physical_cores=hardware.cpu.worker_cores,
            vector_bits=_vector_bits(hardware.cpu.instruction_sets),
            memory_bytes_per_s=profile.memory_bytes_per_s,
        )
    return Machine(hardware.memory.available_bytes, speed)


def _vector_bits(instruction_sets: frozenset[str]) -> int:
    if "avx512f" in instruction_sets:
        return 512
    return 256 if "avx2" in instruction_sets else 128


__all__ = ["STARTER_TASKS", "TASKS", "ModelShelf", "Task", "Verdict", "VerifyProgress", "machine_for_fit", "open_shelf"]
