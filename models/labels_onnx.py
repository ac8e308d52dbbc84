"""Labels for pictures by EfficientNet-Lite2, which knows the thousand kinds of things of ImageNet.

Carried with homebody (`models/data/efficientnet-lite2`, made by `scripts/convert_efficientnet.py`), so that a picture
of a dog is found without anything installed. A kind's name comes with its other names and with what it is a kind of,
which is what people ask for; where no single kind is sure, what the likely ones have in common may be. It always sees
one of its kinds: what is less sure than MIN_SCORE is not said. Knows nothing of files of pictures.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import EngineFailed, WeightsMissing
from models.labels import MODEL_ID, Label
from models.onnx_session import CPU, OnnxPlacement, SessionReport, open_session, read_model

NEEDED_BYTES = 120 << 20
SIDES_PX = {"lite0": 224, "lite2": 260}
"""Of the square that each variant looks at."""
MIN_SCORE = 0.2
"""For one kind; measured on photos of things it knows and of things it does not (text, textures, skies)."""
MIN_SHARED_SCORE = 0.35
"""For what several kinds have in common, their scores together."""
MOST_LABELS = 3
CONSIDERED = 10
"""Of the kinds, the likeliest so many may add up."""
_MEAN, _SCALE = 127.0, 128.0
_BORDER_PX = 32
"""What is cut off around a centred square, in its pixels: as the network was trained."""


class OnnxLabeller:
    """The engine, loaded. Thread-safe.

    Raises WeightsMissing or WeightsDamaged when it is made, EngineFailed when it works.
    """

    def __init__(self, *, placement: OnnxPlacement = CPU, threads: int = 1) -> None:
        self.model_id = MODEL_ID
        graph = read_model(_carried("model.onnx")).SerializeToString()
        self._session = open_session(graph, name=f"{MODEL_ID}/model.onnx", placement=placement, threads=threads)
        self._kinds = _kinds()
        self._closed = threading.Event()

    @property
    def report(self) -> SessionReport:
        """The device asked for and the one that runs, read back from the engine."""
        return self._session.report

    def labels(self, rgb: NDArray[np.uint8]) -> list[Label]:
        """As `models.labels.Labeller.labels`."""
        return named(self.scores(rgb), self._kinds)

    def scores(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probability of each of the thousand kinds, shape (1000,): of the middle and of the whole, on average."""
        logits = self.logits(prepared(rgb, SIDES_PX["lite2"]))
        spread = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores: NDArray[np.float32] = (spread / spread.sum(axis=1, keepdims=True)).mean(axis=0)
        return scores

    def logits(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network gives for pictures as `prepared` makes them: shape (len(pixels), 1000)."""
        if self._closed.is_set():
            raise EngineFailed(f"{self.model_id} is closed")
        logits = self._session.run({self._session.input_names[0]: pixels})[0]
        if not np.isfinite(logits).all():
            raise EngineFailed(
                f"{self.model_id} gave no numbers on {self.report.running}", hint="try it on the CPU: --device cpu"
            )
        return logits

    def close(self) -> None:
        """Let go of the engine. Safe to call twice."""
        self._closed.set()


def prepared(rgb: NDArray[np.uint8], side_px: int) -> NDArray[np.float32]:
    """The middle of a picture and all of it, pressed into a square: shape (2, 3, side_px, side_px)."""
    from PIL import Image

    image = Image.fromarray(rgb)
    width, height = image.size
    middle = side_px / (side_px + _BORDER_PX) * min(width, height)
    left, top = (width - middle) / 2, (height - middle) / 2
    size, bicubic = (side_px, side_px), Image.Resampling.BICUBIC
    views = [
        image.resize(size, bicubic, box=(left, top, left + middle, top + middle), reducing_gap=3.0),
        image.resize(size, bicubic, reducing_gap=3.0),
    ]
    pixels = np.stack([np.asarray(view, dtype=np.float32) for view in views])
    return np.ascontiguousarray(((pixels - _MEAN) / _SCALE).transpose(0, 3, 1, 2))


def named(scores: NDArray[np.float32], kinds: tuple[Label, ...]) -> list[Label]:
    """What is sure enough to be said: kinds, or what likely kinds have in common where none is."""
    likely = [int(each) for each in np.argsort(scores)[::-1][:CONSIDERED]]
    found = [
        Label(kinds[each].name, round(float(scores[each]), 3), kinds[each].also)
        for each in likely
        if scores[each] >= MIN_SCORE
    ]
    if found:
        return found[:MOST_LABELS]
    together: defaultdict[str, float] = defaultdict(float)
    for each in likely:
        for word in kinds[each].also:
            together[word] += float(scores[each])
    sure = sorted(((score, word) for word, score in together.items() if score >= MIN_SHARED_SCORE), reverse=True)
    return [Label(word, round(score, 3)) for score, word in sure[:MOST_LABELS]]


@cache
def _kinds() -> tuple[Label, ...]:
    """The thousand kinds in the network's order, each with its other words."""
    lines = _carried("labels.tsv").read_text(encoding="utf-8").splitlines()
    kinds: list[Label] = []
    for line in lines[1:]:
        name, others, parents = line.split("\t")
        words = (each.strip() for part in (others, parents) for each in part.split(","))
        kinds.append(Label(name, 0.0, tuple(dict.fromkeys(word for word in words if word))))
    return tuple(kinds)


def _carried(name: str) -> Path:
    file = Path(str(resources.files("models").joinpath("data", MODEL_ID, name)))
    if not file.is_file():
        raise WeightsMissing(f"homebody's own {name} is missing", hint="install homebody again: it belongs to it")
    return file
