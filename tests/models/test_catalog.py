from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.catalog import Catalog, load_catalog, parse_catalog
from models.errors import UnknownModel
from models.gguf_header import read_gguf_header

SMALL = """
[[model]]
id = "tiny"
title = "Tiny"
tasks = ["chat"]
format = "gguf"
licence = "MIT"
upstream = "somebody/tiny"
hub = { repository = "somebody/tiny" }
files = [ { name = "tiny.gguf" } ]
"""


def test_every_default_of_the_issue_is_there() -> None:
    catalog = load_catalog()
    assert [entry.id for entry in catalog.defaults("chat")] == [
        "qwen3.5-4b-q4_k_m",
        "qwen3.5-2b-q4_k_m",
        "qwen2.5-coder-1.5b-instruct-q4_k_m",
        "qwen3.5-0.8b-q8_0",
        "qwen2.5-coder-0.5b-instruct-q4_k_m",
        "smollm2-135m-instruct-q4_1",
    ]
    assert catalog.defaults("embed")[0].id == "all-minilm-l6-v2-int8"
    assert catalog.defaults("speech")[0].id == "whisper-base"
    assert catalog.defaults("clip")[0].id == "clip-vit-b32-laion2b"
    assert catalog.defaults("labels")[0].id == "efficientnet-lite2"
    assert catalog.defaults("rerank")[0].id == "ms-marco-minilm-l6-v2"
    assert {entry.id for entry in catalog.for_task("vision")} >= {"smolvlm2-500m-q8_0", "qwen3.5-2b-q4_k_m"}


def test_the_starter_pack_needs_nothing_but_a_package_index() -> None:
    from_wheels = {entry.id for entry in load_catalog().model if entry.in_wheels}
    assert from_wheels == {
        "qwen2.5-coder-1.5b-instruct-q4_k_m",
        "qwen2.5-coder-0.5b-instruct-q4_k_m",
        "smollm2-135m-instruct-q4_1",
        "whisper-base",
        "whisper-tiny.en",
        "all-minilm-l6-v2-int8",
        "efficientnet-lite2",
        "efficientnet-lite0",
    }


def test_the_parts_in_wheels_add_up_to_the_file() -> None:
    for entry in load_catalog().model:
        for file in entry.files:
            parts = [each for wheel in entry.wheels for each in wheel.members if each.file == file.name]
            assert not parts or sum(part.bytes for part in parts) == file.bytes, f"{entry.id}/{file.name}"


def test_every_file_is_vouched_for_by_a_hash_or_by_the_hub() -> None:
    for entry in load_catalog().model:
        assert entry.licence
        assert entry.upstream
        for file in entry.files:
            assert file.sha256 or entry.hub is not None


def test_packaged_files_are_the_ones_of_the_catalogue() -> None:
    packaged = [(entry, file) for entry in load_catalog().model for file in entry.files if file.packaged]
    assert packaged
    for entry, file in packaged:
        content = resources.files("models").joinpath("data", entry.id, file.name).read_bytes()
        assert len(content) == file.bytes
        assert hashlib.sha256(content).hexdigest() == file.sha256


def test_an_unknown_id_names_its_nearest() -> None:
    with pytest.raises(UnknownModel) as raised:
        load_catalog().entry("wisper-base")
    assert "whisper-base" in raised.value.hint
    with pytest.raises(UnknownModel) as raised:
        load_catalog().entry("\x1b]0;x\x07")
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (SMALL.replace("title", "titel"), "titel"),
        (SMALL.replace('"tiny.gguf"', '"../tiny.gguf"'), "plain relative path"),
        (SMALL.replace('"tiny.gguf"', '"/etc/passwd"'), "plain relative path"),
        (SMALL.replace('"tiny.gguf"', '"a\\\\b"'), "plain relative path"),
        (SMALL.replace('"tiny.gguf"', '"C:x"'), "plain relative path"),
        (SMALL.replace('"tiny"', '"Ti ny"'), "id"),
        (SMALL.replace('"chat"', '"juggle"'), "tasks"),
        (SMALL.replace('hub = { repository = "somebody/tiny" }', ""), "no SHA-256"),
        (SMALL.replace('["chat"]', '["embed"]'), r"\[embedding\]"),
        (SMALL + "default_order = { embed = 1 }", "does not do"),
        (SMALL + SMALL, "twice"),
    ],
)
def test_a_catalogue_with_a_mistake_is_refused(broken: str, said: str) -> None:
    parse_catalog(SMALL)
    with pytest.raises(ValidationError, match=said):
        parse_catalog(broken)


def test_values_are_frozen() -> None:
    entry = parse_catalog(SMALL).entry("tiny")
    with pytest.raises(ValidationError, match="frozen"):
        entry.id = "other"


def test_one_catalogue_serves_everybody() -> None:
    assert load_catalog() is load_catalog()
    assert isinstance(load_catalog(), Catalog)


@pytest.mark.weights
@pytest.mark.parametrize(
    "model_id",
    ["smollm2-135m-instruct-q4_1", "qwen2.5-coder-0.5b-instruct-q4_k_m", "qwen2.5-coder-1.5b-instruct-q4_k_m"],
)
def test_architectures_are_those_of_the_real_files(weights_dir: Path, model_id: str) -> None:
    entry = load_catalog().entry(model_id)
    path = weights_dir / model_id / entry.files[0].name
    if not path.is_file():
        pytest.skip(f"not here: {model_id}; run: homebody models pull {model_id}")
    header = read_gguf_header(path)
    assert entry.architecture is not None
    assert entry.architecture.name == header.architecture
    assert entry.architecture.layers == header.block_count
    assert entry.architecture.vocabulary_tokens == header.vocabulary_tokens
    assert entry.architecture.kv_bytes_per_token() == header.kv_bytes_per_token()
    assert entry.context_tokens == header.context_tokens
    assert header.chat_template
