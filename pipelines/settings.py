"""The settings: frozen, bounded, one section a layer; unknown keys are refused.

They are passed, never imported; nothing is read here. `settings_file.py` reads and writes them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

DeviceChoice = Literal["auto", "cpu", "gpu", "npu"]
ProfileChoice = Literal["auto", "quiet", "low-memory"]


MOST_LABELS = 1000
MOST_LABEL_CHARS = 200


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ChatSettings(Section):
    model: str = ""
    """A catalogue id, the path of a GGUF file, or of a folder with one and the mmproj file that lets it see pictures.
    Empty takes the largest installed one that fits."""
    vision_model: str = ""
    """What is shown pictures, named likewise; empty takes the chat model where it sees, or the best installed one."""
    picture_tokens: int = Field(default=512, ge=64, le=4096)
    """A picture takes at most so many tokens, where the model can be told: more show smaller things and take longer."""
    context_tokens: int = Field(default=8192, ge=512, le=131_072)
    max_tokens: int = Field(default=512, ge=1, le=32_768)
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    repeat_penalty: float = Field(default=1.05, ge=1.0, le=2.0)
    threads: int = Field(default=0, ge=0, le=512)
    """0 takes what was measured to be best on this machine."""
    kv_type: Literal["auto", "f16", "q8_0"] = "auto"


class EmbedSettings(Section):
    model: str = ""
    """A catalogue id, the path of a GGUF file, or of a folder with model.onnx and tokenizer.json. Empty keeps the
    library's own; a library without vectors gets the default of the catalogue."""
    threads: int = Field(default=0, ge=0, le=512)


class ClipSettings(Section):
    model: str = Field(default="", max_length=4096)
    """A catalogue id, or a folder that `homebody models export` made; empty takes the preferred installed one."""
    backend: Literal["onnx", "torch"] = "onnx"
    """torch: through PyTorch and open_clip, on its GPU where it has one. `model` is then a folder with
    open_clip_config.json and its weights, or ARCH/CHECKPOINT. Needs the extra clip-export."""
    labels: tuple[str, ...] = Field(default=(), max_length=MOST_LABELS)
    """The user's own labels: a picture's description says which of them it shows. Needs a CLIP; when they change, the
    next look through the folders changes the descriptions."""

    @field_validator("labels", mode="before")
    @classmethod
    def _frozen_labels(cls, labels: object) -> object:
        return tuple(labels) if isinstance(labels, list) else labels  # TOML has lists only

    @field_validator("labels")
    @classmethod
    def _short_labels(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if any(not 0 < len(label.strip()) <= MOST_LABEL_CHARS for label in labels):
            raise ValueError(f"a label has 1 to {MOST_LABEL_CHARS} characters")
        return labels


class SpeechSettings(Section):
    model: str = ""
    """A catalogue id; empty takes the preferred installed one."""
    threads: int = Field(default=0, ge=0, le=512)


class DeviceSettings(Section):
    device: DeviceChoice = "auto"
    profile: ProfileChoice = "auto"
    memory_budget_mb: int = Field(default=0, ge=0, le=2**26)
    """Most memory that engines may take together; 0 takes a share of what is free."""


class LibrarySettings(Section):
    chunk_tokens: int = Field(default=200, ge=32, le=2048)
    max_file_mb: int = Field(default=512, ge=1, le=2**20)
    read_timeout_s: float = Field(default=120.0, gt=0, le=86_400)
    reader_memory_mb: int = Field(default=2048, ge=256, le=2**20)
    max_pages: int = Field(default=5000, ge=1, le=10_000_000)
    follow: bool = True
    """The terminal UI follows the library's folders while it is open."""
    poll_s: float = Field(default=30.0, ge=1.0, le=86_400)
    """Between two looks through folders that the system tells nothing of: network drives, too many folders."""
    exact_search_up_to_chunks: int = Field(default=100_000, ge=0, le=100_000_000)
    """Up to this many chunks vectors are scanned in memory, which takes 3 ms; beyond, chromadb's HNSW is asked."""
    chroma_url: str = Field(default="", max_length=500, pattern=r"^(https?://[^\s/?#@]+/?)?$")
    """A Chroma server in place of homebody's own folder, `http://host:8000`: the only address that is let through."""


class SearchSettings(Section):
    rerank: bool = True
    """Where a reranker is installed, it has a voice in the order of the best passages."""
    rerank_passages: int = Field(default=20, ge=2, le=200)
    rerank_within_s: float = Field(default=0.6, gt=0, le=60)
    """No further passages are given to it when this has passed."""


class AnswerSettings(Section):
    first_word_s: float = Field(default=8.0, gt=0, le=600)
    """The user's patience: how long reading the prompt may take. Fewer passages on a slower machine."""
    passages: int = Field(default=8, ge=1, le=64)
    """At most this many passages, however fast the machine is."""


class LookSettings(Section):
    theme: Literal["homebody-dark", "homebody-light"] = "homebody-dark"
    pictures: Literal["auto", "kitty", "sixel", "blocks", "off"] = "auto"
    """How pictures are drawn: by what the terminal says it can, or as named here; `blocks` works everywhere."""


class Settings(Section):
    """All settings; every field has a default, so an empty file is valid."""

    chat: ChatSettings = ChatSettings()
    embed: EmbedSettings = EmbedSettings()
    speech: SpeechSettings = SpeechSettings()
    clip: ClipSettings = ClipSettings()
    device: DeviceSettings = DeviceSettings()
    library: LibrarySettings = LibrarySettings()
    search: SearchSettings = SearchSettings()
    answer: AnswerSettings = AnswerSettings()
    look: LookSettings = LookSettings()
