"""How many cores the user's other programs leave free, looked at now and then while something works.

Work with fewer threads than that shares the machine; with more, threads that wait for each other fall behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from models.contention import ContentionWatch
from models.cpu_limits import affinity_cores, quota_cores, usable_cores

LOOK_EVERY_S = 5.0


@runtime_checkable
class Threaded(Protocol):
    """An engine whose number of threads may change while it works."""

    @property
    def threads(self) -> int: ...

    def set_threads(self, threads: int) -> None: ...


class SpareCores:
    """Counts from one look to the next; what homebody's own processes use is not counted as others'."""

    def __init__(
        self,
        *,
        watch: Callable[[], ContentionWatch] | None = None,
        cores: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watch = watch or (lambda: ContentionWatch(own_s=own_and_children_s))
        self._cores = cores or usable_cores(affinity_cores(), quota_cores())
        self._clock = clock
        self._counting: ContentionWatch | None = None
        self._look_again_s = 0.0
        self._spare = self._cores
        self._engine: object = None
        self._most_threads = 0

    def count(self) -> int:
        """At least 1. Costs nothing between two looks."""
        now_s = self._clock()
        if self._counting is None or now_s >= self._look_again_s:
            if self._counting is not None:
                self._spare = max(1, min(self._cores, round(self._cores - self._counting.others_cores())))
            self._counting = self._watch()
            self._look_again_s = now_s + LOOK_EVERY_S
        return self._spare

    def share(self, engine: object) -> None:
        """Let an engine that can work with fewer threads have no more than are spare; with as many as it had at
        most, which somebody has measured to be best.
        """
        if not isinstance(engine, Threaded):
            return
        if engine is not self._engine:
            self._engine, self._most_threads = engine, engine.threads
        wanted = min(self._most_threads, self.count())
        if engine.threads != wanted:
            engine.set_threads(wanted)


def own_and_children_s() -> float:
    """Seconds of CPU that this process and those it started have used: the reader's, chromadb's."""
    import psutil

    used_s = time.process_time()
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:
            continue  # it ended: what it used until now counts as others', once
        used_s += times.user + times.system
    return used_s
