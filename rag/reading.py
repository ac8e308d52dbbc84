"""Read files in a process of their own, so that no file can hang, kill or fill homebody.

`DocumentReader` keeps one worker process, starts it when the first file needs it, ends it when a file breaks a
limit, and starts another for the next file. A file comes as a stream of parts, its text before the files inside
it, so that memory does not grow with its size; what a worker sends is checked like any other input. A file inside
another that ends the worker costs itself only: the next worker goes on behind it.
Knows nothing of formats: see `rag.readers.registry`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import PurePath
from types import TracebackType
from typing import Any

from rag.error_frames import error_from_json
from rag.errors import DamagedFile, FileChanges, ReadError
from rag.member_paths import REST, clean_member_path
from rag.path_text import path_text
from rag.pictures import Drawing
from rag.reader_process import Patience, ReaderProcess, WorkerLost
from rag.readers.contract import ReadLimits, open_regular, sha256_of
from rag.reading_session import Wanted
from rag.records import KINDS, Block, DocumentFacts, Locator, ReadDocument

MAX_WORKERS_LOST = 20
"""By files inside one file, until the rest of it is given up."""


class ReadStopped(Exception):
    """The caller's stop signal came while a file was being read. No error: it did what was asked."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a file is, without what it says."""

    sha256: bytes
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class FileBegun:
    """A file's bytes are known; what is wanted of it follows."""

    path: str
    """As it was asked for; of a file inside another: the outer one's path, a slash and the inner one's."""
    place: tuple[int, ...]
    """Empty for the file that was asked for; otherwise which file inside which."""
    sha256: bytes
    size_bytes: int
    mtime_ns: int
    """Of the moment it was opened; 0 where it is not known."""
    reader: str
    """Name and version of the reader that will read it."""


@dataclass(frozen=True, slots=True)
class TextBlocks:
    """Some of its text, in reading order."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class HeardSoFar:
    """How far a recording is; stands between its text."""

    done_s: float
    total_s: float | None
    """As its header says."""


@dataclass(frozen=True, slots=True)
class ReadSoFar:
    """How far the outermost file is, where it is a large one; stands between its text, or the files inside it."""

    share: float
    """0 to 1, of what there is to go through: its bytes, or its pages."""


@dataclass(frozen=True, slots=True)
class TextEnded:
    """That was all of its text; the files inside it follow."""

    facts: DocumentFacts
    notes: tuple[str, ...]
    """What the user should know of it, e.g. pages without text, a guessed encoding."""
    has_members: bool


@dataclass(frozen=True, slots=True)
class FileEnded:
    """The file that was begun last, and has not ended, is over. What is around it goes on."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The file inside another that was begun last is a recording: what is heard in it is its text."""


@dataclass(frozen=True, slots=True)
class MemberFailed:
    """A file inside another could not be read, begun or not; what is around it goes on."""

    path: str
    size_bytes: int
    """As far as it is known."""
    mtime_ns: int
    error: ReadError


Part = FileBegun | TextBlocks | HeardSoFar | ReadSoFar | Drawing | Recording | TextEnded | FileEnded | MemberFailed
"""A Drawing or a Recording stands where its text would; the process waits until the next part is asked for."""
Decide = Callable[[FileBegun], Wanted]


def skip_file(parts: Iterator[Part]) -> None:
    """Take what is left of the file that was begun last, and of what is inside it, and leave it."""
    depth = 1
    for part in parts:
        match part:
            case FileBegun():
                depth += 1
            case FileEnded():
                depth -= 1
            case _:
                pass
        if depth == 0:
            return


