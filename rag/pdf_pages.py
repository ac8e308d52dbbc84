"""PDF pages looked at in a process of their own: where a text stands on one, and what it looks like.

The files are as untrusted as when they are read, so the same confinement holds (`rag.reading_worker`); a process is
started for each request, which takes some 0.2 s and leaves nothing behind. What it sends is checked like any input.
"""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rag.error_frames import error_from_json
from rag.errors import DamagedFile, TooLarge
from rag.path_text import path_text
from rag.pdf_places import MAX_PIXELS, Box, DrawnPage
from rag.readers.contract import ReadLimits
from rag.reading_worker import limits_to_json, read_frame

log = logging.getLogger(__name__)

TIMEOUT_S = 20.0
"""For one request: somebody is waiting in front of the screen."""
WATCH_EVERY_S = 0.1
MAX_FRAME_BYTES = 1 << 20

_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from rag.pdf_page_worker import main; main()"


@dataclass(frozen=True, slots=True)
class TextOnPage:
    """Some text that is to be found on a page of a file."""

    path: str
    page: int
    """1-based."""
    text: str


class PdfPages:
    """Safe to call from several threads: nothing is shared."""

    def __init__(self, limits: ReadLimits | None = None) -> None:
        limits = limits or ReadLimits()
        self._limits = replace(limits, timeout_s=min(limits.timeout_s, TIMEOUT_S))

    def find(self, wanted: Sequence[TextOnPage], *, within_s: float = TIMEOUT_S) -> list[list[Box]]:
        """For each text one box a line of it, in points from its page's top left; none where it is not found, or not
        within this time.

        Never raises for what is wrong with a file: a place that cannot be told is no reason to say nothing else.
        """
        found: list[list[Box]] = [[] for _ in wanted]
        if not wanted:
            return found
        limits = replace(self._limits, timeout_s=min(self._limits.timeout_s, within_s))
        answer = io.BytesIO(self._ask({"find": [asdict(each) for each in wanted]}, limits))
        for boxes in found:
            try:
                frame = read_frame(answer, MAX_FRAME_BYTES)
            except ValueError:
                break
            if frame is None or "lines" not in frame:
                break  # it ended early: the time was over, or a page was too much for it
            boxes.extend(_checked_box(box) for box in frame["lines"])
        return found

    def draw(self, path: str, page: int) -> DrawnPage:
        """A page as it looks. Raises ReadError and those below it."""
        name = path_text(Path(path).name)
        answer = io.BytesIO(self._ask({"draw": {"path": path, "page": page}}, self._limits))
        try:
            frame = read_frame(answer, MAX_FRAME_BYTES)
            told = error_from_json(frame["error"]) if frame is not None and "error" in frame else None
        except ValueError as error:
            raise DamagedFile(
                f"{name}: page {page} cannot be shown", hint="open the file in its own program"
            ) from error
        if frame is None:
            raise TooLarge(
                f"{name}: page {page} was not drawn within {self._limits.timeout_s:g} s and"
                f" {self._limits.memory_bytes >> 20:,} MB",
                hint="open the file in its own program",
            )
        if told is not None:
            raise type(told)(f"{name}: {told}", hint=told.hint)
        drawn = DrawnPage(
            int(frame["width_px"]),
            int(frame["height_px"]),
            float(frame["width_pt"]),
            float(frame["height_pt"]),
            answer.read(),
        )
        pixels = drawn.width_px * drawn.height_px
        if not 0 < pixels <= 2 * MAX_PIXELS or len(drawn.rgb) != 3 * pixels:
            raise DamagedFile(f"{name}: page {page} cannot be shown", hint="open the file in its own program")
        return drawn

    def _ask(self, request: dict[str, Any], limits: ReadLimits) -> bytes:
        """What the process answered until it ended, or until its time or memory was used up."""
        packages = str(Path(__file__).resolve().parent.parent)
        # A file, not a pipe, holds the request: it may be larger than a pipe takes before anybody reads.
        with tempfile.TemporaryFile() as told:
            told.write(json.dumps(request).encode("utf-8", "surrogatepass"))
            told.seek(0)
            # -P keeps the current folder out of the import path: it may be the folder that is being indexed.
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOT, packages, limits_to_json(limits)],
                stdin=told,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + limits.timeout_s
        try:
            while True:
                try:
                    return process.communicate(timeout=WATCH_EVERY_S)[0]
                except subprocess.TimeoutExpired:
                    if time.monotonic() >= deadline or _resident_bytes(process.pid) > limits.memory_bytes:
                        log.info("a PDF page took too long or too much memory")
                        process.kill()
        finally:
            process.kill()
            process.wait()


def _checked_box(box: Any) -> Box:
    x0, y0, x1, y1 = (float(each) for each in box)
    return (x0, y0, x1, y1)


def _resident_bytes(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
