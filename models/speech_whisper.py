"""Whisper by faster-whisper on CTranslate2, from files on this disk only.

Sound is first looked through for voices (Silero's detector, which faster-whisper carries), the voices with voices
are joined to chunks of almost 30 s, and these are decoded several at a time. What a chunk leaves out at its end, and
what does not fill one, goes on in the next: every chunk costs the same, however much of it is speech.

A Whisper that hears nothing makes something up. What guards against it: no chunk without a voice is decoded; one that
came out improbable or repetitive is decoded again with more care; what is still so is dropped, and so are loops. One
that loops, as a laugh can make it, is first decoded again in halves, that the words around the laugh are not lost.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import EngineFailed, WeightsDamaged
from models.speech import SAMPLE_RATE_HZ, HeardUpTo, LanguageFound, SpeechSegment, Word
from models.speech_chunks import SpeechChunk, halves, pack_chunks, shared_out, without_start
from models.speech_sentences import is_loop, sentences_of
from models.speech_sound import is_silent, may_be_voice
from models.whisper_decoding import Decoded, WhisperDecoder

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
MIN_PROGRESS_S = 0.3
"""A chunk that stopped before this said nothing, and would say nothing again."""
MIN_REST_S = 1.5
"""What is left of a chunk is worth another one from here on. Some of Whisper's timestamps are whole seconds: from less
than this it hears the last word again, or makes one up."""
MOST_RESTS = 3
"""Times that one stretch goes on in a next chunk."""
HALVED_FROM_S = 10.0
"""A chunk that loops is parted from this length on: a laugh takes seconds, and a half costs as much as a chunk."""


@dataclass(frozen=True, slots=True)
class WhisperOptions:
    """How voices are found and chunks decoded; measured in LOG.md."""

    beam: int = 3
    batch: int = 4
    """Chunks at a time."""
    voice_threshold: float = 0.2
    """Of the voice detector. It gives a voice on the telephone 0.2 to 0.5, and noise, hum and tones up to 0.12."""
    silence_threshold: float = 0.1
    """A stretch ends below it."""
    min_silence_ms: int = 300
    """Where a pause is, a chunk may end."""
    pad_ms: int = 400
    """Kept around each stretch with a voice."""
    max_stretch_s: float = 12.0
    """A longer one is parted at its longest pause: short ones fill chunks better."""


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
        self._decoder: WhisperDecoder | None = self._load()

    # ------------------------------------------------------------------ threads

    @property
    def threads(self) -> int:
        return self._threads

    def set_threads(self, threads: int) -> None:
        """From the next call of `transcribe` on. CTranslate2 takes the number when it loads: it loads again."""
        if threads != self._threads and self._device == "cpu":
            self._threads = threads
            self._decoder = None

    # ------------------------------------------------------------------ recognising

    def transcribe(
        self,
        samples: NDArray[np.float32],
        *,
        language: str = "",
        is_whole: bool = True,
        is_last: bool = True,
        exact_words: bool = False,
        stop: threading.Event,
    ) -> Iterator[LanguageFound | SpeechSegment | HeardUpTo]:
        """See `models.speech.SpeechModel`."""
        if is_silent(samples):
            return
        voices = self._voices(samples)
        if not voices:
            if is_whole and len(samples) <= RETRY_UP_TO_S * SAMPLE_RATE_HZ and may_be_voice(samples):
                yield from self._without_detector(samples, language, exact_words)
            return
        heard_up_to = len(samples)
        if not is_last:
            voices, heard_up_to = self._worth_decoding(voices, len(samples))
        yield from self._recognised(samples, voices, language, exact_words, stop)
        if not stop.is_set():
            yield HeardUpTo(heard_up_to)

    def _voices(self, samples: NDArray[np.float32]) -> list[tuple[int, int]]:
        from faster_whisper.vad import VadOptions, get_speech_timestamps

        options = self._options
        found = get_speech_timestamps(
            samples,
            VadOptions(
                threshold=options.voice_threshold,
                neg_threshold=options.silence_threshold,
                min_speech_duration_ms=100,
                max_speech_duration_s=options.max_stretch_s,
                min_silence_duration_ms=options.min_silence_ms,
                speech_pad_ms=options.pad_ms,
            ),
        )
        return [(int(each["start"]), int(each["end"])) for each in found]

    def _worth_decoding(self, voices: list[tuple[int, int]], samples: int) -> tuple[list[tuple[int, int]], int]:
        """The voices to decode now, and up to which sample that is: the last chunk, and chunks that do not fill a
        batch, come again with what follows them. At least half of the sound is always done with."""
        chunks = pack_chunks(voices)
        wanted = len(chunks) - 1
        if wanted > self._options.batch:
            wanted -= wanted % self._options.batch
        while wanted < len(chunks) and chunks[wanted].start < samples // 2:
            wanted += 1
        now = [part for chunk in chunks[:wanted] for part in chunk.parts]
        return now, chunks[wanted].start if wanted < len(chunks) else samples

    def _recognised(
        self,
        samples: NDArray[np.float32],
        voices: list[tuple[int, int]],
        language: str,
        exact_words: bool,
        stop: threading.Event,
    ) -> Iterator[LanguageFound | SpeechSegment]:
        """Decode chunks lot by lot; a lot's rests are packed anew with the voices that wait."""
        heard: list[Word] = []
        chunks = pack_chunks(voices)
        rests_left = MOST_RESTS * len(chunks)
        while chunks:
            if stop.is_set():
                return
            lot, chunks = chunks[: self._options.batch], chunks[self._options.batch :]
            rests: list[tuple[int, int]] = []
            with self._failures_told():
                encoded = self._loaded().encode([chunk.samples(samples) for chunk in lot])
                if not language:
                    found = self._loaded().language(encoded)
                    yield found
                    language = found.language
                decoded = self._loaded().decode(encoded, language, beam=self._options.beam, exact_words=exact_words)
            for tried, first_try in zip(lot, decoded, strict=True):
                for chunk, result in self._believable(samples, tried, first_try, language, exact_words, stop):
                    heard += chunk.in_recording(result.phrases)
                    if result.ended_s is not None and result.ended_s >= MIN_PROGRESS_S:
                        rest = without_start(chunk, int(result.ended_s * SAMPLE_RATE_HZ))
                        rests += rest if _is_worth_it(samples, rest) else []
            if rests and rests_left > 0:
                rests_left -= 1
                waiting = [part for chunk in chunks for part in chunk.parts]
                chunks = pack_chunks(sorted([*rests, *waiting]))
            heard.sort(key=lambda word: word.start_s)
            known_to_s = chunks[0].start / SAMPLE_RATE_HZ if chunks else float("inf")
            ready = [word for word in heard if word.end_s <= known_to_s]
            heard = heard[len(ready) :]
            yield from sentences_of(ready)

    def _believable(
        self,
        samples: NDArray[np.float32],
        chunk: SpeechChunk,
        decoded: Decoded,
        language: str,
        exact_words: bool,
        stop: threading.Event,
    ) -> Iterator[tuple[SpeechChunk, Decoded]]:
        """A chunk as it was decoded; where that is doubtful, decoded again in halves or with care, if that helps."""
        if not is_doubtful(decoded):
            yield chunk, decoded
        elif stop.is_set():
            return
        elif is_repetitive(decoded) and _may_be_halved(chunk, decoded):
            parts = halves(chunk)
            with self._failures_told():
                encoded = self._loaded().encode([part.samples(samples) for part in parts])
                tries = self._loaded().decode(encoded, language, beam=self._options.beam, exact_words=exact_words)
            for part, each in zip(parts, tries, strict=True):
                yield from self._believable(samples, part, each, language, exact_words, stop)
        elif (careful := self._careful(chunk.samples(samples), language, exact_words)) is not None:
            yield chunk, careful

    def _careful(self, samples: NDArray[np.float32], language: str, exact_words: bool) -> Decoded | None:
        """One chunk decoded alone, with a wider beam and, where that does not help, at random; None where it is still
        doubtful, or more likely no speech."""
        with self._failures_told():
            encoded = self._loaded().encode([samples])
            for temperature in CAREFUL_TEMPERATURES:
                (decoded,) = self._loaded().decode(
                    encoded, language, beam=CAREFUL_BEAM, temperature=temperature, exact_words=exact_words
                )
                if decoded.no_speech_probability > MAX_NO_SPEECH_PROBABILITY:
                    return None  # of the sound, not of the try
                if not is_doubtful(decoded):
                    return decoded
        return None

    def _without_detector(
        self, samples: NDArray[np.float32], language: str, exact_words: bool
    ) -> Iterator[LanguageFound | SpeechSegment]:
        """A short recording in which no voice was detected, though it is loud enough for one: the detector misses
        some. Only what Whisper is sure of counts."""
        found = LanguageFound(language, 1.0)
        if not language:
            with self._failures_told():
                found = self._loaded().language(self._loaded().encode([samples]))
        decoded = self._careful(samples, found.language, exact_words)
        if decoded is None or not decoded.phrases:
            return
        if float(np.mean([phrase.probability for phrase in decoded.phrases])) < RETRY_MIN_WORD_PROBABILITY:
            return
        if not language:
            yield found
        yield from sentences_of([word for phrase in decoded.phrases for word in shared_out(phrase)])

    @contextmanager
    def _failures_told(self) -> Iterator[None]:
        """Raises EngineFailed for what CTranslate2 raises in the block."""
        try:
            yield
        except (RuntimeError, ValueError) as error:
            raise EngineFailed(f"{self.model_id} could not transcribe: {error}", hint=_FAILED_HINT) from error

    # ------------------------------------------------------------------ loading

    def _loaded(self) -> WhisperDecoder:
        if self._decoder is None:
            self._decoder = self._load()
        return self._decoder

    def _load(self) -> WhisperDecoder:
        from faster_whisper import WhisperModel

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
        return WhisperDecoder(model)

    def close(self) -> None:
        """Give the memory back. Safe to call twice; not to be used afterwards."""
        self._decoder = None


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


