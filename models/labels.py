"""Naming what a picture shows: what a labeller takes and gives. Knows no engine, no file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

MODEL_ID = "efficientnet-lite2"
"""Of the labeller that homebody carries."""


@dataclass(frozen=True, slots=True)
class Label:
    """Something that a picture may show."""

    name: str
    score: float
    """How sure the engine is, 0 to 1."""
    also: tuple[str, ...] = ()
    """Other words for it, and what it is a kind of: `dog` of a golden retriever."""


class Labeller(Protocol):
    """Thread-safe."""

    @property
    def model_id(self) -> str: ...

    def labels(self, rgb: NDArray[np.uint8]) -> list[Label]:
        """What a picture of shape (height, width, 3) may show, surest first; empty where nothing is sure enough.

        Raises EngineFailed.
        """
        ...

    def close(self) -> None:
        """Let go of the engine. Safe to call twice."""
        ...
