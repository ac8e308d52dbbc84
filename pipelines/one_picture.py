"""The pixels of one picture that somebody names, decoded as indexing does: in a worker process with limits.

Of a file with several pages or frames the first. Knows nothing of the library and of what is done with the pixels.
"""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import FileNotUsable
from rag.errors import ReadError
from rag.path_text import path_text
from rag.pictures import Drawing
from rag.reading import FileBegun

if TYPE_CHECKING:
    from rag.reading import DocumentReader

PICTURE_READERS = ("picture", "svg")


def is_picture(begun: FileBegun) -> bool:
    """Whether what was begun is a picture's own file, not a document with pictures in it."""
    return begun.reader.partition("/")[0] in PICTURE_READERS


def picture_pixels(path: Path, reader: DocumentReader) -> NDArray[np.uint8]:
    """Upright, of shape (height, width, 3). Raises FileNotUsable, naming the file."""
    name, drawing = path_text(path), None
    if path.is_dir():
        raise FileNotUsable(f"{name} is a folder", hint="name a picture in it")
    try:
        # To its end: a stream that is closed early ends the reader's process, and an animation has few drawings.
        with closing(reader.stream(path, lambda _: "text", threading.Event(), with_members=False)) as parts:
            for part in parts:
                if isinstance(part, FileBegun) and not is_picture(part):
                    raise FileNotUsable(f"{name} is not a picture", hint="name a photo, a screenshot or a drawing")
                if isinstance(part, Drawing) and drawing is None:
                    drawing = part
    except ReadError as error:
        raise FileNotUsable(str(error), hint=error.hint) from error
    if drawing is None:
        raise FileNotUsable(f"{name} shows nothing that can be looked at", hint="open it in its own program")
    return drawing.pixels()
