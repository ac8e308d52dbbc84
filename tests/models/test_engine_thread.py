"""Everything is computed in one thread, whoever asks; Ctrl-C waits for the call under way."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

import pytest

from models.engine_thread import compute


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


def test_an_interrupt_is_handed_over_after_the_call() -> None:
    ended = threading.Event()

    def work() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        while not interrupted.wait(0.01):
            pass
        ended.set()
        return "result"

    interrupted = threading.Event()

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        result, interrupt = compute(work)
    finally:
        signal.signal(signal.SIGINT, before)
    assert result == "result"
    assert ended.is_set()
    assert isinstance(interrupt, KeyboardInterrupt)
