"""CLIP through ONNX Runtime: pictures and texts become vectors of one space. Satisfies `rag.ports.ImageEncoder`.

One picture or text a run: a graph that rounds activations takes one scale for all it is given, so in a batch a vector
would depend on its neighbours; and at one picture the cores are busy already. Takes whatever inputs an export has
(`clip_files.py` says which layouts are known). Knows nothing of files of pictures, nor of the library.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.checksum import unchanged_sha256_of
from models.clip_files import ClipFiles
from models.clip_preprocessing import ClipPreprocessing, read_preprocessing
from models.clip_probes import probe_pictures
from models.errors import EngineFailed, WeightsDamaged
from models.hf_tokenizer import HfTokenizer
from models.image_encoder import USUAL_LOGIT_SCALE
from models.onnx_session import CPU, OnnxPlacement, OnnxSession, SessionReport, open_model

LOGGER = logging.getLogger(__name__)

CONTEXT_TOKENS = 77
"""What CLIPs read, where a graph does not say."""
LEAST_COSINE = 0.99
"""Between another device's vector and the CPU's."""
LOGIT_SCALE_KEY = "logit_scale"
"""Among the metadata of a text graph."""
MOST_LOGIT_SCALE = 1000.0
_OUTPUTS = ("embedding", "image_embeds", "text_embeds")
"""Names of what is wanted, among an export's outputs."""


