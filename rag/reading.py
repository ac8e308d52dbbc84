"""Read files in a process of their own, so that no file can hang, kill or fill homebody.

`DocumentReader` keeps one worker process, starts it when the first file needs it, watches its time and
memory, ends it when a file breaks a limit, and starts another for the next file. What a worker sends is
checked like any other input. Knows nothing of formats: see `rag.readers.registry`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from rag import errors
from rag.errors import DamagedFile, ReadError, TooLarge
from rag.path_text import path_text
from rag.readers.contract import MEGABYTE, ReadLimits, open_regular, sha256_of
from rag.reading_worker import FRAME_CHARS, limits_to_json, read_frame, write_frame
from rag.records import Block, Locator, ReadDocument

log = logging.getLogger(__name__)

MAX_FRAME_BYTES = 16 * FRAME_CHARS
WATCH_EVERY_S = 0.1
QUEUED_FRAMES = 8
MAX_LOGGED_BYTES = 20_000
"""Of one worker's standard error; a library that complains about every glyph must not fill the log."""
NEAR_LIMIT = 0.8
"""A worker that dies with this share of its memory used is taken to have died of that."""

_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from rag.reading_worker import main; main()"
_ERROR_TYPES: dict[str, type[ReadError]] = {
    each.__name__: each
    for each in (
        errors.ReadError,
        errors.UnsupportedFile,
        errors.EncryptedFile,
        errors.DamagedFile,
        errors.EmptyFile,
        errors.TooLarge,
    )
}


class ReadStopped(Exception):
    """The caller's stop signal came while a file was being read. No error: it did what was asked."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a file is, without what it says."""

    sha256: bytes
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class ReadResult:
    """A file that was read, and which bytes these were."""

    document: ReadDocument
    sha256: bytes
    size_bytes: int
    mtime_ns: int
    """Of the moment it was opened; the file did not change while it was read."""
    notes: tuple[str, ...] = ()
    """What the user should know of it, e.g. pages without text, a guessed encoding."""


def fingerprint(path: str | os.PathLike[str]) -> Fingerprint:
    """Hash a regular file, following no link: safe in any process, and enough to know a copy by.

    Raises ReadError, EmptyFile.
    """
    file = open_regular(os.fspath(path))
    with file.stream:
        try:
            sha256 = sha256_of(file.stream)
        except OSError as error:
            raise _unreadable(os.fspath(path), error) from error
        return Fingerprint(sha256, file.size_bytes, file.mtime_ns)


