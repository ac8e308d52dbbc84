"""What was freed goes back to the system, also what lies between things that are still needed."""

from __future__ import annotations

import threading

import psutil
import pytest

from models.freed_memory import _malloc_trim, give_back
from models.resident import Residents

MEGABYTE = 1 << 20


def resident_mb() -> float:
    return psutil.Process().memory_info().rss / MEGABYTE


def allocated(mb: int) -> list[bytearray]:
    return [bytearray(64 << 10) for _ in range(16 * mb)]


class Engine:
    """It needs much while it works, and keeps some of what it took last."""

    def __init__(self) -> None:
        self.kept: list[bytearray] = []

    def work(self) -> float:
        """Returns the megabytes that were resident when it was through."""
        self.kept = allocated(200)[::20]
        return resident_mb()

    def close(self) -> None:
        self.kept.clear()


@pytest.mark.skipif(_malloc_trim() is None, reason="only glibc is asked to give memory back")
def test_what_an_engine_took_besides_goes_back_after_its_use() -> None:
    residents = Residents()
    held_mb: list[float] = []

    def work() -> None:
        with residents.use("large", Engine, 0) as engine:
            held_mb.append(engine.work())

    give_back()  # what earlier tests freed, or the engine would take that
    before_mb = resident_mb()
    thread = threading.Thread(target=work)  # a heap of its own, as an indexing run has
    thread.start()
    thread.join()
    assert held_mb[0] - before_mb > 150
    assert resident_mb() - before_mb < 60
    residents.close_all()
    assert resident_mb() - before_mb < 40


def test_it_may_be_asked_for_at_any_time_and_by_anyone() -> None:
    threads = [threading.Thread(target=give_back) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
