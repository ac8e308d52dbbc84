"""Pictures kept on disk, each with the size of what it shows: the latest of them, up to so many bytes.

A picture is named by its file as that is now, so that a changed one is drawn anew. Losing any of them costs the time
to draw it again. Knows nothing of how pictures come about.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rag.member_opening import split_path

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

KeptAs = Literal["PNG", "JPEG"]
"""PNG for what is read, JPEG for what is glanced at: a tenth of the bytes."""
JPEG_QUALITY = 85
CLEARING_SHARE = 0.05
"""Of the bytes that may be kept, at which room is made again: it takes a look at all the files."""


@dataclass(frozen=True, slots=True)
class KeptPicture:
    image: Image
    """RGB."""
    width: float
    height: float
    """Of what it shows, in the unit that boxes on it are given in."""


class PictureCache:
    """Thread-safe: files are replaced whole."""

    def __init__(self, folder: Path, kept_as: KeptAs, *, max_bytes: int) -> None:
        self._folder = folder
        self._kept_as: KeptAs = kept_as
        self._max_bytes = max_bytes
        self._room_bytes = 0
        """Left until room is made; at first nobody knows."""

    def file_for(self, path: str, *what: object) -> Path | None:
        """Where the picture of this file is kept; None when the file is not there. `what`: which picture of it.

        Of a file inside another the one on the disk counts.
        """
        try:
            status = os.stat(split_path(path)[0])  # noqa: PTH116 - undecodable names are text here
        except (OSError, ValueError):
            return None
        key = "\0".join(map(str, (path, status.st_size, status.st_mtime_ns, *what)))
        name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._folder / f"{name}.{self._kept_as.lower()}"

    def get(self, file: Path) -> KeptPicture | None:
        """Marked as used just now; None when there is none, or none that is whole."""
        from PIL import Image as images

        try:
            with images.open(file, formats=(self._kept_as,)) as opened:
                width, height = map(float, _text(opened).split())
                kept = KeptPicture(opened.convert("RGB"), width, height)
            os.utime(file)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, SyntaxError):  # what Pillow makes of a file that is not whole
            log.info("a kept picture is damaged and is drawn again")
            return None
        return kept

    def put(self, file: Path, picture: KeptPicture) -> None:
        """A full or read-only disk is no error: the picture is shown all the same."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".part", delete=False) as part:
                _save(picture, part.name, self._kept_as)
            self._room_bytes -= Path(part.name).stat().st_size
            Path(part.name).replace(file)
            if self._room_bytes <= 0:
                self._make_room(file)
                self._room_bytes = int(CLEARING_SHARE * self._max_bytes)
        except OSError as error:
            log.info("a picture was not kept: %s", error)

    def _make_room(self, newest: Path) -> None:
        """Delete the pictures that were used longest ago."""
        kept = sorted(
            ((each.stat().st_mtime_ns, each.stat().st_size, each) for each in self._folder.iterdir()), reverse=True
        )
        total = 0
        for _, size, each in kept:
            total += size
            if total > self._max_bytes and each != newest:
                each.unlink(missing_ok=True)


def _save(picture: KeptPicture, path: str, kept_as: KeptAs) -> None:
    text = f"{picture.width!r} {picture.height!r}"
    if kept_as == "JPEG":
        picture.image.save(path, "JPEG", quality=JPEG_QUALITY, comment=text)
        return
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("size", text)
    picture.image.save(path, "PNG", pnginfo=info, compress_level=1)


def _text(opened: Image) -> str:
    if opened.format == "JPEG":
        comment: bytes = opened.info["comment"]
        return comment.decode("ascii", "replace")
    return str(opened.info["size"])
