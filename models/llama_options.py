"""How a GGUF model is to be loaded and run, what really runs, and how an evaluation is ended. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

KvType = Literal["f16", "q8_0"]
FlashAttention = Literal["auto", "on", "off"]


@dataclass(frozen=True, slots=True)
class ChatLlamaOptions:
    """How to load and run a GGUF model. Thread counts and devices are decided by the caller (`placement`)."""

    n_ctx: int = 8192
    """Prompt and answer together, in tokens; more than the model was trained for is cut down to that."""
    n_threads: int = 1
    """For one token at a time."""
    n_threads_batch: int = 1
    """For reading the prompt."""
    n_batch: int = 256
    """Tokens a call when reading the prompt: between calls there is a progress event."""
    n_ubatch: int = 256
    """Tokens a pass over the weights; at most n_batch."""
    flash_attention: FlashAttention = "auto"
    type_k: KvType = "f16"
    type_v: KvType = "f16"
    """q8_0 halves the memory of the context; a quantised V needs flash attention."""
    n_gpu_layers: int = 0
    """Negative means all."""
    device_names: tuple[str, ...] = ()
    """llama.cpp's names (`llama_devices.list_devices`); empty lets llama.cpp take every GPU for the layers."""
    max_picture_tokens: int = 0
    """Where a model takes pictures of any size, or in tiles: larger ones are made smaller. 0 leaves it to the model."""
    thinking: bool = False
    """Let models that can think aloud do so. Costs hundreds of tokens before the answer begins."""


@dataclass(frozen=True, slots=True)
class LlamaFacts:
    """What really runs, read back after loading."""

    description: str
    """The engine's own words: architecture, size, quantisation."""
    parameters: int
    weights_bytes: int
    n_ctx: int
    n_ctx_train: int
    n_batch: int
    n_ubatch: int
    flash_attention: bool | None
    """None where the engine did not say."""
    layers_offloaded: int
    """Layers whose weights are on a GPU."""
    layers: int
    type_k: KvType
    type_v: KvType
    """f16 where the model or the attention cannot take what was asked for."""
    kv_bytes: int
    """Memory for the context, over all devices; 0 where the engine did not say."""
    recurrent: bool
    """Its state cannot be cut back: a changed prompt is evaluated from the beginning."""


class Aborted(Exception):
    """The evaluation was ended by the abort flag. What was evaluated before the last batch stays."""
