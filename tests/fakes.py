"""Scripted engines for tests: they go in by the front door and do what they were told, word by word.

`ScriptedChatModel` satisfies `models.chat.ChatModel`, `CountableEmbedder` satisfies `rag.ports.TextEmbedder`.
They know nothing of pipelines.
"""

from __future__ import annotations

import hashlib
import re
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from models.chat import (
    ChatEvent,
    ChatMessage,
    Finish,
    GenerationOptions,
    ImagePart,
    PromptProgress,
    TextDelta,
    TextPart,
    Usage,
)
from models.errors import PromptTooLong, UnsupportedInput

ScriptStep = str | Exception | threading.Event | Callable[[], object]
"""A text to say, an error to raise, an event to wait for (stopping ends the wait), or a function to call."""

WAIT_LIMIT_S = 30.0
"""A wait that nothing ends is a broken test: it fails instead of hanging."""

_PIECE = re.compile(r"\s*\w+|\s*[^\w\s]|\s+")
_WORD = re.compile(r"\w+")
_WORD_OR_SIGNS = re.compile(r"\w+|[^\w\s]+")


def pieces_of(text: str) -> list[str]:
    """The fakes' tokens: a word or one sign, with the white space before it. They join to the text again."""
    return _PIECE.findall(text)


class ScriptedChatModel:
    """A chat model that says what was enqueued, one script an answer, one piece (a word or a sign) a delta.

    Like the real one it keeps the state of its last prompt and answer, and reports as cached what a new
    prompt shares with it from the start. Times are counted from the rates given, not measured.
    """

    def __init__(
        self,
        *,
        model_id: str = "scripted",
        context_tokens: int = 4096,
        prefill_tokens_per_s: float = 1000.0,
        decode_tokens_per_s: float = 100.0,
        sees: bool = False,
    ) -> None:
        """`sees`: it accepts pictures."""
        self.model_id = model_id
        self.accepts = frozenset({"text", "image"} if sees else {"text"})
        self.context_tokens = context_tokens
        self.prefill_tokens_per_s = prefill_tokens_per_s
        self.decode_tokens_per_s = decode_tokens_per_s
        self.history: list[tuple[ChatMessage, ...]] = []
        """The messages of every call, oldest first."""
        self.options: list[GenerationOptions] = []
        """The options of every call."""
        self.closed = False
        self._scripts: deque[tuple[ScriptStep, ...]] = deque()
        self._kept: list[str] = []
        self._busy = threading.Lock()

    def enqueue(self, *steps: ScriptStep) -> None:
        """Script one answer: texts are said, errors raised, events waited for, functions called, in order."""
        self._scripts.append(steps)

    @contextmanager
    def lend(self) -> Iterator[ScriptedChatModel]:
        """What a pipeline is given to borrow the model for one answer."""
        yield self

    def count_tokens(self, text: str) -> int:
        return len(pieces_of(text))

    def count_prompt_tokens(self, messages: Sequence[ChatMessage]) -> int:
        return len(self._prompt_tokens(messages))

    def count_image_tokens(self, image: ImagePart) -> int:
        if "image" not in self.accepts:
            raise UnsupportedInput(
                f"{self.model_id} reads text only; got a picture of {image.width_px} x {image.height_px} pixels",
                hint="choose a model with vision",
            )
        return 16

    def _prompt_tokens(self, messages: Sequence[ChatMessage]) -> list[str]:
        tokens: list[str] = []
        for message in messages:
            tokens.append(f"<{message.role}>")
            for part in message.parts:
                if isinstance(part, ImagePart):
                    tokens.extend([f"<{part.digest}>"] * self.count_image_tokens(part))
                else:
                    tokens.extend(pieces_of(part.text))
            tokens.append("<end>")
        return [*tokens, "<assistant>"]

    def stream(
        self, messages: Sequence[ChatMessage], options: GenerationOptions, stop: threading.Event
    ) -> Iterator[ChatEvent]:
        assert self._busy.acquire(blocking=False), "two answers at once: the caller must hold the lock"
        try:
            yield from self._stream(messages, options, stop)
        finally:
            self._busy.release()

    def _stream(
        self, messages: Sequence[ChatMessage], options: GenerationOptions, stop: threading.Event
    ) -> Iterator[ChatEvent]:
        self.history.append(tuple(messages))
        self.options.append(options)
        prompt = self._prompt_tokens(messages)
        if len(prompt) >= self.context_tokens:
            raise PromptTooLong(f"{len(prompt)} tokens do not fit {self.context_tokens}", hint="ask something shorter")
        assert self._scripts, "nothing was enqueued for this answer"
        steps = self._scripts.popleft()
        # One token at least is evaluated, or there would be nothing to choose the next one from.
        cached = min(_common_prefix(self._kept, prompt), len(prompt) - 1)
        self._kept = list(prompt)
        yield PromptProgress(len(prompt) - cached, len(prompt) - cached)
        decoded = 0
        finish: Finish = "stop"
        for piece in self._said(steps, stop):
            if stop.is_set():
                finish = "stopped"
                break
            if decoded >= options.max_tokens or len(self._kept) >= self.context_tokens:
                finish = "length"
                break
            decoded += 1
            self._kept.append(piece)
            yield TextDelta(piece)
        if stop.is_set():
            finish = "stopped"
        yield Usage(
            prompt_tokens=len(prompt),
            cached_tokens=cached,
            prefill_s=(len(prompt) - cached) / self.prefill_tokens_per_s,
            decode_tokens=decoded,
            decode_s=decoded / self.decode_tokens_per_s,
            finish=finish,
        )

    @staticmethod
    def _said(steps: Sequence[ScriptStep], stop: threading.Event) -> Iterator[str]:
        for step in steps:
            if isinstance(step, str):
                yield from pieces_of(step)
            elif isinstance(step, Exception):
                raise step
            elif isinstance(step, threading.Event):
                _wait_for_either(step, stop)
            else:
                step()

    def close(self) -> None:
        self.closed = True

    @property
    def last_prompt(self) -> str:
        """The texts of the last call's messages, each under its role, for tests that look for words."""
        return "\n".join(
            f"{message.role}: " + "".join(part.text for part in message.parts if isinstance(part, TextPart))
            for message in self.history[-1]
        )


