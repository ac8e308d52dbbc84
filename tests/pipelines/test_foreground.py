from __future__ import annotations

import threading

from models.contention import ContentionWatch
from pipelines.foreground import BATTERY_LOOK_S, BatteryWatch, Foreground
from pipelines.spare_cores import LOOK_EVERY_S, SpareCores, own_and_children_s


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_background_work_waits_for_an_answer_and_goes_on() -> None:
    foreground = Foreground()
    passed = threading.Event()

    def work() -> None:
        if foreground.wait_until_free(threading.Event()):
            passed.set()

    waiting = threading.Thread(target=work)
    with foreground.busy(), foreground.busy():
        waiting.start()
        assert foreground.is_busy
        assert not passed.wait(0.05)
    assert passed.wait(10)
    waiting.join()


def test_what_holds_the_gate_is_asked_again_and_a_stop_ends_the_waiting() -> None:
    holds = [True, True, False]
    assert Foreground(held=lambda: holds.pop(0)).wait_until_free(threading.Event())
    assert holds == []
    stop = threading.Event()
    stop.set()
    assert not Foreground(held=lambda: True).wait_until_free(stop)


def test_the_battery_is_looked_at_now_and_then() -> None:
    clock = Clock()
    looks: list[tuple[float, bool] | None] = [(80.0, False), (40.0, False), (40.0, True), None]
    watch = BatteryWatch(battery=lambda: looks.pop(0), clock=clock)
    seen = []
    for _ in range(4):
        seen += [watch.is_low(), watch.is_low()]
        clock.now_s += BATTERY_LOOK_S
    assert seen == [False, False, True, True, False, False, False, False]
    assert looks == []


def test_this_machine_may_have_a_battery() -> None:
    assert BatteryWatch().is_low() in (True, False)


class Engine:
    threads = 4

    def set_threads(self, threads: int) -> None:
        self.threads = threads


def test_an_engine_gets_the_cores_that_others_leave() -> None:
    clock, others_s = Clock(), [0.0]

    def watch() -> ContentionWatch:
        return ContentionWatch(system_s=lambda: others_s[0], own_s=lambda: 0.0, clock=clock, cores=8)

    spare, engine, threads = SpareCores(watch=watch, cores=8, clock=clock), Engine(), []
    foreground = Foreground(share=spare.share)
    for used_cores in (0.0, 0.3, 6.2, 8.0, 0.0):
        foreground.make_room(engine)
        threads.append(engine.threads)
        others_s[0] += used_cores * LOOK_EVERY_S
        clock.now_s += LOOK_EVERY_S
        foreground.make_room(engine)
    assert threads == [4, 4, 4, 2, 1], "never more than it had, and never none"
    assert engine.threads == 4
    foreground.make_room(object())  # an engine whose threads are its own business


def test_what_the_readers_process_uses_is_ours() -> None:
    assert own_and_children_s() >= 0