class DocumentReader:
    """Reads one file at a time; safe to call from several threads, which then take turns.

    `registry` names the function that chooses a reader, as `module:function`, for the worker to import.
    """

    def __init__(
        self, limits: ReadLimits | None = None, *, registry: str = "rag.readers.registry:choose_reader"
    ) -> None:
        self._limits = limits or ReadLimits()
        self._registry = registry
        self._worker: _Worker | None = None
        self._turn = threading.Lock()

    def read(self, path: str | os.PathLike[str], stop: threading.Event | None = None) -> ReadResult:
        """Read a file into blocks.

        Raises ReadError or one below it, naming the file; ReadStopped soon after `stop` is set. A file that
        changes while it is read is read once more.
        """
        with self._turn:
            for _ in range(2):
                result = self._read_once(os.fspath(path), stop)
                if result is not None:
                    return result
        raise ReadError(
            f"{path_text(path)} changes while it is being read", hint="it is read when it has come to rest: index again"
        )

    def close(self) -> None:
        """End the worker. Safe to call twice; a later `read` starts another."""
        with self._turn:
            self._end_worker()

    def __enter__(self) -> DocumentReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _end_worker(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def _read_once(self, path: str, stop: threading.Event | None) -> ReadResult | None:
        """None when the file changed meanwhile."""
        if self._worker is not None and self._worker.is_heavy:
            self._end_worker()  # what an earlier file left in memory is not this one's
        if self._worker is None:
            self._worker = _Worker(self._limits, self._registry)
        worker = self._worker
        try:
            return _collect(worker, path, self._limits, stop)
        except _WorkerLost as lost:
            raise lost.as_read_error(path_text(Path(path).name), self._limits) from lost
        except _AnsweredError as answered:
            raise answered.error from None
        except BaseException:  # stopped, Ctrl-C: the worker is in the middle of something nobody waits for
            worker.is_lost = True
            raise
        finally:
            if worker.is_lost:
                self._end_worker()


class _AnsweredError(Exception):
    """The worker answered with an error; it is fine itself."""

    def __init__(self, error: ReadError) -> None:
        super().__init__(str(error))
        self.error = error


class _WorkerLost(Exception):
    """The worker is gone, or was ended for what it did."""

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
        if self.why == "memory":
            return TooLarge(
                f"{name} needs more memory than {limits.memory_bytes / MEGABYTE:,.0f} MB to be read",
                hint="raise library.reader_memory_mb in the settings, or split it",
            )
        return DamagedFile(
            f"{name} made its reader fail ({self.detail})",
            hint="get it again from where it came; it may be damaged or made to do harm",
        )


def _collect(worker: _Worker, path: str, limits: ReadLimits, stop: threading.Event | None) -> ReadResult | None:
    worker.request(path)
    deadline = time.monotonic() + limits.timeout_s
    blocks: list[Block] = []
    chars = 0
    while True:
        if stop is not None and stop.is_set():
            raise ReadStopped(f"stopped while reading {path_text(path)}")
        frame = worker.next_frame(deadline)
        if frame is None:
            continue
        if "blocks" in frame:
            for text, locator, headings, syntax in frame["blocks"]:
                chars += len(text)
                blocks.append(Block(text, Locator.from_json(locator), tuple(headings), syntax))
            if chars > limits.max_text_chars:
                raise _WorkerLost("protocol", "more text than it may send")
        elif "error" in frame:
            told = frame["error"]
            raise _AnsweredError(_ERROR_TYPES[told["type"]](told["message"], hint=told["hint"]))
        elif "changed" in frame:
            return None
        else:
            done: dict[str, Any] = frame["done"]
            return ReadResult(
                ReadDocument(
                    done["title"], "text", tuple(blocks), done["reader"], done["author"], done["written_at_s"]
                ),
                bytes.fromhex(done["sha256"]),
                done["size_bytes"],
                done["mtime_ns"],
                tuple(done["notes"]),
            )


class _Worker:
    """One worker process and the two threads that listen to it."""

    def __init__(self, limits: ReadLimits, registry: str) -> None:
        self._limits = limits
        self._peak_bytes = 0
        self._next_watch = 0.0
        self.is_lost = False
        packages = str(Path(__file__).resolve().parent.parent)
        # -P keeps the current folder out of the import path: it may be the folder that is being indexed.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT, packages, limits_to_json(limits), registry],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
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

    def request(self, path: str) -> None:
        self._next_watch = time.monotonic() + WATCH_EVERY_S
        with contextlib.suppress(OSError):  # it is gone: the end of its answers says so, and how
            write_frame(self._requests, {"path": path})

    def next_frame(self, deadline: float) -> dict[str, Any] | None:
        """The next frame, or None when it is time to look at other things. Raises _WorkerLost."""
        try:
            frame = self._frames.get(timeout=WATCH_EVERY_S)
        except queue.Empty:
            self._watch(deadline)
            return None
        if frame is None:
            raise self._obituary()
        if isinstance(frame, ValueError):
            raise self._lost("protocol", str(frame))
        if time.monotonic() >= self._next_watch:
            self._watch(deadline)
        return frame

    def kill(self) -> None:
        """End it now and give everything back."""
        self._killed.set()
        self._process.kill()
        self._process.wait()
        for listener in self._listeners:
            listener.join()
        self._requests.close()

    def _watch(self, deadline: float) -> None:
        now = time.monotonic()
        self._next_watch = now + WATCH_EVERY_S
        if now >= deadline:
            raise self._lost("time")
        self._peak_bytes = max(self._peak_bytes, _resident_bytes(self._process.pid))
        if self._peak_bytes > self._limits.memory_bytes:
            raise self._lost("memory")

    def _lost(self, why: str, detail: str = "") -> _WorkerLost:
        self.is_lost = True
        return _WorkerLost(why, detail)

    def _obituary(self) -> _WorkerLost:
        status = self._process.wait()
        if status >= 0:
            return self._lost("ended", f"exit code {status}")
        number = -status
        if number == getattr(signal, "SIGALRM", None):
            return self._lost("time")
        # SIGKILL that we did not send is the system's, out of memory.
        if number == signal.SIGKILL or self._peak_bytes > NEAR_LIMIT * self._limits.memory_bytes:
            return self._lost("memory")
        return self._lost("crash", signal.Signals(number).name)

    def _listen(self, answers: IO[bytes]) -> None:
        with answers:
            while True:
                frame: dict[str, Any] | ValueError | None
                try:
                    frame = read_frame(answers, MAX_FRAME_BYTES)
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


def _unreadable(path: str, error: OSError) -> ReadError:
    return ReadError(
        f"{path_text(path)} cannot be read: {(error.strerror or str(error)).lower()}",
        hint="check the disk or the connection it is on",
    )
