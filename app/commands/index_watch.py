"""`homebody index --watch`: follow the folders until Ctrl-C, a line a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.commands.index import show_progress
from app.console import Console, Progress, dim

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from typing import Any

    from pipelines.events import IndexEvent
    from pipelines.home import Home

CHANGES_SHOWN = 20
"""Of one look; of more the report says how many there were."""


def watch(home: Home, paths: Sequence[Path], stop: threading.Event, console: Console, *, json: bool) -> None:
    """Index `paths` and everything indexed before, then follow all of it. Returns when `stop` is set."""
    asked = not paths
    lines = _Lines(console)
    for event in home.follow(stop):
        if not asked:  # somebody follows now, who can be asked
            asked = home.look_again(paths)
        if json:
            for line in _json_lines(event):
                console.json(line)
        else:
            lines.show(event)
    console.err.erase_line()


def _json_lines(event: IndexEvent) -> Iterable[dict[str, Any]]:
    from pipelines.events import FileChanged, FileFailed, Following, IndexDone, Notice

    match event:
        case Following():
            yield event.to_json()
        case FileChanged(path=path, change=change):
            yield {"event": "changed", "path": path, "change": change}
        case FileFailed(path=path, reason=reason, hint=hint):
            yield {"event": "failed", "path": path, "reason": reason, "hint": hint}
        case Notice(text=text, hint=hint):
            yield {"event": "notice", "text": text, "hint": hint}
        case IndexDone(report=report):
            yield {"event": "report", **report.to_json()}
        case _:
            return


class _Lines:
    """For people: changes on standard output, progress and talk on standard error."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(console.err)
        self._changes = 0
        """Told since the last report."""

    def show(self, event: IndexEvent) -> None:
        from app.wording import following, index_report, short_path
        from pipelines.events import FileChanged, FileFailed, Following, IndexDone, IndexProgress, Notice

        if isinstance(event, IndexProgress):
            show_progress(self._progress, event, self._console)
            if event.total and event.done >= event.total:
                self._progress.clear()
            return
        self._progress.clear()
        out = self._console.out
        match event:
            case Following():
                self._console.say(following(event), "Ctrl-C ends it")
            case FileChanged(path=path, change=change):
                self._changes += 1
                if self._changes <= CHANGES_SHOWN:
                    out.line(f"{change:8} ", short_path(path))
            case FileFailed(path=path, reason=reason, hint=hint):
                out.line(f"{'not read':8} ", short_path(path))
                out.paragraph(reason, indent=" " * 10)
                if hint:
                    out.paragraph(hint, indent=" " * 10, style="dim")
            case Notice(text=text, hint=hint):
                self._console.say(text, hint)
            case IndexDone(report=report):
                if not 0 < self._changes <= CHANGES_SHOWN:  # otherwise its lines have said it
                    out.line(dim(index_report(report)))
                self._changes = 0
        out.flush()
