"""A picture's own file as it looks: upright, one page or frame of it, on the disk or inside another file.

Files are untrusted: they are decoded where all files are, in the reader's process, with its limits. What comes from
there are pixels. Knows nothing of screens and keeps nothing.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import PurePath

from pipelines.errors import FileNotUsable
from pipelines.one_picture import is_picture
from rag.path_text import path_text
from rag.pictures import Drawing
from rag.readers.contract import ReadLimits
from rag.reading import DocumentReader, FileBegun

TIMEOUT_S = 20.0
"""Somebody is waiting in front of the screen."""


class PictureFiles:
    """Safe to call from several threads, which then take turns. The process starts when the first picture comes."""

    def __init__(self, limits: ReadLimits) -> None:
        timeout_s = min(limits.timeout_s, TIMEOUT_S)
        self._limits = replace(limits, draws=True, timeout_s=timeout_s, total_timeout_s=timeout_s)
        self._reader = DocumentReader(replace(self._limits, max_pages=1), in_background=False)

    def drawing(self, path: str, page: int | None = None) -> Drawing:
        """A picture; `page` is one of a TIFF, or a frame of an animation.

        Raises FileNotUsable for what is no picture, ReadError and those below it.
        """
        if page is None or page == 1:
            return self._first(self._reader, path, page)
        # A process of its own, which looks at no other page.
        with DocumentReader(replace(self._limits, first_page=page, max_pages=page), in_background=False) as reader:
            return self._first(reader, path, page)

    def _first(self, reader: DocumentReader, path: str, page: int | None) -> Drawing:
        name = path_text(PurePath(path).name)
        with closing(reader.stream(path, lambda _: "text", with_members=False)) as parts:
            found: Drawing | None = None
            for part in parts:
                match part:
                    case FileBegun() if not is_picture(part):
                        raise FileNotUsable(f"{name} is not a picture", hint="open it in its own program")
                    case Drawing() if found is None and part.page in (None, page or part.page):
                        found = part
                    case _:
                        continue
                if found.page is not None:
                    break  # what follows is not decoded
        if found is None:
            raise FileNotUsable(
                f"{name} shows nothing" + (f" on page {page}" if page else ""),
                hint="index it again if it has changed, or open it in its own program",
            )
        return found

    def close(self) -> None:
        """End the process. Safe to call twice."""
        self._reader.close()
