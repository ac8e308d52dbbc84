"""Write a tiny vision-language model with random weights: a GGUF language model and the mmproj file that goes with it.

The true formats of four families, nothing learnt, so that loading, encoding pictures, positions and stopping run for
real in tests, without a download:

    smolvlm   SmolVLM2: Idefics3's projector, a picture in tiles and as a whole, ordinary positions
    gemma     Gemma 3's projector: the tokens of a picture see each other (no causal mask)
    qwen2vl   Qwen2-VL's positions in three dimensions (M-RoPE), one chunk of any size a picture
    qwen3.5   the same with Qwen3.5's language model, which is partly recurrent: its state cannot be cut back

    python scripts/make_tiny_vlm.py FOLDER                  all four, some 100 kB each
    python scripts/make_tiny_vlm.py FOLDER --size smolvlm2-500m   as wide as the real one (550 MB)
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from scripts.make_tiny_models import CHATML_TEMPLATE, CONTROL, NORMAL, Packed, Token, bpe_tokens, q8_0, write_gguf

Family = Literal["smolvlm", "gemma", "qwen2vl", "qwen3.5"]
FAMILIES: tuple[Family, ...] = get_args(Family)
Array = npt.NDArray[np.float32]
Weights = dict[str, Array | Packed]

SMOLVLM_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
"""SmolVLM2's own: it reads contents as lists of parts only."""
_PROJECTORS: Mapping[Family, str] = MappingProxyType(
    {"smolvlm": "idefics3", "gemma": "gemma3", "qwen2vl": "qwen3vl_merger", "qwen3.5": "qwen3vl_merger"}
)
_MARKS: Mapping[Family, tuple[str, ...]] = MappingProxyType(
    {
        "smolvlm": (
            *("<fake_token_around_image>", "<global-img>", "<image>", "<end_of_utterance>"),
            *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
        ),
        "gemma": ("<start_of_image>", "<end_of_image>"),
        "qwen2vl": ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>"),
        "qwen3.5": ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>"),
    }
)
"""Tokens that stand around a picture, as the families spell them."""


@dataclass(frozen=True, slots=True)
class VlmSize:
    """Widths and depths of both halves."""

    width: int = 64
    layers: int = 2
    heads: int = 2
    kv_heads: int = 1
    feed_forward: int = 96
    vocabulary: int = 0
    """At least as many tokens; 0 for as few as there must be."""
    context_tokens: int = 4096
    picture_width: int = 64
    picture_layers: int = 2
    picture_heads: int = 2
    picture_feed_forward: int = 96
    picture_side_px: int = 64
    """Of one tile, or the side that a whole picture is brought to; the Qwens take any."""
    patch_px: int = 8
    merged: int = 2
    """So many patches by so many become one token."""
    longest_side_px: int = 128
    """Of a picture that is cut into tiles."""
    packed: bool = False
    """Matrices in 8 bits."""


TINY = VlmSize()
SMOLVLM2_500M = VlmSize(
    width=960,
    layers=32,
    heads=15,
    kv_heads=5,
    feed_forward=2560,
    vocabulary=49280,
    context_tokens=8192,
    picture_width=768,
    picture_layers=12,
    picture_heads=12,
    picture_feed_forward=3072,
    picture_side_px=512,
    patch_px=16,
    merged=4,
    longest_side_px=2048,
    packed=True,
)
"""HuggingFaceTB/SmolVLM2-500M-Video-Instruct, config.json."""


def write_tiny_vlm(
    folder: Path, family: Family = "smolvlm", *, size: VlmSize = TINY, seed: int = 11, chat_template: str | None = None
) -> tuple[Path, Path]:
    """Write `<family>.gguf` and `mmproj-<family>.gguf`; their paths. The same arguments give the same bytes."""
    random = np.random.default_rng(seed)
    model, projector = folder / f"{family}.gguf", folder / f"mmproj-{family}.gguf"
    tokens, merges, special = _vocabulary(family, size)
    template = chat_template or (SMOLVLM_TEMPLATE if family == "smolvlm" else CHATML_TEMPLATE)
    text = [*_text_metadata(family, size), *_tokenizer(tokens, merges, special), ("tokenizer.chat_template", template)]
    write_gguf(model, text, _stored(_text_weights(family, size, len(tokens), random), size))
    write_gguf(projector, picture_metadata(family, size), _stored(picture_weights(family, size, random), size))
    return model, projector