@dataclass(frozen=True, slots=True)
class ReadResult:
    """A file that was read in one piece, and which bytes these were."""

    document: ReadDocument
    sha256: bytes
    size_bytes: int
    mtime_ns: int
    """Of the moment it was opened; the file did not change while it was read."""
    notes: tuple[str, ...] = ()


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

    `registry` names the function that chooses a reader, as `module:function`, for the worker to import. Work in the
    background leaves the processor to others; where somebody waits it does not.
    """

    def __init__(
        self,
        limits: ReadLimits | None = None,
        *,
        registry: str = "rag.readers.registry:choose_reader",
        in_background: bool = True,
    ) -> None:
        self._limits = limits or ReadLimits()
        self._registry = registry
        self._in_background = in_background
        self._worker: ReaderProcess | None = None
        self._turn = threading.Lock()

    def stream(
        self,
        path: str | os.PathLike[str],
        decide: Decide,
        stop: threading.Event | None = None,
        *,
        with_members: bool = True,
    ) -> Generator[Part]:
        """Read a file, and the files inside it, as they come: FileBegun, its text, its files, FileEnded.

        `decide` is asked once for each, before its FileBegun: what is wanted of it. Of a file inside of which
        nothing is wanted nothing follows; of the outermost only FileEnded. Closing the generator ends the work.
        Raises ReadError or one below it, naming the file, when it is the outermost one that cannot be read;
        FileChanges at the end when it changed meanwhile; ReadStopped soon after `stop` is set.
        """
        with self._turn:
            following = _Following(os.fspath(path), decide, self._limits)
            request: dict[str, Any] = {"path": os.fspath(path), "members": with_members, "resume": ()}
            for _ in range(MAX_WORKERS_LOST):
                worker = self._ready_worker()
                try:
                    worker.send(request)
                    yield from following.parts(worker, stop)
                    return
                except WorkerLost as lost:
                    failed, request["resume"] = following.give_up(lost)
                except _AnsweredError as answered:
                    raise answered.error from None
                except BaseException:  # stopped, closed: the worker is in the middle of something nobody waits for
                    worker.is_lost = True
                    raise
                finally:
                    if worker.is_lost:
                        self._end_worker()
                yield failed
        raise DamagedFile(
            f"{path_text(PurePath(path).name)}: too many of the files in it make their reader fail",
            hint="unpack it, and index the folder",
        )

    def read(self, path: str | os.PathLike[str], stop: threading.Event | None = None) -> ReadResult:
        """Read a file's own text at once. A file that changes while it is read is read once more. Raises as above."""
        for last in (False, True):
            try:
                return self._read_whole(path, stop)
            except FileChanges:
                if last:
                    raise
        raise AssertionError("unreachable")

    def _read_whole(self, path: str | os.PathLike[str], stop: threading.Event | None) -> ReadResult:
        begun: FileBegun | None = None
        ended: TextEnded | None = None
        blocks: list[Block] = []
        with closing(self.stream(path, lambda _: "text", stop, with_members=False)) as parts:
            for part in parts:
                match part:
                    case FileBegun():
                        begun = part
                    case TextBlocks():
                        blocks.extend(part.blocks)
                    case TextEnded():
                        ended = part
                    case _:
                        pass
        assert begun is not None
        assert ended is not None
        facts = ended.facts
        document = ReadDocument(facts.title, facts.kind, tuple(blocks), facts.reader, facts.author, facts.written_at_s)
        return ReadResult(document, begun.sha256, begun.size_bytes, begun.mtime_ns, ended.notes)

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

    def _ready_worker(self) -> ReaderProcess:
        if self._worker is not None and self._worker.is_heavy:
            self._end_worker()  # what an earlier file left in memory is not this one's
        if self._worker is None:
            self._worker = ReaderProcess(self._limits, self._registry, in_background=self._in_background)
        return self._worker

    def _end_worker(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker = None


class _AnsweredError(Exception):
    """The worker answered with an error; it is fine itself."""

    def __init__(self, error: ReadError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(slots=True)
class _Level:
    """A file that has not ended yet: the outermost, or one inside the one before."""

    path: str
    place: tuple[int, ...]
    size_bytes: int = 0
    mtime_ns: int = 0
    reader: str = ""
    chars: int = 0


class _Following:
    """Follows the frames about one outermost file, over the workers that it costs."""

    def __init__(self, path: str, decide: Decide, limits: ReadLimits) -> None:
        self._decide = decide
        self._limits = limits
        self._owes_answer = False
        """A drawing or a recording was handed over, and the worker waits to hear that it was looked at."""
        self._levels = [_Level(path, ())]
        self._patience = Patience(limits)

    def parts(self, worker: ReaderProcess, stop: threading.Event | None) -> Iterator[Part]:
        """Until the outermost file is done. Raises WorkerLost, _AnsweredError, FileChanges, ReadStopped."""
        self._patience.moved()
        self._owes_answer = False
        while True:
            if stop is not None and stop.is_set():
                raise ReadStopped(f"stopped while reading {path_text(self._levels[0].path)}")
            if self._owes_answer:
                self._owes_answer = False
                worker.send({"wanted": "text"})
            frame = worker.next_frame(self._patience)
            if frame is None:
                continue
            try:
                part = self._part(worker, frame)
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise worker.lost("protocol", f"a frame that says nothing: {type(error).__name__}") from error
            if part is not None:
                yield part
            if not self._levels:
                return

    def give_up(self, lost: WorkerLost) -> tuple[MemberFailed, tuple[int, ...]]:
        """The file inside at which a worker was lost, and its place. Raises ReadError for the outermost file."""
        level = self._levels[-1]
        error = lost.as_read_error(path_text(PurePath(level.path).name), self._limits)
        if len(self._levels) == 1 or lost.why == "total time":
            raise error from lost
        return self._failed(error), level.place

    def _part(self, worker: ReaderProcess, frame: dict[str, Any]) -> Part | None:
        (kind, told), *_ = frame.items()
        level = self._levels[-1]
        match kind:
            case "member":
                self._levels.append(self._announced(told))
                return None
            case "begin":
                return self._begin(worker, told)
            case "blocks":
                level.chars += sum(len(block[0]) for block in told)
                if level.chars > self._limits.max_text_chars:
                    raise worker.lost("protocol", "more text than it may send")
                return TextBlocks(tuple(_block(each) for each in told))
            case "through":
                if len(self._levels) != 1 or not 0 <= (share := float(told)) <= 1:
                    raise ValueError("a share of what it is not")
                return ReadSoFar(share)
            case "drawing":
                self._owes_answer = True
                return Drawing.from_header(told, frame["payload"])
            case "recording":
                self._owes_answer = True
                return Recording()
            case "text":
                if told["kind"] not in KINDS:
                    raise ValueError("a kind that nobody knows")
                facts = DocumentFacts(told["title"], told["kind"], level.reader, told["author"], told["written_at_s"])
                return TextEnded(facts, tuple(told["notes"]), bool(told["has_members"]))
            case "end" | "done":
                if (kind == "done") != (len(self._levels) == 1):
                    raise ValueError(kind)
                self._levels.pop()
                return FileEnded()
            case "failed":
                if len(self._levels) == 1:
                    raise ValueError(kind)
                return self._failed(error_from_json(told))
            case "error":
                raise _AnsweredError(error_from_json(told))
            case "changed":
                raise _AnsweredError(
                    FileChanges(
                        f"{path_text(self._levels[0].path)} changes while it is being read",
                        hint="it is read when it has come to rest: index again",
                    )
                )
            case _:
                raise ValueError(kind)

    def _announced(self, told: dict[str, Any]) -> _Level:
        path, outer = str(told["path"]), self._levels[-1].path
        inner = path[len(outer) + 1 :]
        if not path.startswith(f"{outer}/") or inner not in (REST, clean_member_path(inner)):
            raise ValueError("a path that leads elsewhere")
        return _Level(path, tuple(told["place"]), int(told["size_bytes"]), int(told["mtime_ns"]))

    def _begin(self, worker: ReaderProcess, told: dict[str, Any]) -> FileBegun | None:
        level = self._levels[-1]
        level.size_bytes, level.mtime_ns = int(told["size_bytes"]), int(told["mtime_ns"])
        level.reader = str(told["reader"])
        begun = FileBegun(
            level.path, level.place, bytes.fromhex(told["sha256"]), level.size_bytes, level.mtime_ns, level.reader
        )
        wanted = self._decide(begun)
        worker.send({"wanted": wanted})
        if wanted == "nothing":
            if level.place:
                self._levels.pop()  # of the outermost one the worker still says that it is done
            return None
        return begun

    def _failed(self, error: ReadError) -> MemberFailed:
        level = self._levels.pop()
        return MemberFailed(level.path, level.size_bytes, level.mtime_ns, error)


def _block(told: list[Any]) -> Block:
    text, locator, headings, syntax = told
    return Block(text, Locator.from_json(locator), tuple(headings), syntax)


def _unreadable(path: str, error: OSError) -> ReadError:
    return ReadError(
        f"{path_text(path)} cannot be read: {(error.strerror or str(error)).lower()}",
        hint="check the disk or the connection it is on",
    )
