"""The contract of encoders that put pictures and texts into one space, and zero-shot labels by one.

Satisfies `rag.ports.ImageEncoder` by shape. Knows no engine and no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

LABEL_WORDINGS = ("{}", "a photo of a {}", "a picture of a {}")
"""A label is looked for in several wordings, whose mean is less moody than any one (Radford et al. 2021, 3.1.4)."""
LABEL_SHARPNESS = 100.0
"""What cosines are multiplied by before they become shares: where CLIP's training clamps its own factor."""


class ImageEncoder(Protocol):
    """One encoder in memory. Safe to call from several threads."""

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

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ZeroShotLabel:
    name: str
    score: float
    """The share among the labels given; all of them together make 1."""
    cosine: float


class ZeroShotLabels:
    """A user's own list of labels, encoded once, compared with any number of pictures."""

    def __init__(self, encoder: ImageEncoder, labels: Sequence[str]) -> None:
        """Labels that come twice count once. Raises ValueError without any, EngineFailed."""
        self._names = tuple(dict.fromkeys(label.strip() for label in labels if label.strip()))
        if not self._names:
            raise ValueError("no labels were given")
        texts = [wording.format(name) for name in self._names for wording in LABEL_WORDINGS]
        vectors = encoder.encode_texts(texts).reshape(len(self._names), len(LABEL_WORDINGS), -1).mean(axis=1)
        self._vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def of(self, image_vector: NDArray[np.float32]) -> list[ZeroShotLabel]:
        """Every label, the likeliest first, for a picture's vector of shape (dimension,)."""
        cosines = self._vectors @ image_vector
        shares = np.exp(LABEL_SHARPNESS * (cosines - cosines.max()))
        shares /= shares.sum()
        order = np.argsort(-cosines, kind="stable")
        return [ZeroShotLabel(self._names[at], float(shares[at]), float(cosines[at])) for at in order]
