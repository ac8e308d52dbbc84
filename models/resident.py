"""Engines in memory: load on first use, one user at a time, evict by last use, close what is dropped.

What loading, using and closing an engine took besides goes back to the system when that is over (`freed_memory.py`).

An engine here is anything with `close()`. Native contexts are not re-entrant and a user interface's worker
threads are only *asked* to stop, so the lock is here, one per engine. Knows no kind of engine.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, cast

from models.errors import EngineFailed, NotEnoughMemory
from models.freed_memory import give_back

LOGGER = logging.getLogger(__name__)


class Closable(Protocol):
    def close(self) -> None: ...


EngineT = TypeVar("EngineT", bound=Closable)


@dataclass(frozen=True, slots=True)
class ResidentEngine:
    """What is said about a loaded engine, for the status bar and for `doctor`."""

    key: str
    needed_bytes: int
    """As stated by whoever loaded it."""
    in_use: bool


@dataclass(slots=True)
class _Slot:
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held by the one user of the engine, also while it is loaded and closed."""
    owner: int = 0
    """The thread that entered; 0 when free."""
    engine: Closable | None = None
    needed_bytes: int = 0
    last_used_s: float = 0.0
    shared: bool = False
    """Used without holding the lock: only `drop` and `close_all` close it."""


class Residents:
    """The engines of one process. Thread-safe.

    `memory_budget_bytes` is the most that engines may need together; 0 sets no limit.
    """

    def __init__(self, memory_budget_bytes: int = 0) -> None:
        self._budget_bytes = memory_budget_bytes
        self._slots: dict[str, _Slot] = {}
        self._table = threading.Lock()
        """Guards the table and the slots' fields; never held while an engine loads, works or closes."""
        self._closed = False

    @contextmanager
    def use(self, key: str, load: Callable[[], EngineT], needed_bytes: int) -> Iterator[EngineT]:
        """The engine, loaded if need be, for this caller alone until the block is left.

        Waits while another thread uses it. A key always stands for the same `load`. An engine that does not
        fit beside the others makes the least recently used ones leave; those in use stay, and the budget is
        then exceeded with a warning rather than risking that two users wait for each other.

        Raises NotEnoughMemory when it alone needs more than the budget, EngineFailed after `close_all` or
        when the same thread already uses it (it would wait for itself for ever), and whatever `load` raises.
        """
        with self._entered(key, load, needed_bytes) as slot:
            try:
                yield cast(EngineT, slot.engine)
            finally:
                give_back()

    def keep(self, key: str, load: Callable[[], EngineT], needed_bytes: int) -> EngineT:
        """An engine that several threads may use at once, loaded if need be; it stays until `drop` or `close_all`.

        It counts in the budget, and never makes room for others. Raises as `use`.
        """
        with self._entered(key, load, needed_bytes) as slot:
            with self._table:
                slot.shared = True
            return cast(EngineT, slot.engine)

    def kept(self, key: str) -> Closable | None:
        """What `keep` loaded under this key, if it is still there: for who would have to look at files to load it.

        Raises EngineFailed after `close_all`.
        """
        with self._table:
            if self._closed:
                raise EngineFailed("homebody is closing", hint="start it again")
            slot = self._slots.get(key)
            return slot.engine if slot is not None and slot.shared else None

    @contextmanager
    def _entered(self, key: str, load: Callable[[], Closable], needed_bytes: int) -> Iterator[_Slot]:
        """The slot, locked, with its engine in it."""
        slot = self._enter(key)
        try:
            if slot.engine is None:
                self._make_room(key, needed_bytes)
                engine = load()
                with self._table:
                    slot.engine, slot.needed_bytes = engine, needed_bytes
                give_back()
            yield slot
        finally:
            self._leave(slot)

    def _enter(self, key: str) -> _Slot:
        thread = threading.get_ident()
        with self._table:
            if self._closed:
                raise EngineFailed("homebody is closing", hint="start it again")
            slot = self._slots.setdefault(key, _Slot())
            if slot.owner == thread:
                raise EngineFailed(
                    f"{key} is already in use by this thread", hint="finish or close the first answer before the next"
                )
        slot.lock.acquire()
        with self._table:
            closed = self._closed
            if not closed:
                slot.owner = thread
        if closed:
            slot.lock.release()
            raise EngineFailed("homebody is closing", hint="start it again")
        return slot

    def _leave(self, slot: _Slot) -> None:
        with self._table:
            slot.owner = 0
            slot.last_used_s = time.monotonic()
        slot.lock.release()

    def _make_room(self, key: str, needed_bytes: int) -> None:
        if not self._budget_bytes:
            return
        if needed_bytes > self._budget_bytes:
            raise NotEnoughMemory(
                f"{key} needs {_mb(needed_bytes)}; the engines may take {_mb(self._budget_bytes)}",
                hint="choose a smaller model, or raise device.memory_budget_mb in the settings",
            )
        with self._table:
            by_last_use = sorted(
                ((name, slot) for name, slot in self._slots.items() if slot.engine is not None and name != key),
                key=lambda item: item[1].last_used_s,
            )
            resident_bytes = sum(slot.needed_bytes for _, slot in by_last_use)
        for name, slot in by_last_use:
            if resident_bytes + needed_bytes <= self._budget_bytes:
                return
            if slot.shared:
                continue
            freed_bytes = self._close_if_idle(name, slot)
            resident_bytes -= freed_bytes
        if resident_bytes + needed_bytes > self._budget_bytes:
            LOGGER.warning(
                "engines take %s of the %s allowed: the others are in use",
                _mb(resident_bytes + needed_bytes),
                _mb(self._budget_bytes),
            )

    def _close_if_idle(self, key: str, slot: _Slot, *, wait_s: float = 0.0) -> int:
        """Close the engine unless it stays in use for longer than `wait_s`; returns the bytes that it needed."""
        if not (slot.lock.acquire(timeout=wait_s) if wait_s > 0 else slot.lock.acquire(blocking=False)):
            return 0
        try:
            with self._table:
                engine, needed_bytes = slot.engine, slot.needed_bytes
                slot.engine, slot.needed_bytes, slot.shared = None, 0, False
            if engine is None:
                return 0
            LOGGER.info("closing %s (%s)", key, _mb(needed_bytes))
            engine.close()
            del engine
            give_back()
            return needed_bytes
        finally:
            slot.lock.release()

    def loaded(self) -> tuple[ResidentEngine, ...]:
        with self._table:
            return tuple(
                ResidentEngine(key, slot.needed_bytes, slot.owner != 0)
                for key, slot in self._slots.items()
                if slot.engine is not None
            )

    def is_loaded(self, key: str) -> bool:
        with self._table:
            slot = self._slots.get(key)
            return slot is not None and slot.engine is not None

    def drop(self, key: str, *, wait_s: float = 0.0) -> bool:
        """Close one engine; the next use loads it anew. False when it stayed in use for `wait_s`."""
        with self._table:
            slot = self._slots.get(key)
        if slot is None:
            return True
        self._close_if_idle(key, slot, wait_s=wait_s)
        return not self.is_loaded(key)

    def close_all(self, *, wait_s: float = 5.0) -> None:
        """Close every engine and refuse further use. Safe to call twice.

        Waits up to `wait_s` for those in use, all together; one that is still in use then is left to the end
        of the process, since freeing a native context under a running call would crash it.
        """
        with self._table:
            self._closed = True
            slots = list(self._slots.items())
        deadline_s = time.monotonic() + wait_s
        for key, slot in slots:
            self._close_if_idle(key, slot, wait_s=max(0.0, deadline_s - time.monotonic()))
            if self.is_loaded(key):
                LOGGER.warning("%s is still in use; left open", key)


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB"
