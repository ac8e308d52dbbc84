"""Quantise a CLIP's two graphs and compare the copy with the float model, picture by picture and text by text.

Serves what is pulled as floats (the copy is kept beside it) and what `models export` makes. A copy under the fidelity
asked for is refused, and nothing of it stays. Knows nothing of open_clip.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.checksum import FileStamp
from models.clip_files import QUANTIZED_DIR, QUANTIZED_RECORD, ClipFiles, QuantizedRecord, find_clip
from models.clip_onnx import OnnxClip
from models.clip_probes import PROBE_TEXTS, probe_pictures
from models.quantize import LEAST_COSINE, Fidelity, QuantizationKind, fidelity, quantize, refuse_below

_TIMED_RUNS = 5


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
    shutil.rmtree(working, ignore_errors=True)
    try:
        made = _quantized_files(source, working, kind)
        report = compare(source, made, samples, threads=threads)
        refuse_below(report.pictures, least_cosine, f"{kind} of {source.visual}")
        refuse_below(report.texts, least_cosine, f"{kind} of {source.textual}")
        target.mkdir(parents=True, exist_ok=True)
        for part in ("visual", "textual"):
            shutil.rmtree(target / part, ignore_errors=True)
            (working / part).rename(target / part)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return QuantizedClip(
        find_clip(target, quantized=False),
        report.pictures,
        report.texts,
        report.bytes_before,
        report.bytes_after,
        report.picture_s_before,
        report.picture_s_after,
        report.text_s_before,
        report.text_s_after,
    )


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
        _median_s(lambda: before.encode_preprocessed(prepared[0])),
        _median_s(lambda: after.encode_preprocessed(prepared[0])),
        _median_s(lambda: before.encode_texts(samples.texts[:1])),
        _median_s(lambda: after.encode_texts(samples.texts[:1])),
    )


def _quantized_files(source: ClipFiles, folder: Path, kind: QuantizationKind) -> ClipFiles:
    quantize(source.visual, folder / "visual" / "model.onnx", kind)
    quantize(source.textual, folder / "textual" / "model.onnx", kind)
    shutil.copyfile(source.tokenizer, folder / "textual" / "tokenizer.json")
    shutil.copyfile(source.preprocessing, folder / "visual" / "preprocess_cfg.json")
    return find_clip(folder, quantized=False)


def _median_s(run: Callable[[], object]) -> float:
    run()
    times = []
    for _ in range(_TIMED_RUNS):
        began_s = time.perf_counter()
        run()
        times.append(time.perf_counter() - began_s)
    return statistics.median(times)
