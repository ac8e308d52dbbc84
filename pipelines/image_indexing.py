"""Give the library's pictures the vectors of a CLIP: those that were indexed since, or all when it is another one.

A pass of its own behind reading and embedding, so that pictures can be found by their words first, and so that a CLIP
that is installed later only costs looking at the pictures again. Each picture is stored when it is done; a run that is
killed is finished by the next. An archive or a mail is gone through once for all pictures in it. Knows no engine and no
format: the reader's process decodes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import groupby
from threading import Event

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from pipelines.events import IndexEvent, IndexProgress, Notice
from pipelines.foreground import Foreground
from pipelines.ingest_plan import IN_THE_FILE
from pipelines.ingest_storing import FileReader
from rag.errors import ReadError
from rag.image_vectors import ImageVectors, WaitingPicture
from rag.path_text import path_text
from rag.pictures import Drawing
from rag.ports import ImageEncoder
from rag.reading import FileBegun, FileEnded, MemberFailed, ReadStopped
from rag.reading_session import Wanted

MOST_PLACES = 16
"""Of one picture, pages or frames that get a vector."""
AT_ONCE = 1000
"""Pictures asked for together."""


class ImageIndexing:
    """Works for one library. One run at a time, by the process that holds the writer lock."""

    def __init__(
        self,
        vectors: ImageVectors,
        reader: FileReader,
        foreground: Foreground,
        *,
        model_id: Callable[[], str],
        encoder: Callable[[], ImageEncoder],
    ) -> None:
        """`model_id` names the CLIP that there is, or nothing; `encoder` loads it, and is asked only for work."""
        self._vectors = vectors
        self._reader = reader
        self._foreground = foreground
        self._model_id = model_id
        self._encoder = encoder

    def run(self, stop: Event) -> Iterator[IndexEvent]:
        """Nothing without a CLIP. What keeps it from working is told in a Notice, and is no failure of the run.

        Raises StorageFull, LibraryDamaged.
        """
        model_id = self._model_id()
        known = self._vectors.identity()
        is_another = known is not None and known.model_id != model_id
        if not model_id or not (is_another or self._vectors.waiting(1)):
            return
        try:
            encoder = self._encoder()
            if dropped := self._vectors.claim(encoder):
                yield Notice(f"{dropped:,} pictures are looked at again: {model_id} is another CLIP")
            yield from self._all(encoder, stop)
        except ModelError as error:
            yield Notice(f"pictures are found by their words only: {error}", error.hint)
        except ReadStopped:
            return

    def _all(self, encoder: ImageEncoder, stop: Event) -> Iterator[IndexEvent]:
        """Raises ReadStopped."""
        began_s, done = time.monotonic(), 0
        passed_over: set[int] = set()
        while True:
            # Files that changed since they were read wait for their next reading: they must not be asked for forever.
            some = self._vectors.waiting(AT_ONCE + len(passed_over))
            waiting = [each for each in some if each.content_id not in passed_over]
            if not waiting:
                return
            total = done + len(waiting)
            for on_disk, pictures in groupby(waiting, key=lambda each: each.on_disk):
                left = {each.path: each for each in pictures}
                for picture, vectors in self._of_file(on_disk, left, encoder, stop):
                    if vectors is None:
                        passed_over.add(picture.content_id)
                    else:
                        self._vectors.store(picture.content_id, vectors)
                    done += 1
                    rate = done / max(time.monotonic() - began_s, 1e-6)
                    yield IndexProgress("looking", done, total, path_text(picture.path), rate_per_s=rate)

    def _of_file(
        self, on_disk: str, left: dict[str, WaitingPicture], encoder: ImageEncoder, stop: Event
    ) -> Iterator[tuple[WaitingPicture, list[NDArray[np.float32]] | None]]:
        """Of pictures in one file on the disk, by their paths: each with a vector a place, none for what cannot be
        drawn, or None where it is not what was indexed. Raises ReadStopped."""

        def decide(begun: FileBegun) -> Wanted:
            wanted = left.get(begun.path)
            if wanted is not None and wanted.sha256 == begun.sha256:
                return "text"
            return "members" if any(path.startswith(f"{begun.path}/") for path in left) else "nothing"

        vectors: list[NDArray[np.float32]] = []
        looked_at: WaitingPicture | None = None
        cannot_be_read = False
        try:
            with closing(self._reader.stream(on_disk, decide, stop)) as parts:
                # To its end, whatever comes: a stream that is closed early ends the reader's process.
                for part in parts:
                    match part:
                        case FileBegun(path=path) if path in left:
                            looked_at, vectors = left.pop(path), []
                        case Drawing() if looked_at is not None and len(vectors) < MOST_PLACES:
                            if not self._foreground.wait_until_free(stop):
                                raise ReadStopped(f"stopped while looking at {path_text(looked_at.path)}")
                            vectors.append(encoder.encode_image(part.pixels()))
                        case FileEnded() | MemberFailed() if looked_at is not None:
                            yield looked_at, vectors
                            looked_at = None
                        case _:
                            pass
        except IN_THE_FILE:
            cannot_be_read = True
        except ReadError:
            pass  # the moment's fault, or the file has changed
        if looked_at is not None:
            yield looked_at, vectors
        for picture in left.values():
            yield picture, [] if cannot_be_read else None
