"""What a picture becomes for a language model: marks as tokens, and chunks of embeddings. Plain values.

Embeddings are costly to make and small to keep, so the last ones are kept by what the picture shows.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.chat import ImagePart
from models.llama_vocab import TokenIds
from models.token_sequence import TokenSequence

Embeddings = npt.NDArray[np.float32]
"""Shape (tokens, width of the model's input)."""


@dataclass(frozen=True, slots=True)
class ChunkShape:
    """What one chunk of a picture takes of the context: known before anything is encoded."""

    tokens: int
    positions: int
    grid: TokenIds | None = None
    """For models that count in three dimensions: time, row, column of each token and a fourth number, relative to the
    chunk's first position, shape (4, tokens). The fourth is not relative."""


Layout = tuple[TokenIds | ChunkShape, ...]
"""A picture of a certain size in the prompt: marks, and chunks."""


@dataclass(frozen=True, slots=True)
class PictureSpan:
    """A chunk of a picture in a prompt."""

    start: int
    """Index of its first token."""
    image: ImagePart
    chunk: int
    """Which one of the picture."""
    shape: ChunkShape


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is to read."""

    sequence: TokenSequence
    pictures: tuple[PictureSpan, ...] = ()

    def __len__(self) -> int:
        return len(self.sequence)

    @property
    def ids(self) -> TokenIds:
        return self.sequence.ids


class EncodedPictures:
    """The embeddings of the last pictures, at most `max_bytes` of them; the least recently used go first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, tuple[Embeddings, ...]] = OrderedDict()
        self.bytes = 0

    def get(self, digest: str) -> tuple[Embeddings, ...] | None:
        chunks = self._kept.get(digest)
        if chunks is not None:
            self._kept.move_to_end(digest)
        return chunks

    def put(self, digest: str, chunks: tuple[Embeddings, ...]) -> None:
        """One that is larger than all that may be kept is not kept."""
        size = _bytes(chunks)
        if size > self._max_bytes:
            return
        self.bytes += size - _bytes(self._kept.pop(digest, ()))
        self._kept[digest] = chunks
        while self.bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self.bytes -= _bytes(oldest)

    def clear(self) -> None:
        self._kept.clear()
        self.bytes = 0


def _bytes(chunks: tuple[Embeddings, ...]) -> int:
    return sum(chunk.nbytes for chunk in chunks)
