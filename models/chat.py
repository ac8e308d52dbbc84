"""The contract of a chat model: messages in, a stream of events out, a stop signal heard between tokens.

Knows nothing of any engine: `chat_llama.py` is the adapter for llama.cpp.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Role = Literal["system", "user", "assistant"]
Finish = Literal["stop", "length", "stopped"]
"""stop: the model ended its answer. length: max_tokens or the context ran out. stopped: the user did."""


@dataclass(frozen=True, slots=True)
class TextPart:
    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A picture as pixels, decoded by us: an engine must neither fetch nor parse anything."""

    width_px: int
    height_px: int
    rgb: bytes = field(repr=False)
    """Row after row, three bytes a pixel."""
    digest: str = ""
    """Names these pixels at this size: two pictures with the same digest are the same picture. Made from them where
    none is given."""

    def __post_init__(self) -> None:
        if min(self.width_px, self.height_px) < 1 or len(self.rgb) != 3 * self.width_px * self.height_px:
            raise ValueError(f"{self.width_px} x {self.height_px} pixels are not {len(self.rgb)} bytes")
        if not self.digest:
            object.__setattr__(self, "digest", picture_digest(self.width_px, self.height_px, self.rgb))


def picture_digest(width_px: int, height_px: int, rgb: bytes) -> str:
    """Hexadecimal."""
    hashed = hashlib.blake2b(f"{width_px}x{height_px}:".encode(), digest_size=32)
    hashed.update(rgb)
    return hashed.hexdigest()


Part = TextPart | ImagePart


@dataclass(frozen=True, slots=True)
class ChatMessage:
    role: Role
    parts: tuple[Part, ...]

    @classmethod
    def of_text(cls, role: Role, text: str) -> ChatMessage:
        return cls(role, (TextPart(text),))


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    max_tokens: int = 512
    temperature: float = 0.0
    """0 takes the most likely token every time: the same question gives the same answer."""
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    """Strings that end the answer; they are not part of it."""


@dataclass(frozen=True, slots=True)
class PromptProgress:
    """Sent while the prompt is read: between batches, so a user sees that something moves."""

    done_tokens: int
    """Of those that had to be evaluated."""
    total_tokens: int


@dataclass(frozen=True, slots=True)
class PictureProgress:
    """Sent before and while a picture is encoded: on a small machine that takes longer than reading it."""

    done_parts: int
    total_parts: int
    """Some models look at a large picture in parts."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str
    """Complete characters only; never empty."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The last event of every stream, a stopped one too."""

    prompt_tokens: int
    cached_tokens: int
    """Of these, how many needed no evaluation because the state for them was there."""
    prefill_s: float
    decode_tokens: int
    decode_s: float
    finish: Finish
    encode_s: float = 0.0
    """Of `prefill_s`: making embeddings of pictures."""
    pictures_encoded: int = 0
    """Pictures of the prompt that were not known yet; the others cost nothing."""

    @property
    def decode_tokens_per_s(self) -> float:
        return self.decode_tokens / self.decode_s if self.decode_s > 0 else 0.0


ChatEvent = PromptProgress | PictureProgress | TextDelta | Usage


class ChatModel(Protocol):
    """One loaded chat model. Not re-entrant: `models/resident.py` holds the lock."""

    @property
    def model_id(self) -> str: ...

    @property
    def accepts(self) -> frozenset[str]:
        """Kinds of parts: {"text"} or {"text", "image"}."""
        ...

    @property
    def context_tokens(self) -> int:
        """Prompt and answer together must fit in this."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of plain content (no template, no special tokens)."""
        ...

    def count_prompt_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """Tokens of the whole prompt with its template."""
        ...

    def count_image_tokens(self, image: ImagePart) -> int:
        """What a picture takes of the context, with the marks around it. Raises UnsupportedInput where the model
        does not accept pictures."""
        ...

    def stream(
        self, messages: Sequence[ChatMessage], options: GenerationOptions, stop: threading.Event
    ) -> Iterator[ChatEvent]:
        """Yield events until the answer ends; the last one is a Usage.

        Raises UnsupportedInput, PromptTooLong, EngineFailed before the first TextDelta or between two.
        """
        ...

    def close(self) -> None: ...
