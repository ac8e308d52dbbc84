"""Read the files of a plan, one after the other, in a thread beside the embedding.

A file is findable by words as soon as it is stored: that does not wait for any vector. Parsing happens in the
reader's own process, storing in `ingest_storing.py`; here is decided what is read next, and what is known already.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from pipelines.events import FileFailed
from pipelines.foreground import Foreground
from pipelines.ingest_events import FileNotRead, FileRead, StoringEvent
from pipelines.ingest_plan import failure_kind
from pipelines.ingest_storing import FileReader, SplitBlocks, Storing, unsupported_label
from rag.documents import Documents
from rag.errors import ReadError
from rag.members import Members, Standing
from rag.path_text import path_text
from rag.reading import ReadStopped, fingerprint
from rag.walk import FoundFile


@dataclass(frozen=True, slots=True)
class FileGone:
    """A file is not there any more: it has left the library, or its folder went as well."""

    path: str


ReadingEvent = StoringEvent | FileGone


class ReadingThread:
    """Works through files while its owner does something else. Use as a context: leaving it ends the thread."""

    def __init__(
        self,
        documents: Documents,
        members: Members,
        reader: FileReader,
        standing: Standing,
        split: SplitBlocks,
        foreground: Foreground,
    ) -> None:
        self._documents = documents
        self._members = members
        self._standing = standing
        self._foreground = foreground
        self._events: queue.SimpleQueue[ReadingEvent | BaseException | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._storing = Storing(documents, members, reader, split, standing, self._events.put, self._take_turn)
        self._files: Sequence[FoundFile] = ()
        self._thread = threading.Thread(target=self._run, name="reading", daemon=True)
        self.finished = False
        """All files were read and all their events taken."""

    def start(self, files: Sequence[FoundFile]) -> None:
        self._files = files
        self._thread.start()

    def events(self, *, wait_s: float) -> Iterator[ReadingEvent]:
        """What has happened since; waits up to `wait_s` when nothing has. Raises what ended the thread."""
        self._storing.store_held(only_if_late=True)  # the thread may be at a file that takes long
        waiting = wait_s > 0
        while not self.finished:
            try:
                event = self._events.get(timeout=wait_s) if waiting else self._events.get_nowait()
            except queue.Empty:
                return
            waiting = False
            if event is None:
                self.finished = True
            elif isinstance(event, BaseException):
                self.finished = True
                raise event
            else:
                yield event

    def _run(self) -> None:
        try:
            is_stopped = not self._read_all()
            self._storing.store_held()
            if not is_stopped:
                self._events.put(None)
        except Exception as error:  # the thread's outermost frame: its owner raises it
            self._events.put(error)

    def _read_all(self) -> bool:
        """False: stopped."""
        try:
            for file in self._files:
                self._take_turn()
                self._read(file)
        except ReadStopped:
            return False
        return True

    def _take_turn(self) -> None:
        if not self._foreground.is_free:
            self._storing.store_held()  # before a wait of any length
        if not self._foreground.wait_until_free(self._stop):
            raise ReadStopped("stopped between two files, or two passages")

    def _read(self, file: FoundFile) -> None:
        try:
            if not self._copy_of_known(file):
                self._storing.store(file, self._stop)
        except ReadError as error:
            if _went(file.path):
                if Path(file.path).parent.is_dir():
                    # It went after it was found: gone, as if it had never been seen.
                    self._documents.remove([file.path])
                # Otherwise its folder went too, perhaps with the drive it is on: the next walk decides.
                self._events.put(FileGone(path_text(file.path)))
                return
            label = unsupported_label(file.path, error)
            self._documents.record_failure(file, error, failure_kind(error, self._standing), unsupported=label)
            self._events.put(FileNotRead(FileFailed(path_text(file.path), str(error), error.hint), bool(label)))

    def _copy_of_known(self, file: FoundFile) -> bool:
        """Join the file to a content that the library has, if its bytes are that content's.

        Only looked into where a file of this size was read before: hashing costs a read of the file.
        """
        size_bytes = file.size_bytes
        if not (self._storing.may_hold_copy(size_bytes) or self._documents.has_file_of_size(size_bytes)):
            return False
        its = fingerprint(file.path)
        self._storing.store_content(its.sha256, file.path)
        hashed = FoundFile(file.path, its.size_bytes, its.mtime_ns)
        joined = self._members.join(hashed, its.sha256, self._standing)
        if joined is None or not joined.is_settled:
            return False
        self._events.put(FileRead(path_text(file.path), joined.recorded))
        return True

    def __enter__(self) -> ReadingThread:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()


def _went(path: str) -> bool:
    """Whether there is certainly nothing of this name; a folder that may not be entered says nothing of it."""
    try:
        Path(path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


__all__ = ["FileGone", "ReadingEvent", "ReadingThread"]
