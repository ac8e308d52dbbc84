"""A user's own labels for pictures, by the CLIP that is installed: what of a list a picture shows.

The vectors of the labels are kept on the disk, since a list is compared with many pictures and changes seldom. Knows
nothing of files of pictures.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.graph_cache import GraphCache
from models.image_encoder import ZeroShotLabels
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
        self._names = names
        self._cache = GraphCache(cache_dir)
        self._lock = threading.Lock()
        self._labels: ZeroShotLabels | None = None
        self._of_sha256 = ""

    def compare(self, rgb: NDArray[np.uint8]) -> list[Label]:
        """Every label with its probability, likeliest first, for a picture of shape (height, width, 3).

        Raises WeightsMissing without a CLIP, WeightsDamaged, NotEnoughMemory, EngineFailed.
        """
        encoder = self._clip.encoder()
        vector = encoder.encode_image(rgb)
        with self._lock:
            if self._labels is None or self._of_sha256 != encoder.sha256:
                self._labels = ZeroShotLabels(encoder, self._names, cache=self._cache)
                self._of_sha256 = encoder.sha256
        return self._labels.of(vector)

    def compare_if_possible(self, rgb: NDArray[np.uint8]) -> list[Label]:
        """As `compare`; nothing without labels or without a CLIP, or with one that does not work: that is logged."""
        if not any(name.strip() for name in self._names) or not self._clip.model_id():
            return []
        try:
            return self.compare(rgb)
        except ModelError as error:
            LOGGER.warning("pictures get no labels of the user's own: %s", error)
            return []


def sure_of(labels: Sequence[Label]) -> tuple[Label, ...]:
    """Those that may be said of the picture, likeliest first."""
    return tuple(each for each in labels if each.score >= SURE)[:MOST_SAID]
