"""Make of a picture what a CLIP was trained on: scaled, cropped, normalised, as the model's own config says.

Reads open_clip's `preprocess_cfg.json` and Hugging Face's `preprocessor_config.json`. Follows open_clip's
`image_transform` step by step (torchvision's Resize, CenterCrop, ToTensor, Normalize), with Pillow and numpy only.
Knows no engine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from models.errors import WeightsDamaged, WeightsMissing

ResizeMode = Literal["shortest", "longest", "squash"]
Interpolation = Literal["bicubic", "bilinear", "nearest", "lanczos"]

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)
"""What open_clip takes where a config is silent."""
_HF_RESAMPLE: dict[int, Interpolation] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers, which Hugging Face writes."""
MOST_SIDE_PX = 4096
REDUCING_GAP = 3.0
"""Pictures that become more than 6 times smaller are first halved, or thirded, by plain means: 2.6 times as fast on
2000 x 1500 pixels, and 0.2 of 255 grey levels off on average. Up to 6 times the result is open_clip's own."""


@dataclass(frozen=True, slots=True)
class ClipPreprocessing:
    """How a picture becomes the model's input."""

    width_px: int
    height_px: int
    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD
    interpolation: Interpolation = "bicubic"
    resize_mode: ResizeMode = "shortest"
    fill: int = 0
    """Grey around a picture that is scaled by its longest side."""
    resize_px: int = 0
    """What the shortest side becomes before the crop, where that is not the crop's own; 0: it is."""

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Shape (3, height_px, width_px), for a picture of shape (height, width, 3)."""
        from PIL import Image

        picture = Image.fromarray(np.ascontiguousarray(rgb))
        squared = self._placed(picture)
        values = np.asarray(squared, np.float32).transpose(2, 0, 1)
        mean = np.array(self.mean, np.float32)[:, None, None]
        std = np.array(self.std, np.float32)[:, None, None]
        normalised: NDArray[np.float32] = np.ascontiguousarray((values / np.float32(255) - mean) / std)
        return normalised

    def _placed(self, picture: Any) -> Any:
        from PIL import Image

        how = Image.Resampling[self.interpolation.upper()]
        target = (self.width_px, self.height_px)
        if self.resize_mode == "squash":
            return picture if picture.size == target else picture.resize(target, how)
        width, height = picture.size
        if self.resize_mode == "longest":
            scale = min(self.width_px / width, self.height_px / height)
            scaled = (max(1, round(width * scale)), max(1, round(height * scale)))
            canvas = Image.new("RGB", target, (self.fill,) * 3)
            at = ((target[0] - scaled[0]) // 2, (target[1] - scaled[1]) // 2)
            canvas.paste(picture if picture.size == scaled else picture.resize(scaled, how), at)
            return canvas
        if self.width_px != self.height_px:
            scale = max(self.width_px / width, self.height_px / height)
            scaled = (round(width * scale), round(height * scale))
        else:
            side = self.resize_px or self.width_px
            # torchvision: the shortest side becomes `side`, the other one is cut down to whole pixels.
            scaled = (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
        return _crop(picture, width, height, scaled, target, how)


def _crop(picture: Any, width: int, height: int, scaled: tuple[int, int], target: tuple[int, int], how: Any) -> Any:
    """Scaled and cut in the middle. Of a long strip only what is seen is scaled: the rest could fill the memory."""
    left, top = ((scaled[axis] - target[axis]) / 2 for axis in (0, 1))
    # torchvision rounds the crop's corner to even.
    left, top = float(round(left)), float(round(top))
    if scaled == (width, height):
        return picture.crop((left, top, left + target[0], top + target[1]))
    if max(scaled) <= MOST_SIDE_PX:
        return picture.resize(scaled, how, reducing_gap=REDUCING_GAP).crop(
            (left, top, left + target[0], top + target[1])
        )
    across, down = width / scaled[0], height / scaled[1]
    box = (left * across, top * down, (left + target[0]) * across, (top + target[1]) * down)
    return picture.resize(target, how, box=box, reducing_gap=REDUCING_GAP)


def read_preprocessing(file: Path, *, side_px: int = 0) -> ClipPreprocessing:
    """From a model's config file. `side_px` is the graph's own input size, for a config that does not say.

    Raises WeightsMissing, WeightsDamaged.
    """
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsMissing(f"{file} is not there", hint="get it: homebody models pull --for clip") from error
    except (OSError, ValueError) as error:
        raise WeightsDamaged(f"{file} cannot be read ({error})", hint="get it again: homebody models pull") from error
    try:
        read = _of_hugging_face(config) if "image_mean" in config else _of_open_clip(config, side_px)
        if not all(0 < side <= MOST_SIDE_PX for side in (read.width_px, read.height_px)):
            raise ValueError(f"a picture of {read.width_px} x {read.height_px}")
        if not all(np.isfinite(read.mean)) or not all(0 < each < np.inf for each in read.std):
            raise ValueError("a mean or a deviation that is none")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsDamaged(
            f"{file} does not say how pictures are to be prepared ({error})", hint="take another export of the model"
        ) from error
    return read


def _of_open_clip(config: dict[str, Any], side_px: int) -> ClipPreprocessing:
    height, width = _sides(config.get("size") or side_px)
    mode = config.get("resize_mode") or "shortest"
    interpolation = config.get("interpolation") or "bicubic"
    if mode not in ("shortest", "longest", "squash") or interpolation not in ("bicubic", "bilinear", "nearest"):
        raise ValueError(f"resize mode {mode!r}, interpolation {interpolation!r}")
    return ClipPreprocessing(
        width,
        height,
        _three(config.get("mean") or OPENAI_MEAN),
        _three(config.get("std") or OPENAI_STD),
        cast("Interpolation", interpolation),
        cast("ResizeMode", mode),
        int(config.get("fill_color") or 0),
    )


def _of_hugging_face(config: dict[str, Any]) -> ClipPreprocessing:
    size, crop = config["size"], config.get("crop_size")
    interpolation = _HF_RESAMPLE[int(config.get("resample", 3))]
    mean, std = _three(config["image_mean"]), _three(config["image_std"])
    if not config.get("do_center_crop", True) or crop is None:
        height, width = _sides(size)
        return ClipPreprocessing(width, height, mean, std, interpolation, "squash")
    height, width = _sides(crop)
    shortest = size.get("shortest_edge") if isinstance(size, dict) else size
    return ClipPreprocessing(width, height, mean, std, interpolation, resize_px=int(shortest or max(height, width)))


def _sides(size: Any) -> tuple[int, int]:
    """(height, width)."""
    if isinstance(size, dict):
        return int(size["height"]), int(size["width"])
    if isinstance(size, list):
        return int(size[0]), int(size[-1])
    return int(size), int(size)


def _three(values: Any) -> tuple[float, float, float]:
    first, second, third = (float(each) for each in values)
    return first, second, third
