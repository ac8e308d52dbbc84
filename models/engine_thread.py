"""The one thread in which llama.cpp computes.

OpenMP keeps a team of worker threads for every thread that ever computed. Once the teams together have more threads
than there are cores, libgomp stops spinning at the barriers between two nodes of a graph and sleeps there instead:
some 3,000 sleeps a second and a third of the speed lost, measured in a terminal UI whose answers came from one worker
thread after the other. So whoever asks, one thread computes.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

ResultT = TypeVar("ResultT")


@lru_cache(maxsize=1)
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="llama")


def compute(function: Callable[..., ResultT], *arguments: object) -> tuple[ResultT, KeyboardInterrupt | None]:
    """Call a native function there and wait for it; its result, and the Ctrl-C that came meanwhile.

    A call under way cannot be left: what it works on must not be touched before it returns. So an interrupt is
    handed to the caller, to raise when everything is in order.
    """
    running = _thread().submit(function, *arguments)
    interrupt: KeyboardInterrupt | None = None
    while True:
        try:
            return running.result(), interrupt
        except KeyboardInterrupt as error:
            if running.done() and running.exception() is error:
                raise
            interrupt = error
