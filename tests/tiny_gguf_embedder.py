"""A tiny BERT in GGUF, as llama.cpp's converter writes bge, e5 and their like: the true format, a true WordPiece
vocabulary, weights from a fixed seed.

Its word vectors are large and the rest is small, so texts that share words come out near each other.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.make_tiny_models import CONTROL, NORMAL, UNKNOWN, Token, write_gguf
from tests.tiny_cross_encoder import WORDS

WIDTH, HEADS, LAYERS, FEED_FORWARD = 64, 4, 2, 96
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
POOLINGS = {"none": 0, "mean": 1, "cls": 2, "last": 3, "rank": 4}


def write_tiny_gguf_embedder(path: Path, *, pooling: str = "mean", context_tokens: int = 128, seed: int = 5) -> Path:
    """Write the model and return its path; the same arguments give the same bytes."""
    tokens = _tokens()
    entries: list[tuple[str, object]] = [
        ("general.architecture", "bert"),
        ("general.name", "homebody tiny embedder"),
        ("general.file_type", 0),
        ("bert.context_length", context_tokens),
        ("bert.embedding_length", WIDTH),
        ("bert.block_count", LAYERS),
        ("bert.feed_forward_length", FEED_FORWARD),
        ("bert.attention.head_count", HEADS),
        ("bert.attention.layer_norm_epsilon", 1e-12),
        ("bert.attention.causal", False),
        ("bert.pooling_type", POOLINGS[pooling]),
        ("tokenizer.ggml.model", "bert"),
        ("tokenizer.ggml.pre", "default"),
        ("tokenizer.ggml.token_type_count", 2),
        ("tokenizer.ggml.tokens", [token.text for token in tokens]),
        ("tokenizer.ggml.token_type", [token.kind for token in tokens]),
        ("tokenizer.ggml.padding_token_id", 0),
        ("tokenizer.ggml.unknown_token_id", 1),
        ("tokenizer.ggml.cls_token_id", 2),
        ("tokenizer.ggml.bos_token_id", 2),
        ("tokenizer.ggml.seperator_token_id", 3),
        ("tokenizer.ggml.eos_token_id", 3),
    ]
    if pooling == "none":
        entries = [entry for entry in entries if entry[0] != "bert.pooling_type"]
    return write_gguf(path, entries, _weights(len(tokens), context_tokens, np.random.default_rng(seed)))


def _tokens() -> list[Token]:
    special = [Token("[PAD]", CONTROL), Token("[UNK]", UNKNOWN), Token("[CLS]", CONTROL), Token("[SEP]", CONTROL)]
    signs = [Token(SPACE + sign, NORMAL) for sign in ".,:;!?-[]"]
    letters = [Token(letter, NORMAL) for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]
    begins = [Token(SPACE + letter.text, NORMAL) for letter in letters]
    return [*special, *signs, *begins, *letters, *(Token(SPACE + word, NORMAL) for word in WORDS if len(word) > 1)]


def _weights(vocabulary: int, positions: int, random: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Tensors by llama.cpp's names; a matrix is (rows out, columns in)."""

    def matrix(rows: int, columns: int, scale: float = 0.1) -> NDArray[np.float32]:
        return random.standard_normal((rows, columns), dtype=np.float32) * np.float32(scale * columns**-0.5)

    def norm(prefix: str) -> dict[str, NDArray[np.float32]]:
        return {f"{prefix}.weight": np.ones(WIDTH, np.float32), f"{prefix}.bias": np.zeros(WIDTH, np.float32)}

    tensors = {
        "token_embd.weight": matrix(vocabulary, WIDTH, 8.0),
        "position_embd.weight": matrix(positions, WIDTH),
        "token_types.weight": matrix(2, WIDTH),
        **norm("token_embd_norm"),
    }
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensors[f"{block}.{name}.weight"] = matrix(WIDTH, WIDTH)
            tensors[f"{block}.{name}.bias"] = np.zeros(WIDTH, np.float32)
        tensors[f"{block}.ffn_up.weight"] = matrix(FEED_FORWARD, WIDTH)
        tensors[f"{block}.ffn_up.bias"] = np.zeros(FEED_FORWARD, np.float32)
        tensors[f"{block}.ffn_down.weight"] = matrix(WIDTH, FEED_FORWARD)
        tensors[f"{block}.ffn_down.bias"] = np.zeros(WIDTH, np.float32)
        tensors |= norm(f"{block}.attn_output_norm") | norm(f"{block}.layer_output_norm")
    return tensors
