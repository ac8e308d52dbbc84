"""Store what comes out of one file while it is being read: its passages, then the files inside it, one by one.

Text is cut into passages as it comes and stored some hundred passages at a time, so that memory does not grow with
a file's size; small files are stored several at once (`ingest_holding.py`). What a file inside another one costs when
it cannot be read is that file. Bytes that the library knows are neither parsed nor stored again. Knows nothing of
threads and of what is read next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import PurePath
from typing import Protocol

from pipelines.events import FileFailed, Notice
from pipelines.ingest_events import (
    FileGoesOn,
    FileGrows,
    FileNotRead,
    FileRead,
    FileSettled,
    MembersGone,
    StoringEvent,
)
from pipelines.ingest_holding import HeldFiles
from pipelines.ingest_plan import failure_kind
from rag.contents import CHUNKS_AT_ONCE, chunk_rows
from rag.documents import Documents, ReadFile, Recorded
from rag.errors import EmptyFile, FileChanges, ReadError, UnsupportedFile
from rag.members import Members, Standing
from rag.path_text import path_text
from rag.reading import (
    Decide,
    FileBegun,
    FileEnded,
    HeardSoFar,
    MemberFailed,
    Part,
    ReadSoFar,
    ReadStopped,
    TextBlocks,
    TextEnded,
)
from rag.reading_session import Wanted
from rag.records import Block, ChunkDraft
from rag.walk import FoundFile

SplitBlocks = Callable[[Iterable[Block]], Iterable[ChunkDraft]]

MAX_LABEL_CHARS = 12
MAX_NOTES = 20
"""That are told of one outermost file; a mailbox may have one for each message."""


class FileReader(Protocol):
    """Reads one file at a time, in a process of its own: `rag.reading.DocumentReader`."""

    def stream(self, path: str, decide: Decide, stop: threading.Event) -> Generator[Part]:
        """Raises ReadError, and ReadStopped soon after `stop` is set."""
        ...


def unsupported_label(path: str, error: ReadError) -> str:
    """Under what files that no reader takes are counted: their extension. Empty for other errors."""
    if not isinstance(error, UnsupportedFile):
        return ""
    if error.counted_as:
        return error.counted_as
    suffix = PurePath(path_text(path)).suffix.lower()
    if not suffix:
        return "no extension"
    return suffix if len(suffix) <= MAX_LABEL_CHARS and suffix[1:].isalnum() else "other names"


class _Lost(Exception):
    """The file inside another that was being stored could not be read to its end."""

    def __init__(self, part: MemberFailed) -> None:
        super().__init__(str(part.error))
        self.part = part


@dataclass(slots=True)
class _Outermost:
    """What is known while one file from the disk is being stored."""

    file: FoundFile
    had_members: bool
    """Or has some now."""
    container_id: int | None = None
    """Looked up for the first file inside it."""
    problem: ReadError | None = None
    """What keeps it from being listed as read, though it could be read."""
    seen: set[str] = field(default_factory=set)
    """Paths inside it that are recorded."""
    notes: int = 0
    goes_on: bool = False
    """Told so."""
    wanted: Wanted = "text"
    """Of the file that was begun last."""


class Storing:
    """Stores one file from the disk after the other."""

    def __init__(
        self,
        documents: Documents,
        members: Members,
        reader: FileReader,
        split: SplitBlocks,
        standing: Standing,
        tell: Callable[[StoringEvent], None],
        take_turn: Callable[[], None],
    ) -> None:
        """`take_turn` is called before any file and between any two lots of passages: it waits while somebody is
        answered, and raises to end the work."""
        self._documents = documents
        self._members = members
        self._reader = reader
        self._split = split
        self._standing = standing
        self._tell = tell
        self._take_turn = take_turn
        self._held = HeldFiles(documents)

    def store_held(self, *, only_if_late: bool = False) -> None:
        """Store the small files that wait to be stored together. From any thread.

        `only_if_late`: if they have waited long enough. Raises StorageFull, LibraryDamaged.
        """
        self._held.store(only_if_late=only_if_late)

    def may_hold_copy(self, size_bytes: int) -> bool:
        """Whether a file of this size waits to be stored."""
        return self._held.holds_size(size_bytes)

    def store_content(self, sha256: bytes, path: str) -> None:
        """Store what waits, if these bytes are among it."""
        if self._held.holds_content(sha256, path):
            self._held.store()

    def store(self, file: FoundFile, stop: threading.Event) -> None:
        """Read a file and what is inside it. One that changes meanwhile is read once more.

        A small file without others inside may wait for `store_held`. Raises ReadError when the file itself cannot
        be read; what was read inside it until then stays, and then nothing waits.
        """
        for is_last in (False, True):
            outer = _Outermost(file, self._members.has_any(file.path))
            try:
                self._store(outer, stop)
            except FileChanges:
                self._held.store()
                if not is_last:
                    continue
                self._drop_unseen(outer)
                raise
            except ReadError:
                self._held.store()
                self._drop_unseen(outer)
                raise
            except ReadStopped:
                self._held.store()
                raise
            return

    def _store(self, outer: _Outermost, stop: threading.Event) -> None:
        with closing(self._reader.stream(outer.file.path, partial(self._decide, outer), stop)) as parts:
            # To its end, whatever comes: a stream that is closed early ends the reader's process.
            for part in parts:
                if isinstance(part, FileBegun):
                    self._document(outer, parts, part)
        if outer.problem is not None:
            raise outer.problem
        if outer.had_members:  # everything inside is recorded, and nothing else may be
            self._held.store()
            self._drop_unseen(outer)
            self._members.settle(outer.file.path)
        if outer.goes_on:
            self._tell(FileSettled(path_text(outer.file.path)))

    def _drop_unseen(self, outer: _Outermost) -> None:
        if outer.had_members and (gone := self._members.keep_only(outer.file.path, outer.seen)):
            self._tell(MembersGone(gone))

    def _decide(self, outer: _Outermost, begun: FileBegun) -> Wanted:
        """Whether the library has these bytes; then the file is joined to them."""
        self._take_turn()
        self.store_content(begun.sha256, begun.path)
        joined = self._members.join(
            _found(begun),
            begun.sha256,
            self._standing,
            reader=begun.reader,
            container_id=self._container_of(outer, begun),
        )
        outer.wanted = "text"
        if joined is not None:
            outer.wanted = "nothing" if joined.is_settled else "members"
            outer.had_members = outer.had_members or not joined.is_settled
            if joined.is_settled:
                outer.seen.update(self._members.paths_inside(begun.path))
            if begun.place:
                outer.seen.add(begun.path)
            else:
                outer.goes_on = not joined.is_settled
            self._recorded(outer, begun, joined.recorded)
        return outer.wanted

    def _container_of(self, outer: _Outermost, file: FileBegun | MemberFailed) -> int | None:
        """The row of the outermost file; None when this is it."""
        if file.path == outer.file.path:
            return None
        if outer.container_id is None:
            self._documents.begin([outer.file])
            outer.container_id = self._members.document_id(outer.file.path)
        return outer.container_id

    def _recorded(self, outer: _Outermost, begun: FileBegun, recorded: Recorded) -> None:
        is_inside = bool(begun.place)
        self._tell(FileRead(path_text(begun.path), recorded, is_inside, outer.goes_on and not is_inside))

    def _document(self, outer: _Outermost, parts: Iterator[Part], begun: FileBegun) -> None:
        """A file that was begun: its text, where that is wanted, and what is inside it."""
        awaits_members = outer.wanted == "members"
        try:
            if outer.wanted == "text":
                awaits_members = self._text(outer, parts, begun)
            for part in parts:
                match part:
                    case FileEnded():
                        break
                    case FileBegun():
                        self._document(outer, parts, part)
                    case MemberFailed() if part.path == begun.path:
                        raise _Lost(part)
                    case MemberFailed():
                        self._failed(outer, part)
                    case ReadSoFar():
                        self._tell(FileGoesOn(path_text(begun.path), part.share))
                    case _:
                        pass  # the end of a text that is known
        except _Lost as lost:
            self._failed(outer, lost.part)
        else:
            if begun.place and awaits_members and not self._held.settle(begun.path):
                self._held.store()
                self._members.settle(begun.path)

    def _failed(self, outer: _Outermost, part: MemberFailed) -> None:
        error = part.error
        label = unsupported_label(part.path, error)
        if self._held.holds(part.path):
            self._held.store()  # its text was read: what came after it is what counts
        self._documents.record_failure(
            FoundFile(part.path, part.size_bytes, part.mtime_ns),
            error,
            failure_kind(error, self._standing, is_inside=True),
            unsupported=label,
            container_id=self._container_of(outer, part),
        )
        outer.seen.add(part.path)
        failed = FileFailed(path_text(part.path), str(error), error.hint)
        self._tell(FileNotRead(failed, bool(label), is_inside=True))

    def _text(self, outer: _Outermost, parts: Iterator[Part], begun: FileBegun) -> bool:
        """Cut a file's text into passages and store them as they come. Returns whether there are files inside it."""
        ended: list[TextEnded] = []

        def blocks() -> Iterator[Block]:
            for part in parts:
                match part:
                    case TextBlocks():
                        yield from part.blocks
                    case HeardSoFar(done_s=done_s, total_s=total_s):
                        self._tell(FileGrows(path_text(begun.path), 0, done_s, total_s))
                    case ReadSoFar():
                        self._tell(FileGoesOn(path_text(begun.path), part.share))
                    case MemberFailed():
                        raise _Lost(part)
                    case TextEnded():
                        ended.append(part)
                        return
                    case _:
                        raise AssertionError(part)

        passages = iter(self._split(blocks()))
        first = list(islice(passages, CHUNKS_AT_ONCE))
        if len(first) == CHUNKS_AT_ONCE:
            return self._long_text(outer, begun, first, passages, ended)
        (end,) = ended
        if not first and not end.has_members:
            error = EmptyFile(f"{path_text(begun.path)} has no text", hint="there is nothing in it to find")
            if begun.place:
                self._failed(outer, MemberFailed(begun.path, begun.size_bytes, begun.mtime_ns, error))
            else:
                outer.problem = error
            return False
        read = ReadFile(
            _found(begun),
            begun.sha256,
            end.facts,
            chunk_rows(first),
            self._container_of(outer, begun),
            end.has_members or (outer.had_members and not begun.place),
        )
        self._held.hold(read, self._telling(outer, begun, end))
        return end.has_members

    def _long_text(
        self,
        outer: _Outermost,
        begun: FileBegun,
        first: list[ChunkDraft],
        passages: Iterator[ChunkDraft],
        ended: list[TextEnded],
    ) -> bool:
        self._held.store()  # contents come in in the order of the files: their embed groups depend on it
        content_id = self._documents.begin_content(begun.path, begun.reader, first)
        stored = len(first)
        try:
            while lot := list(islice(passages, CHUNKS_AT_ONCE)):
                self._take_turn()
                self._documents.add_to_content(content_id, lot)
                stored += len(lot)
                self._tell(FileGrows(path_text(begun.path), stored))
        except (ReadError, _Lost):
            self._documents.abandon_content(content_id)
            raise
        (end,) = ended
        recorded = self._documents.finish_content(
            _found(begun),
            content_id,
            begun.sha256,
            end.facts,
            stored,
            container_id=self._container_of(outer, begun),
            awaits_members=end.has_members or (outer.had_members and not begun.place),
        )
        self._telling(outer, begun, end)(recorded)
        return end.has_members

    def _telling(self, outer: _Outermost, begun: FileBegun, end: TextEnded) -> Callable[[Recorded], None]:
        """The file has been read; what is called when it is stored tells of it."""
        outer.had_members = outer.had_members or end.has_members
        if begun.place:
            outer.seen.add(begun.path)
        else:
            outer.goes_on = outer.had_members
        notes = end.notes[: MAX_NOTES - outer.notes]
        outer.notes += len(notes)

        def tell(recorded: Recorded) -> None:
            self._recorded(outer, begun, recorded)
            for note in notes:
                self._tell(Notice(f"{path_text(begun.path)}: {note}"))

        return tell


def _found(begun: FileBegun) -> FoundFile:
    return FoundFile(begun.path, begun.size_bytes, begun.mtime_ns)


__all__ = ["FileReader", "SplitBlocks", "Storing", "unsupported_label"]
