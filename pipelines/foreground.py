"""Somebody is being answered: work in the background waits between its steps.

Two engines that spin on the same cores fall off a cliff (-70 % for two llama.cpp-like processes), so indexing
does not share the cores with an answer: it stops at the next batch and goes on afterwards. Knows neither side.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STOP_CHECK_S = 0.1
BACKGROUND_NICENESS = 10


class Foreground:
    """A gate: open while nobody is busy in the foreground."""

    def __init__(self) -> None:
        self._busy = 0
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

    def wait_until_free(self, stop: threading.Event) -> bool:
        """Wait for the foreground to be free; returns False when `stop` was set first."""
        with self._changed:
            while self._busy and not stop.is_set():
                self._changed.wait(STOP_CHECK_S)
        return not stop.is_set()


def give_way() -> None:
    """Lower this whole process's priority, for `homebody index` beside a homebody that is being talked to.

    It cannot be raised again without privileges. Does nothing where the system has no such thing.
    """
    if hasattr(os, "nice"):
        os.nice(BACKGROUND_NICENESS)
