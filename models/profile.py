"""What this machine was measured to do: once, in a few seconds, then refined by every real answer.

Engines are passed in and asked for their own figures; nothing here imports one. The result is kept with a
fingerprint of hardware and engine builds: after an upgrade or on another machine it is measured again. A file that
is damaged counts as none.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.chat import ChatEvent, ChatMessage, GenerationOptions, Usage
from models.errors import EngineFailed
from models.hardware import Cpu

LOGGER = logging.getLogger(__name__)

PROFILE_VERSION = 1

_WEIGHT_OF_NEWEST = 0.3
"""Of an observation in the moving average: three answers on battery are enough to notice."""
_LEAST_PREFILL_TOKENS = 32
_LEAST_DECODE_TOKENS = 8
"""Shorter observations say more about the start than about the rate."""
_SAVE_AFTER_OBSERVATIONS = 8
_WORTH_A_THREAD = 1.03
"""One more thread must gain this much, or the fewer are better neighbours."""
_PROMPT_WORDS = 80
_DECODE_TOKENS = 16
_COPY_BYTES = 128 * 2**20
"""Larger than the caches of ordinary machines."""

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChatRates(_Frozen):
    """One chat model on this machine."""

    prefill_tokens_per_s: Rate
    decode_tokens_per_s: Rate
    threads: Annotated[int, Field(ge=0)]
    """The best for one token at a time; 0 when only answers were observed."""
    threads_batch: Annotated[int, Field(ge=0)]
    """The best for reading the prompt."""
    weights_bytes: Annotated[int, Field(ge=0)] = 0
    """0 when it was not known."""


class EmbedRates(_Frozen):
    """One text embedder on this machine."""

    tokens_per_s: Rate
    threads: Annotated[int, Field(ge=1)]


class DeviceProfile(_Frozen):
    """All measurements, by model id."""

    version: int = PROFILE_VERSION
    fingerprint: str
    """`Hardware.fingerprint()` at the time."""
    memory_bytes_per_s: Rate | None = None
    chat: dict[str, ChatRates] = Field(default_factory=dict)
    embed: dict[str, EmbedRates] = Field(default_factory=dict)

    def prefill_tokens_per_s(self, model_id: str) -> float | None:
        """None while nothing is known of this model."""
        rates = self.chat.get(model_id)
        return None if rates is None else rates.prefill_tokens_per_s

    def decode_tokens_per_s(self, model_id: str) -> float | None:
        rates = self.chat.get(model_id)
        return None if rates is None else rates.decode_tokens_per_s


class MeasurableChat(Protocol):
    """What of a chat model is needed to measure it."""

    @property
    def model_id(self) -> str: ...
    def set_threads(self, n_threads: int, n_threads_batch: int) -> None: ...
    def stream(
        self, messages: Sequence[ChatMessage], options: GenerationOptions, stop: threading.Event
    ) -> Iterator[ChatEvent]: ...


class MeasurableEmbedder(Protocol):
    """What of a text embedder is needed to measure it."""

    def set_threads(self, threads: int) -> None: ...
    def count_tokens(self, text: str) -> int: ...
    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


class ProfileStore:
    """The profile in its file. Thread-safe; reading never writes."""

    def __init__(self, file: Path, fingerprint: str) -> None:
        """A profile of another fingerprint is set aside: `current` starts empty."""
        self._file = file
        self._lock = threading.RLock()
        self._unsaved = 0
        kept = _read(file)
        fits = kept is not None and kept.version == PROFILE_VERSION and kept.fingerprint == fingerprint
        self._current = kept if kept is not None and fits else DeviceProfile(fingerprint=fingerprint)

    @property
    def current(self) -> DeviceProfile:
        return self._current

    def needs_chat(self, model_id: str) -> bool:
        """Whether the model was never measured here (answers may have been observed all the same)."""
        rates = self._current.chat.get(model_id)
        return rates is None or rates.threads == 0

    def needs_embed(self, model_id: str) -> bool:
        return model_id not in self._current.embed

    def record_memory(self, bytes_per_s: float) -> None:
        self._replace(memory_bytes_per_s=bytes_per_s)
        self.save()

    def record_chat(self, model_id: str, rates: ChatRates) -> None:
        self._replace(chat={**self._current.chat, model_id: rates})
        self.save()

    def record_embed(self, model_id: str, rates: EmbedRates) -> None:
        self._replace(embed={**self._current.embed, model_id: rates})
        self.save()

    def observe(
        self, model_id: str, *, prefill_tokens: int, prefill_s: float, decode_tokens: int, decode_s: float
    ) -> None:
        """Learn from a real answer. `prefill_tokens` are those that were evaluated, without the cached ones.

        Saved every few answers and by `save()`; what is too short to say anything is ignored.
        """
        prefill = prefill_tokens / prefill_s if prefill_tokens >= _LEAST_PREFILL_TOKENS and prefill_s > 0 else None
        decode = decode_tokens / decode_s if decode_tokens >= _LEAST_DECODE_TOKENS and decode_s > 0 else None
        with self._lock:
            rates = _refined(self._current.chat.get(model_id), prefill, decode)
            if rates is None:
                return
            self._replace(chat={**self._current.chat, model_id: rates})
            self._unsaved += 1
            if self._unsaved >= _SAVE_AFTER_OBSERVATIONS:
                self.save()

    def save(self) -> None:
        """Write the file in one step. A disk that takes nothing costs only measuring again."""
        with self._lock:
            content = self._current.model_dump_json(indent=2)
            self._unsaved = 0
            try:
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                handle, temporary = tempfile.mkstemp(dir=self._file.parent, prefix=".profile-")
                try:
                    with os.fdopen(handle, "w", encoding="utf-8") as stream:
                        stream.write(content)
                    Path(temporary).replace(self._file)
                except BaseException:
                    Path(temporary).unlink(missing_ok=True)
                    raise
            except OSError as error:
                LOGGER.warning("%s cannot be written: %s", self._file, error)

    def _replace(self, **fields: object) -> None:
        with self._lock:
            self._current = self._current.model_copy(update=fields)


def candidate_threads(cpu: Cpu) -> tuple[int, ...]:
    """Thread counts worth trying, fewest first.

    One core left free, all physical cores, all usable threads. A single thread is tried where there is nothing else:
    it cannot win against two (measured: 0.65 of their speed), and takes the longest to measure.
    """
    cores = cpu.worker_cores
    return tuple(sorted({max(cores - 1, min(2, cores)), cores, cpu.usable_cores}))


def measure_memory(
    *, copies: int = 4, copy_bytes: int = _COPY_BYTES, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Bytes a second that one core reads and writes when it copies: the bound of decoding. About 0.2 s."""
    source = np.ones(copy_bytes // 8, np.int64)
    target = np.empty_like(source)
    np.copyto(target, source)  # the first touch of a page costs more than the copy
    best_s = float("inf")
    for _ in range(copies):
        started = clock()
        np.copyto(target, source)
        best_s = min(best_s, clock() - started)
    return 2 * source.nbytes / best_s


def measure_chat(
    chat: MeasurableChat, candidates: Sequence[int], *, weights_bytes: int = 0, stop: threading.Event | None = None
) -> ChatRates:
    """Rates with the best of the candidate thread counts, judged apart for prefill and decode; sets them.

    Each candidate costs about 120 tokens of prompt and 16 of answer. Raises EngineFailed when the model says
    nothing of its speed, and what `stream` raises.
    """
    stop = stop or threading.Event()
    prefill: dict[int, float] = {}
    decode: dict[int, float] = {}
    for threads in candidates:
        chat.set_threads(threads, threads)
        # The nonce stands first: no prompt shares a prefix with one that is still in the model's memory.
        words = " ".join(f"{number} bottles stand on shelf {number % 7}" for number in range(_PROMPT_WORDS // 5))
        message = ChatMessage.of_text("user", f"{uuid.uuid4().hex[:8]}. {words}. Count from one to forty.")
        for event in chat.stream([message], GenerationOptions(max_tokens=_DECODE_TOKENS), stop):
            if isinstance(event, Usage):
                evaluated = event.prompt_tokens - event.cached_tokens
                if event.prefill_s > 0 and evaluated > 0:
                    prefill[threads] = evaluated / event.prefill_s
                if event.decode_s > 0 and event.decode_tokens > 1:
                    decode[threads] = event.decode_tokens / event.decode_s
        if stop.is_set():
            break
    if not prefill or not decode:
        raise EngineFailed(f"{chat.model_id} could not be measured", hint="ask it something; its speed is learned")
    threads, threads_batch = _best(decode), _best(prefill)
    chat.set_threads(threads, threads_batch)
    return ChatRates(
        prefill_tokens_per_s=prefill[threads_batch],
        decode_tokens_per_s=decode[threads],
        threads=threads,
        threads_batch=threads_batch,
        weights_bytes=weights_bytes,
    )


def measure_embed(
    embedder: MeasurableEmbedder, candidates: Sequence[int], *, clock: Callable[[], float] = time.perf_counter
) -> EmbedRates:
    """Tokens a second with the best of the candidate thread counts; sets it. Below a second each."""
    sentence = "The pump on the lower terrace was replaced in May, and its warranty runs for another three years. "
    passages = [f"Note {number}. {sentence * 4}" for number in range(4 * max(candidates))]
    tokens = sum(embedder.count_tokens(passage) + 2 for passage in passages)
    embedder.embed_passages(passages[:1])  # the first run allocates
    rates = {}
    for threads in candidates:
        embedder.set_threads(threads)
        started = clock()
        embedder.embed_passages(passages)
        rates[threads] = tokens / max(clock() - started, 1e-9)
    best = _best(rates)
    embedder.set_threads(best)
    return EmbedRates(tokens_per_s=rates[best], threads=best)


def _best(rates: dict[int, float]) -> int:
    """The fastest thread count; more threads must gain something to be preferred."""
    best = min(rates)
    for threads in sorted(rates):
        if rates[threads] > rates[best] * _WORTH_A_THREAD:
            best = threads
    return best


def _refined(old: ChatRates | None, prefill: float | None, decode: float | None) -> ChatRates | None:
    """The rates after one more observation, or None where it says nothing new."""
    if old is None:
        if prefill is None or decode is None:
            return None
        return ChatRates(prefill_tokens_per_s=prefill, decode_tokens_per_s=decode, threads=0, threads_batch=0)
    if prefill is None and decode is None:
        return None
    return old.model_copy(
        update={
            "prefill_tokens_per_s": _moved(old.prefill_tokens_per_s, prefill),
            "decode_tokens_per_s": _moved(old.decode_tokens_per_s, decode),
        }
    )


def _moved(old: float, observed: float | None) -> float:
    return old if observed is None else (1 - _WEIGHT_OF_NEWEST) * old + _WEIGHT_OF_NEWEST * observed


def _read(file: Path) -> DeviceProfile | None:
    try:
        return DeviceProfile.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        LOGGER.warning("%s is not used, the machine is measured again: %s", file, error)
        return None
