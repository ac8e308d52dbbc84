"""Values in words: counts, sizes, durations, places. Plain text for every way of showing; imports no toolkit."""

from __future__ import annotations

import os
import re
import time
from datetime import datetime
from pathlib import Path

from app.terminal_text import clean_line
from pipelines.events import Following, IndexProgress, IndexReport
from pipelines.turn import Locator

MANY_PASSAGES = 1000
"""From here on their number says more of how reading goes than that of the files."""

_PHASES = {
    "walking": ("Looking for files", "file"),
    "reading": ("Reading", "file"),
    "embedding": ("Embedding", "passage"),
    "re-embedding": ("Embedding anew", "passage"),
    "looking": ("Looking at pictures", "picture"),
    "storing": ("Storing", "passage"),
}


def counted(count: int, singular: str, plural: str = "") -> str:
    """`1 passage`, `1,204 passages`."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def duration(seconds: float) -> str:
    """`1 ms`, `0.4 s`, `12 s`, `3 min`, `2 h 5 min`."""
    if 0 < seconds < 0.05:
        return f"{max(1, round(1000 * seconds))} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def time_left(seconds: float) -> str:
    """An estimate, so in whole seconds: `8 s left`, `3 min left`."""
    return f"{duration(seconds) if seconds >= 9.95 else f'{seconds:.0f} s'} left"


def size(count: float) -> str:
    """`812 B`, `23 kB`, `1.1 GB`: decimal, as download sizes are stated."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.5 or unit == "GB":
            break
    return f"{count:.1f} {unit}" if count < 9.95 else f"{count:.0f} {unit}"


def when(then_s: float, *, now_s: float | None = None) -> str:
    """A moment as people say it: `just now`, `5 min ago`, `3 h ago`, `yesterday`, a date."""
    ago_s = (time.time() if now_s is None else now_s) - then_s
    if ago_s < 60:
        return "just now"
    if ago_s < 3600:
        return f"{ago_s // 60:.0f} min ago"
    if ago_s < 86_400:
        return f"{ago_s // 3600:.0f} h ago"
    if ago_s < 2 * 86_400:
        return "yesterday"
    return time.strftime("%Y-%m-%d", time.localtime(then_s))


def day(then_s: float) -> str:
    """`14 March 2025`, in the local time zone; `an unknown day` for a time that no calendar has."""
    try:
        then = datetime.fromtimestamp(then_s)
    except (OverflowError, OSError, ValueError):
        return "an unknown day"
    return f"{then.day} {then:%B %Y}"


def short_path(path: str, *, folder: str = "") -> str:
    """A path on one line: relative to `folder` inside it, otherwise with the user's folder as `~`."""
    home = str(Path.home())
    if folder and path.startswith(folder.rstrip(os.sep) + os.sep):
        path = path[len(folder.rstrip(os.sep)) + 1 :]
    elif path == home or path.startswith(home + os.sep):
        path = "~" + path[len(home) :]
    return clean_line(path)


_MOVING = (".gif", ".png", ".apng", ".webp", ".avif")
"""Pictures that have frames where others have pages."""


def place(path: str, locator: Locator, *, folder: str = "") -> str:
    """Where a passage is: `notes.md:12`, which editors and terminals open, or `manual.pdf, page 3`."""
    shown = short_path(path, folder=folder)
    if locator.line is not None and locator.page is None:
        return f"{shown}:{locator.line}"
    where = place_within(path, locator)
    return f"{shown}, {where}" if where else shown


def place_within(path: str, locator: Locator) -> str:
    """`page 3`, `line 120`, `0:12-0:15`; `frame 3` of what is no scan and has no pages, but moves."""
    if locator.page is not None and path.lower().endswith(_MOVING):
        return f"frame {locator.page}"
    return clean_line(str(locator))


def on_one_line(text: str, *, limit: int) -> str:
    """White space collapsed, cut to `limit` characters with an ellipsis."""
    collapsed = clean_line(" ".join(text.split()))
    return collapsed if len(collapsed) <= limit else collapsed[: limit - 1].rstrip() + "…"


def from_where_it_says(text: str, query: str, *, limit: int) -> str:
    """A passage from the line that has most of the query's words on, where its first `limit` characters have fewer.

    A passage of table rows may say what was asked for in its last row; who reads three lines of it wants that row.
    """
    words = {word for word in re.findall(r"\w+", query.casefold()) if len(word) > 2}

    def found(part: str) -> int:
        folded = part.casefold()
        return sum(word in folded for word in words)

    lines = text.splitlines(keepends=True)
    if len(text) <= limit or not words or len(lines) < 2:
        return text
    best = max(range(len(lines)), key=lambda number: (found(lines[number]), -number))
    start = sum(len(line) for line in lines[:best])
    return text if found(text[:limit]) >= found(lines[best]) else f"… {text[start:]}"


def index_progress(event: IndexProgress) -> str:
    """`Reading · 120 of 2,000 files · 35/s · 54 s left`; of files with many passages how many came so far,
    of a recording how far it is (`meeting.mp3 12:30 of 58:00`), and of another large file (`archive.mbox 37 %`)."""
    verb, noun = _PHASES[event.phase]
    if event.total:
        amount = f"{event.done:,} of {counted(event.total, noun)}"
    elif event.done:
        amount = counted(event.done, noun)
    else:
        return verb
    parts = [verb, amount, *rate_and_time_left(event.reached, event.total, event.rate_per_s)]
    if event.phase == "reading" and event.chunks >= MANY_PASSAGES:
        parts.insert(2, counted(event.chunks, "passage"))
    if event.heard_s:
        of_all = f" of {Locator(start_s=event.length_s)}" if event.length_s else ""
        parts.append(f"{clean_line(Path(event.path).name)} {Locator(start_s=event.heard_s)}{of_all}")
    elif event.large_file:
        parts.append(f"{clean_line(Path(event.large_file).name)} {event.read_share * 100:.0f} %")
    return " · ".join(parts)


def rate_and_time_left(done: float, total: float, rate_per_s: float) -> list[str]:
    parts = []
    if rate_per_s >= 1:
        parts.append(f"{rate_per_s:,.0f}/s")
    if rate_per_s > 0 and total > done:
        parts.append(time_left((total - done) / rate_per_s))
    return parts


def following(event: Following) -> str:
    """`Following 3 folders and files; 1 is looked through every 30 s; not connected: /media/stick`."""
    parts = [f"Following {counted(event.roots, 'folder or file', 'folders and files')}"]
    if event.polled:
        shown = ", ".join(map(short_path, event.polled))
        parts.append(f"looking through {shown} every {duration(event.poll_s)}")
    if event.away:
        parts.append(f"not connected: {', '.join(map(short_path, event.away))}")
    return "; ".join(parts)


def index_report(report: IndexReport) -> str:
    """`12 files read, 3 unchanged; 140 new passages in 2.1 s`."""
    parts = [f"{counted(report.indexed, 'file')} read"]
    if report.unchanged:
        parts.append(f"{report.unchanged:,} unchanged")
    if report.removed:
        parts.append(f"{report.removed:,} removed")
    if report.failed:
        parts.append(f"{len(report.failed):,} not readable")
    if report.unsupported:
        parts.append(f"{sum(report.unsupported.values()):,} of other kinds")
    return f"{', '.join(parts)}; {counted(report.chunks, 'new passage')} in {duration(report.seconds)}"
