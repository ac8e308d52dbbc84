"""Read the files of a plan, one after the other, in a thread beside the embedding.

A file is findable by words when `record` returns: that does not wait for any vector. Parsing happens in the
reader's own process; here files are hashed, cut into passages and stored.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from pipelines.events import FileFailed, Notice
from pipelines.foreground import Foreground
from pipelines.ingest_plan import failure_kind
from rag.documents import Documents, Recorded
from rag.errors import EmptyFile, ReadError
from rag.path_text import path_text
from rag.reading import ReadResult, ReadStopped, fingerprint
from rag.records import ChunkDraft, ReadDocument
from rag.walk import FoundFile

SplitDocument = Callable[[ReadDocument], Sequence[ChunkDraft]]


class FileReader(Protocol):
    """Reads one file at a time, in a process of its own: `rag.reading.DocumentReader`."""

    def read(self, path: str, stop: threading.Event) -> ReadResult:
        """Raises ReadError, and ReadStopped soon after `stop` is set."""
        ...


@dataclass(frozen=True, slots=True)
class FileRead:
    """A file's words are stored."""

    path: str
    recorded: Recorded


@dataclass(frozen=True, slots=True)
class FileGone:
    """A file is not there any more, and has left the library."""

    path: str


ReadingEvent = FileRead | FileGone | FileFailed | Notice


class ReadingThread:
    """Works through files while its owner does something else. Use as a context: leaving it ends the thread."""

    def __init__(
        self,
        documents: Documents,
        reader: FileReader,
        reading_identity: str,
        split: SplitDocument,
        foreground: Foreground,
    ) -> None:
        self._documents = documents
        self._reader = reader
        self._reading_identity = reading_identity
        self._split = split
        self._foreground = foreground
        self._events: queue.SimpleQueue[ReadingEvent | BaseException | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._files: Sequence[FoundFile] = ()
        self._thread = threading.Thread(target=self._run, name="reading", daemon=True)
        self.finished = False
        """All files were read and all their events taken."""

    def start(self, files: Sequence[FoundFile]) -> None:
        self._files = files
        self._thread.start()

    def events(self, *, wait_s: float) -> Iterator[ReadingEvent]:
        """What has happened since; waits up to `wait_s` when nothing has. Raises what ended the thread."""
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
            for file in self._files:
                if not self._foreground.wait_until_free(self._stop):
                    return
                self._read(file)
            self._events.put(None)
        except ReadStopped:
            return
        except Exception as error:  # the thread's outermost frame: its owner raises it
            self._events.put(error)

    def _read(self, file: FoundFile) -> None:
        try:
            read = self._copy_of_known(file) or self._read_anew(file)
        except ReadError as error:
            if not os.path.lexists(file.path):
                # It went after it was found: gone, as if it had never been seen.
                self._documents.remove([file.path])
                self._events.put(FileGone(path_text(file.path)))
                return
            self._documents.record_failure(file, error, failure_kind(error, self._reading_identity))
            self._events.put(FileFailed(path_text(file.path), str(error), error.hint))
        else:
            self._events.put(read)

    def _copy_of_known(self, file: FoundFile) -> FileRead | None:
        """Join the file to a content that the library has, if its bytes are that content's.

        Only looked into where a file of this size was read before: hashing costs a read of the file.
        """
        if not self._documents.has_file_of_size(file.size_bytes):
            return None
        its = fingerprint(file.path)
        hashed = FoundFile(file.path, its.size_bytes, its.mtime_ns)
        recorded = self._documents.record_copy(hashed, its.sha256)
        return None if recorded is None else FileRead(path_text(file.path), recorded)

    def _read_anew(self, file: FoundFile) -> FileRead:
        result = self._reader.read(file.path, self._stop)
        chunks = self._split(result.document)
        shown = path_text(file.path)
        if not chunks:
            raise EmptyFile(f"{shown} has no text", hint="there is nothing in it to find")
        read = FoundFile(file.path, result.size_bytes, result.mtime_ns)
        recorded = self._documents.record(read, result.sha256, result.document, chunks)
        for note in result.notes:
            self._events.put(Notice(f"{shown}: {note}"))
        return FileRead(shown, recorded)

    def __enter__(self) -> ReadingThread:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()


__all__ = ["FileGone", "FileRead", "FileReader", "ReadingEvent", "ReadingThread", "SplitDocument"]
