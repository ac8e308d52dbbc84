"""Naming what to export; exporting itself where torch and open_clip are installed."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from models.errors import UnknownModel, WeightsDamaged, WeightsMissing
from models.export_clip import NEEDED, ClipSource, check_installed, export_clip, parse_source


def test_names_are_understood(tmp_path: Path) -> None:
    checkpoint = tmp_path / "mine.safetensors"
    checkpoint.write_bytes(b"")
    (tmp_path / "open_clip_config.json").write_text("{}", encoding="utf-8")
    assert parse_source("clip:ViT-B-32/laion2b_s34b_b79k") == ClipSource("named", "ViT-B-32", "laion2b_s34b_b79k")
    assert parse_source(f"clip:ViT-B-32/{checkpoint}") == ClipSource("checkpoint", "ViT-B-32", str(checkpoint))
    assert parse_source(f"clip:{tmp_path}") == ClipSource("folder", str(tmp_path))
    assert parse_source("clip:hf-hub:org/name") == ClipSource("hub", "org/name")
    assert parse_source("clip:hf-hub:org/name").name == "org__name"


@pytest.mark.parametrize("text", ["", "clip:", "clip:ViT-B-32", "clip:/nowhere", "clip:ViT-B-32/"])
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(UnknownModel) as raised:
        parse_source(text)
    assert "clip:ARCH/PRETRAINED" in raised.value.hint


@pytest.mark.parametrize("text", ["clip:ViT-B-32/missing.pt", "clip:ViT-B-32/folder/missing", "clip:A/b.safetensors"])
def test_a_checkpoint_that_is_not_there_is_said(text: str) -> None:
    with pytest.raises(WeightsMissing, match="is not there"):
        parse_source(text)


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.export_clip.NEEDED", ("a_module_that_is_not_there",))
    with pytest.raises(WeightsMissing) as raised:
        check_installed()
    assert ".[clip-export]" in raised.value.hint


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this ran",)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for each in NEEDED:
        pytest.importorskip(each)
    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"state_dict": _Runs()}))
    with pytest.raises(WeightsDamaged):
        export_clip(ClipSource("checkpoint", "RN50", str(tmp_path / "evil.pt")), tmp_path / "out")
    assert "this ran" not in capsys.readouterr().out
