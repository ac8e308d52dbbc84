"""Exporting a model: what is refused before any work, and what an export tells as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.clip_files import find_clip
from models.clip_quantize import QuantizedClip
from models.errors import UnknownModel, WeightsMissing
from models.quantize import Fidelity
from pipelines.export_model import ExportDone, export_model


def test_a_name_that_means_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel):
        list(export_model("clip:nothing", tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_without_torch_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.export_clip.NEEDED", ("a_module_that_is_not_there",))
    with pytest.raises(WeightsMissing, match="a_module_that_is_not_there"):
        list(export_model("clip:ViT-B-32/laion2b_s34b_b79k", tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_an_export_tells_picture_by_picture() -> None:
    files = find_clip(Path(__file__).parent.parent / "data" / "tiny-clip")
    made = QuantizedClip(files, Fidelity((0.999, 0.995)), Fidelity((0.998,)), 400, 100, 0.02, 0.01, 0.004, 0.002)
    done = ExportDone("tiny", Path("out"), "int8", Fidelity((1.0,)), made, ("one", "two"))
    told = done.to_json()
    assert told["bytes"] == {"float": 400, "int8": 100}
    assert told["pictures"] == [{"name": "one", "cosine": 0.999}, {"name": "two", "cosine": 0.995}]
    assert told["texts_least_cosine"] == 0.998
