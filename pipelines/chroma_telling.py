"""Tell chromadb what changed, beside everything else: opening it takes seconds, and nobody waits for it.

SQLite has the vectors already and searches them exactly until chromadb is in step. Knows nothing of either.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

from pipelines.events import IndexEvent

Tell = Callable[[threading.Event], Iterator[IndexEvent]]


class ChromaTelling:
    """At most one thread, which tells until it is done or stopped."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._thread: threading.Thread | None = None
        self._events: queue.SimpleQueue[IndexEvent | BaseException] = queue.SimpleQueue()

    @property
    def is_under_way(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self, stop: threading.Event) -> None:
        """Begin to tell, unless that is under way."""
        if not self.is_under_way:
            self._thread = threading.Thread(target=self._run, args=(stop,), name="chroma-telling", daemon=True)
            self._thread.start()

    def events(self) -> Iterator[IndexEvent]:
        """What has happened since. Raises what ended the thread."""
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return
            if isinstance(event, BaseException):
                raise event
            yield event

    def join(self) -> None:
        """Wait for the thread, whose stop signal was set."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, stop: threading.Event) -> None:
        try:
            for event in self._tell(stop):
                self._events.put(event)
        except Exception as error:  # the thread's outermost frame: its owner raises it
            self._events.put(error)
