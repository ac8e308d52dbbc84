"""A hostile header must cost nothing and reach no native code: it parses, or it is WeightsDamaged."""

from __future__ import annotations

import contextlib
import ctypes
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import WeightsDamaged, WeightsMissing
from models.ggml_types import TENSOR_TYPES
from models.gguf_header import MAX_ALIGNMENT, MAX_ARRAY_LENGTH, MAX_STRING_BYTES, read_gguf_header
from scripts.make_tiny_vlm import write_tiny_vlm

UINT32, BOOL, STRING, ARRAY, UINT64 = 4, 7, 8, 9, 10


def string(text: str | bytes) -> bytes:
    encoded = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(encoded)) + encoded


def entry(key: str | bytes, kind: int, value: bytes) -> bytes:
    return string(key) + struct.pack("<I", kind) + value


def uint32(key: str, value: int) -> bytes:
    return entry(key, UINT32, struct.pack("<I", value))


def strings(key: str, values: list[str]) -> bytes:
    return entry(key, ARRAY, struct.pack("<IQ", STRING, len(values)) + b"".join(string(each) for each in values))


def tensor(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    packed = struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", each) for each in shape)
    return string(name) + packed + struct.pack("<IQ", kind, offset)


METADATA = (
    entry("general.architecture", STRING, string("llama")),
    entry("general.name", STRING, string("Tiny")),
    uint32("llama.block_count", 3),
    uint32("llama.context_length", 2048),
    uint32("llama.embedding_length", 64),
    uint32("llama.attention.head_count", 8),
    uint32("llama.attention.head_count_kv", 2),
    entry("tokenizer.chat_template", STRING, string("{{ messages }}")),
    strings("tokenizer.ggml.tokens", ["a", "b", "ç"]),
)
TENSORS = (tensor("a", (64, 2), 8, 0), tensor("b", (4,), 0, 160))
"""q8_0: 4 blocks of 34 bytes, padded to 160; f32: 16 bytes."""


def gguf(
    metadata: tuple[bytes, ...] = METADATA,
    tensors: tuple[bytes, ...] = TENSORS,
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    metadata_count: int | None = None,
    tensor_count: int | None = None,
    data: bytes = bytes(176),
) -> bytes:
    count = len(metadata) if metadata_count is None else metadata_count
    header = magic + struct.pack("<IQQ", version, len(tensors) if tensor_count is None else tensor_count, count)
    header += b"".join(metadata) + b"".join(tensors)
    return header + bytes(-len(header) % 32) + data


def written(folder: Path, content: bytes) -> Path:
    path = folder / "model.gguf"
    path.write_bytes(content)
    return path


def test_what_the_header_says(tmp_path: Path) -> None:
    header = read_gguf_header(written(tmp_path, gguf()))
    assert header.architecture == "llama"
    assert header.name == "Tiny"
    assert (header.block_count, header.embedding_length, header.head_count) == (3, 64, 8)
    assert header.context_tokens == 2048
    assert header.head_dim == 8
    assert header.kv_heads_per_layer == (2, 2, 2)
    assert header.kv_bytes_per_token() == 3 * 2 * (8 + 8) * 2
    assert header.vocabulary_tokens == 3
    assert header.chat_template == "{{ messages }}"
    assert header.tensor_count == 2


def test_kv_heads_may_differ_from_layer_to_layer(tmp_path: Path) -> None:
    per_layer = entry("llama.attention.head_count_kv", ARRAY, struct.pack("<IQIII", UINT32, 3, 2, 0, 1))
    header = read_gguf_header(written(tmp_path, gguf((*METADATA[:6], per_layer, *METADATA[7:]))))
    assert header.kv_heads_per_layer == (2, 0, 1)
    assert header.kv_bytes_per_token() == 3 * (8 + 8) * 2


def test_without_grouped_heads_every_head_keeps_its_own(tmp_path: Path) -> None:
    header = read_gguf_header(written(tmp_path, gguf((*METADATA[:6], *METADATA[7:]))))
    assert header.kv_heads_per_layer == (8, 8, 8)


def test_what_is_not_said_is_none(tmp_path: Path) -> None:
    header = read_gguf_header(written(tmp_path, gguf((METADATA[0],), ())))
    assert header.block_count is None
    assert header.chat_template is None
    assert header.kv_bytes_per_token() is None


def test_a_token_is_found_in_the_vocabulary_and_nowhere_else(tmp_path: Path) -> None:
    header = read_gguf_header(write_tiny_vlm(tmp_path)[0])
    assert header.has_token("<fake_token_around_image>")
    assert not header.has_token("<fake_token_around")
    assert not header.has_token("tokenizer.ggml.model")  # a string of the file, and none of the vocabulary
    header.path.write_bytes(b"")
    with pytest.raises(WeightsDamaged, match="cannot be read"):
        header.has_token("<image>")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing):
        read_gguf_header(tmp_path / "none.gguf")
    with pytest.raises(WeightsMissing):
        read_gguf_header(tmp_path)


