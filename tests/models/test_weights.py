from __future__ import annotations

import os
from pathlib import Path

import pytest

from models.errors import UnknownModel, WeightsDamaged, WeightsMissing
from models.weights import STAMP_FILE, Weights
from tests.models.test_gguf_header import gguf
from tests.small_models import model_file, noise, sha256, small_catalog, small_entry

MODEL = noise(300_000)
VOCABULARY = noise(5_000, seed=1)


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    entry = small_entry("tiny", [model_file("model.bin", MODEL), model_file("text/vocabulary.txt", VOCABULARY)])
    unhashed = small_entry("unhashed", [{"name": "model.gguf"}], hub=True, format="gguf")
    return Weights(tmp_path / "models", small_catalog(entry, unhashed))


def put(weights: Weights, model_id: str, name: str, content: bytes) -> Path:
    path = weights.weights_dir / model_id / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def put_all(weights: Weights) -> Path:
    put(weights, "tiny", "text/vocabulary.txt", VOCABULARY)
    return put(weights, "tiny", "model.bin", MODEL)


def bytes_hashed(weights: Weights, model_id: str = "tiny") -> int:
    """How much `require` reads to be sure."""
    seen: list[int] = [0]
    weights.require(model_id, lambda done, _: seen.append(done))
    return seen[-1]


def test_nothing_installed(weights: Weights) -> None:
    assert weights.installed("tiny") is None
    assert weights.list_installed() == ()
    with pytest.raises(WeightsMissing) as raised:
        weights.require("tiny")
    assert raised.value.hint == "run: homebody models pull tiny"
    assert not weights.weights_dir.exists(), "looking writes nothing"


def test_an_unknown_id_never_becomes_a_path(weights: Weights) -> None:
    for attempt in ("../../etc", "tinny", ""):
        with pytest.raises(UnknownModel):
            weights.installed(attempt)
        with pytest.raises(UnknownModel):
            weights.remove(attempt)


def test_an_installed_model_has_its_paths(weights: Weights) -> None:
    path = put_all(weights)
    model = weights.require("tiny")
    assert model.main_file == path
    assert model.path("text/vocabulary.txt").read_bytes() == VOCABULARY
    assert model.bytes_on_disk == len(MODEL) + len(VOCABULARY)
    assert [each.id for each in weights.list_installed()] == ["tiny"]


def test_half_of_the_files_is_not_installed(weights: Weights) -> None:
    put(weights, "tiny", "model.bin", MODEL)
    assert weights.installed("tiny") is None
    with pytest.raises(WeightsDamaged, match=r"vocabulary.txt.*missing"):
        weights.require("tiny")


def test_the_hash_is_computed_once_and_again_after_a_change(weights: Weights) -> None:
    path = put_all(weights)
    assert bytes_hashed(weights) == len(MODEL) + len(VOCABULARY)
    assert bytes_hashed(weights) == 0
    os.utime(path, ns=(1, 1))
    assert bytes_hashed(weights) == len(MODEL), "only the file that changed"
    assert bytes_hashed(weights) == 0


def test_one_flipped_bit_is_found_before_the_first_use(weights: Weights) -> None:
    damaged = bytearray(MODEL)
    damaged[1234] ^= 1
    put_all(weights)
    put(weights, "tiny", "model.bin", bytes(damaged))
    assert weights.installed("tiny") is not None, "the sizes are right"
    with pytest.raises(WeightsDamaged) as raised:
        weights.require("tiny")
    assert sha256(MODEL) in str(raised.value)
    assert sha256(bytes(damaged)) in str(raised.value)
    assert raised.value.hint == "run: homebody models pull tiny"
    assert [file.name for file in weights.faulty_files("tiny")] == ["model.bin"]


def test_verify_reads_again_what_a_stamp_vouches_for(weights: Weights) -> None:
    path = put_all(weights)
    weights.require("tiny")
    before = path.stat()
    damaged = MODEL[:-1] + bytes([MODEL[-1] ^ 1])
    path.write_bytes(damaged)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    weights.require("tiny")
    with pytest.raises(WeightsDamaged):
        weights.verify("tiny")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"files": {"model.bin": {}}}', b"\xff\xfe"])
