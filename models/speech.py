"""The contract of speech recognisers: sound in, what is said out, sentence by sentence as it is recognised.

Knows no engine, no file and no microphone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
"""Of all sound that a recogniser is given; one channel."""


@dataclass(frozen=True, slots=True)
class Word:
    start_s: float
    end_s: float
    text: str
    """Without white space around it."""
    probability: float
    """As the recogniser sees it, 0 to 1."""


@dataclass(frozen=True, slots=True)
class SpeechSegment:
    """A sentence, or a part of one up to a pause."""

    start_s: float
    """From the beginning of the sound that was given."""
    end_s: float
    text: str
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class LanguageFound:
    """Told once, before the first segment, where the language was not given."""

    language: str
    """Two or three letters (ISO 639), as Whisper names it."""
    probability: float


@dataclass(frozen=True, slots=True)
class HeardUpTo:
    """Told last: everything before this sample is recognised. What is behind it wants to be given again, together with
    what follows: it is worth more then."""

    sample: int


class SpeechModel(Protocol):
    """One recogniser in memory. Not re-entrant: `models.resident` gives it to one user at a time."""

    @property
    def model_id(self) -> str: ...

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
        """What is said in some minutes of sound, in order; nothing where nothing is said.

        `samples`: (samples,) at 16 kHz, -1 to 1. `language` is found where it is empty. `is_whole` says that this is
        all of a recording, so that a short one in which no voice was detected is worth another try; `is_last`, that
        nothing follows: otherwise HeardUpTo may leave up to half of the sound for the next time, and where it is not
        told, all is recognised. `exact_words` finds the seconds of each word, which costs a tenth more; otherwise
        those of sentences are shared out among their words. Ends early once `stop` is set. Raises EngineFailed.
        """
        ...

    def close(self) -> None: ...
