"""Where a citation stands on its PDF page, and the page as a picture with that place marked.

Looked up when somebody wants to see it, not for every passage that is indexed: finding a text costs a fifth of a
second an answer (`rag.pdf_pages`), and a box for each sentence would be several times as much data as its words.
Pictures are kept in the data folder's cache, the latest MAX_CACHE_BYTES of them. Knows nothing of screens.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipelines.turn import Citation, Locator
from rag.member_opening import split_path
from rag.pdf_pages import PdfPages, TextOnPage
from rag.pdf_places import Box, DrawnPage, around
from rag.records import Hit

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

MAX_CACHE_BYTES = 64 << 20
MARK_RGB = (255, 214, 0)
"""Yellow, laid over the paper as a highlighter does: what is dark stays dark."""
EDGE_RGB = (214, 92, 0)
MARK_MARGIN_PT = 1.5


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A page of a PDF as it looks, and where the cited text stands on it."""

    image: Image
    """RGB, without marks."""
    width_pt: float
    height_pt: float
    lines: tuple[Box, ...]
    """One box a line of the cited text; none where it was not found."""

    @property
    def pixels_per_pt(self) -> float:
        return self.image.width / self.width_pt

    def marked(self) -> Image:
        """With each line of the cited text highlighted and framed."""
        return mark_lines(self.image, self.lines, self.pixels_per_pt)


class Pages(Protocol):
    """What the app asks of PDF pages. Methods may block: call them off the UI's thread."""

    def place_citations(self, citations: Sequence[Citation]) -> tuple[Citation, ...]:
        """The same citations; those of PDF pages with the box of their quote, where it is found there."""
        ...

    def place_hits(self, hits: Sequence[Hit]) -> tuple[Hit, ...]:
        """The same hits; those of PDF pages with the box of their passage, where it is found there."""
        ...

    def picture(self, path: str, page: int, text: str) -> PagePicture:
        """A page, with the lines of `text` on it. Raises ReadError and those below it."""
        ...


class PagePictures:
    """Satisfies `Pages` with the real files.

    Thread-safe: each call works for itself, and the cache's files are replaced whole.
    """

    def __init__(self, pages: PdfPages, cache_dir: Path, *, max_cache_bytes: int = MAX_CACHE_BYTES) -> None:
        self._pages = pages
        self._cache_dir = cache_dir
        self._max_cache_bytes = max_cache_bytes

    def place_citations(self, citations: Sequence[Citation]) -> tuple[Citation, ...]:
        locators = self._place([(each.path, each.locator, each.quote) for each in citations])
        return tuple(replace(each, locator=at) for each, at in zip(citations, locators, strict=True))

    def place_hits(self, hits: Sequence[Hit]) -> tuple[Hit, ...]:
        locators = self._place([(each.path, each.chunk.locator, each.chunk.text) for each in hits])
        return tuple(
            replace(each, chunk=replace(each.chunk, locator=at)) for each, at in zip(hits, locators, strict=True)
        )

    def picture(self, path: str, page: int, text: str) -> PagePicture:
        image, width_pt, height_pt = self._drawn(path, page)
        (lines,) = self._pages.find([TextOnPage(path, page, text)])
        return PagePicture(image, width_pt, height_pt, tuple(lines))

    def _place(self, quotes: Sequence[tuple[str, Locator, str]]) -> list[Locator]:
        placed = [locator for _, locator, _ in quotes]
        wanted = {n: TextOnPage(path, at.page, text) for n, (path, at, text) in enumerate(quotes) if at.page}
        for n, lines in zip(wanted, self._pages.find(list(wanted.values())), strict=True):
            if lines:
                placed[n] = replace(placed[n], box=around(lines))
        return placed

    # The cache

    def _drawn(self, path: str, page: int) -> tuple[Image, float, float]:
        kept = self._cache_file(path, page)
        if kept is not None and (found := _load(kept)) is not None:
            return found
        drawn = self._pages.draw(path, page)
        image = _as_image(drawn)
        if kept is not None:
            self._keep(kept, image, drawn)
        return image, drawn.width_pt, drawn.height_pt

    def _cache_file(self, path: str, page: int) -> Path | None:
        """Named by the file as it is now, so that a changed one is drawn anew; None when it is not there.

        Of a page inside another file that is the one on the disk.
        """
        try:
            status = os.stat(split_path(path)[0])  # noqa: PTH116 - undecodable names are text here
        except OSError:
            return None
        key = f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0{page}"
        return self._cache_dir / f"{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.png"

    def _keep(self, file: Path, image: Image, drawn: DrawnPage) -> None:
        from PIL.PngImagePlugin import PngInfo

        size = PngInfo()
        size.add_text("size_pt", f"{drawn.width_pt!r} {drawn.height_pt!r}")
        try:
            self._cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._cache_dir, suffix=".part", delete=False) as part:
                image.save(part, "PNG", pnginfo=size, compress_level=1)
            Path(part.name).replace(file)
            self._make_room(file)
        except OSError as error:  # a full or read-only disk: the picture is shown all the same
            log.info("a page's picture was not kept: %s", error)

    def _make_room(self, newest: Path) -> None:
        """Delete the pictures that were used longest ago."""
        kept = sorted(
            ((each.stat().st_mtime_ns, each.stat().st_size, each) for each in self._cache_dir.iterdir()), reverse=True
        )
        total = 0
        for _, size, each in kept:
            total += size
            if total > self._max_cache_bytes and each != newest:
                each.unlink(missing_ok=True)


def mark_lines(image: Image, lines: Sequence[Box], pixels_per_pt: float) -> Image:
    """A copy with these places highlighted. `lines` are in points from the top left."""
    from PIL import Image as images
    from PIL import ImageChops, ImageDraw

    boxes = [tuple(round(each * pixels_per_pt) for each in _widened(line)) for line in lines]
    ink = images.new("RGB", image.size, (255, 255, 255))
    pen = ImageDraw.Draw(ink)
    for box in boxes:
        pen.rectangle(box, fill=MARK_RGB)
    marked = ImageChops.multiply(image, ink)
    frame = ImageDraw.Draw(marked)
    for box in boxes:
        frame.rectangle(box, outline=EDGE_RGB, width=max(1, round(0.6 * pixels_per_pt)))
    return marked


def _widened(line: Box) -> Box:
    x0, y0, x1, y1 = line
    return (x0 - MARK_MARGIN_PT, y0 - MARK_MARGIN_PT, x1 + MARK_MARGIN_PT, y1 + MARK_MARGIN_PT)


def _as_image(drawn: DrawnPage) -> Image:
    from PIL import Image as images

    return images.frombytes("RGB", (drawn.width_px, drawn.height_px), drawn.rgb)


def _load(file: Path) -> tuple[Image, float, float] | None:
    """A kept picture, marked as used just now; None when there is none, or none that is whole."""
    from PIL import Image as images

    try:
        with images.open(file, formats=("PNG",)) as opened:
            width_pt, height_pt = map(float, str(opened.info["size_pt"]).split())
            image = opened.convert("RGB")
        os.utime(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, SyntaxError):  # what Pillow makes of a file that is not whole
        log.info("a kept picture is damaged and is drawn again")
        return None
    return image, width_pt, height_pt
