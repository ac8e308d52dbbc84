from __future__ import annotations

from pipelines.settling import Settling


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def settling(clock: Clock) -> Settling:
    return Settling(quiet_s=1.0, ceiling_s=5.0, clock=clock)


def test_a_path_is_due_once_it_has_been_quiet() -> None:
    clock = Clock()
    paths = settling(clock)
    assert (paths.due(), paths.wait_s()) == ([], None)
    paths.add(["/a"])
    clock.now_s = 0.75
    assert (paths.due(), paths.wait_s()) == ([], 0.25)
    paths.add(["/a"])
    clock.now_s = 1.25
    assert paths.due() == []
    clock.now_s = 1.75
    assert paths.due() == ["/a"]
    assert (paths.due(), paths.wait_s()) == ([], None)


def test_a_path_that_changes_all_the_time_is_due_now_and_then() -> None:
    clock = Clock()
    paths = settling(clock)
    due = []
    for tick in range(1, 31):
        clock.now_s = tick * 0.5
        paths.add(["/log"])
        due += [(clock.now_s, path) for path in paths.due()]
    assert due == [(5.5, "/log"), (11.0, "/log")]
    assert paths.wait_s() == 1.0


def test_both_ends_of_a_move_come_together() -> None:
    clock = Clock()
    paths = settling(clock)
    paths.add(["/old"])
    clock.now_s = 0.25
    paths.add(["/new"])
    clock.now_s = 0.75
    paths.add(["/still written"])
    clock.now_s = 1.0
    assert paths.due() == ["/new", "/old"]
    assert paths.wait_s() is not None
