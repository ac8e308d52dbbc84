"""Finding the two files of a user's own vision-language model."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import WeightsDamaged, WeightsMissing
from models.gguf_header import GgufHeader, read_gguf_header
from models.user_gguf import is_mmproj, mmproj_beside, model_in_folder
from scripts.make_tiny_models import write_tiny_gguf
from scripts.make_tiny_vlm import VlmSize, write_mmproj, write_tiny_vlm

WIDE = VlmSize(width=128)


@pytest.fixture
def model(tmp_path: Path) -> GgufHeader:
    path, mmproj = write_tiny_vlm(tmp_path, "smolvlm")
    mmproj.unlink()
    return read_gguf_header(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mmproj-F16.gguf", True),
        ("mmproj-SmolVLM2-500M-Video-Instruct-Q8_0.gguf", True),
        ("gemma-3-4b-it.MMPROJ-f16.gguf", True),
        ("model.gguf", False),
        ("mmproj.safetensors", False),
    ],
)
def test_what_is_called_an_mmproj(name: str, expected: bool) -> None:
    assert is_mmproj(name) is expected


def test_a_model_alone_reads_text_only(model: GgufHeader) -> None:
    assert mmproj_beside(model) is None
    assert model_in_folder(model.path.parent) == model.path


def test_the_one_beside_it_is_taken(model: GgufHeader, tmp_path: Path) -> None:
    mmproj = write_mmproj(tmp_path / "mmproj-F16.gguf")
    assert mmproj_beside(model) == mmproj
    assert model_in_folder(tmp_path) == model.path


def test_the_only_one_that_does_not_belong_to_it_is_said(model: GgufHeader, tmp_path: Path) -> None:
    write_mmproj(tmp_path / "mmproj-F16.gguf", size=WIDE)
    with pytest.raises(WeightsDamaged, match="does not belong to"):
        mmproj_beside(model)


def test_one_of_another_family_is_said_alone_and_passed_over_among_several(model: GgufHeader, tmp_path: Path) -> None:
    write_mmproj(tmp_path / "mmproj-smolvlm-f16.gguf", "qwen2vl")
    with pytest.raises(WeightsDamaged, match="'qwen3vl_merger', the model of the kind 'llama'"):
        mmproj_beside(model)
    expected = write_mmproj(tmp_path / "mmproj-zz.gguf")
    assert mmproj_beside(model) == expected


def test_among_several_its_own_and_the_smaller_precision_comes_first(model: GgufHeader, tmp_path: Path) -> None:
    write_mmproj(tmp_path / "mmproj-another-model-f16.gguf")
    write_mmproj(tmp_path / "mmproj-smolvlm-f32.gguf")
    expected = write_mmproj(tmp_path / "mmproj-smolvlm-f16.gguf")
    assert mmproj_beside(model) == expected


def test_among_several_those_of_other_models_are_passed_over(model: GgufHeader, tmp_path: Path) -> None:
    write_mmproj(tmp_path / "mmproj-smolvlm-f16.gguf", size=WIDE)
    (tmp_path / "mmproj-smolvlm-cut.gguf").write_bytes(b"GGUF")
    expected = write_mmproj(tmp_path / "mmproj-zz.gguf")
    assert mmproj_beside(model) == expected


def test_a_folder_without_a_model_or_with_several(model: GgufHeader, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsMissing, match="no GGUF file of a language model"):
        model_in_folder(tmp_path / "empty")
    write_tiny_gguf(model.path.with_name("second.gguf"))
    with pytest.raises(WeightsMissing, match="several language models") as caught:
        model_in_folder(tmp_path)
    assert ".gguf" in caught.value.hint
    with pytest.raises(WeightsMissing, match="cannot be read"):
        model_in_folder(tmp_path / "nowhere")
