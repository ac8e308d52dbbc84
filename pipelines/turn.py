"""One question and what belongs to it, and the answer that came of it. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from models.chat import Finish, ImagePart
from rag.records import Hit, Kind, Locator


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that came with a question, or a page of one, decoded by a reader."""

    path: str
    """Absolute, as it may be shown."""
    image: ImagePart
    page: int | None = None
    """1-based; of a file with several pages."""
    pages: int = 1
    """How many its file has."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """What came with the question: a file named with `--file` or in the composer, or standard input."""

    name: str
    """A path, or `standard input`."""
    text: str
    """Of a picture: what was found on it; empty where nobody has looked yet."""
    pictures: tuple[Picture, ...] = ()
    """A model that sees is shown these, the first pages of one file; another one gets the text."""
    notes: tuple[str, ...] = ()
    """What the user should know of it: that it is cut off."""
    kind: Kind = "text"
    """`image` where the text is what was found on a picture: it has no lines to be cited by."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What the user asks. A conversation is named by its id; its older turns are read from the library."""

    question: str
    conversation_id: int | None = None
    """None starts a new conversation."""
    attachments: tuple[Attachment, ...] = ()
    use_library: bool = True
    max_tokens: int | None = None
    save: bool = True


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage that the answer stands on, or (`supported` false) the nearest one to a claim that has none."""

    n: int
    """1-based; `[1]` in the shown answer."""
    chunk_id: int | None
    """None for an attachment."""
    path: str
    kind: Kind
    locator: Locator
    quote: str
    """The stretch of the passage that says it."""
    supported: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "path": self.path,
            "kind": self.kind,
            "locator": self.locator.to_json(),
            "quote": self.quote,
            "supported": self.supported,
        }


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one sentence of the answer stands on: a stretch of a cited passage, within the citation's quote."""

    n: int
    """The citation's number."""
    start: int
    end: int
    """Its span in the passage's text."""
    quote: str

    def to_json(self) -> dict[str, Any]:
        return {"n": self.n, "span": [self.start, self.end], "quote": self.quote}


SentenceStatus = Literal["supported", "unsupported", "no claim"]


@dataclass(frozen=True, slots=True)
class CheckedSentence:
    """One sentence of the answer and what the program found for it."""

    start: int
    end: int
    """Its span in the answer's text."""
    citations: tuple[int, ...]
    """Citation numbers, best first."""
    supported: bool
    """False: no source says this. Sentences that claim nothing (greetings, questions) count as supported."""
    unsupported_terms: tuple[str, ...] = ()
    """Numbers and names in it that no source contains."""
    evidence: tuple[Evidence, ...] = ()
    """The exact stretches that say it, best first."""

    @property
    def status(self) -> SentenceStatus:
        """no claim: a greeting, a question, or that the files do not say."""
        if not self.supported:
            return "unsupported"
        return "supported" if self.citations else "no claim"


@dataclass(frozen=True, slots=True)
class Timings:
    ttft_s: float
    """From the question to the first word."""
    prompt_tokens: int
    cached_tokens: int
    prefill_s: float
    decode_tokens: int
    decode_tokens_per_s: float
    total_s: float

    def to_json(self) -> dict[str, float | int]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Timings:
        return cls(**{name: stored[name] for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a task runs, and why, in a sentence."""

    device: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    """The model's words, unchanged; `sentences` say where each citation belongs."""
    sentences: tuple[CheckedSentence, ...]
    citations: tuple[Citation, ...]
    grounded: bool
    """Every claim is supported by a source."""
    found_nothing: bool
    """The files do not say: nothing fitting was found, or the model said so."""
    model: str
    finish: Finish
    timings: Timings
    placement: dict[str, Placement] = field(default_factory=dict)
    pictures: tuple[str, ...] = ()
    """Paths of the pictures that the model saw: what it says of them, nothing but its eyes may support."""
    conversation_id: int | None = None
    turn_id: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The document that `homebody ask --json` prints."""
        return {
            "answer": self.text,
            "grounded": self.grounded,
            "found_nothing": self.found_nothing,
            "citations": [each.to_json() for each in self.citations],
            "sentences": [
                {
                    "text": self.text[each.start : each.end],
                    "status": each.status,
                    "citations": list(each.citations),
                    "supported": each.supported,
                    "unsupported_terms": list(each.unsupported_terms),
                    "evidence": [stretch.to_json() for stretch in each.evidence],
                }
                for each in self.sentences
            ],
            "pictures": list(self.pictures),
            "model": self.model,
            "finish": self.finish,
            "timings": self.timings.to_json(),
            "placement": {
                task: {"device": each.device, "reason": each.reason} for task, each in self.placement.items()
            },
            "conversation_id": self.conversation_id,
        }


__all__ = [
    "Answer",
    "Attachment",
    "CheckedSentence",
    "Citation",
    "Evidence",
    "Hit",
    "Kind",
    "Locator",
    "Picture",
    "Placement",
    "Timings",
    "Turn",
]
