"""The same CLIP through PyTorch and through ONNX Runtime, where torch and open_clip are installed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from models.clip_files import find_clip
from models.clip_onnx import OnnxClip
from models.clip_probes import probe_pictures
from models.errors import DeviceUnavailable, EngineFailed, WeightsMissing
from models.export_clip import NEEDED, ClipSource, export_clip, local_files, parse_source
from tests.models.tiny_clip import FOLDER


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as open_clip saves one, with random weights."""
    for each in NEEDED:
        pytest.importorskip(each)
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("checkpoint")
    words = len(json.loads((FOLDER / "textual" / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"])
    config = {
        "embed_dim": 64,
        "vision_cfg": {"image_size": 64, "patch_size": 16, "width": 64, "head_width": 32, "layers": 2},
        "text_cfg": {"context_length": 24, "vocab_size": words, "width": 64, "heads": 2, "layers": 2},
    }
    torch.manual_seed(5)
    model = open_clip.CLIP(**config, output_dict=True)
    save_file(
        {name: each.contiguous() for name, each in model.state_dict().items()}, folder / "open_clip_model.safetensors"
    )
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    shutil.copy(FOLDER / "textual" / "tokenizer.json", folder)
    return folder


def test_vectors_are_those_of_the_export(checkpoint: Path, tmp_path: Path) -> None:
    from models.clip_torch import TorchClip

    source = parse_source(f"clip:{checkpoint}")
    by_torch = TorchClip.load(source, model_id="tiny", device="cpu")
    export_clip(source, tmp_path)
    by_onnx = OnnxClip(find_clip(tmp_path), model_id="tiny")
    for picture in probe_pictures(4):
        assert float(by_torch.encode_image(picture) @ by_onnx.encode_image(picture)) > 0.9999
    texts = ["a red bicycle", "", "two words " * 50]
    assert np.allclose(by_torch.encode_texts(texts), by_onnx.encode_texts(texts), atol=1e-4)
    assert by_torch.dimension == by_onnx.dimension == 64
    assert by_torch.logit_scale == pytest.approx(by_onnx.logit_scale, rel=1e-3)
    assert by_torch.sha256 == TorchClip.load(source, model_id="tiny", device="cpu").sha256 != by_onnx.sha256
    by_torch.close()
    with pytest.raises(EngineFailed, match="closed"):
        by_torch.encode_texts(["a"])


def test_a_device_that_is_not_there_is_said(checkpoint: Path) -> None:
    from models.clip_torch import TorchClip

    with pytest.raises(DeviceUnavailable, match="no abacus"):
        TorchClip.load(parse_source(f"clip:{checkpoint}"), model_id="tiny", device="abacus")


def test_what_is_only_named_is_not_fetched_while_homebody_runs(tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text("{}", encoding="utf-8")
    for source in (
        ClipSource("named", "ViT-B-32", "openai"),
        ClipSource("hub", "org/name"),
        ClipSource("folder", str(tmp_path)),
    ):
        with pytest.raises(WeightsMissing, match="no weights on this disk"):
            local_files(source)
