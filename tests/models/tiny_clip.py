"""The small CLIP that was trained on drawn scenes (`scripts/train_tiny_clip.py`), and scenes it never saw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FOLDER = Path(__file__).parent.parent / "data" / "tiny-clip"


def held_out_scenes() -> list[tuple[str, NDArray[np.uint8]]]:
    """Captions with their pictures, none of which the model was trained on."""
    scenes = FOLDER / "scenes"
    captions: list[str] = json.loads((scenes / "captions.json").read_text(encoding="utf-8"))
    return [(caption, read_picture(scenes / f"{number:02}.png")) for number, caption in enumerate(captions)]


def read_picture(file: Path) -> NDArray[np.uint8]:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB"))
