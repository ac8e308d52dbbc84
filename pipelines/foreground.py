"""Somebody is being answered, or the battery is to last: work in the background waits between its steps.

Two engines that spin on the same cores fall off a cliff (-70 % for two llama.cpp-like processes), so indexing
does not share the cores with an answer: it stops at the next batch and goes on afterwards. Knows neither side.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rag.priority import lower_priority

STOP_CHECK_S = 0.1
BATTERY_LOOK_S = 30.0
LOW_BATTERY_PERCENT = 50.0
"""Below it, unplugged, a homebody that is to be quiet leaves the battery alone."""


class Foreground:
    """A gate: open while nobody is busy in the foreground and nothing else holds it."""

    def __init__(
        self, *, held: Callable[[], bool] = lambda: False, share: Callable[[object], None] = lambda _engine: None
    ) -> None:
        """`held` is asked while background work passes or waits, `share` is given the engine that works in the
        background and may take threads from it: both must cost next to nothing."""
        self._busy = 0
        self._held = held
        self._share = share
        self._changed = threading.Condition()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Held around answering; several may hold it at once."""
        with self._changed:
            self._busy += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    @property
    def is_busy(self) -> bool:
        return self._busy > 0

    @property
    def is_free(self) -> bool:
        """Background work may go on."""
        return not (self._busy or self._held())

    def wait_until_free(self, stop: threading.Event) -> bool:
        """Wait for the foreground to be free; returns False when `stop` was set first."""
        with self._changed:
            while (self._busy or self._held()) and not stop.is_set():
                self._changed.wait(STOP_CHECK_S)
        return not stop.is_set()

    def make_room(self, engine: object) -> None:
        """Called between two steps of an engine that works in the background."""
        self._share(engine)


class BatteryWatch:
    """Whether the machine runs on a battery that is no longer full; looked at now and then."""

    def __init__(
        self,
        *,
        battery: Callable[[], tuple[float, bool] | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`battery` gives per cent and whether it is plugged in; None where there is none."""
        self._battery = battery or _battery
        self._clock = clock
        self._look_again_s = 0.0
        self._low = False

    def is_low(self) -> bool:
        now_s = self._clock()
        if now_s >= self._look_again_s:
            self._look_again_s = now_s + BATTERY_LOOK_S
            found = self._battery()
            self._low = found is not None and not found[1] and found[0] < LOW_BATTERY_PERCENT
        return self._low


def give_way() -> None:
    """Lower this whole process's priority, for `homebody index` beside a homebody that is being talked to."""
    lower_priority()


def _battery() -> tuple[float, bool] | None:
    import psutil

    found = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return None if found is None else (found.percent, found.power_plugged is not False)