HUGE = 2**63
HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "too few"),
    "one byte": (b"G", "too few"),
    "another format": (b"PK\x03\x04" + bytes(60), "starts with"),
    "an escape as magic": (b"\x1b]0;" + bytes(60), r"\\x1b"),
    "old version": (gguf(version=1), "version 1"),
    "big endian": (gguf(version=3 << 24), "version"),
    "2^63 entries": (gguf(metadata_count=HUGE), "claims"),
    "2^63 tensors": (gguf(tensor_count=HUGE), "claims"),
    "more entries than there are": (gguf(metadata_count=4000), "not a GGUF file"),
    "a key of 2^63 bytes": (gguf((struct.pack("<Q", HUGE),)), "a key of"),
    "a key that is not UTF-8": (gguf((entry(b"\xff\xfe", UINT32, bytes(4)),)), "not UTF-8"),
    "an empty key": (gguf((uint32("", 1),)), "empty"),
    "a key twice": (gguf((*METADATA, uint32("llama.block_count", 9))), "twice"),
    "a string of 2^62 bytes": (gguf((entry("x", STRING, struct.pack("<Q", 2**62)),)), "bytes"),
    "a value of type 99": (gguf((entry("x", 99, bytes(8)),)), "unknown type"),
    "an array of 2^60": (gguf((entry("x", ARRAY, struct.pack("<IQ", UINT32, 2**60)),)), "claims"),
    "an array longer than the file": (
        gguf((entry("x", ARRAY, struct.pack("<IQ", UINT64, MAX_ARRAY_LENGTH)),)),
        "ends inside",
    ),
    "an array of arrays": (gguf((entry("x", ARRAY, struct.pack("<IQ", ARRAY, 1)),)), "no reader takes"),
    "a huge string in an array": (
        gguf((entry("x", ARRAY, struct.pack("<IQQ", STRING, 1, MAX_STRING_BYTES + 1)),)),
        "a string of",
    ),
    "a string array that runs out": (
        gguf((entry("x", ARRAY, struct.pack("<IQ", STRING, 2**20)),), (), data=b""),
        "ends inside",
    ),
    "a truth value of 7": (gguf((entry("x", BOOL, b"\x07"),)), "truth value"),
    "alignment 0": (gguf((METADATA[0], uint32("general.alignment", 0))), "alignment"),
    "alignment 3": (gguf((METADATA[0], uint32("general.alignment", 3))), "power of two"),
    "alignment 2^31": (gguf((METADATA[0], uint32("general.alignment", 2**31))), str(MAX_ALIGNMENT)),
    "alignment as text": (gguf((METADATA[0], entry("general.alignment", STRING, string("32")))), "whole number"),
    "no architecture": (gguf((METADATA[1],), ()), "no architecture"),
    "no heads": (gguf((*METADATA[:5], uint32("llama.attention.head_count", 0)), ()), "head_count is 0"),
    "2^31 layers": (gguf((METADATA[0], uint32("llama.block_count", 2**31)), ()), "block_count"),
    "no dimensions": (gguf(tensors=(tensor("a", (), 0, 0),)), "0 dimensions"),
    "five dimensions": (gguf(tensors=(tensor("a", (1,) * 5, 0, 0),)), "5 dimensions"),
    "a dimension of 0": (gguf(tensors=(tensor("a", (4, 0), 0, 0),)), "impossible shape"),
    "a shape that wraps": (gguf(tensors=(tensor("a", (2**32, 2**32), 0, 0),)), "impossible shape"),
    "a shape that nearly wraps": (gguf(tensors=(tensor("a", (2**62,), 0, 0),)), "larger than the file"),
    "a row of half a block": (gguf(tensors=(tensor("a", (48,), 8, 0),)), "whole number of blocks"),
    "an unknown tensor type": (gguf(tensors=(tensor("a", (4,), 77, 0),)), "unknown type"),
    "a removed tensor type": (gguf(tensors=(tensor("a", (4,), 4, 0),)), "unknown type"),
    "a tensor twice": (gguf(tensors=(TENSORS[0], TENSORS[0])), "twice"),
    "a name of 64 bytes": (gguf(tensors=(tensor("n" * 64, (4,), 0, 0),)), "name"),
    "tensors over each other": (gguf(tensors=(TENSORS[0], tensor("b", (4,), 0, 0))), "expected 160"),
    "an offset beyond the file": (gguf(tensors=(tensor("a", (4,), 0, 2**40),)), "offset"),
    "data cut short": (gguf(data=bytes(175)), "1 bytes of its tensors are missing"),
    "no data": (gguf(data=b""), "missing"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_header_is_refused_and_said(tmp_path: Path, case: str) -> None:
    content, said = HOSTILE[case]
    path = written(tmp_path, content)
    with pytest.raises(WeightsDamaged, match=said) as raised:
        read_gguf_header(path)
    assert "model.gguf" in str(raised.value)
    assert raised.value.hint
    assert "\x1b" not in str(raised.value)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = gguf()
    for length in range(len(whole)):
        with pytest.raises(WeightsDamaged):
            read_gguf_header(written(tmp_path, whole[:length]))


def parses_or_is_refused(folder: Path, content: bytes) -> None:
    with contextlib.suppress(WeightsDamaged):
        assert read_gguf_header(written(folder, content)).architecture


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.integers(0, len(gguf()) * 8 - 1), min_size=1, max_size=6), keep=st.integers(0, len(gguf())))
def test_flipped_bits_never_do_harm(tmp_path: Path, flips: list[int], keep: int) -> None:
    content = bytearray(gguf())
    for bit in flips:
        content[bit // 8] ^= 1 << bit % 8
    parses_or_is_refused(tmp_path, bytes(content))
    parses_or_is_refused(tmp_path, bytes(content[:keep]))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rest=st.binary(max_size=400))
