"""Whether other programs wanted the cores while something was measured: then the figure says nothing of the machine.

Looks at the system's accounts of CPU time. On a machine where these cannot be read, nothing is suspected.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

TOLERATED_CORES = 0.3
"""Every system has a little going on; with two spinning threads on two cores less than this costs a few per cent."""


def system_busy_s() -> float:
    """Seconds of CPU that all programs of this machine have used, all cores together."""
    import psutil

    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


class ContentionWatch:
    """Counts from its making: `contended(threads)` tells whether `threads` of ours had the cores that they wanted."""

    def __init__(
        self,
        *,
        system_s: Callable[[], float] = system_busy_s,
        own_s: Callable[[], float] = time.process_time,
        clock: Callable[[], float] = time.perf_counter,
        cores: int | None = None,
    ) -> None:
        self._system_s, self._own_s, self._clock = system_s, own_s, clock
        self._cores = cores or os.cpu_count() or 1
        self._started = (system_s(), own_s(), clock())

    def others_cores(self) -> float:
        """How many cores' worth of time other programs have used since, on average."""
        system_s, own_s, clock_s = self._started
        passed_s = max(self._clock() - clock_s, 1e-9)
        return max(0.0, (self._system_s() - system_s) - (self._own_s() - own_s)) / passed_s

    def contended(self, threads: int) -> bool:
        """Whether others used more than the cores that `threads` leave free, with some tolerance."""
        return self.others_cores() > max(0, self._cores - threads) + TOLERATED_CORES
