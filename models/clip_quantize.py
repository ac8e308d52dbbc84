"""Quantise a CLIP's two graphs and compare the copy with the float model, picture by picture and text by text.

Serves what is pulled as floats (the copy is kept beside it) and what `models export` makes. A copy under the fidelity
asked for is refused, and nothing of it stays. Knows nothing of open_clip.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.checksum import FileStamp
from models.clip_files import QUANTIZED_DIR, QUANTIZED_RECORD, ClipFiles, QuantizedRecord, find_clip
from models.clip_onnx import OnnxClip
from models.clip_probes import PROBE_TEXTS, probe_pictures
from models.errors import EngineFailed, ModelError
from models.integer_transformer import Rounding, integer_transformer
from models.onnx_session import read_model, simplify
from models.quantize import LEAST_COSINE, Fidelity, QuantizationKind, fidelity, median_s, quantize, refuse_below

LOGGER = logging.getLogger(__name__)

_INT8_WAYS: tuple[Rounding | None, ...] = ("all", "row", None)
"""The quickest that keeps enough is taken: rewritten with a scale for all tokens, with one for each, or as the own
quantiser of ONNX Runtime does it, which takes any graph."""
_OTHER_WAYS: tuple[Rounding | None, ...] = (None,)


@dataclass(frozen=True, slots=True)
class Samples:
    """What two models are compared on."""

    pictures: Sequence[NDArray[np.uint8]]
    """Each of shape (height, width, 3)."""
    texts: Sequence[str] = PROBE_TEXTS


def standard_samples() -> Samples:
    return Samples(probe_pictures())


@dataclass(frozen=True, slots=True)
class QuantizedClip:
    """What quantising cost and brought."""

    files: ClipFiles
    pictures: Fidelity
    texts: Fidelity
    bytes_before: int
    bytes_after: int
    picture_s_before: float
    """One picture through the graph, without preprocessing; the median of some runs on the CPU."""
    picture_s_after: float
    text_s_before: float
    text_s_after: float


def quantize_clip(
    source: ClipFiles,
    target: Path,
    *,
    kind: QuantizationKind = "int8",
    least_cosine: float = LEAST_COSINE,
    samples: Samples | None = None,
    threads: int = 1,
) -> QuantizedClip:
    """Write a whole quantised CLIP into `target`, a folder that must not hold one, with what it was measured to be.

    Raises EngineFailed where it cannot be done or keeps too little; then `target` is as it was.
    """
    samples = samples or standard_samples()
    working = target.with_name(target.name + ".partial")
    try:
        report = _first_good(source, working, kind, least_cosine, samples, threads)
        target.mkdir(parents=True, exist_ok=True)
        for part in ("visual", "textual"):
            shutil.rmtree(target / part, ignore_errors=True)
            (working / part).rename(target / part)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return replace(report, files=find_clip(target, quantized=False))


def quantize_installed(
    folder: Path, *, least_cosine: float = LEAST_COSINE, samples: Samples | None = None, threads: int = 1
) -> QuantizedClip:
    """Make the int8 copy of a CLIP that is installed as floats, in a folder below it; `find_clip` then takes it.

    Raises EngineFailed where it cannot be done or keeps too little: the float model then goes on serving.
    """
    source = find_clip(folder, quantized=False)
    copies, working = folder / QUANTIZED_DIR, folder / f".{QUANTIZED_DIR}.partial"
    try:
        report = quantize_clip(source, working, least_cosine=least_cosine, samples=samples, threads=threads)
        (working / "visual" / "model.onnx").rename(working / "visual.onnx")
        (working / "textual" / "model.onnx").rename(working / "textual.onnx")
        shutil.rmtree(working / "visual")
        shutil.rmtree(working / "textual")
        every = (*report.pictures.cosines, *report.texts.cosines)
        record = QuantizedRecord(
            of_visual=FileStamp.of(source.visual),
            of_textual=FileStamp.of(source.textual),
            visual=FileStamp.of(working / "visual.onnx"),
            textual=FileStamp.of(working / "textual.onnx"),
            bytes_before=report.bytes_before,
            bytes_after=report.bytes_after,
            least_cosine=min(every),
            mean_cosine=sum(every) / len(every),
        )
        (working / QUANTIZED_RECORD).write_text(record.model_dump_json(indent=1), encoding="utf-8")
        shutil.rmtree(copies, ignore_errors=True)
        working.rename(copies)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return report


def _first_good(
    source: ClipFiles, working: Path, kind: QuantizationKind, least_cosine: float, samples: Samples, threads: int
) -> QuantizedClip:
    """What the first way made that keeps enough; the last one's refusal where none does."""
    *before, last = _INT8_WAYS if kind == "int8" else _OTHER_WAYS
    for way in before:
        try:
            return _tried(source, working, kind, way, least_cosine, samples, threads)
        except ModelError as error:
            LOGGER.info("%s: rounding %s is not taken: %s", source.visual, way, error)
    return _tried(source, working, kind, last, least_cosine, samples, threads)


def _tried(
    source: ClipFiles,
    working: Path,
    kind: QuantizationKind,
    way: Rounding | None,
    least_cosine: float,
    samples: Samples,
    threads: int,
) -> QuantizedClip:
    shutil.rmtree(working, ignore_errors=True)
    report = compare(source, _quantized_files(source, working, kind, way), samples, threads=threads)
    refuse_below(report.pictures, least_cosine, f"{kind} of {source.visual}")
    refuse_below(report.texts, least_cosine, f"{kind} of {source.textual}")
    return report


def compare(source: ClipFiles, made: ClipFiles, samples: Samples, *, threads: int = 1) -> QuantizedClip:
    """Both models on the same samples, on the CPU."""
    before = OnnxClip(source, model_id="float", threads=threads)
    after = OnnxClip(made, model_id="quantized", threads=threads)
    prepared = [before.preprocess(picture) for picture in samples.pictures]
    return QuantizedClip(
        made,
        fidelity(*([each.encode_preprocessed(values) for values in prepared] for each in (before, after))),
        fidelity(*(list(each.encode_texts(samples.texts)) for each in (before, after))),
        source.bytes,
        made.bytes,
        median_s(lambda: before.encode_preprocessed(prepared[0])),
        median_s(lambda: after.encode_preprocessed(prepared[0])),
        median_s(lambda: before.encode_texts(samples.texts[:1])),
        median_s(lambda: after.encode_texts(samples.texts[:1])),
    )


def _quantized_files(source: ClipFiles, folder: Path, kind: QuantizationKind, way: Rounding | None) -> ClipFiles:
    for part, file in (("visual", source.visual), ("textual", source.textual)):
        if way is None:
            quantize(file, folder / part / "model.onnx", kind)
        else:
            _rewrite(file, folder / part / "model.onnx", way)
    shutil.copyfile(source.tokenizer, folder / "textual" / "tokenizer.json")
    shutil.copyfile(source.preprocessing, folder / "visual" / "preprocess_cfg.json")
    return find_clip(folder, quantized=False)


def _rewrite(source: Path, target: Path, way: Rounding) -> None:
    import onnx

    made = integer_transformer(simplify(read_model(source), source.name), way)
    if made is None:
        raise EngineFailed(f"{source} has no transformer's blocks that are known")
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(made, str(target))
