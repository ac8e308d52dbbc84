"""Be told of changes in folders by the system, through watchfiles (Rust's notify).

On Linux every folder is watched by itself: a recursive watch would follow links out of the roots and spend the
user's limited watches on hidden and ignored folders. Elsewhere the system watches whole trees, so only the roots
are named. Tells paths, not what happened to them: who is told looks for himself. Knows nothing of the library.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING

from rag.errors import WatchFailed
from rag.mounted import is_below

if TYPE_CHECKING:
    from watchfiles import Change

log = logging.getLogger(__name__)

STEP_MS = 80
"""How often notify's changes are fetched: a wake-up each, and the most that a change waits twice."""
BATCH_MS = 400
"""A batch is handed on after this time though changes keep coming."""
LATELY_AT_LEAST = 500
"""Folders that came later are watched by a second, small watcher, until there are this many and a half of the rest:
watchfiles cannot add a folder to a watcher."""
LOST_PATHS = 5000
"""A batch of more paths is no list of changes any more; the system's queue holds 16,384 and drops what is over."""


class FolderWatch:
    """Collects changed paths until they are taken. `close` it."""

    def __init__(self, *, whole_trees: bool = not sys.platform.startswith("linux")) -> None:
        self.whole_trees = whole_trees
        """Whether `follow` wants roots only, and watches everything below them."""
        self._told: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._early: _Watcher | None = None
        self._lately: _Watcher | None = None
        self._watched: set[str] = set()

    def follow(self, folders: Iterable[str]) -> list[str]:
        """Watch these folders too; returns those that were not watched before.

        Names that are not UTF-8 are not watched: watchfiles does not take them. Raises WatchFailed.
        """
        with self._lock:
            watched = set(self._watched)
        new = [each for each in dict.fromkeys(folders) if each not in watched and _can_be_watched(each)]
        if not new:
            return []
        early, lately = self._early, self._lately
        later = [*(lately.folders if lately is not None else ()), *new]
        if early is None or len(later) > max(LATELY_AT_LEAST, len(early.folders) // 2):
            everything = [each for each in sorted(watched.union(new)) if _can_be_watched(each)]
            self._early, self._lately = self._watcher(everything), None
        else:
            self._lately = self._watcher([each for each in dict.fromkeys(later) if _can_be_watched(each)])
        with self._lock:
            self._watched.update(new)
        # Only now, so that no change falls between the old watcher and the new one.
        for old in (lately, early if self._early is not early else None):
            if old is not None:
                old.close()
        return new

    def forget(self, folder: str) -> None:
        """The folder went, or another one is in its place: `follow` watches it anew."""
        with self._lock:
            self._watched = {each for each in self._watched if not is_below(each, folder)}

    def take(self, wait_s: float) -> tuple[set[str], bool]:
        """The paths that were told of since, and whether some may have been lost: then nothing is known.

        Waits up to `wait_s` for the first. After a loss the watch has ended: `close` it and make another one.
        """
        paths: set[str] = set()
        lost = False
        try:
            told = self._told.get(timeout=wait_s) if wait_s > 0 else self._told.get_nowait()
            while True:
                if told is None:
                    lost = True
                else:
                    paths.add(told)
                told = self._told.get_nowait()
        except queue.Empty:
            return paths, lost

    def close(self) -> None:
        """End it. Safe to call twice."""
        for watcher in (self._early, self._lately):
            if watcher is not None:
                watcher.close()
        self._early = self._lately = None

    def _watcher(self, folders: list[str]) -> _Watcher:
        return _Watcher(folders, self._tell, self._lose, recursive=self.whole_trees)

    def _tell(self, changes: _Changes) -> None:
        from watchfiles import Change

        changed = list(changes)
        if len(changed) > LOST_PATHS:
            self._lose()
            return
        with self._lock:
            other = [path for change, path in changed if change is not Change.modified and path in self._watched]
        for path in other:
            self.forget(path)
        for _, path in changed:
            self._told.put(path)

    def _lose(self) -> None:
        self._told.put(None)


_Changes = Iterable[tuple["Change", str]]


class _Watcher:
    """One watcher of watchfiles, and the thread that listens to it."""

    def __init__(
        self, folders: list[str], tell: Callable[[_Changes], None], lose: Callable[[], None], *, recursive: bool
    ) -> None:
        self.folders = folders
        self._tell, self._lose = tell, lose
        self._stop = threading.Event()
        self._changes = _changes(folders, self._stop, recursive=recursive)
        try:
            first = next(self._changes, None)  # the watch is in place when this returns
        except OSError as error:
            raise as_watch_failed(error) from error
        except RuntimeError as error:  # watchfiles' own, for everything that it does not expect
            raise as_watch_failed(error) from error
        if first:
            tell(first)
        self._thread = threading.Thread(target=self._listen, name="folder-watch", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        try:
            for changes in self._changes:
                if changes:
                    self._tell(changes)
        except (OSError, RuntimeError) as error:  # a name that is not UTF-8 is enough
            log.info("the folder watch broke off: %s", error)
            self._lose()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join()


def _changes(
    folders: list[str], stop: threading.Event, *, recursive: bool
) -> Generator[set[tuple[Change, str]], None, None]:
    import watchfiles

    return watchfiles.watch(
        *folders,
        watch_filter=None,
        debounce=BATCH_MS,
        step=STEP_MS,
        rust_timeout=STEP_MS,
        yield_on_timeout=True,
        stop_event=stop,
        raise_interrupt=False,
        force_polling=False,
        recursive=recursive,
        ignore_permission_denied=False,  # it would swallow the limit of watches as well
    )


def _can_be_watched(folder: str) -> bool:
    try:
        folder.encode()
    except UnicodeEncodeError:
        return False
    return os.access(folder, os.R_OK)


def as_watch_failed(error: Exception) -> WatchFailed:
    said = str(error)  # watchfiles says in words only what it was: its errors have no number
    limit = "MaxFilesWatch" in said or "os error 24" in said or "os error 28" in said
    if limit and sys.platform.startswith("linux"):
        name = "max_user_instances" if "os error 24" in said else "max_user_watches"
        return WatchFailed(
            "the system allows no more folders to be followed",
            hint=f"raise its limit: sudo sysctl fs.inotify.{name}={'1024' if 'os error 24' in said else '524288'}",
        )
    return WatchFailed(
        f"the folders cannot be followed: {said.splitlines()[0]}", hint="they are looked through instead"
    )
