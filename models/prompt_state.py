"""Evaluated prompts on disk: the KV state of conversations switched away from, and across restarts.

Each file is one sequence: the token ids and the bytes that llama.cpp gave for them, under a checksum, bound to
the model and the settings they were made with. A file that is damaged or from another model is never handed to
native code: it is ignored and deleted. Files hold what was said in a conversation, so they are for the owner's
eyes only (0600), and `clear` removes them all. Knows nothing of llama.cpp: the state is bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import struct
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.llama_vocab import TokenIds

LOGGER = logging.getLogger(__name__)

_MAGIC = b"HBKVSTAT"
_VERSION = 1
_HEADER = struct.Struct("<8sHxxI32sQ32s")
"""magic, version, number of tokens, fingerprint, bytes of state, BLAKE2b-256 of all that and tokens and state."""
_SUFFIX = ".kvstate"
_MAX_TOKENS = 4_000_000
_ABANDONED_AFTER_S = 3600.0


def common_prefix_tokens(left: TokenIds, right: TokenIds) -> int:
    """How many tokens two sequences share from their beginning."""
    length = min(len(left), len(right))
    different = np.flatnonzero(left[:length] != right[:length])
    return int(different[0]) if len(different) else length


@dataclass(frozen=True, slots=True)
class SavedState:
    path: Path
    tokens: TokenIds
    state_bytes: int


class PromptStates:
    """A folder of saved states, the least recently used deleted beyond `max_bytes`. For one thread.

    Files are written in the background, one at a time: the next prompt need not wait for the disk.
    """

    def __init__(self, folder: Path, *, fingerprint: str, max_bytes: int = 2 * 10**9) -> None:
        """`fingerprint` names everything that the state depends on: the weights, the engine's version, KV types."""
        self._folder = folder
        self._fingerprint = hashlib.blake2b(fingerprint.encode(), digest_size=32).digest()
        self._max_bytes = max_bytes
        self._known: dict[Path, SavedState] | None = None
        self._writing: threading.Thread | None = None

    def best(self, tokens: TokenIds, *, whole: bool = False) -> tuple[SavedState, int] | None:
        """The saved state that shares the most tokens with this prompt, and how many; None when there is none.

        `whole` leaves out those that would have to be cut back, for engines that cannot.
        """
        shared = [(common_prefix_tokens(saved.tokens, tokens), saved) for saved in list(self._states().values())]
        if whole:
            shared = [(prefix, saved) for prefix, saved in shared if prefix == len(saved.tokens) < len(tokens)]
        if not shared:
            return None
        prefix_tokens, saved = max(shared, key=lambda each: each[0])
        return (saved, prefix_tokens) if prefix_tokens else None

    def read(self, saved: SavedState) -> bytes | None:
        """The state, if the file is whole; None (and the file is gone) otherwise."""
        self.flush()
        try:
            raw = saved.path.read_bytes()
        except OSError as error:
            LOGGER.info("cannot read %s: %s", saved.path.name, error)
            self._forget(saved.path)
            return None
        body = raw[_HEADER.size :]
        tokens_bytes = len(saved.tokens) * 4
        expected = _header(self._fingerprint, saved.tokens, memoryview(body)[tokens_bytes:])
        if raw[: _HEADER.size] != expected or body[:tokens_bytes] != saved.tokens.tobytes():
            LOGGER.info("deleting %s: it is damaged", saved.path.name)
            self._forget(saved.path)
            return None
        with contextlib.suppress(OSError):
            os.utime(saved.path)  # most recently used
        return body[tokens_bytes:]

    def save(self, tokens: TokenIds, state: bytes | memoryview) -> bool:
        """Keep a state; those that are a beginning of it go. False when it does not fit or cannot be written.

        `state` is written after this returns: it must not change. Not being able to save costs time later,
        nothing else: it is logged, not raised.
        """
        self.flush()
        size_bytes = _HEADER.size + 4 * len(tokens) + len(state)
        if size_bytes > self._max_bytes or not len(tokens):
            return False
        known = self._states()
        for saved in list(known.values()):
            if common_prefix_tokens(saved.tokens, tokens) == len(saved.tokens):
                self._forget(saved.path)
        path = self._folder / (hashlib.blake2b(tokens.tobytes(), key=self._fingerprint).hexdigest()[:32] + _SUFFIX)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_room(size_bytes)
        except OSError as error:
            LOGGER.info("cannot keep the state of a conversation: %s", error)
            return False
        saved = known[path] = SavedState(path, tokens.copy(), len(state))
        self._writing = threading.Thread(target=self._write, args=(saved, state), name="prompt-state-writer")
        self._writing.start()
        return True

    def flush(self) -> None:
        """Wait until what was saved is on disk."""
        if self._writing is not None:
            self._writing.join()
            self._writing = None

    def clear(self) -> None:
        """Delete every saved state, of every model."""
        self.flush()
        for path in self._files():
            path.unlink(missing_ok=True)
        self._known = None

    def _write(self, saved: SavedState, state: bytes | memoryview) -> None:
        try:
            self._write_file(saved, state)
        except OSError as error:
            LOGGER.info("cannot keep the state of a conversation: %s", error)
            self._forget(saved.path)

    def _write_file(self, saved: SavedState, state: bytes | memoryview) -> None:
        descriptor, temporary = tempfile.mkstemp(dir=self._folder, suffix=".tmp")  # created 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_header(self._fingerprint, saved.tokens, memoryview(state)))
                file.write(saved.tokens.tobytes())
                file.write(state)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(saved.path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _make_room(self, needed_bytes: int) -> None:
        by_last_use = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in self._files())
        total_bytes = sum(size for _, size, _ in by_last_use)
        for _, size, path in by_last_use:
            if total_bytes + needed_bytes <= self._max_bytes:
                return
            self._forget(path)
            total_bytes -= size

    def _states(self) -> dict[Path, SavedState]:
        if self._known is None:
            self._known = {}
            self._sweep()
            for path in self._files():
                saved = self._open(path)
                if saved is not None:
                    self._known[path] = saved
        return self._known

    def _sweep(self) -> None:
        """Remove what a killed process left half written; another process may be writing, so only what is old."""
        with contextlib.suppress(OSError):
            for path in self._folder.glob("*.tmp"):
                if time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S:
                    path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        try:
            return [path for path in self._folder.iterdir() if path.suffix == _SUFFIX and path.is_file()]
        except OSError:
            return []  # no folder yet

    def _open(self, path: Path) -> SavedState | None:
        """Read the header and the tokens; the checksum is verified when the state is read."""
        try:
            with path.open("rb") as file:
                header = file.read(_HEADER.size)
                if len(header) == _HEADER.size:
                    magic, version, count, fingerprint, state_bytes, _ = _HEADER.unpack(header)
                    if (magic, version) == (_MAGIC, _VERSION) and fingerprint != self._fingerprint:
                        return None  # another model's, and whole as far as we know: left for it
                    size_bytes = _HEADER.size + 4 * count + state_bytes
                    if (
                        (magic, version) == (_MAGIC, _VERSION)
                        and 0 < count <= _MAX_TOKENS
                        and path.stat().st_size == size_bytes
                    ):
                        tokens = np.frombuffer(file.read(4 * count), dtype="<i4").astype(np.int32)
                        return SavedState(path, tokens, state_bytes)
        except OSError as error:
            LOGGER.info("cannot read %s: %s", path.name, error)
            return None
        LOGGER.info("deleting %s: it is damaged", path.name)
        path.unlink(missing_ok=True)
        return None

    def _forget(self, path: Path) -> None:
        if self._known is not None:
            self._known.pop(path, None)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _header(fingerprint: bytes, tokens: TokenIds, state: memoryview) -> bytes:
    bare = _HEADER.pack(_MAGIC, _VERSION, len(tokens), fingerprint, len(state), bytes(32))
    checksum = hashlib.blake2b(bare, digest_size=32)
    checksum.update(tokens.tobytes())
    checksum.update(state)
    return bare[:-32] + checksum.digest()
