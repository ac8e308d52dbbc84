"""Where the parts of a CLIP are in a folder: its two graphs, its tokenizer, its preprocessing, an int8 copy made here.

Two layouts are known: open_clip's as immich-app exports it and `homebody models export` writes it
(`visual/model.onnx`, `visual/preprocess_cfg.json`, `textual/model.onnx`, `textual/tokenizer.json`), and Hugging
Face's as Xenova exports it (`vision_model_quantized.onnx`, `text_model_quantized.onnx`, `tokenizer.json`,
`preprocessor_config.json`, the graphs also under `onnx/`). Looks at files; loads no engine.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from models.checksum import FileStamp, unchanged_sha256_of
from models.errors import WeightsMissing

QUANTIZED_DIR = "int8"
QUANTIZED_RECORD = "quantized.json"

_VISUAL = ("visual/model.onnx",)
_TEXTUAL = ("textual/model.onnx",)
_HF_VISUAL = ("vision_model_quantized.onnx", "onnx/vision_model_quantized.onnx", "vision_model.onnx")
_HF_TEXTUAL = ("text_model_quantized.onnx", "onnx/text_model_quantized.onnx", "text_model.onnx")


class QuantizedRecord(BaseModel):
    """What is known of an int8 copy that was made on this machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    of_visual: FileStamp
    """The float graphs that it was made of."""
    of_textual: FileStamp
    visual: FileStamp
    """The copies."""
    textual: FileStamp
    bytes_before: int
    bytes_after: int
    least_cosine: float
    """Of the vectors of any picture or text that was compared, with the float model's."""
    mean_cosine: float


@dataclass(frozen=True, slots=True)
class ClipFiles:
    visual: Path
    textual: Path
    tokenizer: Path
    preprocessing: Path
    quantized: QuantizedRecord | None = None
    """Set where the two graphs are a copy in int8 that was made here."""

    @property
    def bytes(self) -> int:
        return sum(each.stat().st_size for each in (self.visual, self.textual))

    def sha256(self) -> str:
        """Of all four together: what decides what a vector is. Reads what is not hashed yet. Raises WeightsMissing."""
        try:
            parts = [
                unchanged_sha256_of(each) for each in (self.visual, self.textual, self.tokenizer, self.preprocessing)
            ]
        except OSError as error:
            raise WeightsMissing(f"{error.filename} cannot be read: {error.strerror}") from error
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def find_clip(folder: Path, *, quantized: bool = True) -> ClipFiles:
    """The parts in a folder; the int8 copy where there is one and `quantized` allows it. Raises WeightsMissing."""
    visual, textual = _first(folder, _VISUAL), _first(folder, _TEXTUAL)
    tokenizer, preprocessing = folder / "textual" / "tokenizer.json", folder / "visual" / "preprocess_cfg.json"
    if visual is None or textual is None:
        visual, textual = _first(folder, _HF_VISUAL), _first(folder, _HF_TEXTUAL)
        tokenizer, preprocessing = folder / "tokenizer.json", folder / "preprocessor_config.json"
    if visual is None or textual is None or not tokenizer.is_file() or not preprocessing.is_file():
        raise WeightsMissing(
            f"{folder} holds no CLIP that homebody knows",
            hint="get one: homebody models pull --for clip, or make one: homebody models export clip:ARCH/PRETRAINED",
        )
    plain = ClipFiles(visual, textual, tokenizer, preprocessing)
    return (quantized and _quantized_copy(folder, plain)) or plain


def _quantized_copy(folder: Path, plain: ClipFiles) -> ClipFiles | None:
    """None where there is none, or it is of other weights, or damaged: then the float model serves."""
    copies = folder / QUANTIZED_DIR
    try:
        record = QuantizedRecord.model_validate_json((copies / QUANTIZED_RECORD).read_bytes())
        visual, textual = copies / "visual.onnx", copies / "textual.onnx"
        stamped = {
            visual: record.visual,
            textual: record.textual,
            plain.visual: record.of_visual,
            plain.textual: record.of_textual,
        }
        if not all(stamp.describes(file) for file, stamp in stamped.items()):
            return None
    except (OSError, ValidationError):
        return None
    return ClipFiles(visual, textual, plain.tokenizer, plain.preprocessing, record)


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)
