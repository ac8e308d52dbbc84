from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from models.errors import WeightsDamaged, WeightsMissing
from models.user_files import FileHashes, read_text_model_folder


def write(folder: Path, **files: Any) -> Path:
    """A folder with a model and a tokenizer; `files` are further JSON files, `__` for a slash."""
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(b"model")
    (folder / "tokenizer.json").write_text("{}")
    for name, content in files.items():
        file = folder / (name.replace("__", "/") + ".json")
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))
    return folder


def test_what_sentence_transformers_saves_is_understood(tmp_path: Path) -> None:
    found = read_text_model_folder(
        write(
            tmp_path,
            config={"model_type": "xlm-roberta", "hidden_size": 384, "max_position_embeddings": 514},
            modules=[{"type": f"sentence_transformers.models.{name}"} for name in ("Transformer", "Pooling")],
            sentence_bert_config={"max_seq_length": 512},
            config_sentence_transformers={"prompts": {"query": "query: ", "document": "passage: "}},
            **{"1_Pooling__config": {"word_embedding_dimension": 384, "pooling_mode_cls_token": True}},
        )
    )
    assert (found.dimension, found.max_tokens, found.pooling) == (384, 512, "cls")
    assert (found.query_prefix, found.passage_prefix) == ("query: ", "passage: ")
    assert len(found.deciding_files) == 5


def test_what_is_not_said_has_the_makers_default(tmp_path: Path) -> None:
    found = read_text_model_folder(write(tmp_path))
    assert (found.dimension, found.max_tokens, found.pooling, found.query_prefix) == (0, 512, "mean", "")


@pytest.mark.parametrize(("config", "tokens"), [({"model_type": "roberta", "max_position_embeddings": 130}, 128)])
def test_positions_that_no_token_takes_are_left_out(tmp_path: Path, config: dict[str, Any], tokens: int) -> None:
    assert read_text_model_folder(write(tmp_path, config=config)).max_tokens == tokens


def test_the_model_may_lie_in_its_own_folder(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "onnx").mkdir()
    (tmp_path / "model.onnx").rename(tmp_path / "onnx" / "model.onnx")
    assert read_text_model_folder(tmp_path).model_file == tmp_path / "onnx" / "model.onnx"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"1_Pooling__config": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}}, "pools by"),
        ({"1_Pooling__config": {"pooling_mode_max_tokens": True}}, "max"),
        ({"1_Pooling__config": {"pooling_mode": "weightedmean"}}, "weightedmean"),
        ({"modules": [{"type": "sentence_transformers.models.Dense"}]}, "Dense"),
        ({"config": [1, 2]}, "config.json"),
    ],
)
def test_what_would_give_other_vectors_is_refused(tmp_path: Path, files: dict[str, Any], said: str) -> None:
    with pytest.raises(WeightsDamaged, match=said) as refused:
        read_text_model_folder(write(tmp_path, **files))
    assert refused.value.hint


def test_broken_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"model\.onnx"):
        read_text_model_folder(tmp_path)
    write(tmp_path)
    (tmp_path / "config.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(WeightsDamaged, match=r"config\.json"):
        read_text_model_folder(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(WeightsMissing, match=r"tokenizer\.json"):
        read_text_model_folder(tmp_path)


def test_a_hash_is_kept_until_the_file_changes(tmp_path: Path) -> None:
    kept, file = tmp_path / "cache" / "hashes.json", tmp_path / "model.gguf"
    file.write_bytes(b"one")
    os.utime(file, ns=(1, 1))
    assert FileHashes(kept).of(file) == hashlib.sha256(b"one").hexdigest()
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert FileHashes(kept).of(file) == hashlib.sha256(b"one").hexdigest(), "size and mtime are as they were"
    os.utime(file, ns=(2, 2))
    assert FileHashes(kept).of(file) == hashlib.sha256(b"two").hexdigest()
    kept.write_text("nonsense")
    assert FileHashes(kept).of(file) == hashlib.sha256(b"two").hexdigest()
    other = tmp_path / "tokenizer.json"
    other.write_bytes(b"{}")
    assert FileHashes(kept).of(file, other) not in (FileHashes(kept).of(file), FileHashes(kept).of(other, file))
    with pytest.raises(WeightsMissing):
        FileHashes(kept).of(tmp_path / "gone")
