"""Send what llama.cpp and ggml print to `logging` instead of to the terminal.

The binding installs a callback that writes to standard error, and its `verbose=False` redirects the
process's own descriptors, which freezes a full-screen terminal. Here the callback is replaced by ours as soon
as the library is loaded; nothing in homebody may redirect descriptors 1 or 2. Knows nothing of models.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

LOGGER = logging.getLogger("homebody.native.llama")

_DEBUG, _WARN, _CONTINUED = 1, 3, 5
"""ggml_log_level in ggml.h (NONE, DEBUG, INFO, WARN, ERROR, CONT; the binding's own table is an older one)."""
_TRACE = logging.DEBUG - 5
_LOGGING_LEVELS = {0: logging.DEBUG, _DEBUG: _TRACE, 2: logging.DEBUG, _WARN: logging.INFO, 4: logging.INFO}
"""Never above INFO: the engine calls a stop that the user asked for an error. What is one is raised by the adapter,
with the engine's last words."""

_MAX_LINE_CHARS = 4000


@dataclass(frozen=True, slots=True)
class LogLine:
    text: str
    complaint: bool = False
    """The engine meant it as a warning or an error."""


def last_words(lines: Sequence[LogLine], *, count: int = 1) -> str:
    """What the engine said last that was a warning or worse, else what it said last; for an error message.

    `count` lines, for an engine that complains in several."""
    if not lines:
        return "it does not say why"
    complaints = [line for line in lines if line.complaint]
    return " ".join(line.text for line in (complaints or lines)[-count:])[:300]


class NativeLog:
    """Assembles pieces into lines and hands each complete line to a logger.

    ggml prints a line in pieces (level CONT) and progress as single dots without a line end. Called from any
    native thread.
    """

    def __init__(self, logger: logging.Logger, *, keep_lines: int = 200) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._pieces: list[str] = []
        self._level = 0
        self._lines: deque[LogLine] = deque(maxlen=keep_lines)
        self._captures: list[list[LogLine]] = []

    def write(self, native_level: int, text: bytes | None) -> None:
        """One call of the native callback. Never raises: an exception cannot cross native code."""
        decoded = (text or b"").decode("utf-8", "replace")
        with self._lock:
            if native_level != _CONTINUED:
                if self._pieces:
                    self._end_line()
                self._level = native_level
            for part in decoded.splitlines(keepends=True):
                self._pieces.append(part)
                if part.endswith("\n") or sum(map(len, self._pieces)) > _MAX_LINE_CHARS:
                    self._end_line()

    def _end_line(self) -> None:
        text = "".join(self._pieces).strip()
        self._pieces.clear()
        if not text or not text.strip("."):  # the loader's progress dots
            return
        if self._level != _DEBUG:
            line = LogLine(text, complaint=self._level >= _WARN)
            self._lines.append(line)
            for capture in self._captures:
                capture.append(line)
        self._logger.log(_LOGGING_LEVELS.get(self._level, logging.DEBUG), "%s", text)

    def recent_lines(self) -> tuple[LogLine, ...]:
        """The last complete lines, oldest first, without the engine's debugging output."""
        with self._lock:
            return tuple(self._lines)

    @contextmanager
    def capture(self) -> Iterator[list[LogLine]]:
        """The lines logged while the block runs, by whichever thread, as a list that grows."""
        lines: list[LogLine] = []
        with self._lock:
            self._captures.append(lines)
        try:
            yield lines
        finally:
            with self._lock:
                # By identity: two captures that saw the same lines compare equal.
                self._captures = [each for each in self._captures if each is not lines]


LLAMA_LOG = NativeLog(LOGGER)

_load_lock = threading.Lock()
_library: ModuleType | None = None
_mtmd_library: ModuleType | None = None
_callback: Any = None
"""The ctypes callback object. The library keeps only the address: it must live as long as the process."""


def llama_library() -> ModuleType:
    """The binding's low-level module, loaded once, its log routed to `logging`, its backend initialised.

    Everything in homebody that calls llama.cpp gets it from here. Raises ImportError where the binding is
    missing, and RuntimeError or OSError (from the binding) where its shared library cannot be loaded.
    """
    global _library, _callback
    with _load_lock:
        if _library is None:
            from llama_cpp import llama_cpp as library

            _callback = library.llama_log_callback(lambda level, text, _user_data: LLAMA_LOG.write(level, text))
            library.llama_log_set(_callback, ctypes.c_void_p(0))  # sets ggml's as well
            library.llama_backend_init()
            _library = library
        return _library


def mtmd_library() -> ModuleType:
    """The binding's module for pictures (libmtmd), loaded once, its two logs routed as llama.cpp's. Raises as above."""
    global _mtmd_library
    llama_library()
    with _load_lock:
        if _mtmd_library is None:
            from llama_cpp import mtmd_cpp as library

            library.mtmd_log_set(_callback, ctypes.c_void_p(0))
            library.mtmd_helper_log_set(_callback, ctypes.c_void_p(0))
            _mtmd_library = library
        return _mtmd_library
