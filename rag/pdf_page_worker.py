"""The process that looks at PDF pages: finds text on them, draws them. Started by `rag.pdf_pages`, for one request.

It takes a JSON object from standard input and answers with frames (see `rag.reading_worker`) on what was standard
output. Before it opens the first file it gives up what it needs not, as the reading worker does, and a signal of the
system's ends it when it takes longer than its parent waits.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any

from rag.error_frames import error_to_json
from rag.errors import DamagedFile, ReadError
from rag.member_opening import open_anywhere
from rag.pdf_places import draw_page, find_lines
from rag.readers.contract import ReadLimits, check_file_size
from rag.readers.pdf import open_pdf
from rag.readers.registry import choose_reader
from rag.reading_worker import ALARM_GRACE_S, confine, set_alarm, take_pipes, write_frame

if TYPE_CHECKING:
    from pypdfium2 import PdfPage


def main() -> None:
    """Answer one request. `sys.argv[2]` is the limits as JSON."""
    import pypdfium2  # before `confine`: what it loads must be there

    requests, answers = take_pipes()
    request: dict[str, Any] = json.loads(requests.read().decode("utf-8", "surrogatepass"))
    limits = ReadLimits(**json.loads(sys.argv[2]))
    set_alarm(limits.timeout_s + ALARM_GRACE_S)
    confine(limits)
    try:
        if "draw" in request:
            _draw(request["draw"], limits, answers)
        else:
            _find(request["find"], limits, answers)
    except ReadError as error:
        write_frame(answers, {"error": error_to_json(error)})
    except (pypdfium2.PdfiumError, ValueError, MemoryError) as error:
        write_frame(answers, {"error": error_to_json(DamagedFile(f"the page cannot be shown ({error})"))})


def _draw(wanted: Mapping[str, Any], limits: ReadLimits, answers: IO[bytes]) -> None:
    """One frame that says how large the page is, then its pixels."""
    with _Pages(limits) as pages:
        drawn = draw_page(pages.page(wanted["path"], wanted["page"]))
    size = {"width_px": drawn.width_px, "height_px": drawn.height_px}
    write_frame(answers, {**size, "width_pt": drawn.width_pt, "height_pt": drawn.height_pt})
    answers.write(drawn.rgb)
    answers.flush()


def _find(wanted: Sequence[Mapping[str, Any]], limits: ReadLimits, answers: IO[bytes]) -> None:
    """One frame a text, in order: its lines' boxes, none where it is not found or its page cannot be opened."""
    from pypdfium2 import PdfiumError

    with _Pages(limits) as pages:
        for each in wanted:
            try:
                lines = find_lines(pages.page(each["path"], each["page"]), each["text"])
            except (ReadError, PdfiumError):
                lines = []
            write_frame(answers, {"lines": lines})


class _Pages:
    """Opens documents, and keeps the last one open: what is asked for together is mostly in one."""

    def __init__(self, limits: ReadLimits) -> None:
        self._limits = limits
        self._path = ""
        self._opened: Any = None  # pypdfium2.PdfDocument
        self._file = ExitStack()

    def __enter__(self) -> _Pages:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def page(self, path: str, number: int) -> PdfPage:
        """A page by its number, from 1. Raises ReadError and those below it, PdfiumError."""
        if path != self._path:
            self._close()
            file, _ = self._file.enter_context(open_anywhere(path, self._limits, choose_reader))
            check_file_size(file, self._limits)
            self._opened, _ = open_pdf(file)
            self._path = path
        if not 1 <= number <= len(self._opened):
            raise DamagedFile(f"there is no page {number}", hint="the file has changed since: index it again")
        page: PdfPage = self._opened[number - 1]
        return page

    def _close(self) -> None:
        self._path = ""
        if self._opened is not None:
            self._opened.close()
            self._opened = None
        self._file.close()
