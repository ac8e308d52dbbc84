"""Stretches with voices, joined to chunks that a recogniser takes at once, and times mapped back to the recording.

What lies between the stretches is left out: a chunk costs the same however much of it is speech.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.speech import SAMPLE_RATE_HZ, Word

MAX_CHUNK_S = 29.0
"""Whisper takes 30 s at once."""


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """Stretches of a recording, one after the other."""

    samples: NDArray[np.float32]
    stretches: tuple[tuple[int, int], ...]
    """First sample and the one behind the last, in the recording."""

    def in_recording(self, words: Iterable[Word]) -> list[Word]:
        """Words with times in the chunk as words with times in the recording, never backwards."""
        begins = [0]
        for start, end in self.stretches[:-1]:
            begins.append(begins[-1] + end - start)
        mapped: list[Word] = []
        latest_s = self.stretches[0][0] / SAMPLE_RATE_HZ
        for word in words:
            # A word belongs to the stretch in which its middle is: its edges may reach into the neighbours.
            index = self._stretch_at(begins, (word.start_s + word.end_s) / 2)
            first, last = (sample / SAMPLE_RATE_HZ for sample in self.stretches[index])
            offset_s = first - begins[index] / SAMPLE_RATE_HZ
            start_s = min(max(word.start_s + offset_s, first, latest_s), last)
            end_s = min(max(word.end_s + offset_s, start_s), max(last, start_s))
            latest_s = end_s
            mapped.append(replace(word, start_s=start_s, end_s=end_s))
        return mapped

    @staticmethod
    def _stretch_at(begins: Sequence[int], seconds: float) -> int:
        return max(0, bisect.bisect_right(begins, seconds * SAMPLE_RATE_HZ) - 1)


def pack_chunks(samples: NDArray[np.float32], stretches: Iterable[tuple[int, int]]) -> list[SpeechChunk]:
    """Join neighbouring stretches to chunks of at most MAX_CHUNK_S; a longer one is cut."""
    limit = int(MAX_CHUNK_S * SAMPLE_RATE_HZ)
    packed: list[list[tuple[int, int]]] = []
    filled = 0
    for start, end in stretches:
        for first in range(start, end, limit):
            last = min(first + limit, end)
            if not packed or filled + last - first > limit:
                packed.append([])
                filled = 0
            packed[-1].append((first, last))
            filled += last - first
    return [SpeechChunk(np.concatenate([samples[start:end] for start, end in each]), tuple(each)) for each in packed]
