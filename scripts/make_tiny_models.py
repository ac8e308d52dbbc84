"""Write a tiny GGUF chat model with random weights: the true format, a true vocabulary, nothing learnt.

It lets the loading, tokenising, evaluating and stopping code run for real in tests, without a download. What it
says is noise, the same noise every time: weights come from a fixed seed. Tests import `write_tiny_gguf`.

    python scripts/make_tiny_models.py FOLDER

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt

Vocabulary = Literal["bpe", "spm"]

CHATML_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
LLAMA2_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('no system role') }}"
    "{% elif message['role'] == 'user' %}{{ bos_token + '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] + ' ' + eos_token }}{% endif %}"
    "{% endfor %}"
)

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
"""LLAMA_TOKEN_TYPE_*, as the format numbers them."""

_ALIGNMENT = 32
_UINT32, _FLOAT32, _BOOL, _STRING, _ARRAY, _INT32 = 4, 6, 7, 8, 9, 5
_GGML_F32, _GGML_F16, _GGML_Q8_0 = 0, 1, 8
_Q8_0_VALUES = 32


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    kind: int = NORMAL
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Shape:
    """Small, with every part that a real model has: several layers, grouped heads, an output matrix of its own."""

    embedding: int = 64
    layers: int = 2
    heads: int = 2
    kv_heads: int = 1
    feed_forward: int = 96
    context_tokens: int = 2048

    @property
    def head(self) -> int:
        return self.embedding // self.heads


@dataclass(frozen=True, slots=True)
class Packed:
    """A matrix in blocks of 32 values of 8 bits, each with a scale in 16 bits: ggml's Q8_0."""

    shape: tuple[int, ...]
    """As an array would have it: the fastest dimension last."""
    stored: bytes

    @property
    def nbytes(self) -> int:
        return len(self.stored)


Tensors = Mapping[str, npt.NDArray[np.float32] | npt.NDArray[np.float16] | Packed]


def q8_0(matrix: npt.NDArray[np.float32]) -> Packed:
    """Rows must be whole blocks."""
    blocks = matrix.reshape(-1, _Q8_0_VALUES)
    scales = np.abs(blocks).max(axis=1, keepdims=True) / 127
    stored = np.empty(len(blocks), dtype=[("scale", "<f2"), ("values", "i1", _Q8_0_VALUES)])
    stored["scale"] = scales[:, 0]
    stored["values"] = np.rint(blocks / np.where(scales, scales, 1))
    return Packed(matrix.shape, stored.tobytes())


def write_tiny_gguf(
    path: Path,
    *,
    vocabulary: Vocabulary = "bpe",
    chat_template: str | None = CHATML_TEMPLATE,
    shape: Shape | None = None,
    seed: int = 7,
    end_token_bias: float = 0.0,
) -> Path:
    """Write the model and return its path; the same arguments give the same bytes.

    `chat_template` None leaves it out. `end_token_bias` above 0 makes the end of the answer likely: with 10 or
    so the first token already ends it.
    """
    shape = shape or Shape()
    tokens, merges, special = bpe_tokens() if vocabulary == "bpe" else _spm_tokens()
    tensors = _weights(shape, len(tokens), np.random.default_rng(seed))
    if end_token_bias:
        _make_likely(tensors, special["eos"], end_token_bias)
    return write_gguf(path, _metadata(shape, tokens, merges, special, vocabulary, chat_template), tensors)


def write_gguf(path: Path, metadata: Sequence[tuple[str, object]], tensors: Tensors) -> Path:
    """Write any GGUF file: strings, numbers, truths, and lists of strings or of numbers. Tensors are stored as they
    come: float32, float16, or packed as `q8_0` does."""
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
        for key, value in metadata:
            file.write(_entry(key, value))
        _write_tensors(file, tensors)
    return path


def _byte_alphabet() -> list[str]:
    """GPT-2's printable character for each byte (openai/gpt-2, encoder.py, bytes_to_unicode)."""
    printable = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def bpe_tokens() -> tuple[list[Token], list[str], dict[str, int]]:
    """Tokens, merges, and the ids of the special ones by name."""
    alphabet = _byte_alphabet()
    tokens = [Token(character) for character in alphabet]
    merges: list[str] = []
    for left, right in [("t", "h"), ("th", "e"), ("i", "n"), ("e", "r"), ("o", "n"), ("a", "n"), (alphabet[32], "the")]:
        merges.append(f"{left} {right}")
        tokens.append(Token(left + right))
    special = {}
    for name, text in [("bos", "<|endoftext|>"), ("start", "<|im_start|>"), ("eos", "<|im_end|>")]:
        special[name] = len(tokens)
        tokens.append(Token(text, CONTROL))
    tokens += [Token(text, USER_DEFINED) for text in ("<think>", "</think>", "<tool_call>")]
    return tokens, merges, special


