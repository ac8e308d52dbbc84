"""The worker process as its parent sees it: started, asked, listened to, watched, ended.

Keeps to the limits from outside, whatever the worker does: its memory, the time that passes without a word of it,
and the time a file takes in all. Time in which the parent does something else is not the worker's.
Knows nothing of what the frames mean: see `rag.reading`.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rag.errors import DamagedFile, ReadError, TooLarge
from rag.priority import lower_priority
from rag.readers.contract import MEGABYTE, ReadLimits
from rag.reading_session import FRAME_CHARS
from rag.reading_worker import limits_to_json, read_frame, write_frame

log = logging.getLogger(__name__)

MAX_FRAME_BYTES = 16 * FRAME_CHARS
WATCH_EVERY_S = 0.1
START_TIMEOUT_S = 60.0
"""Starting takes a second on a busy machine; that is no file's fault."""
QUEUED_FRAMES = 8
MAX_LOGGED_BYTES = 20_000
"""Of one worker's standard error; a library that complains about every glyph must not fill the log."""
NEAR_LIMIT = 0.8
"""A worker that dies with this share of its memory used is taken to have died of that."""

_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from {} import main; main()"


ReadFrame = Callable[[IO[bytes], int], dict[str, Any] | None]
"""The next frame of a stream, of at most so many bytes; None at its end. Raises ValueError."""


@dataclass(slots=True)
class Patience:
    """How long was waited for one file."""

    limits: ReadLimits
    idle_s: float = 0.0
    """Since the last frame."""
    total_s: float = 0.0

    def waited(self, seconds: float) -> None:
        self.idle_s += seconds
        self.total_s += seconds

    def moved(self) -> None:
        self.idle_s = 0.0


class WorkerLost(Exception):
    """The worker is gone, or is to be ended for what it did."""

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(f"{why} {detail}".strip())
        self.why = why
        self.detail = detail

    def as_read_error(self, name: str, limits: ReadLimits) -> ReadError:
        if self.why == "time":
            return TooLarge(
                f"{name} was not read within {limits.timeout_s:g} s",
                hint="raise library.read_timeout_s in the settings, or leave it out with a line in .homebodyignore",
            )
        if self.why == "total time":
            return TooLarge(
                f"{name} was not read to its end within {limits.total_timeout_s:,.0f} s",
                hint="split it, or raise library.read_timeout_s in the settings: a whole file may take 30 times that",
            )
        if self.why == "memory":
            return TooLarge(
                f"{name} needs more memory than {limits.memory_bytes / MEGABYTE:,.0f} MB to be read",
                hint="raise library.reader_memory_mb in the settings, or split it",
            )
        return DamagedFile(
            f"{name} made its reader fail ({self.detail})",
            hint="get it again from where it came; it may be damaged or made to do harm",
        )


class ReaderProcess:
    """One worker process and the two threads that listen to it."""

    def __init__(
        self,
        limits: ReadLimits,
        registry: str,
        *,
        worker: str = "rag.reading_worker",
        read: ReadFrame = read_frame,
        in_background: bool = True,
    ) -> None:
        """`worker` is the module whose `main` the process runs, `read` takes a frame from its answers."""
        self._limits = limits
        self._read_frame = read
        self._peak_bytes = 0
        self._next_watch = 0.0
        self._is_ready = False
        self.is_lost = False
        packages = str(Path(__file__).resolve().parent.parent)
        # -P keeps the current folder out of the import path: it may be the folder that is being indexed.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT.format(worker), packages, limits_to_json(limits), registry],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        if in_background:
            lower_priority(self._process.pid)
        self._requests = _pipe(self._process.stdin)
        self._frames: queue.Queue[dict[str, Any] | ValueError | None] = queue.Queue(QUEUED_FRAMES)
        self._killed = threading.Event()
        self._listeners = [
            threading.Thread(target=self._listen, args=(_pipe(self._process.stdout),), daemon=True),
            threading.Thread(target=_log_lines, args=(_pipe(self._process.stderr),), daemon=True),
        ]
        for listener in self._listeners:
            listener.start()

    @property
    def is_heavy(self) -> bool:
        """It was seen with half of the memory it may have."""
        return self._peak_bytes > self._limits.memory_bytes // 2

    def send(self, frame: dict[str, Any]) -> None:
        """A request, or the answer to a question of the worker's."""
        with contextlib.suppress(OSError):  # it is gone: the end of its answers says so, and how
            write_frame(self._requests, frame)

    def next_frame(self, patience: Patience) -> dict[str, Any] | None:
        """The next frame, or None when it is time to look at other things. Raises WorkerLost."""
        began_s = time.monotonic()
        try:
            frame = self._frames.get(timeout=WATCH_EVERY_S)
        except queue.Empty:
            patience.waited(time.monotonic() - began_s)
            self._watch(patience)
            return None
        if frame is None:
            raise self._obituary()
        if isinstance(frame, ValueError):
            raise self.lost("protocol", str(frame))
        patience.waited(time.monotonic() - began_s)
        patience.moved()
        was_ready, self._is_ready = self._is_ready, True
        if not was_ready and "ready" in frame:
            return None
        if time.monotonic() >= self._next_watch:
            self._watch(patience)
        return frame

    def kill(self) -> None:
        """End it now and give everything back."""
        self._killed.set()
        self._process.kill()
        self._process.wait()
        for listener in self._listeners:
            listener.join()
        self._requests.close()

    def _watch(self, patience: Patience) -> None:
        self._next_watch = time.monotonic() + WATCH_EVERY_S
        if patience.idle_s >= (
            self._limits.timeout_s if self._is_ready else max(START_TIMEOUT_S, self._limits.timeout_s)
        ):
            raise self.lost("time")
        if patience.total_s >= self._limits.total_timeout_s:
            raise self.lost("total time")
        self._peak_bytes = max(self._peak_bytes, _resident_bytes(self._process.pid))
        if self._peak_bytes > self._limits.memory_bytes:
            raise self.lost("memory")

    def lost(self, why: str, detail: str = "") -> WorkerLost:
        """The error that says how it ended; it is not to be used again."""
        self.is_lost = True
        return WorkerLost(why, detail)

    def _obituary(self) -> WorkerLost:
        status = self._process.wait()
        if status >= 0:
            return self.lost("ended", f"exit code {status}")
        number = -status
        if number == getattr(signal, "SIGALRM", None):
            return self.lost("time")
        # SIGKILL that we did not send is the system's, out of memory.
        if number == signal.SIGKILL or self._peak_bytes > NEAR_LIMIT * self._limits.memory_bytes:
            return self.lost("memory")
        return self.lost("crash", signal.Signals(number).name)

    def _listen(self, answers: IO[bytes]) -> None:
        with answers:
            while True:
                frame: dict[str, Any] | ValueError | None
                try:
                    frame = self._read_frame(answers, MAX_FRAME_BYTES)
                except ValueError as error:
                    frame = error
                while not self._killed.is_set():
                    try:
                        self._frames.put(frame, timeout=WATCH_EVERY_S)
                    except queue.Full:
                        continue
                    break
                if not isinstance(frame, dict):
                    return


def _log_lines(stream: IO[bytes]) -> None:
    """What libraries print goes to the log, up to a limit; the rest is read and dropped."""
    logged = 0
    with stream:
        while line := stream.readline(4096):
            if logged < MAX_LOGGED_BYTES:
                logged += len(line)
                log.debug("reader: %s", line.decode("utf-8", "backslashreplace").rstrip())


def _resident_bytes(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("the worker was started without pipes")
    return stream
