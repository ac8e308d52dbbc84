from collections.abc import Sequence

from ctranslate2 import StorageView

class WhisperGenerationResult:
    sequences_ids: list[list[int]]
    scores: list[float]
    no_speech_prob: float

class Whisper:
    is_multilingual: bool
    device: str
    def generate(
        self,
        features: StorageView,
        prompts: Sequence[Sequence[int]],
        *,
        beam_size: int = ...,
        num_hypotheses: int = ...,
        sampling_topk: int = ...,
        sampling_temperature: float = ...,
        return_scores: bool = ...,
        return_no_speech_prob: bool = ...,
        suppress_tokens: Sequence[int] = ...,
        max_initial_timestamp_index: int = ...,
    ) -> list[WhisperGenerationResult]: ...
    def detect_language(self, features: StorageView) -> list[list[tuple[str, float]]]: ...
