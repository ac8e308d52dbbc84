"""The catalogue as the user sees it: what is installed, what fits this machine, and where the rest can be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.catalog import ModelEntry, Task
from models.fit import FitVerdict, Machine, choose_installed_chat, fits
from models.weights import Weights


@dataclass(frozen=True, slots=True)
class ModelListing:
    """One model of the catalogue on this machine."""

    entry: ModelEntry
    installed: bool
    verdict: FitVerdict
    default_for: tuple[Task, ...]
    """Tasks for which it would be taken, of what is installed; of all models when nothing is."""

    @property
    def sources(self) -> tuple[str, ...]:
        places = (("hub", self.entry.hub is not None), ("wheels", self.entry.in_wheels))
        return tuple(name for name, there in places if there)

    def to_json(self) -> dict[str, Any]:
        decode, prefill = self.verdict.decode_tokens_per_s, self.verdict.prefill_tokens_per_s
        return {
            "id": self.entry.id,
            "title": self.entry.title,
            "tasks": list(self.entry.tasks),
            "bytes": self.entry.bytes,
            "licence": self.entry.licence,
            "upstream": self.entry.upstream,
            "installed": self.installed,
            "fits": self.verdict.fits,
            "useful": self.verdict.useful,
            "reason": self.verdict.reason,
            "needed_memory_bytes": self.verdict.needed_bytes,
            "predicted_decode_tokens_per_s": None if decode is None else round(decode, 1),
            "predicted_prefill_tokens_per_s": None if prefill is None else round(prefill, 1),
            "sources": list(self.sources),
            "default_for": list(self.default_for),
            "minimum": self.entry.minimum,
            "note": self.entry.note,
        }


def models_listing(weights: Weights, machine: Machine, *, tasks: Sequence[Task] = ()) -> tuple[ModelListing, ...]:
    """Every model of the catalogue, in its order; only those of the tasks, when some are named. Reads no weights."""
    shown = [entry for entry in weights.catalog.model if not tasks or set(tasks) & set(entry.tasks)]
    return tuple(
        ModelListing(
            entry=entry,
            installed=weights.installed(entry.id) is not None,
            verdict=fits(entry, machine),
            default_for=tuple(task for task in entry.tasks if _default(weights, machine, task) == entry.id),
        )
        for entry in shown
    )


def _default(weights: Weights, machine: Machine, task: Task) -> str:
    entry = installed_default(weights, machine, task)
    if entry is not None:
        return entry.id
    return next((entry.id for entry in weights.catalog.defaults(task) if fits(entry, machine).useful), "")


def installed_default(weights: Weights, machine: Machine, task: Task) -> ModelEntry | None:
    """Of the installed models the one to use for the task; None when there is none."""
    here = [model.entry for model in weights.list_installed() if task in model.entry.tasks]
    if task == "chat":
        return choose_installed_chat(here, machine)
    preferred = [entry for entry in weights.catalog.defaults(task) if entry in here]
    return next(iter(preferred or here), None)
