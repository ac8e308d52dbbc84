"""A user's own labels for pictures, by the CLIP that is installed: what of a list a picture shows.

The vectors of the labels are kept on the disk, since a list is compared with many pictures and changes seldom. Knows
nothing of files of pictures.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.graph_cache import GraphCache
from models.image_encoder import LABEL_WORDINGS, NO_LABEL, ImageEncoder, ZeroShotLabels
from models.labels import Label
from pipelines.clip_engine import ClipEngine

LOGGER = logging.getLogger(__name__)

SURE = 0.3
"""Of a label's probability: what is less likely is not said of a picture."""
MOST_SAID = 3


class OwnLabels:
    """Thread-safe. The CLIP is loaded when a picture is first compared."""

    def __init__(self, clip: ClipEngine, names: Sequence[str], cache_dir: Path) -> None:
        self._clip = clip
        self.names = tuple(name for name in names if name.strip())
        self._cache = GraphCache(cache_dir)
        self._lock = threading.Lock()
        self._labels: ZeroShotLabels | None = None
        self._of_sha256 = ""

    def compare(self, rgb: NDArray[np.uint8]) -> list[Label]:
        """Every label with its probability, likeliest first, for a picture of shape (height, width, 3).

        Raises WeightsMissing without a CLIP, WeightsDamaged, NotEnoughMemory, EngineFailed.
        """
        encoder = self._clip.encoder()
        return self._for(encoder).of(encoder.encode_image(rgb))

    def for_vectors_of(self, encoder_sha256: str) -> ZeroShotLabels | None:
        """The labels, to be compared with vectors that are there already; None where another CLIP made those.

        Raises as `compare`.
        """
        encoder = self._clip.encoder()
        return self._for(encoder) if encoder.sha256 == encoder_sha256 else None

    def _for(self, encoder: ImageEncoder) -> ZeroShotLabels:
        with self._lock:
            if self._labels is None or self._of_sha256 != encoder.sha256:
                self._labels = ZeroShotLabels(encoder, self.names, cache=self._cache)
                self._of_sha256 = encoder.sha256
            return self._labels

    @property
    def model_id(self) -> str:
        """The CLIP that compares; empty where there is none."""
        return self._clip.model_id()

    def identity(self, encoder_sha256: str) -> str:
        """Changes with everything that decides which labels are said of a picture; empty without labels."""
        if not self.names:
            return ""
        decides = [self.names, encoder_sha256, LABEL_WORDINGS, NO_LABEL, SURE, MOST_SAID]
        return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]

    def compare_if_possible(self, rgb: NDArray[np.uint8]) -> list[Label]:
        """As `compare`; nothing without labels or without a CLIP, or with one that does not work: that is logged."""
        if not self.names or not self._clip.model_id():
            return []
        try:
            return self.compare(rgb)
        except ModelError as error:
            LOGGER.warning("pictures get no labels of the user's own: %s", error)
            return []


def sure_of(labels: Sequence[Label]) -> tuple[Label, ...]:
    """Those that may be said of the picture, likeliest first."""
    return tuple(each for each in labels if each.score >= SURE)[:MOST_SAID]
