from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

class Word:
    start: float
    end: float
    word: str
    probability: float

class Segment:
    seek: int
    start: float
    end: float
    text: str
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: list[Word] | None

class TranscriptionInfo:
    language: str
    language_probability: float

class _CTranslate2Whisper:
    is_multilingual: bool

class WhisperModel:
    model: _CTranslate2Whisper
    frames_per_second: int
    def __init__(
        self,
        model_size_or_path: str,
        device: str = ...,
        compute_type: str = ...,
        cpu_threads: int = ...,
        local_files_only: bool = ...,
    ) -> None: ...
    def transcribe(
        self,
        audio: NDArray[np.float32],
        *,
        language: str | None = ...,
        beam_size: int = ...,
        temperature: float | Sequence[float] = ...,
        compression_ratio_threshold: float | None = ...,
        log_prob_threshold: float | None = ...,
        no_speech_threshold: float | None = ...,
        condition_on_previous_text: bool = ...,
        without_timestamps: bool = ...,
        word_timestamps: bool = ...,
        vad_filter: bool = ...,
    ) -> tuple[Iterable[Segment], TranscriptionInfo]: ...
    def detect_language(self, audio: NDArray[np.float32]) -> tuple[str, float, list[tuple[str, float]]]: ...

class BatchedInferencePipeline:
    model: WhisperModel
    def __init__(self, model: WhisperModel) -> None: ...
    def transcribe(
        self,
        audio: NDArray[np.float32],
        *,
        language: str | None = ...,
        clip_timestamps: Sequence[dict[str, float]] = ...,
        vad_filter: bool = ...,
        batch_size: int = ...,
        beam_size: int = ...,
        temperature: float = ...,
        without_timestamps: bool = ...,
        word_timestamps: bool = ...,
    ) -> tuple[Iterable[Segment], TranscriptionInfo]: ...
