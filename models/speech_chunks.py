"""Stretches with voices, joined to chunks that a recogniser takes at once, and times mapped back to the recording.

Long pauses between the stretches are left out: a chunk costs the same however much of it is speech.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.speech import SAMPLE_RATE_HZ, Word

MAX_CHUNK_S = 29.0
"""Whisper takes 30 s at once."""
KEPT_PAUSE_S = 1.2
"""Between two stretches: Whisper was trained on speech with pauses, and leaves out words where there are none."""
JOINT_S = 1.0
"""Timestamps are that exact, at worst."""
AGAIN_S = 0.3
"""Sound that may be decoded a second time without its last word being heard again."""


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """Stretches of a recording, one after the other."""

    parts: tuple[tuple[int, int], ...]
    """As they were found: first sample and the one behind the last, in the recording."""

    @property
    def stretches(self) -> tuple[tuple[int, int], ...]:
        """The parts with the short pauses between them; what lies between two stretches is left out."""
        joined = [self.parts[0]]
        for before, part in itertools.pairwise(self.parts):
            if before[1] + _kept_pause(before, part) == part[0]:
                joined[-1] = (joined[-1][0], part[1])
            else:
                joined.append(part)
        return tuple(joined)

    @property
    def begins(self) -> list[int]:
        """Where each part begins in the chunk, in samples."""
        begins = [0]
        for before, behind in itertools.pairwise(self.parts):
            begins.append(begins[-1] + before[1] - before[0] + _kept_pause(before, behind))
        return begins

    @property
    def start(self) -> int:
        """Its first sample in the recording."""
        return self.parts[0][0]

    @property
    def length(self) -> int:
        """In samples, with the short pauses between its parts."""
        return sum(end - start for start, end in self.stretches)

    def samples(self, recording: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([recording[start:end] for start, end in self.stretches])

    def in_recording(self, phrases: Iterable[Word]) -> list[Word]:
        """Words and phrases with times in the chunk as words with times in the recording, never backwards.

        A phrase's time is shared out among its words by their letters. Where one begins a little before a joint and
        is said behind it, it begins at the joint: a recogniser cannot know of joints.
        """
        begins = [0]
        stretches = self.stretches
        for start, end in stretches[:-1]:
            begins.append(begins[-1] + end - start)
        joints_s = [begin / SAMPLE_RATE_HZ for begin in begins[1:]]
        mapped: list[Word] = []
        latest_s = self.start / SAMPLE_RATE_HZ
        for word in (word for phrase in phrases for word in shared_out(_off_joints(phrase, joints_s))):
            # A word belongs to the stretch in which its middle is: its edges may reach into the neighbours.
            index = self._stretch_at(begins, (word.start_s + word.end_s) / 2)
            first, last = (sample / SAMPLE_RATE_HZ for sample in stretches[index])
            offset_s = first - begins[index] / SAMPLE_RATE_HZ
            start_s = min(max(word.start_s + offset_s, first, latest_s), last)
            end_s = min(max(word.end_s + offset_s, start_s), max(last, start_s))
            latest_s = end_s
            mapped.append(replace(word, start_s=start_s, end_s=end_s))
        return mapped

    @staticmethod
    def _stretch_at(begins: Sequence[int], seconds: float) -> int:
        return max(0, bisect.bisect_right(begins, seconds * SAMPLE_RATE_HZ) - 1)


def pack_chunks(parts: Iterable[tuple[int, int]]) -> list[SpeechChunk]:
    """Join neighbouring parts to chunks of at most MAX_CHUNK_S; a longer one is cut.

    A pause of up to KEPT_PAUSE_S inside a chunk stays, what is longer is left out.
    """
    limit = int(MAX_CHUNK_S * SAMPLE_RATE_HZ)
    packed: list[list[tuple[int, int]]] = []
    filled = 0
    for start, end in parts:
        for first in range(start, end, limit):
            part = (first, min(first + limit, end))
            pause = _kept_pause(packed[-1][-1], part) if packed else 0
            if packed and filled + pause + part[1] - first <= limit:
                packed[-1].append(part)
                filled += pause + part[1] - first
            else:
                packed.append([part])
                filled = part[1] - first
    return [SpeechChunk(tuple(each)) for each in packed]


def _kept_pause(before: tuple[int, int], behind: tuple[int, int]) -> int:
    """Samples between two parts that a chunk of both keeps."""
    pause = behind[0] - before[1]
    return pause if pause <= KEPT_PAUSE_S * SAMPLE_RATE_HZ else 0


def without_start(chunk: SpeechChunk, done_samples: int) -> list[tuple[int, int]]:
    """What is left of a chunk behind so many samples of it, as it is in the recording.

    Whisper's seconds are not exact: the end of a part that is hardly more than that is left out with what came before.
    """
    left: list[tuple[int, int]] = []
    for (start, end), begin in zip(chunk.parts, chunk.begins, strict=True):
        done = done_samples - begin
        if done < AGAIN_S * SAMPLE_RATE_HZ:
            left.append((start, end))
        elif end - start - done > JOINT_S * SAMPLE_RATE_HZ:
            left.append((start + done, end))
    return left


def halves(chunk: SpeechChunk) -> tuple[SpeechChunk, SpeechChunk]:
    """Parted between two of its stretches, of which it must have two, as near its middle as can be."""
    _, cut = min((abs(begin - chunk.length / 2), index) for index, begin in enumerate(chunk.begins) if index)
    return SpeechChunk(chunk.parts[:cut]), SpeechChunk(chunk.parts[cut:])


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
