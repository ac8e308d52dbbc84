"""Everything is computed in one thread, whoever asks; Ctrl-C waits for the call under way."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import cast

import pytest

from models.engine_thread import compute

main_thread = cast(int, threading.main_thread().ident)


def test_every_caller_gets_the_same_thread() -> None:
    seen: set[int] = set()

    def ask() -> None:
        seen.add(compute(threading.get_ident)[0])

    callers = [threading.Thread(target=ask) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    ask()
    assert len(seen) == 1
    assert threading.get_ident() not in seen


def test_what_the_call_raises_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        compute(divmod, 1, 0)


def interrupt_the_main_thread() -> None:
    signal.pthread_kill(main_thread, signal.SIGINT)


def answer_interrupting(answer: int) -> int:
    interrupt_the_main_thread()
    return answer


def interrupting_handler(interrupted: threading.Event) -> None:
    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, on_interrupt)


def test_an_interrupt_is_handed_over_after_the_call() -> None:
    interrupted = threading.Event()
    ended = threading.Event()

    def work() -> str:
        while not interrupted.wait(0.1):  # again: a signal just before the wait begins does not end the wait
            interrupt_the_main_thread()
        ended.set()
        return "result"

    before = signal.getsignal(signal.SIGINT)
    interrupting_handler(interrupted)
    try:
        result, interrupt = compute(work)
    finally:
        signal.signal(signal.SIGINT, before)
    assert result == "result"
    assert ended.is_set()
    assert isinstance(interrupt, KeyboardInterrupt)


def test_an_interrupt_at_any_moment_neither_hangs_nor_loses_the_result() -> None:
    """The signal is raised in the other thread while the first is anywhere between handing over and waking up."""
    before = signal.getsignal(signal.SIGINT)
    interrupting_handler(threading.Event())
    answered = interrupted = 0
    try:
        for number in range(400):
            try:
                result, interrupt = compute(answer_interrupting, number)
                assert result == number
                answered += 1
                interrupted += interrupt is not None
            except KeyboardInterrupt:  # it came after the call, outside of `compute`
                interrupted += 1
    finally:
        signal.signal(signal.SIGINT, before)
    assert answered
    assert interrupted
    assert compute(str, 1) == ("1", None)