class OnnxClip:
    """An encoder, loaded. Thread-safe.

    Raises WeightsMissing or WeightsDamaged when it is made, EngineFailed when it works.
    """

    def __init__(
        self,
        files: ClipFiles,
        *,
        model_id: str,
        placement: OnnxPlacement = CPU,
        threads: int = 1,
        cache_dir: Path | None = None,
    ) -> None:
        """`threads` work on one picture together. `cache_dir` keeps the optimised graphs."""
        self.model_id = model_id
        self.sha256 = files.sha256()
        self._closed = False
        self._tokenizer = HfTokenizer(files.tokenizer)
        self._visual = self._open(files.visual, placement, threads, cache_dir)
        self._textual = self._open(files.textual, placement, threads, cache_dir)
        self._image_input, self._image_output = self._picture_ends(files.visual)
        self._context_tokens = self._fixed_context()
        self.preprocessing: ClipPreprocessing = read_preprocessing(
            files.preprocessing, side_px=self._fixed(self._image_input, 2) or 224
        )
        self._fit_to_graph(files)
        self.logit_scale = self._own_logit_scale()
        self._text_output = _output_of(self._textual, files.textual)
        self.dimension = len(self.encode_texts([""])[0])
        if placement != CPU and self._visual.report.running != str(CPU):
            self._check_device(files, placement, threads, cache_dir)

    @property
    def report(self) -> SessionReport:
        """The device asked for and the one that runs the pictures' graph, read back from the engine."""
        return self._visual.report

    def preprocess(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The model's input for a picture of shape (height, width, 3), without the batch's axis."""
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
            raise ValueError(f"a picture of shape (height, width, 3) in bytes, not {rgb.shape} of {rgb.dtype}")
        return self.preprocessing(rgb)

    def encode_image(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """A vector of shape (dimension,), of length 1, for an upright picture of shape (height, width, 3)."""
        return self.encode_preprocessed(self.preprocess(rgb))

    def encode_preprocessed(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same for what `preprocess` made."""
        self._still_open()
        found = self._visual.run({self._image_input.name: values[np.newaxis]})[self._image_output][0]
        return self._unit(found, self._visual)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (len(texts), dimension), each of length 1. What is longer than the context is cut."""
        self._still_open()
        ids = self._tokenizer.ids(texts, max_tokens=self._context_tokens or CONTEXT_TOKENS)
        vectors = [
            self._unit(self._textual.run(self._feeds(each))[self._text_output][0], self._textual) for each in ids
        ]
        return np.stack(vectors) if vectors else np.empty((0, self.dimension), np.float32)

    def close(self) -> None:
        """Let go of the engine. Safe to call twice."""
        self._closed = True

    def _still_open(self) -> None:
        if self._closed:
            raise EngineFailed(f"{self.model_id} is closed")

    @staticmethod
    def _open(file: Path, placement: OnnxPlacement, threads: int, cache_dir: Path | None) -> OnnxSession:
        return open_model(
            file, sha256=unchanged_sha256_of(file), placement=placement, threads=threads, cache_dir=cache_dir
        )

    def _picture_ends(self, file: Path) -> tuple[Any, int]:
        inputs = [each for each in self._visual.native.get_inputs() if len(each.shape) == 4]
        if len(inputs) != 1 or len(self._visual.native.get_inputs()) != 1:
            raise WeightsDamaged(f"{file} does not take one picture", hint="take another export of the model")
        return inputs[0], _output_of(self._visual, file)

    def _fit_to_graph(self, files: ClipFiles) -> None:
        sides = (self._fixed(self._image_input, 2), self._fixed(self._image_input, 3))
        wanted = (self.preprocessing.height_px, self.preprocessing.width_px)
        if any(side and side != want for side, want in zip(sides, wanted, strict=True)):
            raise WeightsDamaged(
                f"{files.visual} takes pictures of {sides[1]} x {sides[0]}, {files.preprocessing.name} says "
                f"{wanted[1]} x {wanted[0]}",
                hint="take both files from one export",
            )

    @staticmethod
    def _fixed(value: Any, axis: int) -> int:
        """An input's size along an axis where the graph fixes it, else 0."""
        return value.shape[axis] if isinstance(value.shape[axis], int) else 0

    def _fixed_context(self) -> int:
        return max(
            (self._fixed(each, 1) for each in self._textual.native.get_inputs() if len(each.shape) == 2), default=0
        )

    def _own_logit_scale(self) -> float:
        """As the text graph's metadata says, where homebody exported it."""
        told = self._textual.native.get_modelmeta().custom_metadata_map.get(LOGIT_SCALE_KEY, "")
        try:
            scale = float(told)
        except ValueError:
            return USUAL_LOGIT_SCALE
        return scale if 1 <= scale <= MOST_LOGIT_SCALE else USUAL_LOGIT_SCALE

    def _feeds(self, ids: list[int]) -> dict[str, NDArray[Any]]:
        length = self._context_tokens or len(ids)
        padded = np.full((1, length), self._tokenizer.pad_id, np.int64)
        padded[0, : len(ids)] = ids
        mask = (np.arange(length) < len(ids)).astype(np.int64)[np.newaxis]
        return {
            each.name: (mask if "mask" in each.name else padded).astype(
                np.int32 if each.type == "tensor(int32)" else np.int64
            )
            for each in self._textual.native.get_inputs()
        }

    def _unit(self, vector: NDArray[np.float32], session: OnnxSession) -> NDArray[np.float32]:
        length = float(np.linalg.norm(vector))
        if vector.ndim != 1 or not np.isfinite(length) or length == 0:
            raise EngineFailed(
                f"{self.model_id} gave no vector on {session.report.running}",
                hint="verify its files (homebody models verify), or try the CPU: --device cpu",
            )
        unit: NDArray[np.float32] = (vector / length).astype(np.float32)
        return unit

    def _check_device(self, files: ClipFiles, placement: OnnxPlacement, threads: int, cache_dir: Path | None) -> None:
        """A device that computes other vectors than the CPU is not used."""
        picture = self.preprocessing(probe_pictures(1)[0])
        there = self.encode_preprocessed(picture)
        on_device, self._visual = self._visual, self._open(files.visual, CPU, threads, cache_dir)
        if float(there @ self.encode_preprocessed(picture)) >= LEAST_COSINE:
            self._visual = on_device
            return
        reason = f"{placement} computes other vectors than the CPU"
        LOGGER.warning("%s is not used for %s: %s", placement, self.model_id, reason)
        self._visual.report = SessionReport(str(placement), str(CPU), reason)
        self._textual = self._open(files.textual, CPU, threads, cache_dir)


def _output_of(session: OnnxSession, file: Path) -> int:
    """The place of the vector among a graph's outputs."""
    outputs = session.native.get_outputs()
    for name in _OUTPUTS:
        for place, each in enumerate(outputs):
            if each.name == name:
                return place
    flat = [place for place, each in enumerate(outputs) if len(each.shape) == 2]
    if not flat:
        raise WeightsDamaged(f"{file} gives no vector", hint="take another export of the model")
    return flat[0]
