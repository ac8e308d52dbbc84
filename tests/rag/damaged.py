"""Damage with fixed seeds, for the readers' tests: a reader may raise a ReadError for it, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterator


def damaged(content: bytes, count: int = 60, seed: int = 20250314) -> Iterator[bytes]:
    """Cut off, bits flipped, a stretch gone, a stretch repeated: `count` of them, the same every time."""
    chance = random.Random(seed)
    for number in range(count):
        at, length = chance.randrange(len(content)), chance.randrange(1, 200)
        if number % 4 == 0:
            yield content[:at]
        elif number % 4 == 1:
            flipped = bytearray(content)
            for _ in range(chance.choice([1, 8, 64])):
                flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
            yield bytes(flipped)
        elif number % 4 == 2:
            yield content[:at] + content[at + length :]
        else:
            yield content[:at] + content[at : at + length] * 3 + content[at + length :]