def _is_worth_it(samples: NDArray[np.float32], voices: Sequence[tuple[int, int]]) -> bool:
    """Long enough for a word, and not silent."""
    if sum(end - start for start, end in voices) < MIN_REST_S * SAMPLE_RATE_HZ:
        return False
    return not all(is_silent(samples[start:end]) for start, end in voices)


def _may_be_halved(chunk: SpeechChunk, decoded: Decoded) -> bool:
    if len(chunk.parts) < 2 or decoded.no_speech_probability > MAX_NO_SPEECH_PROBABILITY:
        return False
    return chunk.length >= HALVED_FROM_S * SAMPLE_RATE_HZ


def is_doubtful(decoded: Decoded) -> bool:
    """Improbable, or repetitive."""
    if not decoded.phrases:
        return False
    likely = decoded.average_log_probability
    if decoded.no_speech_probability > MAX_NO_SPEECH_PROBABILITY and likely < SURE_LOG_PROBABILITY:
        return True
    return likely < MIN_AVERAGE_LOG_PROBABILITY or is_repetitive(decoded)


def is_repetitive(decoded: Decoded) -> bool:
    """In a way that nobody speaks: who says a sentence twice compresses well, too, but is heard clearly."""
    if is_loop(decoded.texts):
        return True
    return decoded.compression_ratio > MAX_COMPRESSION_RATIO and decoded.average_log_probability < SURE_LOG_PROBABILITY
