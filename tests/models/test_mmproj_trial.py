"""mmproj files whose headers are sound and whose tensors are not: another process pays for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.errors import WeightsDamaged
from models.mmproj_trial import MmprojTrials, try_mmproj
from scripts.make_tiny_models import write_gguf
from scripts.make_tiny_vlm import TINY, picture_metadata, picture_weights, write_tiny_vlm


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_tiny_vlm(tmp_path_factory.mktemp("trial"), "smolvlm")


def with_tensor(path: Path, name: str, shape: tuple[int, ...]) -> Path:
    """A file as the family's, with one tensor of another shape."""
    weights = picture_weights("smolvlm", TINY, np.random.default_rng(0))
    weights[name] = np.zeros(shape, dtype=np.float32)
    return write_gguf(path, picture_metadata("smolvlm", TINY), weights)


def test_a_sound_file_passes_and_is_not_tried_again(pair: tuple[Path, Path], tmp_path: Path) -> None:
    model, mmproj = pair
    kept_in = tmp_path / "cache" / "trials.json"
    MmprojTrials(kept_in).require(model, mmproj)
    # A second trial would not end in time: there is none.
    MmprojTrials(kept_in, timeout_s=0.0).require(model, mmproj)
    mmproj.touch()
    with pytest.raises(WeightsDamaged, match="did not get through a small picture"):
        MmprojTrials(kept_in, timeout_s=0.0).require(model, mmproj)


def test_what_was_remembered_may_be_damaged(pair: tuple[Path, Path], tmp_path: Path) -> None:
    kept_in = tmp_path / "trials.json"
    for content in ("", "{}", "[1, 2", "[1]"):
        kept_in.write_text(content)
        with pytest.raises(WeightsDamaged):
            MmprojTrials(kept_in, timeout_s=0.0).require(*pair)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("v.blk.0.attn_q.weight", (64, 32)),  # an assertion in ggml: the process aborts
        ("v.position_embd.weight", (3, 64)),
        ("mm.model.fc.weight", (64, 7)),
    ],
)
def test_a_file_that_native_code_does_not_survive_is_an_error_here(
    pair: tuple[Path, Path], tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    broken = with_tensor(tmp_path / "mmproj-broken.gguf", name, shape)
    with pytest.raises(WeightsDamaged, match=r"mmproj-broken\.gguf does not work with this model: "):
        try_mmproj(pair[0], broken)


def test_a_tensor_that_is_missing_is_said(pair: tuple[Path, Path], tmp_path: Path) -> None:
    weights = picture_weights("smolvlm", TINY, np.random.default_rng(0))
    del weights["mm.model.fc.weight"]
    lacking = write_gguf(tmp_path / "mmproj-lacking.gguf", picture_metadata("smolvlm", TINY), weights)
    with pytest.raises(WeightsDamaged, match=r"mm\.model\.fc\.weight"):
        try_mmproj(pair[0], lacking)
