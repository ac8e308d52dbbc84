"""The process that parses files. Started by `rag.reading`; never import it for anything else.

It takes one request at a time from standard input and answers with frames on what was standard output:
a frame is a length (4 bytes, big endian) and a JSON object. Standard output itself is joined to standard
error, so that nothing a library prints can be taken for a frame.

Before the first file it gives up what parsing needs not: the network, starting programs, writing files,
core dumps, memory over the limit. It ends when its input ends, and a signal of the system's ends it when a
file takes longer than the parent could be waiting for, so that it never outlives a parent that was killed.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import PurePath
from typing import IO, Any

from rag.errors import DamagedFile, ReadError, TooLarge
from rag.path_text import path_text
from rag.readers.clean_text import clean_title
from rag.readers.contract import OpenedFile, Reader, ReadLimits, check_file_size, open_regular, sha256_of
from rag.records import Block

FRAME_LENGTH = struct.Struct(">I")
FRAME_CHARS = 200_000
"""Blocks are sent together until they have this many characters."""
ADDRESS_SPACE_SLACK_BYTES = 1 << 30
"""Libraries and thread stacks take address space that is never memory."""
ALARM_GRACE_S = 5.0

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_REFUSED_EVENTS = ("socket.", "subprocess.", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork", "pty.")
_REFUSED_CHANGES = frozenset(
    {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown"}
)

ChooseReader = Callable[[OpenedFile], tuple[Reader, str]]


def main() -> None:
    """Serve until the input ends. `sys.argv[2]` is the limits as JSON, `[3]` the registry's `module:function`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole terminal; the parent decides
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    limits = ReadLimits(**json.loads(sys.argv[2]))
    module_name, function_name = sys.argv[3].split(":")
    choose_reader: ChooseReader = getattr(importlib.import_module(module_name), function_name)
    _leave_with_parent(requests.fileno())
    confine(limits)
    worker = _Worker(limits, choose_reader, answers)
    while (request := read_frame(requests)) is not None:
        worker.serve(request["path"])


def confine(limits: ReadLimits) -> None:
    """Give up, for good, what parsing needs not: memory over the limit, core dumps, the network, starting programs,
    writing files. Import what parses first, as far as that writes or looks around."""
    _limit_resources(limits)
    sys.addaudithook(_refuse)


def read_frame(stream: IO[bytes], max_bytes: int = 1 << 20) -> dict[str, Any] | None:
    """The next frame; None at the end of the stream. Raises ValueError for one that is too long or no JSON."""
    prefix = stream.read(FRAME_LENGTH.size)
    if len(prefix) < FRAME_LENGTH.size:
        return None
    (length,) = FRAME_LENGTH.unpack(prefix)
    if length > max_bytes:
        raise ValueError(f"a frame of {length} bytes")
    content = stream.read(length)
    if len(content) < length:
        return None
    # surrogatepass: a path may hold bytes that are not UTF-8, which Python keeps as lone surrogates.
    frame: dict[str, Any] = json.loads(content.decode("utf-8", "surrogatepass"))
    return frame


def write_frame(stream: IO[bytes], frame: dict[str, Any]) -> None:
    content = json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    stream.write(FRAME_LENGTH.pack(len(content)) + content)
    stream.flush()