def write_mmproj(path: Path, family: Family = "smolvlm", *, size: VlmSize = TINY, seed: int = 11) -> Path:
    """The second file alone: for one that fits no model."""
    weights = picture_weights(family, size, np.random.default_rng(seed))
    return write_gguf(path, picture_metadata(family, size), _stored(weights, size))


# --- the language model ------------------------------------------------------------------------------------------


def _vocabulary(family: Family, size: VlmSize) -> tuple[list[Token], list[str], dict[str, int]]:
    tokens, merges, special = bpe_tokens()
    line_feed = "\N{LATIN CAPITAL LETTER C WITH DOT ABOVE}"  # GPT-2's letter for it
    merges = [*merges, f"{line_feed} {line_feed}"]
    tokens = [*tokens, Token(line_feed * 2, NORMAL), *(Token(mark, CONTROL) for mark in _MARKS[family])]
    tokens += [Token(f"<unused{n}>", NORMAL) for n in range(len(tokens), size.vocabulary)]
    if family == "smolvlm":
        special = {**special, "eos": next(n for n, token in enumerate(tokens) if token.text == "<end_of_utterance>")}
    return tokens, merges, special


def _tokenizer(tokens: Sequence[Token], merges: Sequence[str], special: Mapping[str, int]) -> list[tuple[str, object]]:
    return [
        ("tokenizer.ggml.model", "gpt2"),
        ("tokenizer.ggml.pre", "gpt-2"),
        ("tokenizer.ggml.tokens", [token.text for token in tokens]),
        ("tokenizer.ggml.token_type", [token.kind for token in tokens]),
        ("tokenizer.ggml.merges", list(merges)),
        ("tokenizer.ggml.bos_token_id", special["bos"]),
        ("tokenizer.ggml.eos_token_id", special["eos"]),
        ("tokenizer.ggml.add_bos_token", False),
    ]


