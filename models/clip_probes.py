"""Pictures and texts on which two ways of computing a CLIP must agree.

Drawn here, the same everywhere: flat colours, gradients, stripes, noise of several grains, shapes. They span what a
picture's statistics can be; a user's own pictures say more, and can be given instead where this is used.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE_PX = 256

PROBE_TEXTS = (
    "a photo of a dog on a beach",
    "a screenshot of an invoice with a table of amounts",
    "a red bicycle leaning against a brick wall",
    "three blue triangles",
    "handwriting on lined paper",
    "the receipt from the hardware store, 14 March 2025",
    "people at a birthday party, a cake with candles",
    "a map of the city centre",
    "sunset over mountains",
    "a diagram of a network with arrows",
    "a black digit 7 above a yellow square",
    "cat",
)


def probe_pictures(count: int = 12) -> list[NDArray[np.uint8]]:
    """So many pictures of shape (SIDE_PX, SIDE_PX, 3), always the same ones."""
    dice = np.random.default_rng(14)
    return [_picture(number, dice) for number in range(count)]


def _picture(number: int, dice: np.random.Generator) -> NDArray[np.uint8]:
    down, across = np.mgrid[0:SIDE_PX, 0:SIDE_PX] / SIDE_PX
    first, second = dice.uniform(0, 255, (2, 3))
    values: NDArray[np.floating]
    match number % 4:
        case 0:  # a gradient between two colours
            share = across * dice.uniform(0.2, 1) + down * dice.uniform(0.2, 1)
            values = _between(first, second, share / share.max())
        case 1:  # shapes on a ground
            values = _between(first, second, np.zeros_like(across))
            for _ in range(6):
                x, y, radius = dice.uniform(0.1, 0.9), dice.uniform(0.1, 0.9), dice.uniform(0.05, 0.2)
                round_or_square = (across - x) ** 2 + (down - y) ** 2 < radius**2
                if dice.random() < 0.5:
                    round_or_square = np.maximum(abs(across - x), abs(down - y)) < radius
                values[round_or_square] = dice.uniform(0, 255, 3)
        case 2:  # stripes
            wave = np.sin((across * dice.uniform(-1, 1) + down) * dice.uniform(10, 90)) / 2 + 0.5
            values = _between(first, second, wave)
        case _:  # noise, coarse and fine
            grain = int(2 ** dice.integers(1, 6))
            cells = dice.uniform(0, 255, (SIDE_PX // grain + 1, SIDE_PX // grain + 1, 3))
            values = np.kron(cells, np.ones((grain, grain, 1)))[:SIDE_PX, :SIDE_PX]
    return np.clip(values, 0, 255).astype(np.uint8)


def _between(
    first: NDArray[np.float64], second: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    mixed: NDArray[np.float64] = first + (second - first) * share[..., np.newaxis]
    return mixed
