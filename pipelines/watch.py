"""Keep the library as the folders are: look through all of them once, then look at what changes.

One loop does one thing after the other: it takes what the system tells (`rag.folder_watch`), lets it settle, and
stores the words of what came to rest; when nothing waits, it goes on with what takes longer (looking through whole
roots, vectors, chromadb), a step at a time, so that a change never waits for those. Every decision about a file is
`pipelines.ingest`'s. Roots that come and go are told apart from roots that were emptied (`rag.roots`).

Notices can be lost by the system; therefore everything is looked through again now and then, which costs little
more than listing it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePath

from pipelines.events import Following, IndexDone, IndexEvent, Notice
from pipelines.ingest import Ingest
from pipelines.settling import Settling
from rag.errors import EmbedderMismatch
from rag.folder_watch import FolderWatch, WatchFailed
from rag.ignore_rules import IGNORE_FILES
from rag.mounted import Mount, is_below, is_on_network, mounts
from rag.path_text import path_text
from rag.roots import Roots
from rag.temporary_names import is_temporary_name
from rag.walk import View, walk
from rag.walk_changed import walk_changed

log = logging.getLogger(__name__)

TICK_S = 0.5
"""The longest wait: after it stop signals and requests are looked at."""
AWAY_LOOK_S = 3.0
"""Between looks whether roots went or came back."""
SAFETY_CHECK_S = 600.0
"""Between looks through everything while nothing is known to have changed."""
WATCH_AGAIN_S = 2.0
"""After a watch broke off, before the next one is made."""
MOST_BREAKS = 5
"""Within SAFETY_CHECK_S; after that the folders are only looked through from time to time."""
MOST_PATHS = 1000
"""Changed paths that are looked at one by one; of more, their folders are, and of more of those, everything."""


class Watch:
    """Follows the roots of one library. `run` is called once, by the process that holds the writer lock."""

    def __init__(
        self,
        *,
        ingest: Ingest,
        roots: Roots,
        view: Callable[[], View],
        poll_s: float,
        open_source: Callable[[], FolderWatch] = FolderWatch,
        settling: Settling | None = None,
        mounted: Callable[[], tuple[Mount, ...]] = mounts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`view` says what may be seen below the roots, anew at each look; `poll_s` is for folders that the system
        tells nothing of."""
        self._ingest = ingest
        self._roots = roots
        self._view = view
        self._poll_s = poll_s
        self._open_source = open_source
        self._settling = settling or Settling()
        self._mounted = mounted
        self._clock = clock
        self._source: FolderWatch | None = None
        self._followed: tuple[str, ...] = ()
        """Roots that are connected: told of by the system, or looked at by polling."""
        self._polled: tuple[str, ...] = ()
        self._files: dict[str, tuple[int, int, int] | None] = {}
        """Roots that are files, with what they looked like: a watch on a file ends when an editor replaces it."""
        self._away: tuple[str, ...] = ()
        self._only_polling = False
        self._told: set[str] = set()
        self._stop = threading.Event()
        self._asked_lock = threading.Lock()
        self._asked: dict[str, bool] = {}
        """Roots to be looked through next, and whether the user named them."""
        self._forgetting: list[tuple[Path, Future[int]]] = []
        self._words_only = False
        self._looking_through = False
        self._meanwhile: set[str] = set()
        """Changed while everything was looked through: that look may know them as they were."""
        self._broke_off_s: list[float] = []
        self._next_away_look_s = self._next_poll_s = self._next_safety_check_s = self._watch_again_s = 0.0

    # --- what others ask ---

    def look_again(self, roots: Iterable[str | os.PathLike[str]] = ()) -> None:
        """Look through these roots soon, which are followed from then on; without any, through all. Thread-safe."""
        with self._asked_lock:
            for root in roots:
                self._asked[os.path.realpath(root)] = True
            if not self._asked:
                self._asked = dict.fromkeys(self._roots.paths(), False)

    def forget(self, path: Path) -> int:
        """`Roots.forget` between two steps of the loop, so that nothing under way brings the files back."""
        left: Future[int] = Future()
        with self._asked_lock:
            self._forgetting.append((path, left))
        while True:
            with suppress(TimeoutError):
                return left.result(TICK_S)
            if self._stop.is_set() and left.cancel():
                return self._roots.forget(path)

    # --- the loop ---

    def run(self, stop: threading.Event) -> Iterator[IndexEvent]:
        """Follow until `stop` is set; an IndexDone after each look. Raises what `Ingest.run` raises."""
        self._stop = stop
        work: Generator[IndexEvent, None, None] | None = self._look_through(dict.fromkeys(self._roots.paths(), False))
        try:
            while not stop.is_set():
                if self._forget_what_was_asked() and work is not None:
                    work.close()
                    work = None
                yield from self._new_notices(self._look_for_roots())
                work = work or self._next_work()
                if work is not None:
                    event = self._step(work)
                    if event is None:
                        work = None
                    elif not self._is_old(event):
                        yield event
                changed = self._take_changes(wait_s=0.0 if work is not None else self._idle_s())
                if changed:
                    yield from self._check(changed)
                    work = work or self._rest()
        finally:
            if work is not None:
                work.close()
            self._close_source()

    def _forget_what_was_asked(self) -> bool:
        with self._asked_lock:
            asked, self._forgetting = self._forgetting, []
        for path, left in asked:
            if left.set_running_or_notify_cancel():
                left.set_result(self._roots.forget(path))
        if asked:
            self.look_again()  # what was interrupted
        return bool(asked)

    def _step(self, work: Generator[IndexEvent, None, None]) -> IndexEvent | None:
        try:
            return next(work, None)
        except EmbedderMismatch as error:
            self._words_only = True
            return Notice(f"only words are kept up to date, not meaning: {error}", error.hint)

    def _is_old(self, event: IndexEvent) -> bool:
        """A notice that was given before, as of an embedder that is still missing."""
        if not isinstance(event, Notice):
            return False
        known = event.text in self._told
        self._told.add(event.text)
        return known

    def _new_notices(self, events: Iterable[IndexEvent]) -> Iterator[IndexEvent]:
        return (event for event in events if not self._is_old(event))

    def _idle_s(self) -> float:
        settled_s = self._settling.wait_s()
        return TICK_S if settled_s is None else min(TICK_S, settled_s)

    def _next_work(self) -> Generator[IndexEvent, None, None] | None:
        """What takes longer and may be interrupted by changes: the next of it that is due."""
        now_s = self._clock()
        with self._asked_lock:
            asked, self._asked = self._asked, {}
        if asked:
            return self._look_through(asked)
        if self._polled and now_s >= self._next_poll_s:
            self._next_poll_s = now_s + self._poll_s
            return self._look(self._polled, named=False)
        if self._followed and now_s >= self._next_safety_check_s:
            return self._look_through(dict.fromkeys(self._followed, False))
        return None

    def _rest(self) -> Generator[IndexEvent, None, None]:
        """The vectors of what was stored, and what chromadb has not been told."""
        for event in self._ingest.run([], self._stop):
            if not isinstance(event, IndexDone):
                yield event

    # --- looking through roots ---

    def _look_through(self, asked: dict[str, bool]) -> Generator[IndexEvent, None, None]:
        """Follow the roots, and then look through them: no change falls in between."""
        named = [root for root, is_named in asked.items() if is_named]
        excluded = self._view().excluded
        self._roots.add(
            root
            for root in named
            if not self._roots.why_away(root, named=True)
            and os.path.lexists(root)
            and not any(is_below(root, each) for each in excluded)
        )
        yield from self._follow()
        self._next_safety_check_s = self._clock() + SAFETY_CHECK_S
        if named:
            yield from self._look(named, named=True)
        others = [root for root, is_named in asked.items() if not is_named and root in self._followed]
        if others:
            yield from self._look(others, named=False)

    def _look(self, roots: Sequence[str], *, named: bool) -> Generator[IndexEvent, None, None]:
        self._looking_through = True
        try:
            yield from self._ingest.run(roots, self._stop, named=named)
        finally:
            self._looking_through = False
            self._settling.add(self._meanwhile)
            self._meanwhile.clear()

    def _follow(self) -> Iterator[IndexEvent]:
        """Decide which roots are followed how, and watch their folders."""
        away = {root: why for root in self._roots.paths() if (why := self._roots.why_away(root))}
        here = [root for root in self._roots.paths() if root not in away]
        mounted = self._mounted()
        files = [root for root in here if Path(root).is_file()]
        folders = [root for root in here if root not in files]
        polled = [root for root in folders if self._only_polling or is_on_network(root, mounted)]
        to_watch = [root for root in folders if root not in polled]
        try:
            self._watch_folders(to_watch)
        except WatchFailed as error:
            self._only_polling = True
            polled, to_watch = folders, []
            self._close_source()
            yield Notice(f"{error}: they are looked through every {self._poll_s:g} s", error.hint)
        for root in files:
            self._files.setdefault(root, _look_of(root))
        self._files = {root: look for root, look in self._files.items() if root in files}
        before = (self._followed, self._polled, self._away)
        self._followed, self._polled, self._away = tuple(here), tuple(polled), tuple(away)
        if before != (self._followed, self._polled, self._away) or not self._next_away_look_s:
            self._next_poll_s = self._clock() + self._poll_s
            yield Following(
                roots=len(here) - len(polled),
                polled=tuple(map(path_text, polled)),
                poll_s=self._poll_s if polled else 0.0,
                away=tuple(map(path_text, away)),
            )
        self._next_away_look_s = self._clock() + AWAY_LOOK_S

    def _watch_folders(self, roots: Sequence[str]) -> None:
        """Raises WatchFailed."""
        if not roots:
            return
        if self._source is None:
            self._source = self._open_source()
        if self._source.whole_trees:
            self._source.follow(roots)
            return
        view = self._view()
        folders: list[str] = []

        def enter(folder: str) -> None:
            if self._stop.is_set():
                raise _Stopped
            folders.append(folder)

        with suppress(_Stopped):
            for _ in walk(roots, accepts=_nothing, exclude=view.excluded, left_out=view.left_out, entered=enter):
                pass  # what cannot be listed is told by the look that follows
            self._source.follow(folders)

    def _look_for_roots(self) -> Iterator[IndexEvent]:
        """Notice roots that went, came back or were added or forgotten, and watches that broke off."""
        now_s = self._clock()
        if now_s < self._next_away_look_s or not self._next_away_look_s:
            return
        self._next_away_look_s = now_s + AWAY_LOOK_S
        here = tuple(root for root in self._roots.paths() if not self._roots.why_away(root))
        broken = self._source is None and not self._only_polling and now_s >= self._watch_again_s > 0
        if here == self._followed and not broken:
            return
        back = [root for root in here if root not in self._followed or broken]
        if self._source is not None:
            for root in set(self._followed).symmetric_difference(here):
                self._source.forget(root)
        self._watch_again_s = 0.0
        yield from self._follow()
        with self._asked_lock:
            for root in back:
                self._asked.setdefault(root, False)

    # --- looking at what changed ---

    def _take_changes(self, *, wait_s: float) -> list[str]:
        """The paths that came to rest, of what the system told and of roots that are files."""
        if self._source is not None:
            told, lost = self._source.take(wait_s)
            self._settling.add(path for path in told if not self._is_noise(path))
            if lost:
                self._watch_broke_off()
        elif wait_s:
            self._stop.wait(wait_s)
        for root, look in self._files.items():
            now = _look_of(root)
            if now != look:
                self._files[root] = now
                self._settling.add([root])
        return self._settling.due()

    def _watch_broke_off(self) -> None:
        """Changes may have been lost: everything is followed anew and looked through, soon."""
        log.info("the watch broke off: everything is looked through")
        self._close_source()
        now_s = self._clock()
        self._broke_off_s = [each for each in self._broke_off_s if now_s - each < SAFETY_CHECK_S] + [now_s]
        self._only_polling = len(self._broke_off_s) > MOST_BREAKS
        self._watch_again_s = now_s + WATCH_AGAIN_S

    def _check(self, changed: Sequence[str]) -> Iterator[IndexEvent]:
        """Store the words of what changed."""
        roots = [root for root in self._followed if not self._roots.why_away(root)]
        if len(roots) < len(self._followed):
            self._next_away_look_s = self._clock()  # a root has just gone: its files are not deleted
        if self._looking_through:
            self._meanwhile.update(changed)
        paths = _fewest([path for path in changed if any(is_below(path, root) for root in roots)])
        if len(paths) > MOST_PATHS:
            self._next_safety_check_s = 0.0
            return
        if not paths:
            return
        folders: list[str] = []
        view = self._view()
        view.entered = folders.append
        unsure = self._roots.away_below(roots)
        for event in self._ingest.check(paths, partial(walk_changed, roots, view=view), unsure, self._stop):
            if not (isinstance(event, IndexDone) and event.report.changed_nothing):
                yield event
        yield from self._watch_new(folders)

    def _watch_new(self, folders: Sequence[str]) -> Iterator[IndexEvent]:
        """Watch folders that were not there before, and look at them once more: files may have come meanwhile."""
        if self._source is None or self._source.whole_trees:
            return
        polled = tuple(self._polled)
        try:
            new = self._source.follow(each for each in folders if not any(is_below(each, root) for root in polled))
        except WatchFailed as error:
            self._only_polling = True
            self._close_source()
            yield Notice(f"{error}: they are looked through every {self._poll_s:g} s", error.hint)
            yield from self._follow()
            return
        self._settling.add(new)

    def _is_noise(self, path: str) -> bool:
        """Whether a path can be told by its name to be none of the library's."""
        name = PurePath(path).name
        if name in IGNORE_FILES or path in self._followed:
            return False
        return name.startswith(".") or is_temporary_name(name)

    def _close_source(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None


class _Stopped(Exception):
    """The stop signal came while folders were listed."""


def _nothing(_name: str) -> bool:
    return False


def _fewest(paths: Iterable[str]) -> list[str]:
    """The paths to look at: the folder of an ignore file instead of it, nothing twice, many files by their folder."""
    wanted = {str(path.parent) if path.name in IGNORE_FILES else str(path) for path in map(Path, paths)}
    if len(wanted) > MOST_PATHS:
        wanted = {str(Path(path).parent) for path in wanted}
    fewest: list[str] = []
    for path in sorted(wanted, key=_parts):
        if not fewest or not is_below(path, fewest[-1]) or not Path(fewest[-1]).is_dir():
            fewest.append(path)
    return fewest


def _parts(path: str) -> tuple[str, ...]:
    return PurePath(path).parts


def _look_of(path: str) -> tuple[int, int, int] | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino
