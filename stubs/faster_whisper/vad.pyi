import numpy as np
from numpy.typing import NDArray

class VadOptions:
    def __init__(
        self,
        threshold: float = ...,
        neg_threshold: float = ...,
        min_speech_duration_ms: int = ...,
        max_speech_duration_s: float = ...,
        min_silence_duration_ms: int = ...,
        speech_pad_ms: int = ...,
    ) -> None: ...

def get_speech_timestamps(
    audio: NDArray[np.float32], vad_options: VadOptions | None = ...
) -> list[dict[str, float]]: ...
