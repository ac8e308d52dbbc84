"""The one thread in which llama.cpp computes.

OpenMP keeps a team of worker threads for every thread that ever computed. Once the teams together have more threads
than there are cores, libgomp stops spinning at the barriers between two nodes of a graph and sleeps there instead:
some 3,000 sleeps a second and a third of the speed lost, measured in a terminal UI whose answers came from one worker
thread after the other. So whoever asks, one thread computes.

Calls are handed over with a `SimpleQueue` and a bare lock, both written in C, and not with a `Future`: a Ctrl-C that
arrives inside `Future.result` can leave the future's own lock held, and then the thread that computes waits for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache
from queue import SimpleQueue
from typing import Generic, TypeVar, cast

ResultT = TypeVar("ResultT")


class _Call(Generic[ResultT]):
    """One call on its way: `ended` is released once, after `done` is set."""

    __slots__ = ("done", "ended", "error", "function", "queued", "result", "taken")

    def __init__(self, function: Callable[[], ResultT]) -> None:
        self.function = function
        self.ended = threading.Lock()
        self.ended.acquire()
        self.queued = self.taken = self.done = False
        self.result: ResultT | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Compute, once: an interrupt between two steps of the caller may have queued the call twice."""
        if self.taken:
            return
        self.taken = True
        try:
            self.result = self.function()
        except BaseException as error:  # outermost frame of the thread: everything is raised where it was asked for
            self.error = error
        self.done = True
        self.ended.release()


_calls: SimpleQueue[_Call[object]] = SimpleQueue()
_claim = threading.Lock()


def _work() -> None:
    if not _claim.acquire(blocking=False):  # two callers came first at once: one thread is enough
        return
    while True:
        _calls.get().run()


@lru_cache(maxsize=1)
def _start() -> None:
    # A daemon: it must not keep the process alive, and whoever waits for a call keeps the process alive meanwhile.
    threading.Thread(target=_work, name="llama_0", daemon=True).start()


def compute(function: Callable[..., ResultT], *arguments: object) -> tuple[ResultT, KeyboardInterrupt | None]:
    """Call a native function there and wait for it; its result, and the Ctrl-C that came meanwhile.

    A call under way cannot be left: what it works on must not be touched before it returns. So an interrupt is
    handed to the caller, to raise when everything is in order.
    """
    call: _Call[ResultT] = _Call(lambda: function(*arguments))
    interrupt: KeyboardInterrupt | None = None
    while not call.done:
        try:
            if not call.queued:
                _start()
                _calls.put(cast("_Call[object]", call))
                call.queued = True
            call.ended.acquire()
        except KeyboardInterrupt as error:
            interrupt = error
    if call.error is not None:
        raise call.error
    return cast(ResultT, call.result), interrupt
