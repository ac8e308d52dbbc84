"""Small files that were read and wait to be stored together: a transaction each would cost as much as reading them.

What waits is in no table: a crash leaves it as files that were not read yet, and the next run reads them. So whatever
says that files are all there, or depends on their order, is written after `store`. They wait no longer than HOLD_S
where somebody calls `store(only_if_late=True)` now and then, so that they are soon found.

Any thread may call. Knows nothing of reading.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from rag.contents import CHUNKS_AT_ONCE, content_key
from rag.documents import Documents, ReadFile, Recorded

MAX_FILES = 128
"""That are stored in one transaction. Twice as many are hardly faster."""
HOLD_S = 0.5


@dataclass(frozen=True, slots=True)
class _Held:
    read: ReadFile
    tell: Callable[[Recorded], None]


class HeldFiles:
    """What waits, in the order in which it was read."""

    def __init__(self, documents: Documents, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._documents = documents
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}
        """By path."""
        self._contents: set[tuple[bytes, str]] = set()
        self._passages = 0
        self._since_s = 0.0

    def hold(self, read: ReadFile, tell: Callable[[Recorded], None]) -> None:
        """Store this file soon, or now with all that wait; `tell` is then called. Raises as `store`."""
        with self._lock:
            if read.file.path in self._held:
                self._store()
            if not self._held:
                self._since_s = self._clock()
            self._held[read.file.path] = _Held(read, tell)
            self._contents.add(content_key(read.sha256, read.file.path))
            self._passages += len(read.rows)
            if len(self._held) >= MAX_FILES or self._passages >= CHUNKS_AT_ONCE or self._is_late():
                self._store()

    def holds_content(self, sha256: bytes, path: str) -> bool:
        """Whether a file with these bytes, read as the path's suffix says, waits."""
        with self._lock:
            return content_key(sha256, path) in self._contents

    def holds(self, path: str) -> bool:
        with self._lock:
            return path in self._held

    def holds_size(self, size_bytes: int) -> bool:
        """Whether a file of this size waits, so that a new one may be its copy."""
        with self._lock:
            return any(held.read.file.size_bytes == size_bytes for held in self._held.values())

    def settle(self, path: str) -> bool:
        """All that is inside this file was read: it awaits nothing any more. False: it does not wait here.

        True only for a file that is stored in one transaction with all that is inside it.
        """
        with self._lock:
            held = self._held.get(path)
            if held is None:
                return False
            self._held[path] = replace(held, read=replace(held.read, awaits_members=False))
            return True

    def store(self, *, only_if_late: bool = False) -> None:
        """Store all that wait, in one transaction. Raises StorageFull, LibraryDamaged: then they wait on."""
        with self._lock:
            if not only_if_late or self._is_late():
                self._store()

    def _is_late(self) -> bool:
        return bool(self._held) and self._clock() - self._since_s >= HOLD_S

    def _store(self) -> None:
        if not self._held:
            return
        with self._documents.together():
            told = [(held.tell, self._documents.record_read(held.read)) for held in self._held.values()]
        self._held.clear()
        self._contents.clear()
        self._passages = 0
        for tell, recorded in told:
            tell(recorded)


__all__ = ["HeldFiles"]
