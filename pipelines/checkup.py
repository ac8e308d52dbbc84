"""What the doctor looks at and what it finds: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from models.fit import Machine
from models.hardware import Hardware
from models.placement import TaskPlacement
from models.profile import DeviceProfile
from models.weights import Weights
from pipelines.paths import HomePaths
from pipelines.settings import Settings

Status = Literal["ok", "warn", "fail"]
Repair = Literal["", "permissions", "replace file", "word indexes", "orphans", "chroma", "index"]
"""What `homebody doctor --fix` can carry out, in the order in which it does (`pipelines.repair`)."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    name: str
    status: Status
    detail: str
    remedy: str = ""
    """What to do; empty when all is well."""
    repair: Repair = ""
    """What `doctor --fix` does about it; empty where only the user can."""

    def to_json(self) -> dict[str, str]:
        """As `homebody doctor --json` prints it."""
        return {"name": self.name, "status": self.status, "detail": self.detail, "remedy": self.remedy}


@dataclass(frozen=True, slots=True)
class Terminal:
    """What of the terminal matters."""

    interactive: bool
    encoding: str
    columns: int
    name: str
    """The variable TERM."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The installation under examination."""

    paths: HomePaths
    settings: Settings
    """The defaults, where the file is invalid: `settings_error` then says why."""
    hardware: Hardware
    profile: DeviceProfile
    weights: Weights
    machine: Machine
    placements: Mapping[str, TaskPlacement]
    """By task, as it turned out: planned, then corrected by what the engine says (`placement.correct`)."""
    offline: bool
    """Whether the guard is on."""
    terminal: Terminal
    settings_error: tuple[str, str] | None = None
    """The message and its hint."""
