"""Let a `threading.Event` end a running llama.cpp call, without Python in its loop.

llama.cpp asks an abort callback before every node of its graph. A Python callback would have to take the
interpreter's lock a thousand times a token. So the callback is the C library's own `strlen`, and its argument a
two-byte string: "" has length 0, go on; "\\x01" has length 1, stop. A small thread waits for the event and
writes the byte. Only the CPU backend (and some others) ask; elsewhere a stop waits for the batch at work.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_POLL_S = 0.08
"""A wait on an Event cannot be called off, so the thread looks up at this interval to see that it is done."""


class AbortFlag:
    """One byte that native code reads. Must live as long as the context that was given its addresses."""

    def __init__(self) -> None:
        self._string = ctypes.create_string_buffer(2)
        self._lock = threading.Lock()
        c_library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
        self.callback_address = ctypes.cast(c_library.strlen, ctypes.c_void_p).value or 0
        """Of a function `bool (*)(void *)`: the caller reads the low byte of what strlen returns."""
        self.data_address = ctypes.addressof(self._string)

    @property
    def is_up(self) -> bool:
        return self._string.raw[0] != 0

    @contextmanager
    def following(self, stop: threading.Event) -> Iterator[None]:
        """Raise the flag when `stop` is set, for as long as the block runs; it is down before and after."""
        done = threading.Event()

        def follow() -> None:
            while not stop.wait(_POLL_S):
                if done.is_set():
                    return
            with self._lock:
                if not done.is_set():  # the next answer's flag must not be raised by an old stop
                    self._string[0] = b"\x01"

        self._string[0] = b"\x00"
        threading.Thread(target=follow, name="stop-follower", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                done.set()
                self._string[0] = b"\x00"
