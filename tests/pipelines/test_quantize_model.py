"""`models quantize`: what is made, what is told of it, and what is refused with nothing left behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from models.catalog import load_catalog
from models.clip_files import find_clip
from models.embed_text_onnx import OnnxTextEmbedder
from models.errors import EngineFailed, UnknownModel, WeightsDamaged
from models.quantize import QuantizationKind
from models.text_quantize import quantize_text_model
from models.weights import Weights
from pipelines.quantize_model import QuantizeDone, QuantizeStep, quantize_model
from tests.tiny_bert import WIDTH, write_tiny_bert
from tests.tiny_cross_encoder import write_tiny_cross_encoder

CLIP = Path(__file__).parent.parent / "data" / "tiny-clip"


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    return Weights(tmp_path / "models", load_catalog())


@pytest.fixture
def embedder(tmp_path: Path) -> Path:
    folder = tmp_path / "my-embedder"
    write_tiny_bert(folder, stored_int8=False)
    (folder / "config.json").write_text(
        json.dumps({"hidden_size": WIDTH, "max_position_embeddings": 64}), encoding="utf-8"
    )
    return folder


def done(named: Path | str, out: Path | None, weights: Weights, **asked: object) -> QuantizeDone:
    step, made = quantize_model(str(named), out, weights, **asked)  # type: ignore[arg-type]  # as a test says
    assert isinstance(step, QuantizeStep)
    assert isinstance(made, QuantizeDone)
    return made


def test_an_embedder_in_8_bits_is_smaller_and_says_the_same(embedder: Path, weights: Weights, tmp_path: Path) -> None:
    made = done(embedder, tmp_path / "out", weights, least_cosine=0.9)
    assert made.bytes_after < made.bytes_before == (embedder / "model.onnx").stat().st_size
    (texts,) = made.measured
    assert (texts.what, made.kind) == ("texts", "int8")
    assert 0.9 <= texts.least <= texts.mean <= 1.00001
    assert str(tmp_path / "out") in made.use
    assert made.to_json()["measured"][0]["least_cosine"] == texts.least
    operators = {node.op_type for node in onnx.load(tmp_path / "out" / "model.onnx").graph.node}
    assert operators & {"MatMulInteger", "DynamicQuantizeMatMul"}
    plain, copy = (
        OnnxTextEmbedder(
            model_id="tiny",
            model_file=folder / "model.onnx",
            tokenizer_file=folder / "tokenizer.json",
            sha256=folder.name,
            dimension=WIDTH,
            max_tokens=64,
        )
        for folder in (embedder, tmp_path / "out")
    )
    assert float(plain.embed_query("the rent") @ copy.embed_query("the rent")) > 0.9


def test_a_reranker_keeps_its_order(tmp_path: Path) -> None:
    write_tiny_cross_encoder(tmp_path / "ranker")
    made = quantize_text_model(tmp_path / "ranker", tmp_path / "out", least_cosine=-1.0)
    assert made.task == "rerank"
    assert len(made.fidelity.cosines) == 4
    assert made.text_s_before > 0 < made.text_s_after


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_what_loses_too_much_is_refused_and_leaves_nothing(
    kind: QuantizationKind, embedder: Path, weights: Weights, tmp_path: Path
) -> None:
    if kind == "int4":
        pytest.importorskip("onnx_ir")
    with pytest.raises(EngineFailed, match="is refused") as raised:
        list(quantize_model(str(embedder), tmp_path / "out", weights, kind=kind, least_cosine=0.9999999))
    assert "--least-cosine" in raised.value.hint
    assert sorted(each.name for each in tmp_path.iterdir()) == ["my-embedder"]


def test_what_is_quantized_already_is_told(embedder: Path, weights: Weights, tmp_path: Path) -> None:
    done(embedder, tmp_path / "once", weights, least_cosine=0.9)
    with pytest.raises(EngineFailed, match="quantized already"):
        list(quantize_model(str(tmp_path / "once"), tmp_path / "twice", weights))
    assert not (tmp_path / "twice").exists()


def test_what_is_no_model_is_named(embedder: Path, weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="nothing-such"):
        list(quantize_model("nothing-such", None, weights))
    (tmp_path / "taken").mkdir()
    with pytest.raises(EngineFailed, match="is there already"):
        list(quantize_model(str(embedder), tmp_path / "taken", weights))
    (embedder / "model.onnx").write_bytes(b"no model")
    with pytest.raises(WeightsDamaged, match=r"model\.onnx"):
        list(quantize_model(str(embedder), tmp_path / "out", weights))


def test_a_clip_of_a_folder_goes_into_another(tmp_path: Path, weights: Weights) -> None:
    made = done(CLIP, tmp_path / "out", weights, least_cosine=0.9)
    assert [each.what for each in made.measured] == ["pictures", "texts"]
    assert find_clip(tmp_path / "out").visual == tmp_path / "out" / "visual" / "model.onnx"
    assert "clip.model" in made.use


def test_an_installed_clip_gets_its_copy_beside_it(weights: Weights) -> None:
    entry = weights.catalog.entry("clip-vit-b32-laion2b")
    shutil.copytree(CLIP, weights.folder(entry.id))
    made = done(entry.id, None, weights, least_cosine=0.9)
    copy = find_clip(weights.folder(entry.id))
    assert copy.quantized is not None
    assert made.folder == copy.visual.parent
    assert np.isclose(copy.quantized.least_cosine, min(each.least for each in made.measured))
