"""Standard input as text to talk about: `git diff | homebody ask "what changed?"`.

A program started by cron, by a CI job or over ssh has a standard input that nobody writes to, and sometimes nobody
closes either. So something that comes is read to its end, however long that takes, but the first of it is waited
for only briefly; `--file -` waits for it as long as it takes.
"""

from __future__ import annotations

import os
import stat
import threading
from typing import Final, TextIO

from pipelines.errors import FileNotUsable

FIRST_BYTE_WAIT_S: Final = 5.0
MAX_BYTES: Final = 64 * 1024 * 1024
NAME: Final = "standard input"


def read_text(stdin: TextIO | None, *, wait_s: float | None = FIRST_BYTE_WAIT_S) -> str | None:
    """Everything on standard input; empty when it is a terminal, closed, or has nothing.

    `wait_s` bounds the wait for the first byte (None waits for ever); when it passes, the result is None. Raises
    FileNotUsable when what came is not text or is too much.
    """
    if stdin is None or stdin.closed or stdin.isatty():
        return ""
    reader = _Reader(stdin)
    if wait_s is None or _is_always_ready(stdin):
        reader.read()
    else:
        # A daemon: when nothing ever comes, it is still waiting as the process ends.
        thread = threading.Thread(target=reader.read, name="stdin", daemon=True)
        thread.start()
        if not reader.something_came.wait(wait_s):
            return None
        thread.join()
    return reader.text()


def _is_always_ready(stdin: TextIO) -> bool:
    """Whether it is a file: reading that never waits for anybody."""
    descriptor = _descriptor(stdin)
    return descriptor is not None and stat.S_ISREG(os.fstat(descriptor).st_mode)


def _descriptor(stdin: TextIO) -> int | None:
    try:
        return stdin.fileno()
    except (OSError, ValueError):  # a stream in memory has none
        return None


class _Reader:
    def __init__(self, stdin: TextIO) -> None:
        self.something_came = threading.Event()
        """Bytes, the end, or an error."""
        self._stdin = stdin
        self._pieces: list[bytes] = []
        self._error: Exception | None = None
        self._too_much = False

    def read(self) -> None:
        try:
            descriptor = _descriptor(self._stdin)
            total = 0
            while True:
                # Not through the buffered stream: a thread that still waits inside it when the process ends
                # holds its lock, and the interpreter aborts over that.
                if descriptor is not None:
                    piece = os.read(descriptor, 1 << 16)
                else:
                    piece = self._stdin.read(1 << 16).encode("utf-8", "surrogateescape")
                self.something_came.set()
                if not piece:
                    return
                total += len(piece)
                if total > MAX_BYTES:
                    self._too_much = True
                    return
                self._pieces.append(piece)
        except (OSError, ValueError) as error:
            self._error = error
        finally:
            self.something_came.set()

    def text(self) -> str:
        if self._error is not None:
            raise FileNotUsable(f"{NAME} cannot be read ({self._error})") from self._error
        if self._too_much:
            raise FileNotUsable(
                f"{NAME} is over {MAX_BYTES // (1024 * 1024)} MB",
                hint="put it in a file and index it: `homebody index PATH`",
            )
        encoded = b"".join(self._pieces)
        if encoded.startswith((b"\xff\xfe", b"\xfe\xff")):
            text = encoded.decode("utf-16", "replace")
        else:
            text = encoded.decode("utf-8-sig", "replace")
        if "\0" in text:
            raise FileNotUsable(f"{NAME} is not text", hint="save it to a file and name that with --file")
        return text if text.strip() else ""
