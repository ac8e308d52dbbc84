"""What the library needs from engines. `models` satisfies these by shape; `pipelines.factory` joins them.

The library imports no engine and no model: it is handed one of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class TextEmbedder(Protocol):
    """Turns text into unit-length vectors. Safe to call from several threads."""

    @property
    def model_id(self) -> str:
        """The catalogue's id."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of the weights file."""
        ...

    @property
    def dimension(self) -> int: ...

    @property
    def query_prefix(self) -> str: ...

    @property
    def passage_prefix(self) -> str: ...

    @property
    def max_tokens(self) -> int:
        """Longest input, special tokens included; what is longer is cut."""
        ...

    @property
    def arithmetic(self) -> str:
        """What the vectors are computed in, where one file allows several: "int8", "as shipped". Vectors of two
        kinds differ a little, so it belongs to the embedder's identity."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of the text alone, without special tokens, not cut: passages are measured in them."""
        ...

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of shape (len(texts), dimension), each of length 1, in the order given."""
        ...

    def iter_passages(self, texts: Sequence[str]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """The same in groups of some tenths of a second: (indices into `texts`, their vectors).

        Always the same groups for the same texts, so that a vector never depends on when it was computed.
        Closing the generator ends the work.
        """
        ...

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """A vector of shape (dimension,), of length 1."""
        ...


class ImageEncoder(Protocol):
    """Puts pictures and texts into one space. Safe to call from several threads."""

    @property
    def model_id(self) -> str: ...

    @property
    def sha256(self) -> str:
        """Hash of everything that decides what the vectors are."""
        ...

    @property
    def dimension(self) -> int: ...

    def encode_image(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """An upright picture of shape (height, width, 3); a vector of shape (dimension,), of length 1."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (len(texts), dimension), each of length 1, comparable with pictures' vectors."""
        ...


class Reranker(Protocol):
    """Says how well a passage answers a query, reading both together. Safe to call from several threads."""

    @property
    def model_id(self) -> str:
        """The catalogue's id."""
        ...

    def scores(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """Shape (len(passages),), in the order given: higher is better. Any scale; the same for every query."""
        ...
