"""Recordings to text: what is said, sentence by sentence as it is recognised, from files of any length.

The sound comes decoded from a process of its own, is cut into windows at quiet moments, and each finished window is
kept until the whole is done: a run that is stopped or killed is taken up by the next one. In the background it waits
between two windows while somebody is answered. Knows no user interface and no library.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from models.speech import SAMPLE_RATE_HZ, HeardUpTo, LanguageFound, SpeechModel, SpeechSegment
from models.speech_sound import WINDOW_S, Window, cut_windows
from pipelines.foreground import Foreground
from pipelines.transcripts import PartOfTranscript, Transcripts
from rag.path_text import path_text
from rag.reading import ReadStopped
from rag.sound import OpenedSound, SoundFacts

BACKGROUND_WINDOW_S = 60.0
"""A question waits for no more than this to be recognised: one chunk or two, seconds of work."""
SURE_LANGUAGE = 0.5
"""A language found with less is looked for again in the next window."""


@dataclass(frozen=True, slots=True)
class RecordingOpened:
    facts: SoundFacts
    kept_s: float
    """Recognised by an earlier run; its segments are told first."""


@dataclass(frozen=True, slots=True)
class SegmentHeard:
    segment: SpeechSegment
    """Times from the recording's beginning."""


@dataclass(frozen=True, slots=True)
class TranscribeProgress:
    done_s: float
    """Of the recording."""
    total_s: float | None
    """As its header says; None where it says nothing."""
    left_s: float | None
    """How long it will take yet, from how long it took."""


@dataclass(frozen=True, slots=True)
class TranscriptDone:
    facts: SoundFacts
    language: str
    """Empty where nothing was said."""
    duration_s: float
    segments: int
    real_time_factor: float
    """Seconds of work for a second of sound, in this run; 0 where there was none to do."""
    notes: tuple[str, ...] = ()
    stopped: bool = False
    """Ended early; the next run goes on from here."""

    @property
    def path(self) -> str:
        """As it may be shown."""
        return path_text(self.facts.path)


TranscribeEvent = RecordingOpened | SegmentHeard | TranscribeProgress | TranscriptDone


class OpenSound(Protocol):
    """`rag.sound.SoundReader.open`."""

    def __call__(self, path: str, stop: threading.Event | None = None) -> AbstractContextManager[OpenedSound]: ...


