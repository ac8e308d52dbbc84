"""Make a smaller copy of a model that the user has as floats: a CLIP, a text embedder, a reranker.

What a copy keeps is measured and told; what keeps too little is refused. Connects to nothing. Knows no terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.clip_files import ClipFiles, find_clip
from models.clip_quantize import QuantizedClip, quantize_clip, quantize_installed
from models.errors import EngineFailed, UnknownModel, WeightsMissing
from models.quantize import LEAST_COSINE, QuantizationKind
from models.text_quantize import QuantizedText, quantize_text_model
from models.weights import Weights


@dataclass(frozen=True, slots=True)
class QuantizeStep:
    """What is being done now."""

    text: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One of the things that a copy was compared in."""

    what: str
    """`pictures`, `texts`, `questions`."""
    least: float
    mean: float
    s_before: float
    """One of them, on the CPU."""
    s_after: float


@dataclass(frozen=True, slots=True)
class QuantizeDone:
    """What was made, and how it compares."""

    name: str
    folder: Path
    kind: QuantizationKind
    bytes_before: int
    bytes_after: int
    measured: tuple[Measured, ...]
    use: str
    """What makes homebody use it."""

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "folder": str(self.folder),
            "kind": self.kind,
            "bytes": {"float": self.bytes_before, self.kind: self.bytes_after},
            "measured": [
                {
                    "what": each.what,
                    "least_cosine": each.least,
                    "mean_cosine": each.mean,
                    "s": {"float": each.s_before, self.kind: each.s_after},
                }
                for each in self.measured
            ],
        }


def quantize_model(
    named: str,
    out: Path | None,
    weights: Weights,
    *,
    kind: QuantizationKind = "int8",
    least_cosine: float = LEAST_COSINE,
    threads: int = 1,
) -> Iterator[QuantizeStep | QuantizeDone]:
    """Quantise a model by its id in the catalogue, or a folder with one, into `out`.

    Without `out` an installed CLIP gets its copy in 8 bits beside it, and anything else a folder here. Raises
    UnknownModel, WeightsMissing, WeightsDamaged, EngineFailed; nothing is left behind then.
    """
    installed = named in weights.catalog.ids
    folder = weights.require(named).folder if installed else Path(named).expanduser()
    if not folder.is_dir():
        raise UnknownModel(
            f"{named!r} is neither an installed model nor a folder",
            hint="see what is installed: homebody models list; GGUF files are quantized when they are made",
        )
    clip = _clip_in(folder)
    beside = installed and clip is not None and out is None and kind == "int8"
    target = out or Path(f"{folder.resolve().name}-{kind}")
    if not beside and target.exists():
        raise EngineFailed(f"{target} is there already", hint="name another folder: --out FOLDER")
    yield QuantizeStep(f"quantizing {named} to {kind}, and comparing the copy with it")
    if clip is None:
        max_tokens = _max_tokens(weights, named) if installed else 0
        yield _of_text(
            named,
            kind,
            quantize_text_model(
                folder, target, kind=kind, least_cosine=least_cosine, max_tokens=max_tokens, threads=threads
            ),
        )
    elif beside:
        made = quantize_installed(folder, least_cosine=least_cosine, threads=threads)
        yield _of_clip(named, find_clip(folder).visual.parent, kind, made, "it is used from now on")
    else:
        made = quantize_clip(clip, target, kind=kind, least_cosine=least_cosine, threads=threads)
        yield _of_clip(named, target, kind, made, f"to use it: clip.model = {str(target.absolute())!r}")


def _clip_in(folder: Path) -> ClipFiles | None:
    try:
        return find_clip(folder, quantized=False)
    except WeightsMissing:
        return None


def _max_tokens(weights: Weights, model_id: str) -> int:
    embedding = weights.catalog.entry(model_id).embedding
    return embedding.max_tokens if embedding is not None else 0


def _of_clip(name: str, folder: Path, kind: QuantizationKind, made: QuantizedClip, use: str) -> QuantizeDone:
    measured = (
        Measured("pictures", made.pictures.least, made.pictures.mean, made.picture_s_before, made.picture_s_after),
        Measured("texts", made.texts.least, made.texts.mean, made.text_s_before, made.text_s_after),
    )
    return QuantizeDone(name, folder, kind, made.bytes_before, made.bytes_after, measured, use)


def _of_text(name: str, kind: QuantizationKind, made: QuantizedText) -> QuantizeDone:
    what = "texts" if made.task == "embed" else "questions"
    measured = (Measured(what, made.fidelity.least, made.fidelity.mean, made.text_s_before, made.text_s_after),)
    folder = str(made.folder.absolute())
    use = f"to use it: embed.model = {folder!r}" if made.task == "embed" else f"it is in {folder}"
    return QuantizeDone(name, made.folder, kind, made.bytes_before, made.bytes_after, measured, use)


__all__ = ["QuantizationKind", "QuantizeDone", "QuantizeStep", "quantize_model"]
