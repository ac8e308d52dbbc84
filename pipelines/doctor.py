"""Look the whole installation over: what works, what does not, and what to do about it.

Each check says one thing and, when it is not well, the remedy. Checks change nothing, load no chat model and never
stop at the first trouble. What is looked at is passed in (`Subject`); the checks of the machine are in
`doctor_machine.py`, those of what homebody keeps in `doctor_home.py` and `doctor_library.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from models.placement import TaskPlacement
from pipelines import doctor_home, doctor_library, doctor_machine
from pipelines.checkup import Check, Status, Subject, Terminal
from pipelines.offline_guard import Attempt


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """Everything found, as `homebody doctor --json` prints it."""

    checks: tuple[Check, ...]
    device: dict[str, Any]
    placement: dict[str, dict[str, Any]]

    @property
    def worst(self) -> Status:
        statuses = {check.status for check in self.checks}
        return "fail" if "fail" in statuses else "warn" if "warn" in statuses else "ok"

    def to_json(self) -> dict[str, Any]:
        return {
            "checks": [check.to_json() for check in self.checks],
            "device": self.device,
            "placement": self.placement,
        }


def run_checks(subject: Subject) -> Iterator[Check]:
    """Every check, one after the other: a caller can show each as it comes. A few tenths of a second in all,
    more when weights are hashed for the first time."""
    yield from doctor_machine.checks(subject)
    yield from doctor_home.checks(subject)
    yield from doctor_library.checks(subject)


def report(subject: Subject, checks: Iterable[Check]) -> DoctorReport:
    """The checks with the device and the placement that they were made on."""
    measured = {
        "memory_bytes_per_s": subject.profile.memory_bytes_per_s,
        "chat": {name: rates.model_dump() for name, rates in subject.profile.chat.items()},
        "embed": {name: rates.model_dump() for name, rates in subject.profile.embed.items()},
    }
    return DoctorReport(
        checks=tuple(checks),
        device=subject.hardware.to_json() | {"measured": measured},
        placement={task: _placement_json(each) for task, each in subject.placements.items()},
    )


def check_network(attempts: Sequence[Attempt], *, job: str) -> Check:
    """What a job tried to reach beyond this machine, as the guard recorded it: nothing, or a failure."""
    if not attempts:
        return Check("network", "ok", f"{job}: nothing was attempted beyond this machine")
    listed = "; ".join(f"{each.event} {each.target} by {each.call_site}" for each in attempts[:5])
    more = f" and {len(attempts) - 5} more" if len(attempts) > 5 else ""
    return Check(
        "network",
        "fail",
        f"{job}: {len(attempts)} attempts to reach the network, all refused: {listed}{more}",
        "This is a bug: please report it with these lines",
    )


def _placement_json(placement: TaskPlacement) -> dict[str, Any]:
    values: dict[str, Any] = {
        "device": placement.device,
        "reason": placement.reason,
        "threads": placement.threads,
    }
    if placement.task == "chat":
        values |= {"threads_batch": placement.threads_batch, "kv_type": placement.kv_type}
    elif placement.device == "CPU":
        values |= {"arithmetic": placement.arithmetic}
    if placement.fallback is not None:
        fallback = placement.fallback
        values["fallback"] = {
            "asked": fallback.asked,
            "running": fallback.running,
            "why": fallback.why,
            "remedy": fallback.remedy,
        }
    return values


__all__ = ["Check", "DoctorReport", "Status", "Subject", "Terminal", "check_network", "report", "run_checks"]
