"""Write what open_clip's own transforms make of some pictures, for the test of homebody's preprocessing.

pip install --editable '.[clip-export]'
python scripts/make_clip_reference.py tests/data/clip_preprocessing.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.clip_probes import probe_pictures

SIZES = ((256, 256), (200, 131), (97, 256), (224, 224), (60, 45))
"""Widths and heights that a picture is cut to before."""
CONFIGS: tuple[dict[str, Any], ...] = (
    {"size": [224, 224], "interpolation": "bicubic", "resize_mode": "shortest"},
    {"size": [64, 64], "interpolation": "bicubic", "resize_mode": "shortest"},
    {"size": [96, 96], "interpolation": "bilinear", "resize_mode": "squash"},
    {"size": [96, 96], "interpolation": "bicubic", "resize_mode": "longest", "fill_color": 127},
)
SAMPLES = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path)
    args = parser.parse_args()
    cases = []
    for number, picture in enumerate(probe_pictures(len(SIZES))):
        width, height = SIZES[number]
        cut = np.ascontiguousarray(picture[:height, :width])
        for config in CONFIGS:
            made = image_transform_v2(PreprocessCfg(**config), is_train=False)(Image.fromarray(cut)).numpy()
            places = np.random.default_rng(number).integers(0, made.size, SAMPLES)
            cases.append(
                {
                    "picture": number,
                    "width": width,
                    "height": height,
                    "config": config,
                    "places": places.tolist(),
                    "values": [round(float(each), 5) for each in made.reshape(-1)[places]],
                    "mean": float(made.mean()),
                }
            )
    args.file.write_text(json.dumps(cases), encoding="utf-8")


if __name__ == "__main__":
    main()
