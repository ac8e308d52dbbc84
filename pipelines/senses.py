"""What reads, looks and listens for one Home: readers under its limits, the eyes, and the ears.

Each part is made when it is first needed. Knows neither the library nor conversations.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.microphone import Microphone
from pipelines.dictate import Dictation, DictationEvent
from pipelines.engines import Engines
from pipelines.events import Notice
from pipelines.foreground import Foreground
from pipelines.look import Look, look
from pipelines.one_picture import picture_pixels
from pipelines.own_labels import OwnLabels
from pipelines.page_picture import PagePictures
from pipelines.paths import HomePaths
from pipelines.picture_files import PictureFiles
from pipelines.picture_seeing import Eyes, SeeingReader
from pipelines.recordings import RecordingReader
from pipelines.settings import LibrarySettings, Settings
from pipelines.transcribe import TranscribeEvent, Transcriber, TranscriptDone
from pipelines.transcripts import Transcripts
from rag.member_copies import MemberCopies
from rag.pdf_pages import PdfPages
from rag.readers.contract import MEGABYTE, ReadLimits
from rag.readers.registry import reading_identity
from rag.reading import DocumentReader
from rag.sound import SoundReader


def read_limits(library: LibrarySettings) -> ReadLimits:
    """What reading one file may cost, as the settings have it."""
    return ReadLimits(
        max_file_bytes=library.max_file_mb * MEGABYTE,
        max_text_chars=library.max_file_mb * MEGABYTE,
        max_pages=library.max_pages,
        timeout_s=library.read_timeout_s,
        total_timeout_s=30 * library.read_timeout_s,
        memory_bytes=library.reader_memory_mb * MEGABYTE,
        draws=True,
        listens=True,
    )


class Senses:
    """Thread-safe as its parts are; `close` ends the processes that they read in."""

    def __init__(
        self, paths: HomePaths, settings: Settings, engines: Engines, foreground: Foreground, microphone: Microphone
    ) -> None:
        self._paths = paths
        self._settings = settings
        self._engines = engines
        self._foreground = foreground
        self._microphone = microphone
        self._limits = read_limits(settings.library)

    # ------------------------------------------------------------------ for the library

    @cached_property
    def files(self) -> DocumentReader:
        """Reads any file, without engines."""
        return DocumentReader(self._limits)

    def reader(self) -> RecordingReader:
        """Reads any file for the library: what is seen and heard in it, too.

        The user's own labels come later, when a picture has its vector: see `pipelines.picture_labelling`.
        """
        eyes = Eyes(self._engines.pictures.ocr, self._engines.pictures.labeller)
        seeing = SeeingReader(self.files, eyes, self._foreground)
        return RecordingReader(seeing, self._transcriber, has_model=self._engines.speech.is_here)

    def identity(self) -> str:
        """What reading depends on. Recordings left unread for want of a recogniser are read when there is one."""
        return f"{reading_identity(self._limits)} speech={self._engines.speech.is_here()}"

    # ------------------------------------------------------------------ for the screens

    @cached_property
    def pages(self) -> PagePictures:
        return PagePictures(PdfPages(self._limits), PictureFiles(self._limits), self._paths.cache_dir)

    @cached_property
    def copies(self) -> MemberCopies:
        return MemberCopies(self._paths.cache_dir / "inside", self._limits)

    # ------------------------------------------------------------------ one picture

    @cached_property
    def _eyes(self) -> Eyes:
        pictures = self._engines.pictures
        return Eyes(pictures.ocr, pictures.labeller, self.own_labels.compare_if_possible)

    @cached_property
    def own_labels(self) -> OwnLabels:
        """Those of the settings."""
        return self._own_labels(self._settings.clip.labels)

    def _own_labels(self, names: Sequence[str]) -> OwnLabels:
        return OwnLabels(self._engines.clip, names, self._paths.cache_dir / "labels")

    def look(self, path: Path, stop: threading.Event, *, labels: Sequence[str] = ()) -> Look:
        eyes, pictures = self._eyes, self._engines.pictures
        if labels:
            self._engines.clip.encoder()  # what is missing is said before the work
            eyes = Eyes(pictures.ocr, pictures.labeller, self._own_labels(labels).compare)
        with self._foreground.busy(), DocumentReader(self._limits) as reader:
            return look(path, reader, eyes, stop)

    def describe(self, path: Path, stop: threading.Event) -> str:
        """What is known of a picture, in words for a model that sees nothing."""
        with DocumentReader(self._limits) as reader:
            return look(path, reader, self._eyes, stop).as_attachment().text

    def pixels(self, path: Path) -> NDArray[np.uint8]:
        """Shape (height, width, 3)."""
        with DocumentReader(self._limits) as reader:
            return picture_pixels(path, reader)

    # ------------------------------------------------------------------ sound

    @cached_property
    def _transcriber(self) -> Transcriber:
        speech = self._engines.speech
        return Transcriber(
            open_sound=SoundReader(self._limits).open,
            borrow=speech.borrow,
            model_id=speech.model_id,
            transcripts=Transcripts(self._paths.transcripts_dir),
            foreground=self._foreground,
        )

    def transcribe(
        self, path: Path, stop: threading.Event, *, exact_words: bool = False
    ) -> Iterator[TranscribeEvent | Notice]:
        with self._foreground.busy():
            for event in self._transcriber.transcribe(os.path.realpath(path), stop, exact_words=exact_words):
                if isinstance(event, TranscriptDone) and not event.stopped:
                    self._transcriber.forget(event.facts)  # all of it was told
                yield from self._engines.new_notices()
                yield event

    def dictate(self, stop: threading.Event) -> Iterator[DictationEvent]:
        yield from Dictation(self._microphone, self._engines.speech.borrow, self._foreground).listen(stop)

    def close(self) -> None:
        for part in ("files", "pages"):
            if part in self.__dict__:
                self.__dict__[part].close()


__all__ = ["Senses", "read_limits"]
