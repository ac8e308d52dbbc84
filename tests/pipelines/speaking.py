"""A recogniser that says what it was told to, window by window."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.speech import SAMPLE_RATE_HZ, HeardUpTo, LanguageFound, SpeechSegment, Word

Said = SpeechSegment | LanguageFound | HeardUpTo | Exception | threading.Event


@dataclass(frozen=True, slots=True)
class Asked:
    """One window as it was given."""

    seconds: float
    language: str
    is_whole: bool
    is_last: bool = True
    exact_words: bool = False


class FakeRecogniser:
    """Satisfies `models.speech.SpeechModel`."""

    model_id = "fake-speech"

    def __init__(self) -> None:
        self.history: list[Asked] = []
        self._script: deque[list[Said]] = deque()

    def enqueue(self, *said: str | Said) -> None:
        """What the next window says; a text is a sentence that begins at second 1, the next one at second 3, …

        An event is set when its turn comes.
        """
        said_so_far = 0
        script: list[Said] = []
        for each in said:
            if isinstance(each, str):
                script.append(sentence(each, 1.0 + 2 * said_so_far))
                said_so_far += 1
            else:
                script.append(each)
        self._script.append(script)

    def said_of(self, samples: NDArray[np.float32], language: str) -> list[Said]:  # noqa: ARG002 (for those that listen)
        """What this window says: the next that was enqueued, or nothing."""
        return self._script.popleft() if self._script else []

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
        self.history.append(Asked(len(samples) / SAMPLE_RATE_HZ, language, is_whole, is_last, exact_words))
        for each in self.said_of(samples, language):
            if stop.is_set():
                return
            if isinstance(each, threading.Event):
                each.set()
            elif isinstance(each, Exception):
                raise each
            else:
                yield each

    def close(self) -> None:
        """Nothing to give back."""


def sentence(text: str, start_s: float) -> SpeechSegment:
    """Half a second a word."""
    words = tuple(
        Word(start_s + place / 2, start_s + (place + 1) / 2, word, 0.9) for place, word in enumerate(text.split())
    )
    return SpeechSegment(start_s, words[-1].end_s, text, words)
