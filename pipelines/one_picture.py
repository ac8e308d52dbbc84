"""The pixels of one picture that somebody names, decoded as indexing does: in a worker process with limits.

Of a file with several frames the first, of one with several pages as many as a model is shown. Knows nothing of the
library and of what is done with the pixels.
"""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.chat import ImagePart
from pipelines.errors import FileNotUsable
from pipelines.turn import Picture
from rag.errors import ReadError
from rag.path_text import path_text
from rag.pictures import Drawing
from rag.reading import FileBegun

if TYPE_CHECKING:
    from rag.reading import DocumentReader

PICTURE_READERS = ("picture", "svg")
MOST_PAGES_SHOWN = 4
"""Of one file. Each takes up to `chat.picture_tokens` of a context of 8,192, and seconds to be encoded."""
PAGED_FORMAT = "TIFF"
"""The others have frames, which show the same thing a little later."""


def is_picture(begun: FileBegun) -> bool:
    """Whether what was begun is a picture's own file, not a document with pictures in it."""
    return begun.reader.partition("/")[0] in PICTURE_READERS


class PagesToShow:
    """What a model is shown of one file, gathered from its drawings as they come."""

    def __init__(self, name: str) -> None:
        """`name`: the file's path, as it may be shown."""
        self._name = name
        self._drawings: list[Drawing] = []
        self._count = 0

    def take(self, drawing: Drawing) -> None:
        self._count += 1
        if not self._drawings or (self._is_paged and len(self._drawings) < MOST_PAGES_SHOWN):
            self._drawings.append(drawing)

    @property
    def _is_paged(self) -> bool:
        facts = self._drawings[0].facts
        return facts is not None and facts.format == PAGED_FORMAT

    def pictures(self) -> tuple[Picture, ...]:
        """The first pages, or the one picture; nothing where nothing was drawn."""
        if not self._drawings:
            return ()
        pages = self._count if self._is_paged else 1
        return tuple(
            Picture(
                self._name,
                ImagePart(drawing.width_px, drawing.height_px, drawing.rgb),
                page=drawing.page if pages > 1 else None,
                pages=pages,
            )
            for drawing in self._drawings
        )


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
