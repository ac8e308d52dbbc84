"""How much of the machine this process may use: processor affinity and control groups, version 1 and 2.

Containers and service managers limit a process without the usual counts telling: a process that starts as many
threads as the machine has cores, under a quota of two, spends its time being throttled. Reads /proc and /sys only;
on systems without them there is no limit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NO_LIMIT_BYTES = 1 << 60
"""Version 1 writes `no limit` as a number near 2**63, rounded down to pages."""


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    limit_bytes: int
    used_bytes: int
    """Without file pages that the kernel would give back."""

    @property
    def free_bytes(self) -> int:
        return max(0, self.limit_bytes - self.used_bytes)


def affinity_cores() -> int:
    """Logical cores that the scheduler may run this process on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def quota_cores(root: Path = Path("/")) -> float | None:
    """Cores' worth of time that the tightest control group allows; None without a quota."""
    quotas = []
    for folder in _group_folders(root, "cpu"):
        version_2 = _read(folder / "cpu.max").split()
        if len(version_2) == 2 and version_2[0] != "max":
            quotas.append(int(version_2[0]) / int(version_2[1]))
        quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if quota is not None and period and quota > 0:
            quotas.append(quota / period)
    return min(quotas, default=None)


def usable_cores(affinity: int, quota: float | None) -> int:
    """Threads that can really run at once: never fewer than 1."""
    allowed = affinity if quota is None else min(affinity, quota)
    return max(1, int(allowed + 0.01))


def memory_limit(root: Path = Path("/")) -> MemoryLimit | None:
    """The control group with the least memory left; None without a limit."""
    limits = []
    for folder in _group_folders(root, "memory"):
        for limit_name, used_name, reclaimable in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit, used = _number(folder / limit_name), _number(folder / used_name)
            if limit is not None and used is not None and limit < _NO_LIMIT_BYTES:
                limits.append(MemoryLimit(limit, max(0, used - _stat(folder / "memory.stat", reclaimable))))
    return min(limits, key=lambda each: each.free_bytes, default=None)


def _group_folders(root: Path, controller: str) -> Iterator[Path]:
    """This process's control group and every one above it, in the hierarchy that has the controller.

    Inside a container /proc names a path of the host that is not mounted here: then the mount itself is the group.
    """
    mount = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        names = controllers.split(",")
        if number == "0" and not controllers:
            tops = [mount, mount / "unified"]
        elif controller in names:
            tops = [mount / controllers, mount / controller]
        else:
            continue
        for top in tops:
            folder = top / path.strip("/")
            yield from (each for each in (folder, *folder.parents) if each == top or top in each.parents)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(file: Path) -> int | None:
    text = _read(file)
    return int(text) if text.lstrip("-").isdigit() else None


def _stat(file: Path, name: str) -> int:
    for line in _read(file).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return 0
