"""Sound and video files: which they are, by their names; what is said in them is heard elsewhere.

Decoding is `rag.sound_decoding`'s, recognising an engine's, and joining the two the caller's: a reader gives the text
of one file and may use no engine. So it only announces a recording inside another file.
"""

from __future__ import annotations

from pathlib import PurePath

from rag.errors import UnsupportedFile
from rag.path_text import path_text
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.sniff import FORMAT_BY_EXTENSION

RECORDING_READER = "recording/1"


def is_recording(path: str) -> bool:
    """Whether its name says that it is a sound or video file that can be listened to."""
    return FORMAT_BY_EXTENSION.get(PurePath(path_text(path)).suffix[1:].lower()) == "recording"


def announce_recording(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises UnsupportedFile where nobody listens."""
    if not limits.listens:
        raise UnsupportedFile(
            f"{file.name} is a recording", hint="what is said in it is written down by: homebody transcribe FILE"
        )
    return Reading(iter(()), kind="audio", is_to_be_heard=True)
