"""Weights of the user's own, that no catalogue knows: which files there are, how they want to be fed, their hash.

An embedder is a GGUF file, or a folder as sentence-transformers saves one: `model.onnx` (or `onnx/model.onnx`),
`tokenizer.json`, `1_Pooling/config.json`, `config_sentence_transformers.json`. What the folder does not say has the
default that sentence-transformers gives it. A hash costs reading the file, so it is kept with size and mtime.

Knows no engine.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from models.checksum import sha256_of
from models.errors import WeightsDamaged, WeightsMissing

Pooling = Literal["mean", "cls", "last"]

MODEL_FILES = ("model.onnx", "onnx/model.onnx")
KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")
"""Of sentence-transformers; a Dense layer on top would give other vectors than the ONNX file alone."""
POSITIONS_RESERVED = {"xlm-roberta": 2, "roberta": 2, "camembert": 2, "mpnet": 2}
"""Rows of the position table that no token takes: those models count from behind the padding's."""
DEFAULT_MAX_TOKENS = 512


@dataclass(frozen=True, slots=True)
class TextModelFolder:
    """A folder with an ONNX text model, and how its makers feed it."""

    model_file: Path
    tokenizer_file: Path
    dimension: int
    """Width of its vectors; 0 where the folder does not say."""
    max_tokens: int
    pooling: Pooling
    query_prefix: str
    passage_prefix: str
    deciding_files: tuple[Path, ...]
    """Those that decide what the vectors are."""


def read_text_model_folder(folder: Path) -> TextModelFolder:
    """What is in a folder. Raises WeightsMissing, and WeightsDamaged where its files contradict what can be run."""
    model_file = next((folder / name for name in MODEL_FILES if (folder / name).is_file()), None)
    tokenizer_file = folder / "tokenizer.json"
    if model_file is None or not tokenizer_file.is_file():
        lacking = "tokenizer.json" if model_file is not None else "model.onnx"
        raise WeightsMissing(
            f"{folder} has no {lacking}", hint="export the model to ONNX: optimum-cli export onnx, with its tokenizer"
        )
    _check_modules(folder)
    config = _json(folder / "config.json")
    pooling_config = _json(folder / "1_Pooling" / "config.json")
    prompts = _json(folder / "config_sentence_transformers.json").get("prompts") or {}
    dimension = pooling_config.get("word_embedding_dimension") or config.get("hidden_size") or 0
    return TextModelFolder(
        model_file=model_file,
        tokenizer_file=tokenizer_file,
        dimension=int(dimension),
        max_tokens=_max_tokens(folder, config),
        pooling=_pooling(folder, pooling_config),
        query_prefix=_prompt(prompts, "query", "Query"),
        passage_prefix=_prompt(prompts, "passage", "document", "Document", "Passage"),
        deciding_files=tuple(
            each
            for each in (
                model_file,
                tokenizer_file,
                folder / "1_Pooling" / "config.json",
                folder / "config_sentence_transformers.json",
                folder / "sentence_bert_config.json",
            )
            if each.is_file()
        ),
    )


def _check_modules(folder: Path) -> None:
    modules = _json_list(folder / "modules.json")
    names = [str(each.get("type", "")).rpartition(".")[2] for each in modules if isinstance(each, dict)]
    if strange := [name for name in names if name not in KNOWN_MODULES]:
        raise WeightsDamaged(
            f"{folder} needs {', '.join(strange)} behind its model, which homebody does not compute",
            hint="take an embedder that ends with pooling",
        )


def _pooling(folder: Path, config: dict[str, Any]) -> Pooling:
    ways: dict[str, Pooling] = {
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_cls_token": "cls",
        "pooling_mode_lasttoken": "last",
    }
    asked = [key for key, value in config.items() if key.startswith("pooling_mode") and value is True]
    if not asked:
        named = config.get("pooling_mode", "mean")  # as later versions write it
        asked = [{"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}.get(str(named), str(named))]
    if len(asked) != 1 or asked[0] not in ways:
        raise WeightsDamaged(
            f"{folder} pools by {' and '.join(asked)}, which homebody does not compute",
            hint="take an embedder that pools by mean, by its first or by its last token",
        )
    return ways[asked[0]]


def _max_tokens(folder: Path, config: dict[str, Any]) -> int:
    stated = _json(folder / "sentence_bert_config.json").get("max_seq_length")
    positions = config.get("max_position_embeddings")
    room = None
    if isinstance(positions, int):
        room = positions - POSITIONS_RESERVED.get(str(config.get("model_type")), 0)
    limits = [each for each in (stated, room) if isinstance(each, int) and each > 0]
    return min(limits, default=DEFAULT_MAX_TOKENS)


def _prompt(prompts: dict[str, Any], *names: str) -> str:
    return next((str(prompts[name]) for name in names if prompts.get(name)), "")


def _json(file: Path) -> dict[str, Any]:
    content = _content(file)
    if content is not None and not isinstance(content, dict):
        raise WeightsDamaged(f"{file} is not what sentence-transformers writes", hint="save the model again")
    return content or {}


def _json_list(file: Path) -> list[Any]:
    content = _content(file)
    return content if isinstance(content, list) else []


def _content(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise WeightsDamaged(f"{file} cannot be read ({error})", hint="save the model again") from error


class _KeptHash(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    bytes: int
    mtime_ns: int
    sha256: str


class _KeptHashes(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    files: dict[str, _KeptHash]


class FileHashes:
    """SHA-256 of files, remembered in one file by path, size and mtime. A file that cannot be kept is hashed again."""

    def __init__(self, kept_in: Path) -> None:
        self._kept_in = kept_in

    def of(self, *files: Path) -> str:
        """Of one file its SHA-256; of several, that of their names and hashes together. Raises WeightsMissing."""
        if len(files) == 1:
            return self._of_one(files[0])
        joined = "\n".join(f"{file.name} {self._of_one(file)}" for file in files)
        return hashlib.sha256(joined.encode()).hexdigest()

    def _of_one(self, file: Path) -> str:
        try:
            status = file.stat()
            kept = self._read().get(str(file))
            if kept is not None and (kept.bytes, kept.mtime_ns) == (status.st_size, status.st_mtime_ns):
                return kept.sha256
            sha256 = sha256_of(file)
        except OSError as error:
            raise WeightsMissing(f"{file} cannot be read: {error.strerror}", hint="check who may read it") from error
        self._keep(str(file), _KeptHash(bytes=status.st_size, mtime_ns=status.st_mtime_ns, sha256=sha256))
        return sha256

    def _read(self) -> dict[str, _KeptHash]:
        try:
            return _KeptHashes.model_validate_json(self._kept_in.read_bytes()).files
        except (OSError, ValidationError):
            return {}

    def _keep(self, name: str, kept: _KeptHash) -> None:
        content = _KeptHashes(files=self._read() | {name: kept}).model_dump_json(indent=1)
        temporary = self._kept_in.with_name(self._kept_in.name + ".new")
        try:
            self._kept_in.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_text(content, encoding="utf-8")
            temporary.replace(self._kept_in)
        except OSError:
            temporary.unlink(missing_ok=True)  # a read-only folder only costs hashing again