def _common_prefix(old: Sequence[str], new: Sequence[str]) -> int:
    for index, (left, right) in enumerate(zip(old, new, strict=False)):
        if left != right:
            return index
    return min(len(old), len(new))


def _wait_for_either(event: threading.Event, stop: threading.Event) -> None:
    waited_s = 0.0
    while not event.wait(0.01):
        waited_s += 0.01
        if stop.is_set():
            return
        assert waited_s < WAIT_LIMIT_S, "the script waits for an event that nobody sets"


class CountableEmbedder:
    """An embedder whose vector can be counted by hand: one count a word (lower case) in the word's bucket,
    then scaled to length 1. A text without words is the first unit vector.

    `bucket(word)` tells which component a word counts in.
    """

    model_id = "countable"
    query_prefix = ""
    passage_prefix = ""
    max_tokens = 256
    arithmetic = "as shipped"

    def __init__(self, *, dimension: int = 256, model_id: str = "countable") -> None:
        self.dimension = dimension
        self.model_id = model_id
        self.sha256 = hashlib.sha256(f"{model_id}/{dimension}".encode()).hexdigest()
        self.history: list[tuple[str, ...]] = []
        """The texts of every call, queries too, oldest first."""
        self._errors: deque[Exception | None] = deque()
        self._lock = threading.Lock()

    def enqueue(self, *errors: Exception | None) -> None:
        """What the next calls do: raise this error, or (None) work."""
        with self._lock:
            self._errors.extend(errors)

    def bucket(self, word: str) -> int:
        return zlib.crc32(word.lower().encode()) % self.dimension

    def count_tokens(self, text: str) -> int:
        return count_words(text)

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        with self._lock:
            self.history.append(tuple(texts))
            error = self._errors.popleft() if self._errors else None
        if error is not None:
            raise error
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in _WORD.findall(text):
                vectors[row, self.bucket(word)] += 1.0
            length = float(np.linalg.norm(vectors[row]))
            if length:
                vectors[row] /= length
            else:
                vectors[row, 0] = 1.0
        return vectors

    def iter_passages(self, texts: Sequence[str]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """All of them at once."""
        yield np.arange(len(texts)), self.embed_passages(texts)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        vector: NDArray[np.float32] = self.embed_passages([text])[0]
        return vector


def count_words(text: str) -> int:
    """The fakes' tokens: words, and signs that stand together."""
    return len(_WORD_OR_SIGNS.findall(text))
