"""The process that unpacks one file inside another. Started by `rag.member_copies`; never import it for anything else.

It takes a request from standard input and tells frames (see `rag.reading_worker`) on what was standard output: `piece`,
followed by bytes, any number of times, then `done`, `changed` (the file on the disk did) or `error`. What it gives up
before it opens the file is what the reading worker gives up: it writes no file itself.
"""

from __future__ import annotations

import json
import sys
import traceback

from rag.error_frames import error_to_json
from rag.errors import DamagedFile, ReadError
from rag.member_opening import open_anywhere
from rag.readers.clean_text import clean_title
from rag.readers.contract import MEGABYTE, ReadLimits, has_changed
from rag.readers.registry import choose_reader
from rag.reading_worker import PAYLOAD, Talk, confine, leave_with_parent, read_frame, take_pipes


def main() -> None:
    """Answer one request. `sys.argv[2]` is the limits as JSON."""
    requests, answers = take_pipes()
    limits = ReadLimits(**json.loads(sys.argv[2]))
    leave_with_parent(requests.fileno())
    confine(limits)
    request = read_frame(requests)
    if request is None:
        return
    talk = Talk(requests, answers, limits.timeout_s)
    talk.working()
    try:
        _unpack(str(request["path"]), limits, talk)
    except ReadError as error:
        talk.tell({"error": error_to_json(error)})
    except Exception as error:  # the worker's outermost frame
        traceback.print_exception(error)
        what = f"it cannot be unpacked ({type(error).__name__}: {clean_title(str(error))})"
        told = DamagedFile(what, hint="open the file around it in its own program")
        talk.tell({"error": error_to_json(told)})


def _unpack(path: str, limits: ReadLimits, talk: Talk) -> None:
    with open_anywhere(path, limits, choose_reader) as (file, on_disk):
        while piece := file.stream.read(MEGABYTE):
            talk.tell({"piece": True, PAYLOAD: piece})
        talk.tell({"changed" if has_changed(on_disk) else "done": True})