class Transcriber:
    """Thread-safe as its parts are: the engine is borrowed window by window."""

    def __init__(
        self,
        *,
        open_sound: OpenSound,
        borrow: Callable[[], AbstractContextManager[SpeechModel]],
        model_id: Callable[[], str],
        transcripts: Transcripts,
        foreground: Foreground,
    ) -> None:
        """`model_id` raises WeightsMissing where no recogniser is installed."""
        self._open_sound = open_sound
        self._borrow = borrow
        self._model_id = model_id
        self._transcripts = transcripts
        self._foreground = foreground

    def transcribe(
        self, path: str, stop: threading.Event, *, in_background: bool = False, exact_words: bool = False
    ) -> Generator[TranscribeEvent]:
        """RecordingOpened, its segments and how far it is, and at last TranscriptDone, also when `stop` was set.

        Closing the generator ends the work. Raises ReadError and those below it, FileChanges; WeightsMissing and the
        other ModelErrors. `exact_words` is for subtitles: the seconds of each word. Whoever has what came of it safe
        calls `forget`.
        """
        kept_as = _kept_as(self._model_id(), exact_words)
        with self._open_sound(path, stop) as sound:
            part = self._transcripts.load(sound.facts.sha256, kept_as)
            yield RecordingOpened(sound.facts, part.end_sample / SAMPLE_RATE_HZ)
            yield from map(SegmentHeard, part.segments)
            run = _Run(kept_as, exact_words, sound, part, segments=len(part.segments))
            yield from self._windows(run, stop, in_background=in_background)
            yield run.done(stopped=stop.is_set())

    def forget(self, facts: SoundFacts) -> None:
        """What came of a recording is where it belongs: its windows need not be kept."""
        for exact_words in (False, True):
            self._transcripts.forget(facts.sha256, _kept_as(self._model_id(), exact_words))

    def _windows(self, run: _Run, stop: threading.Event, *, in_background: bool) -> Iterator[TranscribeEvent]:
        start = run.part.end_sample
        window_s = BACKGROUND_WINDOW_S if in_background else WINDOW_S
        windows = cut_windows(run.sound.pieces(skip_samples=start), start_sample=start, window_s=window_s)
        try:
            window = next(windows, None)
            while window is not None:
                if in_background and not self._foreground.wait_until_free(stop):
                    return
                yield from self._window(run, window, stop, in_background=in_background)
                if stop.is_set():
                    return
                yield run.progress()
                try:
                    window = windows.send(run.part.end_sample)
                except StopIteration:
                    return
        except ReadStopped:
            return

    def _window(
        self, run: _Run, window: Window, stop: threading.Event, *, in_background: bool
    ) -> Iterator[SegmentHeard]:
        """Recognise one window, and keep it when it is finished."""
        heard: list[SpeechSegment] = []
        began_s = time.perf_counter()
        part = run.part
        known = part.language if part.language_probability >= SURE_LANGUAGE else ""
        is_whole = window.start_sample == 0 and window.is_last
        end_sample = window.end_sample
        with self._borrow() as model:
            if in_background:
                self._foreground.make_room(model)
            for event in model.transcribe(
                window.samples,
                language=known,
                is_whole=is_whole,
                is_last=window.is_last,
                exact_words=run.exact_words,
                stop=stop,
            ):
                match event:
                    case HeardUpTo(sample=sample):
                        end_sample = window.start_sample + sample
                    case LanguageFound():
                        if event.probability > part.language_probability:
                            part.language, part.language_probability = event.language, event.probability
                    case SpeechSegment():
                        heard.append(_moved(event, window.start_s))
                        run.segments += 1
                        yield SegmentHeard(heard[-1])
        if stop.is_set():
            return
        run.worked_s += time.perf_counter() - began_s
        run.worked_samples += end_sample - window.start_sample
        part.end_sample = end_sample
        self._transcripts.add(run.sound.facts.sha256, run.kept_as, part, heard)


@dataclass(slots=True)
class _Run:
    kept_as: str
    exact_words: bool
    sound: OpenedSound
    part: PartOfTranscript
    segments: int
    worked_s: float = 0.0
    worked_samples: int = 0

    @property
    def done_s(self) -> float:
        return self.part.end_sample / SAMPLE_RATE_HZ

    @property
    def real_time_factor(self) -> float:
        return self.worked_s / (self.worked_samples / SAMPLE_RATE_HZ) if self.worked_samples else 0.0

    def progress(self) -> TranscribeProgress:
        total_s = self.sound.facts.claimed_s
        if total_s is None or total_s < self.done_s:
            return TranscribeProgress(self.done_s, None, None)
        return TranscribeProgress(self.done_s, total_s, (total_s - self.done_s) * self.real_time_factor)

    def done(self, *, stopped: bool) -> TranscriptDone:
        return TranscriptDone(
            facts=self.sound.facts,
            language=self.part.language if self.segments else "",
            duration_s=self.done_s,
            segments=self.segments,
            real_time_factor=self.real_time_factor,
            notes=self.sound.notes,
            stopped=stopped,
        )


def _kept_as(model_id: str, exact_words: bool) -> str:
    return f"{model_id}+words" if exact_words else model_id


def _moved(segment: SpeechSegment, by_s: float) -> SpeechSegment:
    words = tuple(replace(word, start_s=word.start_s + by_s, end_s=word.end_s + by_s) for word in segment.words)
    return SpeechSegment(segment.start_s + by_s, segment.end_s + by_s, segment.text, words)


def segment_to_json(segment: SpeechSegment) -> dict[str, Any]:
    """As `transcribe --json` prints it."""
    return {"start_s": round(segment.start_s, 2), "end_s": round(segment.end_s, 2), "text": segment.text}


__all__ = [
    "RecordingOpened",
    "SegmentHeard",
    "SpeechSegment",
    "TranscribeEvent",
    "TranscribeProgress",
    "Transcriber",
    "TranscriptDone",
    "segment_to_json",
]
