"""Which roots are followed, and how: told of by the system, looked at by polling, or away.

Owns the folder watch. Knows what changed only as paths; `pipelines.watch` looks at them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePath

from pipelines.events import Following, IndexEvent, Notice
from rag.errors import WatchFailed
from rag.folder_watch import FolderWatch
from rag.ignore_rules import IGNORE_FILES
from rag.mounted import Mount, is_below, is_on_network, mounts
from rag.path_text import path_text
from rag.roots import Roots
from rag.temporary_names import is_temporary_name
from rag.walk import View, walk

log = logging.getLogger(__name__)

LOOK_S = 3.0
"""Between looks whether roots went or came back, and before a watch that broke off is made anew."""
MOST_BREAKS = 5
"""Within BREAKS_COUNT_S; after that the folders are only looked through from time to time."""
BREAKS_COUNT_S = 600.0


class FollowedRoots:
    """The roots of one library, as they are followed. Used by one thread; `close` it."""

    def __init__(
        self,
        roots: Roots,
        *,
        view: Callable[[], View],
        poll_s: float,
        open_watch: Callable[[], FolderWatch] = FolderWatch,
        mounted: Callable[[], tuple[Mount, ...]] = mounts,
        look_s: float = LOOK_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look_s = look_s
        self._roots = roots
        self._view = view
        self._poll_s = poll_s
        self._open_watch = open_watch
        self._mounted = mounted
        self._clock = clock
        self._watch: FolderWatch | None = None
        self._only_polling = False
        self._files: dict[str, tuple[int, int, int] | None] = {}
        """Roots that are files, with what they looked like: a watch on a file ends when an editor replaces it."""
        self._told: Following | None = None
        self._next_look_s = 0.0
        self._watch_again_s = 0.0
        self._broke_off_s: list[float] = []
        self.connected: tuple[str, ...] = ()
        """The roots that are there."""
        self.polled: tuple[str, ...] = ()
        """Those of them that the system tells nothing of."""

    def follow(self, stop: threading.Event) -> Iterator[IndexEvent]:
        """Decide anew which roots are followed how, and watch their folders. Says what has changed about that."""
        self._next_look_s = self._clock() + self._look_s
        all_roots = self._roots.paths()
        away = [root for root in all_roots if self._roots.why_away(root)]
        here = [root for root in all_roots if root not in away]
        if self._watch is not None:
            for root in set(self.connected).symmetric_difference(here):
                self._watch.forget(root)
        files = [root for root in here if Path(root).is_file()]
        folders = [root for root in here if root not in files]
        self._files = {root: self._files.get(root) or _look_of(root) for root in files}
        self.connected = tuple(here)
        mounted = self._mounted()
        self.polled = tuple(root for root in folders if self._only_polling or is_on_network(root, mounted))
        try:
            self._watch_below([root for root in folders if root not in self.polled], stop)
        except WatchFailed as error:
            yield from self._poll_all(error, folders)
        following = Following(
            roots=len(here) - len(self.polled),
            polled=tuple(map(path_text, self.polled)),
            poll_s=self._poll_s if self.polled else 0.0,
            away=tuple(map(path_text, away)),
        )
        if following != self._told:
            self._told = following
            yield following

    def _poll_all(self, error: WatchFailed, folders: Sequence[str]) -> Iterator[IndexEvent]:
        self._only_polling = True
        self.polled = tuple(folders)
        self.close()
        yield Notice(f"{error}: they are looked through every {self._poll_s:g} s", error.hint)

    def _watch_below(self, roots: Sequence[str], stop: threading.Event) -> None:
        """Raises WatchFailed."""
        if not roots:
            return
        if self._watch is None:
            self._watch = self._open_watch()
        if self._watch.whole_trees:
            self._watch.follow(roots)
            return
        view = self._view()
        folders: list[str] = []

        def enter(folder: str) -> None:
            if stop.is_set():
                raise _Stopped
            folders.append(folder)

        with suppress(_Stopped):
            for _ in walk(roots, accepts=_nothing, exclude=view.excluded, left_out=view.left_out, entered=enter):
                pass  # what cannot be listed is told by the look that follows
            self._watch.follow(folders)

    def watch_also(self, folders: Iterable[str], stop: threading.Event) -> Iterator[IndexEvent | str]:
        """Watch folders that may be new, and yield those that are: files may have come before the watch."""
        if self._watch is None or self._watch.whole_trees:
            return
        try:
            yield from self._watch.follow(
                each for each in folders if not any(is_below(each, root) for root in self.polled)
            )
        except WatchFailed as error:
            yield from self._poll_all(error, [root for root in self.connected if root not in self._files])
            yield from self.follow(stop)

    def look(self, stop: threading.Event) -> Iterator[IndexEvent | str]:
        """Now and then: notice roots that went, came back, were added or forgotten, and a watch that broke off.

        Yields the roots that are to be looked through.
        """
        now_s = self._clock()
        if now_s < self._next_look_s:
            return
        self._next_look_s = now_s + self._look_s
        here = tuple(root for root in self._roots.paths() if not self._roots.why_away(root))
        broken = 0.0 < self._watch_again_s <= now_s
        if here == self.connected and not broken:
            return
        before = () if broken else self.connected
        self._watch_again_s = 0.0
        yield from self.follow(stop)
        yield from (root for root in self.connected if root not in before)

    def look_soon(self) -> None:
        """A root seems to have gone."""
        self._next_look_s = 0.0

    def changes(self, wait_s: float, stop: threading.Event) -> set[str]:
        """The paths that changed since, as far as their names do not say that they are none of the library's."""
        told: set[str] = set()
        if self._watch is None:
            if wait_s:
                stop.wait(wait_s)
        else:
            told, lost = self._watch.take(wait_s)
            if lost:
                self._broke_off()
        changed = {path for path in told if not self._is_noise(path)}
        for root, look in self._files.items():
            if (now := _look_of(root)) != look:
                self._files[root] = now
                changed.add(root)
        return changed

    def _broke_off(self) -> None:
        """Changes may have been lost: all is followed anew and looked through, soon."""
        log.info("the folder watch broke off")
        self.close()
        now_s = self._clock()
        self._broke_off_s = [each for each in self._broke_off_s if now_s - each < BREAKS_COUNT_S] + [now_s]
        self._only_polling = len(self._broke_off_s) > MOST_BREAKS
        self._next_look_s = self._watch_again_s = now_s + self._look_s

    def _is_noise(self, path: str) -> bool:
        name = PurePath(path).name
        if name in IGNORE_FILES or path in self.connected:
            return False
        return name.startswith(".") or is_temporary_name(name)

    def close(self) -> None:
        """End the folder watch. Safe to call twice."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None


class _Stopped(Exception):
    """The stop signal came while folders were listed."""


def _nothing(_name: str) -> bool:
    return False


def _look_of(path: str) -> tuple[int, int, int] | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino
