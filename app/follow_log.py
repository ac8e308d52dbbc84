"""What following the library's folders has said, for the library screen and the status bar. Draws nothing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from app.messages import Failure
from app.present import index_activity
from app.terminal_text import clean_line
from app.wording import following, index_progress, short_path, when
from pipelines.events import FileChanged, FileFailed, Following, IndexDone, IndexEvent, IndexProgress

CHANGES_SHOWN = 3

_SAID = {"read": "read", "moved": "moved here", "removed": "gone"}


class FollowLog:
    """The state of one follower."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._following: Following | None = None
        self._progress: IndexProgress | None = None
        self._changes: deque[tuple[float, str, str]] = deque(maxlen=CHANGES_SHOWN)
        self._ended: Failure | None = None
        self._looked_through = False
        """Once, from end to end. After that the end of a look that found nothing is not told."""

    def begin(self) -> None:
        self._ended = self._progress = self._following = None
        self._looked_through = False

    def take(self, event: IndexEvent) -> None:
        match event:
            case Following():
                self._following = event
            case IndexProgress():
                is_over = 0 < event.total <= event.done and (event.phase != "reading" or self._looked_through)
                is_a_look_around = self._looked_through and not event.total
                self._progress = None if is_over or is_a_look_around else event
            case FileChanged(path=path, change=change):
                self._changes.appendleft((self._clock(), path, _SAID[change]))
            case FileFailed(path=path, reason=reason):
                self._changes.appendleft((self._clock(), path, f"not read: {clean_line(reason)}"))
            case IndexDone():
                self._progress = None
                self._looked_through = True
            case _:
                pass

    def end(self, why: Failure) -> None:
        self._progress = None
        self._ended = why

    @property
    def is_ended(self) -> bool:
        return self._ended is not None

    @property
    def activity(self) -> str:
        """In two words, for the status bar; empty when nothing goes on."""
        return index_activity(self._progress) if self._progress is not None else ""

    def lines(self) -> list[str]:
        """Everything, clean, for the library screen; empty before it has begun."""
        if self._ended is not None:
            return [part for part in (self._ended.text, self._ended.hint) if part]
        lines = [following(self._following)] if self._following is not None else []
        if self._progress is not None:
            name = f"  {short_path(self._progress.path)}" if self._progress.path else ""
            lines.append(index_progress(self._progress) + name)
        now_s = self._clock()
        return lines + [f"{when(at_s, now_s=now_s)}: {short_path(path)} {said}" for at_s, path, said in self._changes]
