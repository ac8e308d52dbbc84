"""Quantise a text model in a folder, an embedder or a cross-encoder, and compare the copy with the original.

Embedders are compared by the cosines of what they make of some passages, cross-encoders by how alike they put the same
passages in order. A copy under the fidelity asked for is refused, and nothing of it stays. Knows no catalogue.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.checksum import unchanged_sha256_of
from models.embed_text_onnx import OnnxTextEmbedder
from models.errors import EngineFailed, WeightsDamaged
from models.quantize import LEAST_COSINE, Fidelity, QuantizationKind, fidelity, median_s, quantize, refuse_below
from models.rerank_onnx import OnnxReranker
from models.user_files import TextModelFolder, read_text_model_folder

TextTask = Literal["embed", "rerank"]
SMALLER_SHARE = 0.9
"""A copy that is larger than this part of its original was quantised before: there is nothing left to round."""
QUERIES = ("when is the rent due", "how do I bleed a radiator", "Wer hat die Heizung gewartet?", "error code E42")
PASSAGES = (
    "The rent is due on the first of each month and is paid by standing order.",
    "To bleed a radiator, turn the valve a quarter with its key until no more air comes out, then close it again.",
    "Die Heizung wurde im März von der Firma Berg gewartet; der Brenner wurde gereinigt.",
    "E42 means that the pressure is below 0.8 bar. Refill the system and press reset.",
    "def mean(values):\n    return sum(values) / len(values)",
    "Garlic",
    "The committee met on 12 May 2023 and put the decision off until the figures of the second quarter were known.",
    "Le contrat peut être résilié avec un préavis de trois mois à la fin de chaque trimestre.",
    "Total 59.34 EUR, VAT 19 % included, paid by card.",
    "She mentioned the budget twice: first for the roof, then, more sharply, for the garden that nobody had asked for.",
)


@dataclass(frozen=True, slots=True)
class QuantizedText:
    """What quantising cost and brought."""

    folder: Path
    task: TextTask
    fidelity: Fidelity
    """A passage a cosine, or a question a correlation of scores."""
    bytes_before: int
    bytes_after: int
    text_s_before: float
    """One passage, or pair, as homebody runs the original on the CPU; the median of some runs."""
    text_s_after: float


def quantize_text_model(
    source: Path,
    target: Path,
    *,
    kind: QuantizationKind = "int8",
    least_cosine: float = LEAST_COSINE,
    max_tokens: int = 0,
    threads: int = 1,
) -> QuantizedText:
    """Write a quantised copy of a folder into `target`, which must not be there yet.

    `max_tokens` wins over what the folder says. Raises WeightsMissing, WeightsDamaged, and EngineFailed where it cannot
    be done or keeps too little; nothing is left behind then.
    """
    found = read_text_model_folder(source)
    working = target.with_name(target.name + ".partial")
    shutil.rmtree(working, ignore_errors=True)
    try:
        for file in sorted(each for each in source.rglob("*.json") if not each.name.startswith(".")):
            copied = working / file.relative_to(source)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copied)
        made = working / found.model_file.relative_to(source)
        quantize(found.model_file, made, kind)
        before, after = found.model_file.stat().st_size, made.stat().st_size
        if after > SMALLER_SHARE * before:
            raise EngineFailed(
                f"{found.model_file} would be {after / before:.0%} of its size: it is quantized already",
                hint="name a model with its weights as floats",
            )
        report = _compared(found, read_text_model_folder(working), max_tokens or found.max_tokens, threads)
        refuse_below(report.fidelity, least_cosine, f"{kind} of {found.model_file}")
        target.parent.mkdir(parents=True, exist_ok=True)
        working.rename(target)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return replace(report, folder=target, bytes_before=before, bytes_after=after)


def _compared(plain: TextModelFolder, copy: TextModelFolder, max_tokens: int, threads: int) -> QuantizedText:
    try:
        rankers = [_reranker(each, max_tokens, threads) for each in (plain, copy)]
    except WeightsDamaged:  # it gives no score a pair: an embedder
        return _compared_embedders(plain, copy, max_tokens, threads)
    orders = [[_standardised(each.scores(query, PASSAGES)) for query in QUERIES] for each in rankers]
    times = [median_s(partial(each.scores, QUERIES[0], PASSAGES[:1])) for each in rankers]
    return QuantizedText(copy.model_file.parent, "rerank", fidelity(*orders), 0, 0, times[0], times[1])


def _compared_embedders(plain: TextModelFolder, copy: TextModelFolder, max_tokens: int, threads: int) -> QuantizedText:
    if not plain.dimension:
        raise WeightsDamaged(
            f"{plain.model_file.parent} does not say how long its vectors are",
            hint="put the model's config.json beside it",
        )
    exact, after = _embedder(plain, max_tokens, threads, integer=False), _embedder(copy, max_tokens, threads)
    before = _embedder(plain, max_tokens, threads)
    vectors = [list(each.embed_passages(PASSAGES)) for each in (exact, after)]
    return QuantizedText(
        copy.model_file.parent,
        "embed",
        fidelity(*vectors),
        0,
        0,
        median_s(lambda: before.embed_query(PASSAGES[-1])),
        median_s(lambda: after.embed_query(PASSAGES[-1])),
    )


def _reranker(found: TextModelFolder, max_tokens: int, threads: int) -> OnnxReranker:
    return OnnxReranker(
        model_id=str(found.model_file.parent),
        model_file=found.model_file,
        tokenizer_file=found.tokenizer_file,
        sha256=unchanged_sha256_of(found.model_file),
        max_tokens=max_tokens,
        threads=threads,
    )


def _embedder(found: TextModelFolder, max_tokens: int, threads: int, *, integer: bool = True) -> OnnxTextEmbedder:
    return OnnxTextEmbedder(
        model_id=str(found.model_file.parent),
        model_file=found.model_file,
        tokenizer_file=found.tokenizer_file,
        sha256=unchanged_sha256_of(found.model_file),
        dimension=found.dimension,
        max_tokens=max_tokens,
        query_prefix=found.query_prefix,
        passage_prefix=found.passage_prefix,
        pooling=found.pooling,
        threads=threads,
        integer=integer,
    )


def _standardised(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of length 1 around their mean: two such have their correlation as their product."""
    centred = scores - scores.mean()
    unit: NDArray[np.float32] = centred / max(float(np.linalg.norm(centred)), 1e-9)
    return unit
