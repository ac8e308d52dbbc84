"""Measurements are only believed when nobody else wanted the cores."""

from __future__ import annotations

import pytest

from models.contention import ContentionWatch, system_busy_s


def watch_of(*, others_s: float, own_s: float, passed_s: float, cores: int) -> ContentionWatch:
    """A watch whose clocks have moved by these amounts at its second look."""
    system, own, clock = [0.0, others_s + own_s], [0.0, own_s], [0.0, passed_s]
    return ContentionWatch(
        system_s=lambda: system.pop(0), own_s=lambda: own.pop(0), clock=lambda: clock.pop(0), cores=cores
    )


@pytest.mark.parametrize(
    ("others_s", "cores", "threads", "contended"),
    [
        (0.0, 2, 2, False),
        (2.0, 2, 2, False),  # a fifth of a core: the system's own
        (10.0, 2, 2, True),  # one busy program beside two threads on two cores
        (10.0, 2, 1, False),  # it has the core that we leave
        (60.0, 8, 4, True),
        (30.0, 8, 4, False),
    ],
)
def test_others_count_beyond_the_cores_that_we_leave(
    others_s: float, cores: int, threads: int, contended: bool
) -> None:
    watch = watch_of(others_s=others_s, own_s=threads * 10.0, passed_s=10.0, cores=cores)
    assert watch.contended(threads) is contended


def test_the_systems_accounts_only_grow() -> None:
    first = system_busy_s()
    assert 0 < first <= system_busy_s()
