"""Memory that was freed, given back to the system: the C library keeps it for whoever asks next.

Measured after one page, one minute of speech and the loading of an embedder: 200, 170 and 20 to 145 MB that nobody
used any more, each kept for the thread that had used it. Of interest where large things come and go. Knows no engine.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any


def give_back() -> None:
    """Takes some milliseconds. Does nothing where the C library is not glibc: others give back by themselves."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Any:
    """glibc's `malloc_trim(size_t)`, which goes through the heaps of all threads; None without one."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # musl has none
        return None
    trim.argtypes, trim.restype = (ctypes.c_size_t,), ctypes.c_int
    return trim
