"""Whether a model fits a machine, and how fast it would be: arithmetic on numbers that are passed in.

Knows nothing of this machine; `hardware.py` and `profile.py` do. Memory is weights + KV cache + compute buffers.
Speed is predicted from two rates: reading weights from memory bounds decoding, arithmetic bounds prefill, and both
grow with the bytes of the weights. The constants are those of the measurements named beside them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from models.catalog import ModelEntry, by_preference

DEFAULT_CONTEXT_TOKENS = 8192
MICRO_BATCH_TOKENS = 512
"""llama.cpp's n_ubatch: that many rows of logits are kept while a prompt is read."""
FIXED_BUFFER_BYTES = 96 * 2**20
ENCODER_BUFFER_BYTES = 192 * 2**20
"""Of an image encoder at work, and of the picture that it is given."""
PICTURES_KEPT_BYTES = 64 * 2**20
"""For the embeddings of the last pictures (`vision_llama.CACHE_BYTES`)."""
MEMORY_SHARE = 0.9
"""Of the free memory; the rest is left to everything else."""
KV_SHARE_OF_WEIGHTS_PER_TOKEN = 1 / 40_000
"""KV bytes a token, where the architecture is not known: that of Qwen2.5 1.5B (28,672 bytes for 1.1 GB)."""

USEFUL_DECODE_TOKENS_PER_S = 5.0
"""About as fast as one reads."""
USEFUL_PREFILL_TOKENS_PER_S = 32.0
"""Question, rules and a passage are read within 8 seconds."""
INSTALLED_GRACE = 1.6
"""An installed model stays the default while it is at most so many times slower than useful: it was judged when it was
pulled, and going to and fro between models with every measurement would be worse than a slow answer."""

# Qwen2.5-Coder 1.5B Q4_K_M (1.117 GB), llama-bench on 2 cores of an AMD EPYC with AVX-512: prefill 74.5 and decode
# 22.9 tokens/s; the 0.5B of the same family 194 and 41.7. Decode fits bytes / 31.8 GB/s + 8 ms a token.
REFERENCE_CORES = 2
REFERENCE_PREFILL_BYTE_RATE = 74.5 * 1.117e9
REFERENCE_DECODE_BYTES_PER_S = 31.8e9
DECODE_OVERHEAD_S = 0.008
DESKTOP_BANDWIDTH_BYTES_PER_S = 45e9
"""Two channels of DDR4-3200, as far as they can be used: more cores do not decode faster than memory delivers."""


@dataclass(frozen=True, slots=True)
class ChatSpeed:
    """How fast a machine runs quantized language models."""

    prefill_byte_rate: float
    """Prefill tokens/s times bytes of weights: about the same for every dense model on one machine."""
    decode_bytes_per_s: float
    """Bytes of weights read per second while decoding."""
    measured: bool
    """False: a guess from the number of cores."""

    @classmethod
    def from_measurement(
        cls, *, weights_bytes: int, prefill_tokens_per_s: float, decode_tokens_per_s: float
    ) -> ChatSpeed:
        """From what one model was measured to do on this machine."""
        reading_s = max(1 / decode_tokens_per_s - DECODE_OVERHEAD_S, 0.1 / decode_tokens_per_s)
        return cls(
            prefill_byte_rate=prefill_tokens_per_s * weights_bytes,
            decode_bytes_per_s=weights_bytes / reading_s,
            measured=True,
        )

    @classmethod
    def guess(
        cls, *, physical_cores: int, vector_bits: int = 256, memory_bytes_per_s: float | None = None
    ) -> ChatSpeed:
        """Before anything was measured; `vector_bits` is 512, 256 or 128 (AVX-512, AVX2, NEON or SSE)."""
        width = {512: 1.0, 256: 0.6, 128: 0.35}.get(vector_bits, 0.35)
        cores = max(physical_cores, 1) / REFERENCE_CORES
        bandwidth = memory_bytes_per_s or DESKTOP_BANDWIDTH_BYTES_PER_S
        return cls(
            prefill_byte_rate=REFERENCE_PREFILL_BYTE_RATE * cores * width,
            decode_bytes_per_s=min(REFERENCE_DECODE_BYTES_PER_S * cores, bandwidth),
            measured=False,
        )

    def times(self, factor: float) -> ChatSpeed:
        return replace(
            self,
            prefill_byte_rate=self.prefill_byte_rate * factor,
            decode_bytes_per_s=self.decode_bytes_per_s * factor,
        )

    def decode_tokens_per_s(self, weights_bytes: int) -> float:
        return 1 / (weights_bytes / self.decode_bytes_per_s + DECODE_OVERHEAD_S)

    def prefill_tokens_per_s(self, weights_bytes: int) -> float:
        return self.prefill_byte_rate / weights_bytes


@dataclass(frozen=True, slots=True)
class Machine:
    """What the fit is judged by."""

    free_memory_bytes: int
    speed: ChatSpeed


