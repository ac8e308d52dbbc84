"""The sound of a file, decoded in a process of its own and handed over piece by piece.

A recording of hours never lies in memory at once: the process waits while nobody takes what it decoded. What it
sends is checked like any other input. Knows nothing of formats (`rag.sound_decoding`) and of what is said.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rag.error_frames import error_from_json
from rag.errors import FileChanges
from rag.path_text import path_text
from rag.reader_process import Patience, ReaderProcess, WorkerLost
from rag.readers.contract import ReadLimits
from rag.reading import ReadStopped
from rag.reading_worker import FRAME_LENGTH
from rag.sound_decoding import PIECE_SAMPLES, SAMPLE_RATE_HZ
from rag.sound_worker import JSON_FRAME, SAMPLES_FRAME

_SAMPLE_BYTES = 4


@dataclass(frozen=True, slots=True)
class SoundFacts:
    """What is known of a recording before it is decoded."""

    path: str
    sha256: bytes
    size_bytes: int
    mtime_ns: int
    claimed_s: float | None
    """Its length as its header says; for showing how far the work is, and for nothing else."""
    title: str
    artist: str


@dataclass(slots=True)
class OpenedSound:
    """A recording whose sound can be taken, once."""

    facts: SoundFacts
    _process: ReaderProcess
    _patience: Patience
    _limits: ReadLimits
    _stop: threading.Event | None
    notes: tuple[str, ...] = field(default=())
    """What the user should know of it; complete when the pieces are exhausted."""

    def pieces(self, *, skip_samples: int = 0) -> Iterator[NDArray[np.float32]]:
        """Samples from `skip_samples` on: (samples,) at 16 kHz, one channel, at most PIECE_SAMPLES each.

        Raises ReadError and those below it, FileChanges when the file changed meanwhile, and ReadStopped soon after
        `stop` is set.
        """
        self._process.send({"wanted": "sound", "skip_samples": skip_samples})
        while True:
            frame = _next(self._process, self._patience, self.facts.path, self._limits, self._stop)
            match frame:
                case {"samples": samples}:
                    yield samples
                case {"done": told}:
                    self.notes = tuple(map(str, told["notes"]))
                    return
                case {"changed": _}:
                    raise FileChanges(
                        f"{path_text(self.facts.path)} changes while it is being read",
                        hint="it is read when it has come to rest: index again",
                    )
                case _:
                    raise ValueError(f"a frame of an unknown kind: {list(frame)}")


class SoundReader:
    """Opens recordings. Safe to call from several threads: each recording has a process of its own."""

    def __init__(self, limits: ReadLimits | None = None) -> None:
        self._limits = limits or ReadLimits()

    @contextmanager
    def open(self, path: str | os.PathLike[str], stop: threading.Event | None = None) -> Generator[OpenedSound]:
        """A file's sound; its process ends with the block.

        Raises UnsupportedFile for what is no recording or has no sound, ReadError and those below it, ReadStopped.
        """
        process = ReaderProcess(self._limits, "", worker="rag.sound_worker", read=read_sound_frame)
        try:
            patience = Patience(self._limits)
            process.send({"path": os.fspath(path)})
            frame = _next(process, patience, os.fspath(path), self._limits, stop)
            facts = _facts(os.fspath(path), frame["begin"])
            yield OpenedSound(facts, process, patience, self._limits, stop)
        finally:
            process.kill()


def read_sound_frame(stream: IO[bytes], max_bytes: int) -> dict[str, Any] | None:
    """The next frame; samples come as `{"samples": …}`. None at the end. Raises ValueError for what is none."""
    prefix = stream.read(FRAME_LENGTH.size + 1)
    if len(prefix) <= FRAME_LENGTH.size:
        return None
    (length,) = FRAME_LENGTH.unpack(prefix[: FRAME_LENGTH.size])
    kind = prefix[FRAME_LENGTH.size :]
    if length > max_bytes or (kind == SAMPLES_FRAME and (length > PIECE_SAMPLES * _SAMPLE_BYTES or length % 4)):
        raise ValueError(f"a frame of {length} bytes")
    content = stream.read(length)
    if len(content) < length:
        return None
    if kind == SAMPLES_FRAME:
        samples = np.frombuffer(content, "<f4")
        if not np.isfinite(samples).all():
            raise ValueError("samples that are no numbers")
        return {"samples": samples}
    if kind != JSON_FRAME:
        raise ValueError(f"a frame of the kind {kind!r}")
    frame: dict[str, Any] = json.loads(content.decode("utf-8", "surrogatepass"))
    return frame


def _next(
    process: ReaderProcess, patience: Patience, path: str, limits: ReadLimits, stop: threading.Event | None
) -> dict[str, Any]:
    """The worker's next frame. Raises what it could not do, whatever ended it, as a ReadError."""
    try:
        while True:
            if stop is not None and stop.is_set():
                raise ReadStopped(f"stopped while reading {path_text(path)}")
            frame = process.next_frame(patience)
            if frame is None:
                continue
            if "error" in frame:
                raise error_from_json(frame["error"])
            return frame
    except WorkerLost as lost:
        raise lost.as_read_error(path_text(PurePath(path).name), limits) from lost
    except ValueError as error:
        raise process.lost("protocol", str(error)).as_read_error(path_text(PurePath(path).name), limits) from error


def _facts(path: str, told: dict[str, Any]) -> SoundFacts:
    claimed = told["claimed_s"]
    return SoundFacts(
        path=path,
        sha256=bytes.fromhex(told["sha256"]),
        size_bytes=int(told["size_bytes"]),
        mtime_ns=int(told["mtime_ns"]),
        claimed_s=None if claimed is None else float(claimed),
        title=str(told["title"]),
        artist=str(told["artist"]),
    )


__all__ = ["SAMPLE_RATE_HZ", "OpenedSound", "SoundFacts", "SoundReader", "read_sound_frame"]
