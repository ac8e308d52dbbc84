"""Give the library's pictures the vectors of a CLIP: those that were indexed since, or all when it is another one.

A pass of its own behind reading and embedding, so that pictures can be found by their words first, and so that a CLIP
that is installed later only costs looking at the pictures again. Each picture is stored when it is done; a run that is
killed is finished by the next. Knows no engine and no format: the reader's process decodes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Event

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from pipelines.events import IndexEvent, IndexProgress, Notice
from pipelines.foreground import Foreground
from pipelines.ingest_storing import FileReader
from rag.errors import ReadError
from rag.image_vectors import ImageVectors
from rag.path_text import path_text
from rag.pictures import Drawing
from rag.ports import ImageEncoder
from rag.reading import FileBegun, ReadStopped

MOST_PLACES = 16
"""Of one picture, pages or frames that get a vector."""


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
        if not model_id or (known is not None and known.model_id == model_id and not self._vectors.waiting(1)):
            return
        if known is None and not self._vectors.waiting(1):
            return
        try:
            encoder = self._encoder()
            if dropped := self._vectors.claim(encoder):
                yield Notice(f"{dropped:,} pictures are looked at again: {model_id} is another CLIP")
            yield from self._all(encoder, stop)
        except ModelError as error:
            yield Notice(f"pictures are found by their words only: {error}", error.hint)

    def _all(self, encoder: ImageEncoder, stop: Event) -> Iterator[IndexEvent]:
        began_s, done = time.monotonic(), 0
        passed_over: set[int] = set()
        while True:
            # Files that changed since they were read wait for their next reading: they must not be asked for forever.
            waiting = [each for each in self._vectors.waiting(1000 + len(passed_over)) if each[0] not in passed_over]
            if not waiting:
                return
            total = done + len(waiting)
            for content_id, sha256, path in waiting:
                if not self._foreground.wait_until_free(stop):
                    return
                name = os.fsdecode(path)
                try:
                    vectors = self._of_file(name, sha256, encoder, stop)
                except ReadStopped:
                    return
                if vectors is None:
                    passed_over.add(content_id)
                else:
                    self._vectors.store(content_id, vectors)
                done += 1
                rate = done / max(time.monotonic() - began_s, 1e-6)
                yield IndexProgress("looking", done, total, path_text(name), rate_per_s=rate)

    def _of_file(
        self, path: str, sha256: bytes, encoder: ImageEncoder, stop: Event
    ) -> list[NDArray[np.float32]] | None:
        """A vector a place; none for what cannot be drawn. None where the file is not what was indexed."""
        vectors: list[NDArray[np.float32]] = []
        try:
            with closing(self._reader.stream(path, lambda _: "text", stop)) as parts:
                # To its end, whatever comes: a stream that is closed early ends the reader's process.
                for part in parts:
                    if isinstance(part, FileBegun) and not part.place and part.sha256 != sha256:
                        return None
                    if isinstance(part, Drawing) and len(vectors) < MOST_PLACES:
                        rgb = np.frombuffer(part.rgb, np.uint8).reshape(part.height_px, part.width_px, 3)
                        vectors.append(encoder.encode_image(rgb))
        except ReadError:
            return vectors
        return vectors
