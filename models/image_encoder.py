"""The contract of encoders that put pictures and texts into one space, and zero-shot labels by one.

Satisfies `rag.ports.ImageEncoder` by shape. Knows no engine and no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.graph_cache import GraphCache
from models.labels import Label

LABEL_WORDINGS = ("{}", "a photo of a {}", "a picture of a {}")
"""A label is looked for in several wordings, whose mean is less moody than any one (Radford et al. 2021, 3.1.4)."""
NO_LABEL = ("a photo", "a picture", "something else")
"""What a picture is compared with besides the labels: of labels that all miss one would be the likeliest."""
USUAL_LOGIT_SCALE = 100.0
"""Where CLIP's training clamps its factor, and where those of OpenAI and LAION ended."""


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

    @property
    def logit_scale(self) -> float:
        """What cosines of a picture with texts are multiplied by to become logits: learnt with the model."""
        ...

    def encode_image(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """An upright picture of shape (height, width, 3); a vector of shape (dimension,), of length 1."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (len(texts), dimension), each of length 1, comparable with pictures' vectors."""
        ...

    def close(self) -> None: ...


class ZeroShotLabels:
    """A user's own list of labels, encoded once, compared with any number of pictures."""

    def __init__(self, encoder: ImageEncoder, labels: Sequence[str], *, cache: GraphCache | None = None) -> None:
        """Labels that come twice count once. `cache` keeps their vectors, under the encoder's hash.

        Raises ValueError without any label, EngineFailed.
        """
        self.names = tuple(dict.fromkeys(label.strip() for label in labels if label.strip()))
        if not self.names:
            raise ValueError("no labels were given")
        self._logit_scale = encoder.logit_scale
        wordings = [[wording.format(name) for wording in LABEL_WORDINGS] for name in self.names]

        def encoded() -> bytes:
            rows = [encoder.encode_texts(texts).mean(axis=0) for texts in (*wordings, NO_LABEL)]
            return np.stack(rows).astype(np.float32).tobytes()

        key = f"labels {wordings} {NO_LABEL}"
        content = (cache or GraphCache(None)).get_or_make(encoder.sha256, key, encoded)
        vectors = np.frombuffer(content, np.float32).reshape(len(self.names) + 1, encoder.dimension)
        self._vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def of(self, image_vector: NDArray[np.float32]) -> list[Label]:
        """Every label, the likeliest first, for a picture's vector of shape (dimension,).

        A score is the label's probability among all of them and none of them.
        """
        logits = self._logit_scale * (self._vectors @ image_vector)
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        order = np.argsort(-shares[:-1], kind="stable")
        return [Label(self.names[at], float(shares[at])) for at in order]