def _spm_tokens() -> tuple[list[Token], list[str], dict[str, int]]:
    tokens = [Token("<unk>", UNKNOWN), Token("<s>", CONTROL), Token("</s>", CONTROL)]
    tokens += [Token(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    tokens.append(Token("\N{LOWER ONE EIGHTH BLOCK}", NORMAL, -1.0))
    tokens += [Token(chr(code), NORMAL, -2.0) for code in range(ord("!"), ord("~") + 1)]
    # "</" and "s>" as in Llama 2, from which plain text can spell the control token </s>.
    tokens += [Token(text, NORMAL, -0.5) for text in ("</", "s>", "th", "the", "in", "er")]
    return tokens, [], {"bos": 1, "eos": 2, "unk": 0}


def _metadata(
    shape: Shape,
    tokens: Sequence[Token],
    merges: Sequence[str],
    special: dict[str, int],
    vocabulary: Vocabulary,
    chat_template: str | None,
) -> list[tuple[str, object]]:
    entries: list[tuple[str, object]] = [
        ("general.architecture", "llama"),
        ("general.name", "homebody tiny"),
        ("general.alignment", _ALIGNMENT),
        ("general.file_type", 0),
        ("llama.context_length", shape.context_tokens),
        ("llama.embedding_length", shape.embedding),
        ("llama.block_count", shape.layers),
        ("llama.feed_forward_length", shape.feed_forward),
        ("llama.attention.head_count", shape.heads),
        ("llama.attention.head_count_kv", shape.kv_heads),
        ("llama.rope.dimension_count", shape.head),
        ("llama.vocab_size", len(tokens)),
        ("llama.attention.layer_norm_rms_epsilon", 1e-5),
        ("tokenizer.ggml.model", "gpt2" if vocabulary == "bpe" else "llama"),
        ("tokenizer.ggml.tokens", [token.text for token in tokens]),
        ("tokenizer.ggml.token_type", [token.kind for token in tokens]),
        ("tokenizer.ggml.bos_token_id", special["bos"]),
        ("tokenizer.ggml.eos_token_id", special["eos"]),
        ("tokenizer.ggml.add_bos_token", vocabulary == "spm"),
    ]
    if vocabulary == "bpe":
        entries += [("tokenizer.ggml.pre", "gpt-2"), ("tokenizer.ggml.merges", list(merges))]
    else:
        entries += [
            ("tokenizer.ggml.unknown_token_id", special["unk"]),
            ("tokenizer.ggml.scores", [token.score for token in tokens]),
        ]
    if chat_template is not None:
        entries.append(("tokenizer.chat_template", chat_template))
    return entries


def _weights(shape: Shape, vocabulary_size: int, random: np.random.Generator) -> dict[str, npt.NDArray[np.float32]]:
    """Tensors by llama.cpp's names; a matrix is (rows out, columns in), as ggml stores it row by row."""

    def matrix(rows: int, columns: int) -> npt.NDArray[np.float32]:
        return random.standard_normal((rows, columns), dtype=np.float32) * np.float32(columns**-0.5)

    embedding, kv = shape.embedding, shape.kv_heads * shape.head
    tensors = {"token_embd.weight": matrix(vocabulary_size, embedding) * np.float32(4)}
    for layer in range(shape.layers):
        block = f"blk.{layer}"
        tensors |= {
            f"{block}.attn_norm.weight": np.ones(embedding, dtype=np.float32),
            f"{block}.attn_q.weight": matrix(embedding, embedding),
            f"{block}.attn_k.weight": matrix(kv, embedding),
            f"{block}.attn_v.weight": matrix(kv, embedding),
            f"{block}.attn_output.weight": matrix(embedding, embedding),
            f"{block}.ffn_norm.weight": np.ones(embedding, dtype=np.float32),
            f"{block}.ffn_gate.weight": matrix(shape.feed_forward, embedding),
            f"{block}.ffn_up.weight": matrix(shape.feed_forward, embedding),
            f"{block}.ffn_down.weight": matrix(embedding, shape.feed_forward),
        }
    tensors["output_norm.weight"] = np.ones(embedding, dtype=np.float32)
    tensors["output.weight"] = matrix(vocabulary_size, embedding) * np.float32(4)
    return tensors


def _make_likely(tensors: dict[str, npt.NDArray[np.float32]], token: int, bias: float) -> None:
    """Give every position a component in one direction, and let the token's output row point along it."""
    tensors["token_embd.weight"][:, 0] = 8.0
    tensors["output.weight"][:, 0] = 0.0
    tensors["output.weight"][token] = 0.0
    tensors["output.weight"][token, 0] = bias


def _write_tensors(file: BinaryIO, tensors: Tensors) -> None:
    offset = 0
    for name, tensor in tensors.items():
        dimensions = tensor.shape[::-1]  # ggml names the fastest dimension first
        file.write(_string(name))
        kind = _GGML_Q8_0 if isinstance(tensor, Packed) else _GGML_F16 if tensor.dtype == np.float16 else _GGML_F32
        file.write(struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, kind, offset))
        offset += -(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT
    file.write(bytes(-file.tell() % _ALIGNMENT))
    for tensor in tensors.values():
        file.write(tensor.stored if isinstance(tensor, Packed) else np.ascontiguousarray(tensor).tobytes())
        file.write(bytes(-tensor.nbytes % _ALIGNMENT))


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _key(key: str, kind: int) -> bytes:
    return _string(key) + struct.pack("<I", kind)


def _entry(key: str, value: object) -> bytes:
    match value:
        case bool():
            return _key(key, _BOOL) + struct.pack("<?", value)
        case int():
            return _key(key, _UINT32) + struct.pack("<I", value)
        case float():
            return _key(key, _FLOAT32) + struct.pack("<f", value)
        case str():
            return _key(key, _STRING) + _string(value)
        case [str(), *_]:
            return (
                _key(key, _ARRAY)
                + struct.pack("<IQ", _STRING, len(value))
                + b"".join(_string(str(each)) for each in value)
            )
        case [int(), *_]:
            return _key(key, _ARRAY) + struct.pack(f"<IQ{len(value)}i", _INT32, len(value), *value)
        case [float(), *_]:
            return _key(key, _ARRAY) + struct.pack(f"<IQ{len(value)}f", _FLOAT32, len(value), *value)
        case _:
            raise TypeError(f"{key}: {value!r} has no place in a GGUF header")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    for path in (
        write_tiny_gguf(folder / "tiny-bpe.gguf"),
        write_tiny_gguf(folder / "tiny-spm.gguf", vocabulary="spm", chat_template=LLAMA2_TEMPLATE),
    ):
        print(f"{path}  {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
