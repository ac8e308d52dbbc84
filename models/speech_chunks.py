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
FULL_SHARE = 0.85
KEPT_PAUSE_S = 1.2
"""Between two stretches: Whisper was trained on speech with pauses, and leaves out words where there are none."""
JOINT_S = 1.0
"""Timestamps are that exact, at worst."""


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """Stretches of a recording, one after the other."""

    stretches: tuple[tuple[int, int], ...]
    """First sample and the one behind the last, in the recording."""

    @property
    def is_full(self) -> bool:
        """More would hardly fit into it."""
        return sum(end - start for start, end in self.stretches) >= FULL_SHARE * MAX_CHUNK_S * SAMPLE_RATE_HZ

    @property
    def start(self) -> int:
        """Its first sample in the recording."""
        return self.stretches[0][0]

    def samples(self, recording: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([recording[start:end] for start, end in self.stretches])

    def in_recording(self, phrases: Iterable[Word]) -> list[Word]:
        """Words and phrases with times in the chunk as words with times in the recording, never backwards.

        A phrase's time is shared out among its words by their letters. Where one begins a little before a joint and
        is said behind it, it begins at the joint: a recogniser cannot know of joints.
        """
        begins = [0]
        for start, end in self.stretches[:-1]:
            begins.append(begins[-1] + end - start)
        joints_s = [begin / SAMPLE_RATE_HZ for begin in begins[1:]]
        mapped: list[Word] = []
        latest_s = self.start / SAMPLE_RATE_HZ
        for word in (word for phrase in phrases for word in shared_out(_off_joints(phrase, joints_s))):
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


def pack_chunks(stretches: Iterable[tuple[int, int]]) -> list[SpeechChunk]:
    """Join neighbouring stretches to chunks of at most MAX_CHUNK_S; a longer one is cut.

    A pause of up to KEPT_PAUSE_S inside a chunk stays, what is longer is left out.
    """
    limit = int(MAX_CHUNK_S * SAMPLE_RATE_HZ)
    kept_pause = int(KEPT_PAUSE_S * SAMPLE_RATE_HZ)
    packed: list[list[tuple[int, int]]] = []
    filled = 0
    for start, end in stretches:
        for first in range(start, end, limit):
            last = min(first + limit, end)
            before = packed[-1][-1] if packed else (0, 0)
            pause = first - before[1]
            if packed and pause <= kept_pause and filled + pause + last - first <= limit:
                packed[-1][-1] = (before[0], last)
                filled += pause + last - first
            elif packed and filled + last - first <= limit:
                packed[-1].append((first, last))
                filled += last - first
            else:
                packed.append([(first, last)])
                filled = last - first
    return [SpeechChunk(tuple(each)) for each in packed]


def without_start(chunk: SpeechChunk, done_samples: int) -> list[tuple[int, int]]:
    """The stretches of a chunk, as they are in the recording, behind so many samples of it."""
    left: list[tuple[int, int]] = []
    for start, end in chunk.stretches:
        begin = start + min(done_samples, end - start)
        done_samples -= begin - start
        if begin < end:
            left.append((begin, end))
    return left


def shared_out(phrase: Word) -> list[Word]:
    """The words of a phrase, each with the share of its time that its letters have in it."""
    texts = phrase.text.split()
    letters = sum(map(len, texts))
    words: list[Word] = []
    at_s = phrase.start_s
    for each in texts:
        until_s = at_s + (phrase.end_s - phrase.start_s) * len(each) / letters
        words.append(Word(at_s, until_s, each, phrase.probability))
        at_s = until_s
    return words


def _off_joints(phrase: Word, joints_s: Sequence[float]) -> Word:
    for joint_s in joints_s:
        before_s, behind_s = joint_s - phrase.start_s, phrase.end_s - joint_s
        if 0 < before_s <= JOINT_S and behind_s > before_s:
            phrase = replace(phrase, start_s=joint_s)
        elif 0 < behind_s <= JOINT_S and before_s > behind_s:
            phrase = replace(phrase, end_s=joint_s)
    return phrase
