"""Catalogue entries with a few kilobytes of made-up weights, for tests of getting and checking files."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from typing import Any

from models.catalog import Catalog, ModelEntry

REVISION = "a" * 40


def noise(length: int, seed: int = 0) -> bytes:
    """Bytes that do not compress, the same every time."""
    return random.Random(seed).randbytes(length)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def model_file(name: str, content: bytes, **more: Any) -> dict[str, Any]:
    return {"name": name, "bytes": len(content), "sha256": sha256(content), **more}


def wheel(content: bytes, distribution: str, members: Sequence[tuple[str, str, int]]) -> dict[str, Any]:
    """`members`: name of the model's file, path in the wheel, bytes."""
    return {
        "distribution": distribution,
        "version": "1.0.0",
        "sha256": sha256(content),
        "bytes": len(content),
        "members": [{"file": file, "member": member, "bytes": size} for file, member, size in members],
    }


def small_entry(
    model_id: str, files: Sequence[Mapping[str, Any]], *, hub: bool | Mapping[str, str] = False, **more: Any
) -> ModelEntry:
    described: dict[str, Any] = {
        "id": model_id,
        "title": model_id.title(),
        "tasks": ["speech"],
        "format": "ctranslate2",
        "licence": "MIT",
        "upstream": f"somebody/{model_id}",
        "files": list(files),
    }
    if hub:
        pinned = {"repository": f"somebody/{model_id}", "revision": REVISION}
        described["hub"] = pinned if hub is True else dict(hub)
    return ModelEntry.model_validate(described | more)


def small_catalog(*entries: ModelEntry) -> Catalog:
    return Catalog(model=entries)