def test_a_damaged_stamp_only_means_hashing_again(weights: Weights, content: bytes) -> None:
    put_all(weights)
    put(weights, "tiny", STAMP_FILE, content)
    assert bytes_hashed(weights) == len(MODEL) + len(VOCABULARY)
    assert bytes_hashed(weights) == 0


def test_a_stamp_for_another_hash_vouches_for_nothing(weights: Weights) -> None:
    """A new homebody may want other bytes under the same id and name."""
    put_all(weights)
    weights.require("tiny")
    other = noise(len(MODEL), seed=9)
    newer = small_entry("tiny", [model_file("model.bin", other), model_file("text/vocabulary.txt", VOCABULARY)])
    with pytest.raises(WeightsDamaged):
        Weights(weights.weights_dir, small_catalog(newer)).require("tiny")


def test_truncated_and_empty_files_are_damaged(weights: Weights) -> None:
    put_all(weights)
    put(weights, "tiny", "model.bin", MODEL[:-1])
    assert weights.installed("tiny") is None
    with pytest.raises(WeightsDamaged, match="299,999 bytes, should have 300,000"):
        weights.require("tiny")
    put(weights, "tiny", "model.bin", b"")
    with pytest.raises(WeightsDamaged):
        weights.require("tiny")


def test_adopted_files_are_installed_and_stamped(weights: Weights) -> None:
    staging = weights.staging_dir("tiny")
    (staging / "text").mkdir(parents=True)
    (staging / "model.bin").write_bytes(MODEL)
    (staging / "text" / "vocabulary.txt").write_bytes(VOCABULARY)
    staged = {
        "model.bin": (staging / "model.bin", sha256(MODEL)),
        "text/vocabulary.txt": (staging / "text/vocabulary.txt", sha256(VOCABULARY)),
    }
    model = weights.adopt("tiny", staged, source="wheels")
    assert model.main_file.read_bytes() == MODEL
    assert bytes_hashed(weights) == 0, "they were hashed when they came"


def test_a_file_without_a_hash_keeps_the_one_it_came_with(weights: Weights) -> None:
    content = gguf()
    path = put(weights, "unhashed", "model.gguf", content)
    assert bytes_hashed(weights, "unhashed") == len(content)
    path.write_bytes(gguf(data=bytes(175) + b"\x01"))
    with pytest.raises(WeightsDamaged, match="SHA-256"):
        weights.require("unhashed")


def test_a_file_without_a_hash_must_at_least_be_well_formed(weights: Weights) -> None:
    put(weights, "unhashed", "model.gguf", b"GGUF" + bytes(100))
    with pytest.raises(WeightsDamaged, match="version 0"):
        weights.require("unhashed")


def test_remove_takes_everything_and_says_how_much(weights: Weights) -> None:
    put_all(weights)
    half = weights.staging_dir("tiny") / "half"
    half.parent.mkdir(parents=True)
    half.write_bytes(bytes(10))
    assert weights.remove("tiny") == len(MODEL) + len(VOCABULARY) + 10
    assert not weights.folder("tiny").exists()
    assert not weights.staging_dir("tiny").exists()
    assert weights.remove("tiny") == 0


def test_a_read_only_folder_of_weights_can_be_used(weights: Weights) -> None:
    put_all(weights)
    # A folder where the stamp should be written: it cannot be, whoever runs the test.
    (weights.folder("tiny") / (STAMP_FILE + ".new")).mkdir()
    assert bytes_hashed(weights) > 0
    assert bytes_hashed(weights) > 0, "no stamp: hashed each time"


def test_a_gguf_of_the_users_own(weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    with pytest.raises(WeightsMissing):
        weights.open_user_gguf(path)
    path.write_bytes(gguf())
    assert weights.open_user_gguf(path).header.architecture == "llama"
    path.write_bytes(gguf()[:-1])
    with pytest.raises(WeightsDamaged):
        weights.open_user_gguf(path)


@pytest.mark.weights
def test_the_real_embedder_is_complete(weights_dir: Path) -> None:
    model = Weights(weights_dir).verify("all-minilm-l6-v2-int8")
    assert {path.name for path in (model.main_file, model.path("tokenizer.json"))} == {"model.onnx", "tokenizer.json"}
