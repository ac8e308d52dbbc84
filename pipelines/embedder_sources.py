"""Where an embedder's files are and how it is fed: by its id in the catalogue, or by the path of one's own.

An id that is a path names a GGUF file, or a folder as sentence-transformers saves one. Looks at files; loads none.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.embed_text_gguf import read_gguf_embedder
from models.errors import WeightsMissing
from models.fit import needed_memory_bytes
from models.user_files import FileHashes, read_text_model_folder
from models.weights import InstalledModel, Weights

EngineName = Literal["onnx", "llama"]
GGUF_SUFFIX = ".gguf"
RUNNING_SHARE = 2.0
"""Memory of an embedder in ONNX, against its file: weights that were unpacked, and what a text needs on its way."""


@dataclass(frozen=True, slots=True)
class EmbedderSource:
    """One embedder that could be loaded."""

    model_id: str
    engine: EngineName
    model_file: Path
    tokenizer_file: Path | None
    """None where the model file has its own."""
    sha256: str
    """Never empty."""
    dimension: int
    """0 where nobody says: the model itself will."""
    max_tokens: int
    pooling: Literal["mean", "cls", "last"]
    query_prefix: str
    passage_prefix: str
    needed_bytes: int


def is_path(model: str) -> bool:
    """Whether a setting names files of one's own rather than a model of the catalogue."""
    return model.endswith(GGUF_SUFFIX) or "/" in model or os.sep in model or model.startswith(("~", "."))


def embedder_id(model: str) -> str:
    """The id that a setting stands for: a path in full, so that it means the same from every folder."""
    return str(Path(model).expanduser().absolute()) if is_path(model) else model


class EmbedderSources:
    """Thread-safe: it keeps nothing but hashes."""

    def __init__(self, weights: Weights, hashes: FileHashes) -> None:
        self._weights = weights
        self._hashes = hashes

    def is_here(self, model_id: str) -> bool:
        """Whether its files are there, without reading them."""
        if is_path(model_id):
            return Path(model_id).exists()
        return model_id in self._weights.catalog.ids and self._weights.installed(model_id) is not None

    def engine_of(self, model_id: str) -> EngineName:
        """What would run it, as far as its id says."""
        if is_path(model_id):
            return "llama" if model_id.endswith(GGUF_SUFFIX) else "onnx"
        catalog = self._weights.catalog
        return "llama" if model_id in catalog.ids and catalog.entry(model_id).format == "gguf" else "onnx"

    def tokenizer_of(self, model_id: str) -> Path | None:
        """The file that its passages are counted with, a tokenizer.json or a GGUF; None where it is not installed."""
        if is_path(model_id):
            path = Path(model_id)
            file = path if model_id.endswith(GGUF_SUFFIX) else path / "tokenizer.json"
            return file if file.is_file() else None
        if model_id not in self._weights.catalog.ids:
            return None
        installed = self._weights.installed(model_id)
        if installed is None:
            return None
        return installed.main_file if installed.entry.format == "gguf" else installed.path("tokenizer.json")

    def open(self, model_id: str) -> EmbedderSource:
        """Check its files. Raises UnknownModel, WeightsMissing, WeightsDamaged."""
        if not is_path(model_id):
            return self._of_catalogue(self._weights.require(model_id))
        path = Path(model_id)
        return self._of_gguf(path) if model_id.endswith(GGUF_SUFFIX) else self._of_folder(path)

    def _of_catalogue(self, installed: InstalledModel) -> EmbedderSource:
        entry, how = installed.entry, installed.entry.embedding
        if how is None:
            raise WeightsMissing(f"{entry.id} is no text embedder", hint="see: homebody models list")
        gguf = entry.format == "gguf"
        max_tokens = min(how.max_tokens, read_gguf_embedder(installed.main_file).max_tokens) if gguf else how.max_tokens
        return EmbedderSource(
            model_id=entry.id,
            engine="llama" if gguf else "onnx",
            model_file=installed.main_file,
            tokenizer_file=None if gguf else installed.path("tokenizer.json"),
            sha256=entry.files[0].sha256 or self._hashes.of(installed.main_file),
            dimension=how.dimension,
            max_tokens=max_tokens,
            pooling=how.pooling,
            query_prefix=how.query_prefix,
            passage_prefix=how.passage_prefix,
            needed_bytes=needed_memory_bytes(entry),
        )

    def _of_gguf(self, path: Path) -> EmbedderSource:
        facts = read_gguf_embedder(path)
        return EmbedderSource(
            model_id=str(path),
            engine="llama",
            model_file=path,
            tokenizer_file=None,
            sha256=self._hashes.of(path),
            dimension=facts.dimension,
            max_tokens=facts.max_tokens,
            pooling=facts.pooling,
            query_prefix="",
            passage_prefix="",
            needed_bytes=_running_bytes([path]),
        )

    def _of_folder(self, folder: Path) -> EmbedderSource:
        found = read_text_model_folder(folder)
        return EmbedderSource(
            model_id=str(folder),
            engine="onnx",
            model_file=found.model_file,
            tokenizer_file=found.tokenizer_file,
            sha256=self._hashes.of(*found.deciding_files),
            dimension=found.dimension,
            max_tokens=found.max_tokens,
            pooling=found.pooling,
            query_prefix=found.query_prefix,
            passage_prefix=found.passage_prefix,
            needed_bytes=_running_bytes([found.model_file, found.tokenizer_file]),
        )


def _running_bytes(files: Sequence[Path]) -> int:
    return int(RUNNING_SHARE * sum(file.stat().st_size for file in files))
