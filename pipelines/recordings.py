"""Recordings as documents: what is said in a sound or video file, read like the text of any other file.

Stands in front of the reader of all other files, and takes over where that one comes upon a recording inside another
file. A recording's words come window by window while it is stored, and what was recognised is kept until it is stored
whole, so that a crash repeats little. Without a recogniser a recording is listed as not read, with the command that
gets one; the next run reads it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import PurePath

from models.errors import ModelError
from pipelines.ingest_storing import FileReader
from pipelines.transcribe import RecordingOpened, SegmentHeard, TranscribeProgress, Transcriber, TranscriptDone
from rag.errors import EmptyFile, FileChanges, NotNow, ReadError, UnsupportedFile
from rag.path_text import path_text
from rag.readers.recording import RECORDING_READER, is_recording
from rag.reading import (
    Decide,
    FileBegun,
    FileEnded,
    HeardSoFar,
    MemberFailed,
    Part,
    ReadStopped,
    Recording,
    TextBlocks,
    TextEnded,
    skip_file,
)
from rag.records import Block, DocumentFacts, Locator
from rag.sound import SoundFacts

PULL_SPEECH = "homebody models pull --for speech"


class RecordingReader:
    """Satisfies `pipelines.ingest_storing.FileReader`."""

    def __init__(self, others: FileReader, transcriber: Transcriber, *, has_model: Callable[[], bool]) -> None:
        """`others` reads everything that is no recording. `has_model`: whether a recogniser is installed."""
        self._others = others
        self._transcriber = transcriber
        self._has_model = has_model

    def stream(self, path: str, decide: Decide, stop: threading.Event) -> Generator[Part]:
        """See `FileReader`. A recording has one block a sentence, with the seconds at which it is said."""
        if is_recording(path):
            self._check_model(path)
            yield from self._recording(path, decide, stop)
            return
        begun: FileBegun | None = None
        with closing(self._others.stream(path, decide, stop)) as parts:
            for part in parts:
                match part:
                    case FileBegun():
                        begun = part
                        yield part
                    case Recording():
                        assert begun is not None
                        yield from self._inside(begun, stop)
                        skip_file(parts)
                    case _:
                        yield part

    def _inside(self, begun: FileBegun, stop: threading.Event) -> Generator[Part]:
        """The text and the end of a recording inside another file, which was begun."""
        try:
            self._check_model(begun.path)
            yield from self._recording(begun.path, lambda _: "text", stop, begun.sha256)
        except FileChanges:  # what is around it has changed
            raise
        except ReadError as error:
            yield MemberFailed(begun.path, begun.size_bytes, begun.mtime_ns, error)

    def _check_model(self, path: str) -> None:
        """Raises UnsupportedFile."""
        if not self._has_model():
            raise UnsupportedFile(
                f"{_name(path)} is a recording, and no speech model is installed; `{PULL_SPEECH}` gets one",
                hint=f"run: {PULL_SPEECH}, then index again",
                counted_as=f"recordings ({PULL_SPEECH})",
            )

    def _recording(
        self, path: str, decide: Decide, stop: threading.Event, inside: bytes | None = None
    ) -> Generator[Part]:
        """`inside`: the hash of a recording that was begun already, inside another file. Raises ReadError."""
        name = _name(path)
        try:
            with closing(self._transcriber.transcribe(path, stop, in_background=True)) as heard:
                for event in heard:
                    match event:
                        case RecordingOpened(facts=facts) if inside is not None:
                            if facts.sha256 != inside:
                                raise FileChanges(f"{path_text(path)} changes while it is being read")
                        case RecordingOpened(facts=facts):
                            wanted = decide(_begun(facts))
                            if wanted != "nothing":
                                yield _begun(facts)
                            if wanted != "text":
                                yield FileEnded()
                                return
                        case SegmentHeard(segment=said):
                            yield TextBlocks((Block(said.text, Locator(start_s=said.start_s, end_s=said.end_s)),))
                        case TranscribeProgress(done_s=done_s, total_s=total_s):
                            yield HeardSoFar(done_s, total_s)
                        case TranscriptDone(stopped=True):
                            raise ReadStopped(f"stopped while transcribing {name}")
                        case TranscriptDone():
                            yield from _ended(event, name)
                            self._transcriber.forget(event.facts)
                        case _:
                            pass
        except ModelError as error:
            raise NotNow(f"{name} could not be transcribed: {error}", hint=error.hint) from error


def _name(path: str) -> str:
    return path_text(PurePath(path).name)


def _begun(facts: SoundFacts) -> FileBegun:
    return FileBegun(facts.path, (), facts.sha256, facts.size_bytes, facts.mtime_ns, RECORDING_READER)


def _ended(done: TranscriptDone, name: str) -> Generator[Part]:
    facts = done.facts
    if not done.segments:
        named = ", ".join(part for part in (facts.title, facts.artist) if part)
        if not named:
            raise EmptyFile(f"nothing is said in {name}", hint="no voice was heard in it")
        # Music, mostly: it is found by what it says of itself.
        whole = Locator(start_s=0.0, end_s=done.duration_s)
        yield TextBlocks((Block(f"A recording in which nothing is said: {named}", whole),))
    yield TextEnded(
        DocumentFacts(facts.title or name, "audio", RECORDING_READER, facts.artist), done.notes, has_members=False
    )
    yield FileEnded()
