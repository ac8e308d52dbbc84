"""The process that parses files. Started by `rag.reading`; never import it for anything else.

It takes one request at a time from standard input and answers with frames on what was standard output
(`rag.reading_session` says which): a frame is a length (4 bytes, big endian) and a JSON object; one that says so is
followed by bytes. Standard output itself is joined to standard error, so that nothing a library prints can be taken
for a frame.

Before the first file it gives up what parsing needs not: the network, starting programs, writing files,
core dumps, memory over the limit. It ends when its input ends, and a signal of the system's ends it when it has
had nothing to say for longer than the parent waits, so that it never outlives a parent that was killed.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import struct
import sys
import threading
from dataclasses import asdict
from typing import IO, Any

from rag.readers.contract import ReadLimits
from rag.reading_session import ChooseReader, ReadingSession, RefuseName, Wanted

FRAME_LENGTH = struct.Struct(">I")
ADDRESS_SPACE_SLACK_BYTES = 1 << 30
"""Libraries and thread stacks take address space that is never memory."""
ALARM_GRACE_S = 5.0
PAYLOAD, PAYLOAD_BYTES = "payload", "payload_bytes"
"""A frame's key for bytes that follow it, and for how many they are while they travel."""
MAX_PAYLOAD_BYTES = 64 << 20

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_REFUSED_EVENTS = ("socket.", "subprocess.", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork", "pty.")
_REFUSED_CHANGES = frozenset(
    {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown"}
)


def main() -> None:
    """Serve until the input ends. `sys.argv[2]` is the limits as JSON, `[3]` the registry's `module:function`."""
    requests, answers = take_pipes()
    limits = ReadLimits(**json.loads(sys.argv[2]))
    module_name, function_name = sys.argv[3].split(":")
    registry = importlib.import_module(module_name)
    choose_reader: ChooseReader = getattr(registry, function_name)
    refuse_name: RefuseName = getattr(registry, "refuse_name", lambda _name: None)
    leave_with_parent(requests.fileno())
    confine(limits)
    talk = Talk(requests, answers, limits.timeout_s)
    write_frame(answers, {"ready": True})
    session = ReadingSession(limits, choose_reader, refuse_name, talk.tell, talk.ask)
    while (request := read_frame(requests)) is not None:
        talk.working()
        session.read(request["path"], with_members=request["members"], resume=request["resume"])
        set_alarm(0)


class Talk:
    """Frames to and from the parent. While it is not the parent's turn, the system's alarm clock runs."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes], timeout_s: float) -> None:
        self._requests = requests
        self._answers = answers
        self._timeout_s = timeout_s

    def working(self) -> None:
        """The worker's turn begins."""
        set_alarm(self._timeout_s + ALARM_GRACE_S)

    def tell(self, frame: dict[str, Any]) -> None:
        set_alarm(0)  # the parent takes its time: it stores what it was told, or lets an answer go first
        write_frame(self._answers, frame)
        self.working()

    def ask(self, frame: dict[str, Any]) -> Wanted:
        set_alarm(0)
        write_frame(self._answers, frame)
        answer = read_frame(self._requests)
        self.working()
        if answer is None:
            raise SystemExit  # nobody is there any more
        wanted: Wanted = answer["wanted"]
        return wanted


def take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """What the parent asks and where it is told, under numbers of their own.

    What native code prints goes to standard error, and it reads nothing from standard input. Ctrl-C goes to the whole
    terminal: the parent decides.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return requests, answers


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
    if (payload_bytes := frame.pop(PAYLOAD_BYTES, 0)) != 0:
        if not isinstance(payload_bytes, int) or not 0 < payload_bytes <= MAX_PAYLOAD_BYTES:
            raise ValueError("a frame followed by more than it may be")
        payload = stream.read(payload_bytes)
        if len(payload) < payload_bytes:
            return None
        frame[PAYLOAD] = payload
    return frame


def write_frame(stream: IO[bytes], frame: dict[str, Any]) -> None:
    """What the frame has under PAYLOAD follows it as bytes."""
    payload: bytes = frame.get(PAYLOAD, b"")
    if payload:
        frame = {**{key: value for key, value in frame.items() if key != PAYLOAD}, PAYLOAD_BYTES: len(payload)}
    content = json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    stream.write(FRAME_LENGTH.pack(len(content)) + content)
    if payload:
        stream.write(payload)
    stream.flush()


def limits_to_json(limits: ReadLimits) -> str:
    return json.dumps(asdict(limits))


def set_alarm(seconds: float) -> None:
    """SIGALRM's default action ends the process, even while native code holds everything else up."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def leave_with_parent(requests_fd: int) -> None:
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
