"""Which colours a picture is mostly of, by the names that people give them.

By hue, saturation and lightness of each pixel of a small copy. Eleven basic colour terms (Berlin and Kay, 1969) and
two that photos need: turquoise and beige. Knows nothing of files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

SAMPLE_PX = 64
MIN_SHARE = 0.08
MOST = 4

_HUES = ((14, "red"), (42, "orange"), (68, "yellow"), (165, "green"), (195, "turquoise"), (260, "blue"),
         (290, "purple"), (338, "pink"), (361, "red"))  # fmt: skip
"""Up to which angle of the colour circle, in degrees, a hue has a name."""


def main_colours(image: Image) -> tuple[tuple[str, float], ...]:
    """Names with their shares of the area, largest first; `image` is RGB."""
    small = image.resize((min(SAMPLE_PX, image.width), min(SAMPLE_PX, image.height)))
    rgb = np.asarray(small, dtype=np.float32).reshape(-1, 3) / 255
    high, low = rgb.max(axis=1), rgb.min(axis=1)
    spread = high - low
    lightness = (high + low) / 2
    safe = np.where(spread > 0, spread, 1)
    red, green, blue = rgb.T
    hue = np.where(
        high == red,
        (green - blue) / safe % 6,
        np.where(high == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue = hue * 60
    names = np.full(len(rgb), "grey", dtype="<U9")
    start = 0.0
    for end, name in _HUES:
        names[(hue >= start) & (hue < end)] = name
        start = end
    warm = (hue >= 14) & (hue < 68)
    names[warm & (high < 0.62) & (hue < 50)] = "brown"
    names[warm & (spread / np.maximum(high, 0.01) < 0.4) & (lightness > 0.6)] = "beige"
    names[(hue < 14) & (spread / np.maximum(high, 0.01) < 0.5) & (lightness > 0.6)] = "pink"
    pale = spread < np.where((lightness > 0.25) & (lightness < 0.85), 0.12, 0.16)
    names[pale] = "grey"
    names[pale & (lightness > 0.82)] = "white"
    names[(high < 0.18) | (pale & (lightness < 0.2))] = "black"
    found, counts = np.unique(names, return_counts=True)
    shares = sorted(((count / len(names), str(name)) for name, count in zip(found, counts, strict=True)), reverse=True)
    return tuple((name, round(float(share), 2)) for share, name in shares[:MOST] if share >= MIN_SHARE)
