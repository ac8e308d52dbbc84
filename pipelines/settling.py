"""When a path that changed has come to rest and may be looked at.

A path is due when nothing was told of it for a moment, or when it has been changing for long: a log that is written
all the time is still read now and then. Looks at no file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

QUIET_S = 0.25
"""Since the last change that was told. The system's watch adds up to 0.16 s before it tells."""
CEILING_S = 10.0
"""Since the first change."""


class Settling:
    """The paths that changed and were not looked at yet."""

    def __init__(
        self,
        *,
        quiet_s: float = QUIET_S,
        ceiling_s: float = CEILING_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quiet_s, self._ceiling_s, self._clock = quiet_s, ceiling_s, clock
        self._changing: dict[str, tuple[float, float]] = {}
        """Path to when its first and its last change were told."""

    def add(self, paths: Iterable[str]) -> None:
        now_s = self._clock()
        for path in paths:
            first_s, _ = self._changing.get(path, (now_s, now_s))
            self._changing[path] = first_s, now_s

    def due(self) -> list[str]:
        """The paths that have come to rest, sorted; they are forgotten here.

        A file that was moved is told as two paths, perhaps a moment apart: with the first one that is due comes
        every other that has been quiet for half the time.
        """
        now_s = self._clock()
        if not any(self._is_due(times, now_s, self._quiet_s) for times in self._changing.values()):
            return []
        due = sorted(path for path, times in self._changing.items() if self._is_due(times, now_s, self._quiet_s / 2))
        for path in due:
            del self._changing[path]
        return due

    def wait_s(self) -> float | None:
        """How long until something is due; None when nothing changes."""
        if not self._changing:
            return None
        now_s = self._clock()
        ends = (
            min(last_s + self._quiet_s, first_s + self._ceiling_s) - now_s
            for first_s, last_s in self._changing.values()
        )
        return max(0.0, min(ends))

    def clear(self) -> None:
        self._changing.clear()

    def _is_due(self, times: tuple[float, float], now_s: float, quiet_s: float) -> bool:
        first_s, last_s = times
        return now_s - last_s >= quiet_s or now_s - first_s >= self._ceiling_s
