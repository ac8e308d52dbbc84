"""Whisper by faster-whisper on CTranslate2, from files on this disk only.

Sound is first looked through for voices (Silero's detector, which faster-whisper carries), the stretches with voices
are joined to chunks of almost 30 s, and these are decoded several at a time, without timestamp tokens: that reads
best, loses no words at the ends of chunks, and costs least. Word times come from the decoder's attention, and sentences
from the words.

A Whisper that hears nothing makes something up. What guards against it: no chunk without a voice is decoded; one that
came out improbable or repetitive is decoded again with more care; what is still so is dropped, and so are loops.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.errors import EngineFailed, WeightsDamaged
from models.speech import SAMPLE_RATE_HZ, LanguageFound, SpeechSegment, Word
from models.speech_chunks import SpeechChunk, pack_chunks
from models.speech_sentences import is_loop, sentences_of
from models.speech_sound import is_silent, may_be_voice

if TYPE_CHECKING:
    from faster_whisper import BatchedInferencePipeline, WhisperModel
    from faster_whisper.transcribe import Segment

FILES = ("model.bin", "config.json", "tokenizer.json")
"""Without tokenizer.json faster-whisper would fetch one from the network."""

MAX_COMPRESSION_RATIO = 2.4
MIN_AVERAGE_LOG_PROBABILITY = -1.0
SURE_LOG_PROBABILITY = -0.5
MAX_NO_SPEECH_PROBABILITY = 0.6
CAREFUL_TEMPERATURES = (0.0, 0.2, 0.4, 0.6)
CAREFUL_BEAM = 5
RETRY_MIN_WORD_PROBABILITY = 0.5
"""Of the words, on average, where no voice was detected: only what is heard clearly counts."""
RETRY_UP_TO_S = 30.0


@dataclass(frozen=True, slots=True)
class WhisperOptions:
    """How chunks are decoded. A beam of 2 cost what 1 does, and made fewer errors with tiny.en on one minute and a
    half of read-aloud English (12.3 % instead of 17.2 %); with base it changed nothing."""

    beam: int = 2
    batch: int = 4
    """Chunks at a time."""
    voice_threshold: float = 0.5
    """Of the voice detector."""
    min_silence_ms: int = 500
    pad_ms: int = 300
    """Kept around each stretch with a voice."""


class WhisperSpeech:
    """Satisfies `models.speech.SpeechModel`. Not re-entrant."""

    def __init__(
        self,
        *,
        model_id: str,
        folder: Path,
        device: str = "cpu",
        compute_type: str = "int8",
        threads: int = 1,
        options: WhisperOptions | None = None,
    ) -> None:
        """Load the weights (some 0.3 s). `compute_type` is CTranslate2's; `device` is cpu or cuda.

        Raises WeightsDamaged where a file is missing or is not what it should be, EngineFailed.
        """
        self.model_id = model_id
        self._folder = folder
        self._device = device
        self._compute_type = compute_type
        self._threads = threads
        self._options = options or WhisperOptions()
        for name in FILES:
            if not (folder / name).is_file():
                raise WeightsDamaged(f"{model_id} has no {name}", hint=f"run: homebody models pull {model_id}")
        self._pipeline: BatchedInferencePipeline | None = self._load()

    # ------------------------------------------------------------------ threads

    @property
    def threads(self) -> int:
        return self._threads

    def set_threads(self, threads: int) -> None:
        """From the next call of `transcribe` on. CTranslate2 takes the number when it loads: it loads again."""
        if threads != self._threads and self._device == "cpu":
            self._threads = threads
            self._pipeline = None

    # ------------------------------------------------------------------ recognising

    def transcribe(
        self,
        samples: NDArray[np.float32],
        *,
        language: str = "",
        is_whole: bool = True,
        stop: threading.Event,
    ) -> Iterator[LanguageFound | SpeechSegment]:
        """See `models.speech.SpeechModel`."""
        if is_silent(samples):
            return
        chunks = self._chunks(samples)
        if not chunks:
            if is_whole and len(samples) <= RETRY_UP_TO_S * SAMPLE_RATE_HZ and may_be_voice(samples):
                yield from self._without_detector(samples, language)
            return
        pipeline = self._loaded()
        if not language:
            found = self._find_language(pipeline.model, chunks[0].samples)
            yield found
            language = found.language
        for first in range(0, len(chunks), self._options.batch):
            if stop.is_set():
                return
            lot = chunks[first : first + self._options.batch]
            for chunk, decoded in zip(lot, self._decode(pipeline, lot, language), strict=True):
                yield from self._said(chunk, decoded, language)

    def _chunks(self, samples: NDArray[np.float32]) -> list[SpeechChunk]:
        from faster_whisper.vad import VadOptions, get_speech_timestamps

        options = self._options
        voices = get_speech_timestamps(
            samples,
            VadOptions(
                threshold=options.voice_threshold,
                min_speech_duration_ms=100,
                max_speech_duration_s=28.0,
                min_silence_duration_ms=options.min_silence_ms,
                speech_pad_ms=options.pad_ms,
            ),
        )
        return pack_chunks(samples, [(int(each["start"]), int(each["end"])) for each in voices])

    def _decode(
        self, pipeline: BatchedInferencePipeline, lot: Sequence[SpeechChunk], language: str
    ) -> list[Segment | None]:
        """One result a chunk; None where nothing came out."""
        ends = np.cumsum([len(chunk.samples) for chunk in lot])
        starts = ends - [len(chunk.samples) for chunk in lot]
        clips = [
            {"start": start / SAMPLE_RATE_HZ, "end": end / SAMPLE_RATE_HZ}
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]
        decoded: list[Segment | None] = [None] * len(lot)
        try:
            segments, _ = pipeline.transcribe(
                np.concatenate([chunk.samples for chunk in lot]),
                language=language,
                clip_timestamps=clips,
                vad_filter=False,
                batch_size=len(lot),
                beam_size=self._options.beam,
                temperature=0.0,
                without_timestamps=True,
                word_timestamps=True,
            )
            for segment in segments:
                # Without timestamp tokens each chunk gives one segment; `seek` is where the chunk begins, in frames.
                at = segment.seek / pipeline.model.frames_per_second
                index = int(np.argmin([abs(clip["start"] - at) for clip in clips]))
                decoded[index] = segment
        except (RuntimeError, ValueError) as error:
            raise EngineFailed(f"{self.model_id} could not transcribe: {error}", hint=_FAILED_HINT) from error
        return [
            None if segment is None else _moved(segment, -clip["start"])
            for segment, clip in zip(decoded, clips, strict=True)
        ]

    def _said(self, chunk: SpeechChunk, segment: Segment | None, language: str) -> Iterator[SpeechSegment]:
        """The sentences of a chunk, after every guard."""
        if segment is None:
            return
        words = _words(segment)
        if _is_doubtful(segment):
            words = self._careful_words(chunk.samples, language)
        yield from sentences_of(chunk.in_recording(words))

    def _careful_words(self, samples: NDArray[np.float32], language: str) -> list[Word]:
        """Of one chunk decoded with care; what is still doubtful, or more likely no speech, is dropped."""
        return [
            word
            for segment in self._carefully(samples, language)
            if not _is_doubtful(segment) and segment.no_speech_prob <= MAX_NO_SPEECH_PROBABILITY
            for word in _words(segment)
        ]

    def _carefully(self, samples: NDArray[np.float32], language: str) -> list[Segment]:
        """Decode one chunk alone, with a beam and, where that does not help, at random."""
        try:
            segments, _ = self._loaded().model.transcribe(
                samples,
                language=language,
                beam_size=CAREFUL_BEAM,
                temperature=list(CAREFUL_TEMPERATURES),
                compression_ratio_threshold=MAX_COMPRESSION_RATIO,
                log_prob_threshold=MIN_AVERAGE_LOG_PROBABILITY,
                no_speech_threshold=MAX_NO_SPEECH_PROBABILITY,
                condition_on_previous_text=False,
                without_timestamps=True,
                word_timestamps=True,
                vad_filter=False,
            )
            return list(segments)
        except (RuntimeError, ValueError) as error:
            raise EngineFailed(f"{self.model_id} could not transcribe: {error}", hint=_FAILED_HINT) from error

    def _without_detector(self, samples: NDArray[np.float32], language: str) -> Iterator[LanguageFound | SpeechSegment]:
        """A short recording in which no voice was detected, though it is loud enough for one: the detector misses
        some. Only what Whisper is sure of counts."""
        found = LanguageFound(language, 1.0) if language else self._find_language(self._loaded().model, samples)
        words = self._careful_words(samples, found.language)
        if not words:
            return
        if float(np.mean([word.probability for word in words])) < RETRY_MIN_WORD_PROBABILITY:
            return
        if not language:
            yield found
        yield from sentences_of(words)

    def _find_language(self, model: WhisperModel, samples: NDArray[np.float32]) -> LanguageFound:
        if not model.model.is_multilingual:
            return LanguageFound("en", 1.0)
        language, probability, _ = model.detect_language(samples)
        return LanguageFound(language, float(probability))

    # ------------------------------------------------------------------ loading

    def _loaded(self) -> BatchedInferencePipeline:
        if self._pipeline is None:
            self._pipeline = self._load()
        return self._pipeline

    def _load(self) -> BatchedInferencePipeline:
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        try:
            model = WhisperModel(
                str(self._folder.absolute()),
                device=self._device,
                compute_type=self._compute_type,
                cpu_threads=self._threads,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise EngineFailed(
                f"{self.model_id} cannot be loaded: {error}", hint=f"run: homebody models verify {self.model_id}"
            ) from error
        return BatchedInferencePipeline(model)

    def close(self) -> None:
        """Give the memory back. Safe to call twice; not to be used afterwards."""
        self._pipeline = None


_FAILED_HINT = "choose a smaller model for speech, or close other programs: it may have run out of memory"


def supported_compute_types(device: str = "cpu") -> frozenset[str]:
    """What CTranslate2 can compute in here; empty where the device is not there."""
    import ctranslate2

    try:
        return frozenset(ctranslate2.get_supported_compute_types(device))
    except ValueError:
        return frozenset()


def cuda_devices() -> int:
    """GPUs that CTranslate2 can use: it knows CUDA and no other accelerator."""
    import ctranslate2

    try:
        return int(ctranslate2.get_cuda_device_count())
    except RuntimeError:
        return 0


def _is_doubtful(segment: Segment) -> bool:
    """Improbable, or repetitive in a way that nobody speaks: who says a sentence twice compresses well, too."""
    if segment.avg_logprob < MIN_AVERAGE_LOG_PROBABILITY or is_loop(segment.text.split()):
        return True
    return segment.compression_ratio > MAX_COMPRESSION_RATIO and segment.avg_logprob < SURE_LOG_PROBABILITY


def _words(segment: Segment) -> list[Word]:
    return [
        Word(float(word.start), float(word.end), word.word.strip(), float(word.probability))
        for word in segment.words or ()
        if word.word.strip()
    ]


def _moved(segment: Segment, by_s: float) -> Segment:
    """The same, with its words' times moved."""
    for word in segment.words or ():
        word.start, word.end = word.start + by_s, word.end + by_s
    return segment
