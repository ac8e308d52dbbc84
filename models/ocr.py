"""Reading the text in a picture: what an OCR engine takes and gives. Knows no engine, no file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels from the picture's top left."""
Quad = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
"""Corners in pixels, clockwise from the upper left one of the text as it is read."""


MODEL_ID = "pp-ocrv6-small"
"""Of the engine that homebody carries."""


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text that was found in a picture."""

    text: str
    quad: Quad
    score: float
    """How sure the engine is of the words, 0 to 1."""

    @property
    def box(self) -> Box:
        """The smallest upright box around it."""
        xs, ys = zip(*self.quad, strict=True)
        return (min(xs), min(ys), max(xs), max(ys))


class OcrEngine(Protocol):
    """One picture at a time: not safe to call from two threads at once."""

    @property
    def model_id(self) -> str: ...

    def read(self, rgb: NDArray[np.uint8], between: Callable[[], None] = lambda: None) -> list[TextLine]:
        """The lines in a picture of shape (height, width, 3), from top to bottom; empty when there are none.

        `between` is called between any two steps of some tenths of a second: it may wait, and may raise to end the
        work. Raises EngineFailed.
        """
        ...

    def close(self) -> None:
        """Let go of the engine. Safe to call twice."""
        ...
