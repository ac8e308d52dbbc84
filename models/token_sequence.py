"""A sequence of tokens with the position of each, and the places where it may be cut.

Text has one position a token. A picture stands in the sequence as tokens too, but with fewer positions where the model
counts in three dimensions (M-RoPE), and it must not be cut in two. Its ids are negative and made from what it shows, so
that comparing ids compares pictures, in memory and in what is kept on disk. Knows no engine.
"""

from __future__ import annotations

import hashlib

import numpy as np

from models.llama_vocab import TokenIds


def picture_ids(digest: str, chunk: int, count: int) -> TokenIds:
    """Ids for one chunk of a picture: below 0, where no vocabulary has any. int32, shape (count,)."""
    stream = hashlib.shake_128(f"{digest}/{chunk}".encode()).digest(4 * count)
    return -1 - (np.frombuffer(stream, dtype="<u4") & np.uint32(0x7FFFFFFF)).astype(np.int32)


class TokenSequence:
    """Grows at its end and is cut there. Holds at most `capacity` tokens."""

    def __init__(self, capacity: int) -> None:
        self._ids: TokenIds = np.empty(capacity, dtype=np.int32)
        self._positions: TokenIds = np.empty(capacity, dtype=np.int32)
        self._begins: TokenIds = np.empty(capacity, dtype=np.int32)
        """Of each token the index at which what it belongs to begins: itself, or its picture."""
        self._count = 0
        self.next_position = 0
        """That of a token that would come next."""

    def __len__(self) -> int:
        return self._count

    @property
    def ids(self) -> TokenIds:
        """A view: valid until the next change."""
        return self._ids[: self._count]

    @property
    def has_pictures(self) -> bool:
        return bool((self.ids < 0).any())

    def append(self, ids: TokenIds) -> None:
        start, end = self._room(len(ids))
        self._ids[start:end] = ids
        self._positions[start:end] = np.arange(self.next_position, self.next_position + len(ids), dtype=np.int32)
        self._begins[start:end] = np.arange(start, end, dtype=np.int32)
        self._count = end
        self.next_position += len(ids)

    def append_one(self, token: int) -> None:
        """`append` for one token, without anything that a loop over tokens does not need."""
        at = self._count
        self._ids[at] = token
        self._positions[at] = self.next_position
        self._begins[at] = at
        self._count = at + 1
        self.next_position += 1

    def append_picture(self, ids: TokenIds, positions: int) -> None:
        """A chunk of a picture, which takes so many positions; it is cut as a whole or not at all."""
        start, end = self._room(len(ids))
        self._ids[start:end] = ids
        self._positions[start:end] = self.next_position
        self._begins[start:end] = start
        self._count = end
        self.next_position += positions

    def place_to_cut(self, count: int) -> int:
        """The largest number of tokens, at most `count`, that can be kept."""
        return int(self._begins[count]) if 0 <= count < self._count else min(max(count, 0), self._count)

    def position_at(self, count: int) -> int:
        """Where the rest begins when `count` tokens are kept."""
        return int(self._positions[count]) if count < self._count else self.next_position

    def cut(self, count: int) -> None:
        """Keep the first `count` tokens: a place to cut."""
        self.next_position = self.position_at(count)
        self._count = count

    def begin_as(self, other: TokenSequence, count: int) -> None:
        """Become the first `count` tokens of another one."""
        self._count = 0
        _, end = self._room(count)
        for own, theirs in (
            (self._ids, other._ids),
            (self._positions, other._positions),
            (self._begins, other._begins),
        ):
            own[:end] = theirs[:end]
        self._count = end
        self.next_position = other.position_at(count)

    def _room(self, count: int) -> tuple[int, int]:
        end = self._count + count
        if end > len(self._ids):
            raise ValueError(f"{end} tokens in a sequence for {len(self._ids)}")
        return self._count, end
