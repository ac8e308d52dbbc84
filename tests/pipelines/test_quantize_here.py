"""What a pull says when it makes a copy in 8 bits, and when it cannot."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.catalog import load_catalog
from models.clip_files import find_clip
from pipelines.pull_events import PullNotQuantized, PullQuantized, PullQuantizing
from pipelines.quantize_here import quantize_here

CLIP = Path(__file__).parent.parent / "data" / "tiny-clip"
ENTRY = load_catalog().entry("clip-vit-b32-laion2b")


@pytest.fixture
def pulled(tmp_path: Path) -> Path:
    shutil.copytree(CLIP, tmp_path / ENTRY.id)
    return tmp_path / ENTRY.id


def test_the_copy_is_made_once_and_its_fidelity_told(pulled: Path) -> None:
    assert find_clip(pulled).quantized is None
    started, done = quantize_here(ENTRY, pulled)
    assert started == PullQuantizing(ENTRY.id)
    assert isinstance(done, PullQuantized)
    assert done.least_cosine >= 0.99
    copy = find_clip(pulled)
    assert copy.quantized is not None
    assert copy.quantized.least_cosine == done.least_cosine
    assert list(quantize_here(ENTRY, pulled)) == []


def test_where_it_fails_the_model_is_used_as_it_is(pulled: Path) -> None:
    (pulled / "visual" / "model.onnx").write_bytes(b"no model")
    _, failed = quantize_here(ENTRY, pulled)
    assert isinstance(failed, PullNotQuantized)
    assert "model.onnx" in failed.reason
    assert not (pulled / "int8").exists()


def test_models_that_do_not_want_it_are_left_alone(tmp_path: Path) -> None:
    assert list(quantize_here(load_catalog().entry("clip-vit-b32-int8"), tmp_path)) == []
