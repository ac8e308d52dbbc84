"""Sound and video files: which they are, by their names; what is said in them is heard elsewhere.

Decoding is `rag.sound_decoding`'s, recognising an engine's, and joining the two the caller's: a reader gives the text
of one file and may use no engine. So a recording inside another file is not read.
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


def refuse_recording(file: OpenedFile, _limits: ReadLimits) -> Reading:
    """Raises UnsupportedFile: only a file on the disk can be listened to."""
    raise UnsupportedFile(
        f"{file.name} is a recording inside another file, which is not read", hint="take it out, and index it"
    )
