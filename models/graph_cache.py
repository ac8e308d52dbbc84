"""Graphs that were derived from a model's file (optimised, rewritten), kept so that the next start is quick.

Every file begins with the SHA-256 of the rest: a damaged one is dropped and made again. Knows nothing of ONNX,
nor of what makes a key.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

LOGGER = logging.getLogger(__name__)

_DIGEST_BYTES = 32
_KEPT_PER_MODEL = 4
"""The newest ones: a new engine or another device makes a new graph, and the old ones would pile up."""


class GraphCache:
    """Files `<model hash, short>-<key hash>.graph` in one folder. May be deleted at any time.

    No folder (None) caches nothing: everything is made again each time.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get_or_make(self, model_sha256: str, key: str, make: Callable[[], bytes]) -> bytes:
        """The bytes kept under the key, or those that `make` returns, which are then kept.

        A model without a hash is not kept: its graph could be taken for another's. Keeping is best effort: a full
        or read-only disk costs only the time of making them again. Whatever `make` raises is the caller's.
        """
        if self._folder is None or not model_sha256:
            return make()
        family = model_sha256[:16]
        file = self._folder / f"{family}-{hashlib.sha256(f'{model_sha256} {key}'.encode()).hexdigest()[:24]}.graph"
        kept = _read(file)
        if kept is not None:
            return kept
        made = make()
        self._keep(file, made, family)
        return made

    def drop(self, model_sha256: str) -> None:
        """Forget everything derived from this model, e.g. because the engine refused it."""
        if self._folder is not None:
            for file in self._folder.glob(f"{model_sha256[:16]}-*.graph"):
                file.unlink(missing_ok=True)

    def _keep(self, file: Path, content: bytes, family: str) -> None:
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f"{family}-", suffix=".partial")
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(hashlib.sha256(content).digest())
                    stream.write(content)
                Path(temporary).replace(file)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            siblings = sorted(file.parent.glob(f"{family}-*.graph"), key=lambda each: each.stat().st_mtime_ns)
            for old in siblings[:-_KEPT_PER_MODEL]:
                old.unlink(missing_ok=True)
        except OSError as error:
            LOGGER.warning("the graph cache %s cannot be written: %s", file.parent, error)


def _read(file: Path) -> bytes | None:
    try:
        stored = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        LOGGER.warning("%s cannot be read: %s", file, error)
        return None
    content = stored[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() == stored[:_DIGEST_BYTES]:
        return content
    LOGGER.warning("%s is damaged and is made again", file)
    file.unlink(missing_ok=True)
    return None
