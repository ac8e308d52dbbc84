from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from ctranslate2 import StorageView
from ctranslate2.models import Whisper
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.tokenizer import Tokenizer
from numpy.typing import NDArray
from tokenizers import Tokenizer as HfTokenizer

class _TimedWord(TypedDict):
    word: str
    start: float
    end: float
    probability: float

class WhisperModel:
    model: Whisper
    feature_extractor: FeatureExtractor
    hf_tokenizer: HfTokenizer
    frames_per_second: int
    def __init__(
        self,
        model_size_or_path: str,
        device: str = ...,
        compute_type: str = ...,
        cpu_threads: int = ...,
        local_files_only: bool = ...,
    ) -> None: ...
    def encode(self, features: NDArray[np.float32]) -> StorageView: ...
    def get_prompt(
        self, tokenizer: Tokenizer, previous_tokens: list[int], without_timestamps: bool = ...
    ) -> list[int]: ...
    def find_alignment(
        self,
        tokenizer: Tokenizer,
        text_tokens: Sequence[Sequence[int]],
        encoder_output: StorageView,
        num_frames: int | Sequence[int],
    ) -> list[list[_TimedWord]]: ...

def get_suppressed_tokens(tokenizer: Tokenizer, suppress_tokens: Sequence[int]) -> tuple[int, ...]: ...
def get_compression_ratio(text: str) -> float: ...
def merge_punctuations(alignment: list[_TimedWord], prepended: str, appended: str) -> None: ...