def _text_metadata(family: Family, size: VlmSize) -> list[tuple[str, object]]:
    architecture = {"qwen2vl": "qwen2vl", "qwen3.5": "qwen35"}.get(family, "llama")
    head = size.width // size.heads
    entries: list[tuple[str, object]] = [
        ("general.architecture", architecture),
        ("general.name", f"homebody tiny {family}"),
        ("general.file_type", 7 if size.packed else 0),
        (f"{architecture}.context_length", size.context_tokens),
        (f"{architecture}.embedding_length", size.width),
        (f"{architecture}.block_count", _layers(family, size)),
        (f"{architecture}.feed_forward_length", size.feed_forward),
        (f"{architecture}.attention.head_count", size.heads),
        (f"{architecture}.attention.head_count_kv", size.kv_heads),
        (f"{architecture}.attention.layer_norm_rms_epsilon", 1e-5),
        (f"{architecture}.rope.dimension_count", head),
    ]
    if architecture != "llama":  # how the pairs of a head are shared among time, height and width
        entries.append((f"{architecture}.rope.dimension_sections", [head // 4, head // 8, head // 8, 0]))
    if architecture == "qwen35":
        entries += [
            (f"{architecture}.attention.key_length", head),
            (f"{architecture}.attention.value_length", head),
            (f"{architecture}.full_attention_interval", 4),
            (f"{architecture}.ssm.conv_kernel", 4),
            (f"{architecture}.ssm.state_size", 16),
            (f"{architecture}.ssm.group_count", 2),
            (f"{architecture}.ssm.time_step_rank", 2),
            (f"{architecture}.ssm.inner_size", 32),
        ]
    return entries


def _layers(family: Family, size: VlmSize) -> int:
    return 4 if family == "qwen3.5" else size.layers  # the fourth is the first with attention


def _text_weights(family: Family, size: VlmSize, vocabulary: int, random: np.random.Generator) -> Weights:
    """By llama.cpp's names; a matrix is (rows out, columns in)."""
    width, head = size.width, size.width // size.heads
    kv = size.kv_heads * head
    weights: Weights = {"token_embd.weight": _matrix(random, vocabulary, width, 4.0)}
    for layer in range(_layers(family, size)):
        block = f"blk.{layer}"
        weights[f"{block}.attn_norm.weight"] = _ones(width)
        if family == "qwen3.5":
            weights |= _qwen35_block(block, size, random, recurrent=(layer + 1) % 4 != 0)
        else:
            weights |= {
                f"{block}.attn_q.weight": _matrix(random, width, width),
                f"{block}.attn_k.weight": _matrix(random, kv, width),
                f"{block}.attn_v.weight": _matrix(random, kv, width),
                f"{block}.attn_output.weight": _matrix(random, width, width),
                f"{block}.ffn_norm.weight": _ones(width),
            }
            if family == "qwen2vl":
                sizes = {"attn_q": width, "attn_k": kv, "attn_v": kv}
                weights |= {f"{block}.{name}.bias": _zeros(length) for name, length in sizes.items()}
        weights |= {
            f"{block}.ffn_gate.weight": _matrix(random, size.feed_forward, width),
            f"{block}.ffn_up.weight": _matrix(random, size.feed_forward, width),
            f"{block}.ffn_down.weight": _matrix(random, width, size.feed_forward),
        }
    weights["output_norm.weight"] = _ones(width)
    weights["output.weight"] = _matrix(random, vocabulary, width, 4.0)
    return weights


def _qwen35_block(block: str, size: VlmSize, random: np.random.Generator, *, recurrent: bool) -> Weights:
    width, head = size.width, size.width // size.heads
    kv, inner, state, value_heads = size.kv_heads * head, 32, 16, 2
    weights: Weights = {f"{block}.post_attention_norm.weight": _ones(width)}
    if not recurrent:
        return weights | {
            f"{block}.attn_q.weight": _matrix(random, 2 * width, width),  # with its gate
            f"{block}.attn_k.weight": _matrix(random, kv, width),
            f"{block}.attn_v.weight": _matrix(random, kv, width),
            f"{block}.attn_output.weight": _matrix(random, width, width),
            f"{block}.attn_q_norm.weight": _ones(head),
            f"{block}.attn_k_norm.weight": _ones(head),
        }
    convolved = 3 * inner
    return weights | {
        f"{block}.attn_qkv.weight": _matrix(random, convolved, width),
        f"{block}.attn_gate.weight": _matrix(random, inner, width),
        f"{block}.ssm_conv1d.weight": _matrix(random, convolved, 4),
        f"{block}.ssm_dt.bias": _zeros(value_heads),
        f"{block}.ssm_a": -_ones(value_heads),
        f"{block}.ssm_beta.weight": _matrix(random, value_heads, width),
        f"{block}.ssm_alpha.weight": _matrix(random, value_heads, width),
        f"{block}.ssm_norm.weight": _ones(state),
        f"{block}.ssm_out.weight": _matrix(random, width, inner),
    }


# --- what makes embeddings of pictures ----------------------------------------------------------------------------


def picture_metadata(family: Family, size: VlmSize) -> list[tuple[str, object]]:
    entries: list[tuple[str, object]] = [
        ("general.architecture", "clip"),
        ("general.type", "mmproj"),
        ("general.name", f"homebody tiny {family}"),
        ("general.file_type", 7 if size.packed else 0),
        ("clip.has_vision_encoder", True),
        ("clip.projector_type", _PROJECTORS[family]),
        ("clip.vision.image_size", size.picture_side_px),
        ("clip.vision.patch_size", size.patch_px),
        ("clip.vision.embedding_length", size.picture_width),
        ("clip.vision.feed_forward_length", size.picture_feed_forward),
        ("clip.vision.block_count", size.picture_layers),
        ("clip.vision.attention.head_count", size.picture_heads),
        ("clip.vision.attention.layer_norm_epsilon", 1e-6),
        ("clip.vision.projection_dim", size.width),
        ("clip.vision.image_mean", [0.5, 0.5, 0.5]),
        ("clip.vision.image_std", [0.5, 0.5, 0.5]),
        ("clip.use_gelu", True),
    ]
    if family in ("smolvlm", "gemma"):
        entries.append(("clip.vision.projector.scale_factor", size.merged))
    if family == "smolvlm":
        entries.append(("clip.vision.preproc_image_size", size.longest_side_px))
    if family.startswith("qwen"):
        entries.append(("clip.vision.spatial_merge_size", 2))
    return entries


def picture_weights(family: Family, size: VlmSize, random: np.random.Generator) -> Weights:
    width, patch = size.picture_width, size.patch_px
    patches = (size.picture_side_px // patch) ** 2
    weights: Weights = {
        "v.patch_embd.weight": _convolution(random, width, patch),
        "v.patch_embd.bias": _zeros(width),
        "v.position_embd.weight": random.standard_normal((patches, width), dtype=np.float32) * np.float32(0.1),
        "v.post_ln.weight": _ones(width),
        "v.post_ln.bias": _zeros(width),
    }
    for layer in range(size.picture_layers):
        block = f"v.blk.{layer}"
        for name in ("ln1", "ln2"):
            weights |= {f"{block}.{name}.weight": _ones(width), f"{block}.{name}.bias": _zeros(width)}
        if family.startswith("qwen"):
            weights[f"{block}.attn_qkv.weight"] = _matrix(random, 3 * width, width)
            weights[f"{block}.attn_qkv.bias"] = _zeros(3 * width)
        else:
            for name in ("attn_q", "attn_k", "attn_v"):
                weights[f"{block}.{name}.weight"] = _matrix(random, width, width)
                weights[f"{block}.{name}.bias"] = _zeros(width)
        weights |= {
            f"{block}.attn_out.weight": _matrix(random, width, width),
            f"{block}.attn_out.bias": _zeros(width),
            f"{block}.ffn_up.weight": _matrix(random, size.picture_feed_forward, width),
            f"{block}.ffn_up.bias": _zeros(size.picture_feed_forward),
            f"{block}.ffn_down.weight": _matrix(random, width, size.picture_feed_forward),
            f"{block}.ffn_down.bias": _zeros(width),
        }
    return weights | _projector(family, size, random)


def _projector(family: Family, size: VlmSize, random: np.random.Generator) -> Weights:
    width = size.picture_width
    # Embeddings as large as those of words, so that what is written depends on what is seen.
    match family:
        case "smolvlm":
            return {"mm.model.fc.weight": _matrix(random, size.width, width * size.merged**2, 4.0)}
        case "gemma":
            return {
                "mm.input_projection.weight": _matrix(random, size.width, width, 4.0).T.copy(),
                "mm.soft_emb_norm.weight": _ones(width),
            }
        case _:
            merged = 4 * width
            return {
                "v.patch_embd.weight.1": _convolution(random, width, size.patch_px),
                "mm.0.weight": _matrix(random, merged, merged),
                "mm.0.bias": _zeros(merged),
                "mm.2.weight": _matrix(random, size.width, merged, 8.0),
                "mm.2.bias": _zeros(size.width),
            }


# --- numbers ------------------------------------------------------------------------------------------------------


def _matrix(random: np.random.Generator, rows: int, columns: int, scale: float = 1.0) -> Array:
    return random.standard_normal((rows, columns), dtype=np.float32) * np.float32(scale * columns**-0.5)


def _convolution(random: np.random.Generator, width: int, patch_px: int) -> Array:
    return _matrix(random, width, 3 * patch_px**2).reshape(width, 3, patch_px, patch_px)


def _ones(length: int) -> Array:
    return np.ones(length, dtype=np.float32)


def _zeros(length: int) -> Array:
    return np.zeros(length, dtype=np.float32)


def _stored(weights: Weights, size: VlmSize) -> Weights:
    if not size.packed:
        return weights
    return {
        name: q8_0(each) if isinstance(each, np.ndarray) and each.ndim == 2 and "position" not in name else each
        for name, each in weights.items()
    }


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=("tiny", "smolvlm2-500m"), default="tiny")
    parser.add_argument("--family", choices=FAMILIES, action="append", help="only this one; again for more")
    parser.add_argument("--context", type=int, help="tokens that the model was trained for, as its header says")
    given = parser.parse_args(arguments)
    folder: Path = given.folder
    folder.mkdir(parents=True, exist_ok=True)
    size = TINY if given.size == "tiny" else SMOLVLM2_500M
    if given.context:
        size = replace(size, context_tokens=given.context)
    families = given.family or (FAMILIES if given.size == "tiny" else ("smolvlm",))
    for family in families:
        for path in write_tiny_vlm(folder, family, size=size):
            print(f"{path}  {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
