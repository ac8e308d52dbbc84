"""Keep the library as the folders are: look through all of them once, then look at what changes.

One loop does one thing after the other: it takes what the system tells (`pipelines.followed_roots`), lets it
settle, and stores the words of what came to rest; when nothing waits, it goes on with what takes longer (looking
through whole roots, vectors), a step at a time, so that a change never waits for those. Every decision about a file
is `pipelines.ingest`'s.

Notices can be lost by the system; therefore everything is looked through again now and then, which costs little
more than listing it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path

from pipelines.chroma_telling import ChromaTelling
from pipelines.events import IndexDone, IndexEvent, Notice
from pipelines.followed_roots import FollowedRoots
from pipelines.ingest import Ingest
from pipelines.settling import Settling
from rag.errors import EmbedderMismatch
from rag.ignore_rules import IGNORE_FILES
from rag.mounted import is_below
from rag.roots import Roots
from rag.walk import View
from rag.walk_changed import walk_changed

TICK_S = 0.5
"""The longest wait: after it stop signals and requests are looked at."""
SAFETY_LOOK_S = 600.0
"""Between looks through everything while nothing is known to have changed."""
CHROMA_AFTER_S = 20.0
"""Without a change, before chromadb is told of the last ones."""
MOST_PATHS = 1000
"""Changed paths that are looked at one by one; of more, their folders are, and of more of those, everything."""


class Watch:
    """Follows the roots of one library. `run` is called once, by the process that holds the writer lock."""

    def __init__(
        self,
        *,
        ingest: Ingest,
        roots: Roots,
        followed: FollowedRoots,
        view: Callable[[], View],
        poll_s: float,
        settling: Settling | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`view` says what may be seen below the roots, anew at each look; `poll_s` is for folders that the system
        tells nothing of."""
        self._ingest = ingest
        self._roots = roots
        self._followed = followed
        self._view = view
        self._poll_s = poll_s
        self._settling = settling if settling is not None else Settling()
        self._clock = clock
        self._chroma = ChromaTelling(ingest.tell_chroma)
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
        self._next_poll_s = self._next_safety_look_s = 0.0
        self._tell_chroma_s: float | None = None

    # --- what others ask ---

    def look_again(self, roots: Iterable[str | os.PathLike[str]] = ()) -> None:
        """Look through these roots soon, which are followed from then on; without any, through all. Thread-safe."""
        named = dict.fromkeys(map(os.path.realpath, roots), True)
        with self._asked_lock:
            self._asked.update(named or dict.fromkeys(self._roots.paths(), False))

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
        """Follow until `stop` is set; an IndexDone after each look that changed something, and after the first.

        Raises what `Ingest.run` raises.
        """
        self._stop = stop
        work: Generator[IndexEvent, None, None] | None = self._look_through(dict.fromkeys(self._roots.paths(), False))
        try:
            while not stop.is_set():
                if self._forget_what_was_asked() and work is not None:
                    work.close()
                    work = None
                yield from self._look_for_roots()
                yield from (event for event in self._chroma.events() if isinstance(event, Notice))
                work = work or self._next_work()
                if work is not None:
                    event = self._step(work)
                    if event is None:
                        work = None
                    elif not self._is_old(event):
                        yield event
                self._settling.add(self._followed.changes(0.0 if work is not None else self._idle_s(), stop))
                if changed := self._settling.due():
                    yield from self._check(changed)
                    work = work or self._rest()
        finally:
            if work is not None:
                work.close()
            self._followed.close()
            if stop.is_set():
                self._chroma.join()

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

    def _idle_s(self) -> float:
        settled_s = self._settling.wait_s()
        return TICK_S if settled_s is None else min(TICK_S, settled_s)

    def _forget_what_was_asked(self) -> bool:
        with self._asked_lock:
            asked, self._forgetting = self._forgetting, []
        for path, left in asked:
            if left.set_running_or_notify_cancel():
                left.set_result(self._roots.forget(path))
        if asked:
            self.look_again()  # what was interrupted
        return bool(asked)

    def _look_for_roots(self) -> Iterator[IndexEvent]:
        for found in self._followed.look(self._stop):
            if isinstance(found, str):
                with self._asked_lock:
                    self._asked.setdefault(found, False)
            else:
                yield found

    def _next_work(self) -> Generator[IndexEvent, None, None] | None:
        """What takes longer and may be interrupted by changes: the next of it that is due."""
        now_s = self._clock()
        with self._asked_lock:
            asked, self._asked = self._asked, {}
        if asked:
            return self._look_through(asked)
        if self._followed.connected and now_s >= self._next_safety_look_s:
            return self._look_through(dict.fromkeys(self._followed.connected, False))
        if self._followed.polled and now_s >= self._next_poll_s:
            return self._look(self._followed.polled, named=False, tell_always=False)
        if self._tell_chroma_s is not None and now_s >= self._tell_chroma_s:
            self._tell_chroma_s = None
            self._chroma.start(self._stop)
        return None

    # --- looking through roots ---

    def _look_through(self, asked: dict[str, bool]) -> Generator[IndexEvent, None, None]:
        """Follow the roots, and then look through them: no change falls in between."""
        is_first = not self._next_safety_look_s
        self._next_safety_look_s = self._clock() + SAFETY_LOOK_S
        named = [root for root, is_named in asked.items() if is_named]
        excluded = self._view().excluded
        self._roots.add(
            root
            for root in named
            if not self._roots.why_away(root, named=True)
            and os.path.lexists(root)
            and not any(is_below(root, each) for each in excluded)
        )
        yield from self._followed.follow(self._stop)
        if named:
            yield from self._look(named, named=True, tell_always=True)
        others = [root for root, is_named in asked.items() if not is_named and root in self._followed.connected]
        if others:
            yield from self._look(others, named=False, tell_always=is_first)

    def _look(self, roots: Sequence[str], *, named: bool, tell_always: bool) -> Generator[IndexEvent, None, None]:
        self._looking_through = True
        self._next_poll_s = self._clock() + self._poll_s
        try:
            for event in self._ingest.run(roots, self._stop, named=named, tell_chroma=False):
                if not isinstance(event, IndexDone) or tell_always or not event.report.changed_nothing:
                    yield event
        finally:
            self._looking_through = False
            self._settling.add(self._meanwhile)
            self._meanwhile.clear()
            self._tell_chroma_s = self._clock() + (0.0 if tell_always else CHROMA_AFTER_S)

    def _rest(self) -> Generator[IndexEvent, None, None]:
        """The vectors of what was stored."""
        if self._words_only:
            return
        for event in self._ingest.run([], self._stop, tell_chroma=False):
            if not isinstance(event, IndexDone):
                yield event
        self._tell_chroma_s = self._clock() + CHROMA_AFTER_S

    # --- looking at what changed ---

    def _check(self, changed: Sequence[str]) -> Iterator[IndexEvent]:
        """Store the words of what changed."""
        connected = self._followed.connected
        roots = [root for root in connected if not self._roots.why_away(root)]
        if len(roots) < len(connected):
            self._followed.look_soon()  # a root has just gone: its files are not deleted
        if self._looking_through:
            self._meanwhile.update(changed)
        paths = fewest_paths(path for path in changed if any(is_below(path, root) for root in roots))
        if len(paths) > MOST_PATHS:
            self.look_again()
            return
        if not paths:
            return
        view, folders = self._view(), list[str]()
        view.entered = folders.append
        unsure = self._roots.away_below(roots)
        for event in self._ingest.check(paths, partial(walk_changed, roots, view=view), unsure, self._stop):
            if not (isinstance(event, IndexDone) and event.report.changed_nothing):
                yield event
        for found in self._followed.watch_also(folders, self._stop):
            if isinstance(found, str):
                self._settling.add([found])
            else:
                yield found


def fewest_paths(paths: Iterable[str]) -> list[str]:
    """The paths to look at: the folder of an ignore file instead of it, nothing twice, many files by their folder."""
    wanted = {str(path.parent) if path.name in IGNORE_FILES else str(path) for path in map(Path, paths)}
    if len(wanted) > MOST_PATHS:
        wanted = {str(Path(path).parent) for path in wanted}
    fewest: list[str] = []
    for path in sorted(wanted, key=lambda each: Path(each).parts):
        if not fewest or not is_below(path, fewest[-1]) or not Path(fewest[-1]).is_dir():
            fewest.append(path)
    return fewest