@dataclass(frozen=True, slots=True)
class FitVerdict:
    """Whether a model can be run here, before it is downloaded."""

    fits: bool
    """Into memory."""
    useful: bool
    """It fits, and is predicted to be fast enough to wait for."""
    needed_bytes: int
    free_bytes: int
    decode_tokens_per_s: float | None
    """Predicted; None for models that do not chat."""
    prefill_tokens_per_s: float | None
    reason: str
    """One sentence, without a full stop."""


def needed_memory_bytes(
    entry: ModelEntry, *, context_tokens: int = DEFAULT_CONTEXT_TOKENS, kv_bytes_per_value: float = 2.0
) -> int:
    """Memory while running: weights, and for a language model the KV cache of the context and the buffers."""
    if entry.format != "gguf":
        # A session of ONNX Runtime or CTranslate2: weights, and activations that were never seen above half of them.
        return entry.bytes + entry.bytes // 2 + FIXED_BUFFER_BYTES
    tokens = min(context_tokens, entry.context_tokens or context_tokens)
    pictures = needed_for_pictures_bytes() if entry.projector is not None else 0
    if entry.architecture is None:
        return int(entry.bytes * (1 + tokens * KV_SHARE_OF_WEIGHTS_PER_TOKEN)) + 4 * FIXED_BUFFER_BYTES + pictures
    logits = MICRO_BATCH_TOKENS * entry.architecture.vocabulary_tokens * 4
    kv_cache = tokens * entry.architecture.kv_bytes_per_token(kv_bytes_per_value)
    return entry.bytes + kv_cache + logits + FIXED_BUFFER_BYTES + pictures


def needed_for_pictures_bytes() -> int:
    """What looking takes besides the encoder's weights: its buffers, and embeddings that are kept."""
    return ENCODER_BUFFER_BYTES + PICTURES_KEPT_BYTES


def fits(
    entry: ModelEntry,
    machine: Machine,
    *,
    context_tokens: int = DEFAULT_CONTEXT_TOKENS,
    kv_bytes_per_value: float = 2.0,
) -> FitVerdict:
    """Judge one model for one machine."""
    needed = needed_memory_bytes(entry, context_tokens=context_tokens, kv_bytes_per_value=kv_bytes_per_value)
    free = machine.free_memory_bytes
    in_memory = needed <= free * MEMORY_SHARE
    decode = prefill = None
    if entry.format == "gguf":
        decode = machine.speed.decode_tokens_per_s(entry.bytes)
        prefill = machine.speed.prefill_tokens_per_s(entry.bytes)
    too_slow = (
        decode is not None
        and prefill is not None
        and (decode < USEFUL_DECODE_TOKENS_PER_S or prefill < USEFUL_PREFILL_TOKENS_PER_S)
    )
    return FitVerdict(
        fits=in_memory,
        useful=in_memory and not too_slow,
        needed_bytes=needed,
        free_bytes=free,
        decode_tokens_per_s=decode,
        prefill_tokens_per_s=prefill,
        reason=_reason(needed, free, in_memory, decode, prefill, too_slow),
    )


def _reason(
    needed: int, free: int, in_memory: bool, decode: float | None, prefill: float | None, too_slow: bool
) -> str:
    memory = f"needs {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free"
    if not in_memory:
        return f"does not fit: {memory}"
    if decode is None or prefill is None:
        return f"fits: {memory}"
    speed = f"about {prefill:.0f} tokens/s read and {decode:.0f} written"
    return f"fits but slow: {speed}; {memory}" if too_slow else f"fits: {memory}; {speed}"


@dataclass(frozen=True, slots=True)
class DefaultChat:
    """The chat model to take when nobody named one."""

    entry: ModelEntry
    verdict: FitVerdict


def rank_chat(
    candidates: Iterable[ModelEntry], machine: Machine, *, context_tokens: int = DEFAULT_CONTEXT_TOKENS
) -> tuple[DefaultChat, ...]:
    """Chat models that fit, best first: those that are fast enough by preference, then the others, fastest first.

    The catalogue's order of preference is by size, general models before coders of the same size.
    """
    judged = [
        DefaultChat(entry, fits(entry, machine, context_tokens=context_tokens))
        for entry in by_preference(candidates, "chat")
    ]
    useful = [each for each in judged if each.verdict.useful]
    slow = [each for each in judged if each.verdict.fits and not each.verdict.useful]
    return (*useful, *sorted(slow, key=lambda each: each.entry.bytes))


def choose_default_chat(
    candidates: Iterable[ModelEntry], machine: Machine, *, context_tokens: int = DEFAULT_CONTEXT_TOKENS
) -> DefaultChat | None:
    """The largest model that fits and is fast enough; failing that, the fastest that fits; else None."""
    return next(iter(rank_chat(candidates, machine, context_tokens=context_tokens)), None)


def choose_installed_chat(installed: Iterable[ModelEntry], machine: Machine) -> ModelEntry | None:
    """Of the models that are here already, the one to use: as above, with some grace for the slow."""
    lenient = replace(machine, speed=machine.speed.times(INSTALLED_GRACE))
    chosen = choose_default_chat(installed, lenient)
    return chosen.entry if chosen is not None else None