def test_noise_behind_the_magic_never_does_harm(tmp_path: Path, rest: bytes) -> None:
    parses_or_is_refused(tmp_path, b"GGUF\x03\x00\x00\x00" + rest)


def test_block_sizes_are_those_of_the_library() -> None:
    import llama_cpp

    libraries = Path(llama_cpp.__file__).parent / "lib"
    found = sorted(libraries.glob("*ggml-base*"))
    assert found, "llama-cpp-python carries ggml"
    ggml: Any = ctypes.CDLL(str(found[0]))
    ggml.ggml_blck_size.restype = ctypes.c_int64
    ggml.ggml_type_size.restype = ctypes.c_size_t
    for kind, (block_values, block_bytes) in TENSOR_TYPES.items():
        assert (ggml.ggml_blck_size(kind), ggml.ggml_type_size(kind)) == (block_values, block_bytes), kind


@pytest.mark.weights
def test_truncations_of_a_real_file_are_refused(weights_dir: Path, tmp_path: Path) -> None:
    real = weights_dir / "smollm2-135m-instruct-q4_1" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    header = read_gguf_header(real)
    assert header.architecture == "llama"
    assert header.kv_bytes_per_token() == 23_040
    with real.open("rb") as file:
        start = file.read(2 * 2**20)
    for length in (24, 100, 1_000, 50_000, 500_000, 1_500_000, len(start)):
        with pytest.raises(WeightsDamaged):
            read_gguf_header(written(tmp_path, start[:length]))
