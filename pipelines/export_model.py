"""Make ONNX weights of a model that its makers publish for PyTorch: export, quantise, compare, refuse or keep.

The hub is connected to only where the model is named by the hub. Knows no terminal: yields events.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.clip_files import find_clip
from models.clip_onnx import OnnxClip
from models.clip_quantize import QuantizedClip, Samples, quantize_clip, standard_samples
from models.errors import EngineFailed
from models.export_clip import check_installed, export_clip, parse_source
from models.quantize import LEAST_COSINE, Fidelity, QuantizationKind, fidelity, refuse_below
from pipelines.offline_guard import allow_network

EXPORT_LEAST_COSINE = 0.9999
"""Between the model in PyTorch and the same in ONNX, both in floats."""


@dataclass(frozen=True, slots=True)
class ExportStep:
    """What is being done now."""

    text: str


@dataclass(frozen=True, slots=True)
class ExportDone:
    """What was made, and how it compares."""

    name: str
    folder: Path
    kind: QuantizationKind
    exported: Fidelity
    """ONNX in floats against PyTorch: pictures, then texts."""
    quantized: QuantizedClip
    pictures: tuple[str, ...]
    """Names of what the pictures' cosines were taken of, in their order."""

    def to_json(self) -> dict[str, Any]:
        made = self.quantized
        return {
            "name": self.name,
            "folder": str(self.folder),
            "kind": self.kind,
            "bytes": {"float": made.bytes_before, self.kind: made.bytes_after},
            "picture_s": {"float": made.picture_s_before, self.kind: made.picture_s_after},
            "text_s": {"float": made.text_s_before, self.kind: made.text_s_after},
            "export_least_cosine": self.exported.least,
            "pictures": [
                {"name": name, "cosine": cosine}
                for name, cosine in zip(self.pictures, made.pictures.cosines, strict=True)
            ],
            "texts_least_cosine": made.texts.least,
        }


def export_model(
    spec: str,
    out: Path | None = None,
    *,
    kind: QuantizationKind = "int8",
    least_cosine: float = LEAST_COSINE,
    pictures: Sequence[tuple[str, NDArray[np.uint8]]] = (),
    threads: int = 1,
) -> Iterator[ExportStep | ExportDone]:
    """Export `clip:ARCH/PRETRAINED` into the folder `out` (named after the model, here, where it is None).

    `pictures` (name, pixels) replace those that homebody draws for comparing. Raises UnknownModel, WeightsMissing,
    WeightsDamaged, EngineFailed; nothing is left behind then.
    """
    source = parse_source(spec)
    check_installed()
    folder = out if out is not None else Path(source.name)
    if folder.exists() and (not folder.is_dir() or (folder / "visual").exists()):
        raise EngineFailed(f"{folder} is there already", hint="name another folder: --out FOLDER")
    samples, names = standard_samples(), tuple(f"drawn {number}" for number in range(1, 13))
    if pictures:
        samples, names = Samples([pixels for _, pixels in pictures]), tuple(name for name, _ in pictures)
    with tempfile.TemporaryDirectory(prefix="homebody-export-") as temporary:
        plain = Path(temporary)
        yield ExportStep(f"exporting {source.name}")
        with allow_network() if source.kind in ("named", "hub") else contextlib.nullcontext():
            model = export_clip(source, plain)
        yield ExportStep("comparing with the model in PyTorch")
        exported = _against_torch(model, plain, samples)
        refuse_below(exported, EXPORT_LEAST_COSINE, f"the export of {source.name}")
        del model
        yield ExportStep(f"quantizing to {kind}")
        quantized = quantize_clip(
            find_clip(plain), folder, kind=kind, least_cosine=least_cosine, samples=samples, threads=threads
        )
    yield ExportDone(source.name, folder, kind, exported, quantized, names)


def _against_torch(model: Any, folder: Path, samples: Samples) -> Fidelity:
    """Vectors of open_clip's model and of the ONNX files, for the same inputs."""
    from models.clip_torch import TorchClip

    with_torch = TorchClip.of_export(model, find_clip(folder), model_id="float")
    with_onnx = OnnxClip(find_clip(folder), model_id="float")
    both = [
        [*(each.encode_image(picture) for picture in samples.pictures), *each.encode_texts(samples.texts)]
        for each in (with_torch, with_onnx)
    ]
    return fidelity(both[0], both[1])


__all__ = ["ExportDone", "ExportStep", "QuantizationKind", "export_model"]