class _Worker:
    def __init__(self, limits: ReadLimits, choose_reader: ChooseReader, answers: IO[bytes]) -> None:
        self._limits = limits
        self._choose_reader = choose_reader
        self._answers = answers

    def serve(self, path: str) -> None:
        """Answer one request. The outermost frame: whatever a parser throws ends as an answer."""
        try:
            self._read(path)
        except ReadError as error:
            self._fail(error)
        except MemoryError:
            gc.collect()
            self._fail(
                TooLarge(
                    f"{_name(path)} needs more memory than {self._limits.memory_bytes >> 20:,} MB to be read",
                    hint="raise library.reader_memory_mb in the settings, or split it",
                )
            )
        except Exception as error:
            traceback.print_exc()
            self._fail(
                DamagedFile(
                    f"{_name(path)} cannot be read ({type(error).__name__}: {clean_title(str(error))})",
                    hint="get it again from where it came; it may have been cut off",
                )
            )
        finally:
            _set_alarm(0)

    def _fail(self, error: ReadError) -> None:
        write_frame(self._answers, {"error": {"type": type(error).__name__, "message": str(error), "hint": error.hint}})

    def _read(self, path: str) -> None:
        _set_alarm(self._limits.timeout_s + ALARM_GRACE_S)
        file = open_regular(path)
        with file.stream:
            check_file_size(file, self._limits)
            sha256 = sha256_of(file.stream).hex()
            file.stream.seek(0)
            reader, version = self._choose_reader(file)
            reading = reader(file, self._limits)
            self._send_blocks(file, reading.blocks)
            after = os.fstat(file.stream.fileno())
            if (after.st_size, after.st_mtime_ns) != (file.size_bytes, file.mtime_ns):
                write_frame(self._answers, {"changed": True})
                return
            done = {
                "title": clean_title(reading.title) or clean_title(file.name),
                "author": clean_title(reading.author),
                "written_at_s": reading.written_at_s,
                "reader": version,
                "notes": reading.notes,
                "sha256": sha256,
                "size_bytes": file.size_bytes,
                "mtime_ns": file.mtime_ns,
            }
        write_frame(self._answers, {"done": done})

    def _send_blocks(self, file: OpenedFile, blocks: Iterable[Block]) -> None:
        held: list[list[Any]] = []
        held_chars = total_chars = 0
        for block in blocks:
            held.append(block_to_json(block))
            held_chars += len(block.text)
            total_chars += len(block.text)
            if total_chars > self._limits.max_text_chars:
                raise TooLarge(
                    f"{file.name} holds more than {self._limits.max_text_chars:,} characters of text",
                    hint="split it, or raise library.max_file_mb in the settings",
                )
            if held_chars > FRAME_CHARS:
                write_frame(self._answers, {"blocks": held})
                held, held_chars = [], 0
                _set_alarm(self._limits.timeout_s + ALARM_GRACE_S)  # it moves; the parent watches the sum
        if held:
            write_frame(self._answers, {"blocks": held})


def block_to_json(block: Block) -> list[Any]:
    return [block.text, block.locator.to_json(), block.heading_path, block.syntax]


def _name(path: str) -> str:
    return path_text(PurePath(path).name)


def limits_to_json(limits: ReadLimits) -> str:
    return json.dumps(asdict(limits))


def _set_alarm(seconds: float) -> None:
    """SIGALRM's default action ends the process, even while native code holds everything else up."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _leave_with_parent(requests_fd: int) -> None:
    """End as soon as the other end of the request pipe is closed, whatever is being parsed."""
    if not hasattr(select, "poll"):
        return

    def watch() -> None:
        hang_up = select.poll()
        hang_up.register(requests_fd, 0)  # no events asked: only POLLHUP and POLLERR are told
        hang_up.poll()
        os._exit(0)

    threading.Thread(target=watch, name="leave-with-parent", daemon=True).start()


def _limit_resources(limits: ReadLimits) -> None:
    try:
        import resource
    except ImportError:  # Windows: the parent watches memory and time there
        return
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_AS: limits.memory_bytes + ADDRESS_SPACE_SLACK_BYTES,
    }
    for kind, value in wanted.items():
        _, hard = resource.getrlimit(kind)
        ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (ceiling, hard))
        except (ValueError, OSError):  # macOS refuses some; the parent's watch remains
            continue


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook: no network, no programs, nothing written."""
    if event == "open":
        flags = arguments[2] if len(arguments) > 2 else 0
        if isinstance(flags, int) and flags & _WRITING:
            raise PermissionError("a reader writes no files")
    elif event.startswith(_REFUSED_EVENTS) or event in _REFUSED_CHANGES:
        raise PermissionError(f"a reader may not do this: {event}")
