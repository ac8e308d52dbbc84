"""What a citation looks like: a page of a PDF or a picture, with the cited place marked; and small pictures of both.

Looked up when somebody wants to see it, not for every passage that is indexed: finding a text costs a fifth of a
second an answer (`rag.pdf_pages`), and a box for each sentence would be several times as much data as its words.
Pages and small pictures are kept in the data folder's cache. Knows nothing of screens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Protocol

from pipelines.picture_cache import KeptPicture, PictureCache
from pipelines.picture_files import PictureFiles
from pipelines.turn import Citation, Locator
from rag.member_opening import split_path
from rag.pdf_pages import TIMEOUT_S, PdfPages, TextOnPage
from rag.pdf_places import Box, around
from rag.readers.sniff import FORMAT_BY_EXTENSION
from rag.records import Hit, Kind

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PAGES_BYTES = 64 << 20
MAX_THUMBNAILS_BYTES = 32 << 20
"""About two thousand."""
THUMBNAIL_PX = 512
"""Of the longer side: 50 cells of a terminal, in pixels."""
INSIDE_WITHIN_S = 2.0
"""For finding places in PDFs inside other files: who asked has waited for the answer already."""
MARK_RGB = (255, 214, 0)
"""Yellow, laid over the paper as a highlighter does: what is dark stays dark."""
EDGE_RGB = (214, 92, 0)
MARK_MARGIN_PT = 1.5
FRAME_PT = 0.6
PICTURE_FRAME_SHARE = 0.004
"""Of a picture's longer side. Thicker than on paper: no highlighter shows on a dark photo."""


@dataclass(frozen=True, slots=True)
class PicturePlace:
    """What is to be seen: a picture or a page, and a place on it."""

    path: str
    kind: Kind
    """`image` for a picture; the others are PDFs."""
    page: int | None = None
    """1-based; of a PDF, of a TIFF with several pages, or the frame of an animation."""
    box: Box | None = None
    """In points of a page, or pixels of the upright picture at its full size."""
    text: str = ""
    """Looked for on a page of a PDF."""


def picture_place(path: str, kind: Kind, locator: Locator | None = None, text: str = "") -> PicturePlace | None:
    """Where something can be seen of a passage, or of a file; None for what has no looks."""
    at = locator or Locator()
    if kind == "image":
        return PicturePlace(path, kind, at.page, at.box)
    if kind == "text" and (at.page is not None or path.lower().endswith(".pdf")):
        return PicturePlace(path, kind, at.page or 1, at.box, text)
    return None


def place_of_file(path: str) -> PicturePlace | None:
    """Where a file that the library need not know can be seen, by its name; None for what is no picture or PDF."""
    form = FORMAT_BY_EXTENSION.get(PurePath(path).suffix[1:].lower())
    if form == "pdf":
        return PicturePlace(path, "text", 1)
    return PicturePlace(path, "image") if form in ("picture", "svg") else None


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A page or a picture as it looks, and where what is cited stands on it."""

    image: Image
    """RGB, without marks."""
    width: float
    height: float
    """In the unit of its boxes: points of a page, pixels of a picture at its full size."""
    lines: tuple[Box, ...]
    """One box a line of the cited text; none where it was not found."""
    is_paper: bool = True
    """A page, and not a picture."""

    @property
    def pixels_per_unit(self) -> float:
        return self.image.width / self.width

    @property
    def focus(self) -> Box | None:
        """What is cited, in pixels of `image`."""
        if not self.lines:
            return None
        x0, y0, x1, y1 = (each * self.pixels_per_unit for each in around(self.lines))
        return (x0, y0, x1, y1)

    def marked(self) -> Image:
        """With each line of the cited text highlighted and framed."""
        if self.is_paper:
            return mark_lines(self.image, self.lines, self.pixels_per_unit, margin=MARK_MARGIN_PT, frame=FRAME_PT)
        frame = PICTURE_FRAME_SHARE * max(self.width, self.height)
        return mark_lines(self.image, self.lines, self.pixels_per_unit, margin=frame, frame=frame)


class Pages(Protocol):
    """What the app asks of pages and pictures. Methods may block: call them off the UI's thread."""

    def place_citations(self, citations: Sequence[Citation]) -> tuple[Citation, ...]:
        """The same citations; those of PDF pages with the box of their quote, where it is found there."""
        ...

    def place_hits(self, hits: Sequence[Hit]) -> tuple[Hit, ...]:
        """The same hits; those of PDF pages with the box of their passage, where it is found there."""
        ...

    def picture(self, place: PicturePlace) -> PagePicture:
        """As large as there is to see. Raises FileNotUsable, ReadError and those below it."""
        ...

    def thumbnail(self, place: PicturePlace) -> PagePicture:
        """At most THUMBNAIL_PX wide and high. Raises as `picture` does."""
        ...


class PagePictures:
    """Satisfies `Pages` with the real files. Thread-safe."""

    def __init__(
        self, pages: PdfPages, files: PictureFiles, cache_dir: Path, *, max_pages_bytes: int = MAX_PAGES_BYTES
    ) -> None:
        self._pages = pages
        self._files = files
        self._kept_pages = PictureCache(cache_dir / "pages", "PNG", max_bytes=max_pages_bytes)
        self._thumbnails = PictureCache(cache_dir / "thumbnails", "JPEG", max_bytes=MAX_THUMBNAILS_BYTES)

    def place_citations(self, citations: Sequence[Citation]) -> tuple[Citation, ...]:
        locators = self._place([(each.path, each.kind, each.locator, each.quote) for each in citations])
        return tuple(replace(each, locator=at) for each, at in zip(citations, locators, strict=True))

    def place_hits(self, hits: Sequence[Hit]) -> tuple[Hit, ...]:
        locators = self._place([(each.path, each.kind, each.chunk.locator, each.chunk.text) for each in hits])
        return tuple(
            replace(each, chunk=replace(each.chunk, locator=at)) for each, at in zip(hits, locators, strict=True)
        )

    def picture(self, place: PicturePlace) -> PagePicture:
        if place.kind == "image":
            return _as_picture(self._looked_at(place), place)
        page = place.page or 1
        drawn = self._drawn(place.path, page)
        (lines,) = self._pages.find([TextOnPage(place.path, page, place.text)]) if place.text else ([],)
        if not lines and place.box is not None:  # a scan: its words were read from the picture itself
            lines = [place.box]
        return PagePicture(drawn.image, drawn.width, drawn.height, tuple(lines))

    def thumbnail(self, place: PicturePlace) -> PagePicture:
        file = self._thumbnails.file_for(place.path, place.kind, place.page, THUMBNAIL_PX)
        small = self._thumbnails.get(file) if file is not None else None
        if small is None:
            is_picture = place.kind == "image"
            whole = self._looked_at(place) if is_picture else self._drawn(place.path, place.page or 1)
            small = _smaller(whole)
            if file is not None:
                self._thumbnails.put(file, small)
        return _as_picture(small, place)

    def close(self) -> None:
        """End the process that decodes pictures."""
        self._files.close()

    def _place(self, quotes: Sequence[tuple[str, Kind, Locator, str]]) -> list[Locator]:
        """Files inside others come last and have little time: an archive may have to be gone through for them."""
        placed = [locator for _, _, locator, _ in quotes]
        on_disk: dict[int, TextOnPage] = {}
        inside: dict[int, TextOnPage] = {}
        for n, (path, kind, at, text) in enumerate(quotes):
            if at.page and kind == "text":
                (inside if split_path(path)[1] else on_disk)[n] = TextOnPage(path, at.page, text)
        for wanted, within_s in ((on_disk, TIMEOUT_S), (inside, INSIDE_WITHIN_S)):
            found = self._pages.find(list(wanted.values()), within_s=within_s)
            for n, lines in zip(wanted, found, strict=True):
                if lines:
                    placed[n] = replace(placed[n], box=around(lines))
        return placed

    def _looked_at(self, place: PicturePlace) -> KeptPicture:
        drawing = self._files.drawing(place.path, place.page)
        scale = drawing.units_per_px
        image = _image(drawing.width_px, drawing.height_px, drawing.rgb)
        return KeptPicture(image, drawing.width_px * scale, drawing.height_px * scale)

    def _drawn(self, path: str, page: int) -> KeptPicture:
        file = self._kept_pages.file_for(path, page)
        if file is not None and (found := self._kept_pages.get(file)) is not None:
            return found
        page_drawn = self._pages.draw(path, page)
        image = _image(page_drawn.width_px, page_drawn.height_px, page_drawn.rgb)
        drawn = KeptPicture(image, page_drawn.width_pt, page_drawn.height_pt)
        if file is not None:
            self._kept_pages.put(file, drawn)
        return drawn


def mark_lines(image: Image, lines: Sequence[Box], pixels_per_unit: float, *, margin: float, frame: float) -> Image:
    """A copy with these places highlighted and framed. `lines`, `margin` and `frame` are in units from the top left."""
    from PIL import Image as images
    from PIL import ImageChops, ImageDraw

    boxes = [tuple(round(each * pixels_per_unit) for each in _widened(line, margin)) for line in lines]
    ink = images.new("RGB", image.size, (255, 255, 255))
    pen = ImageDraw.Draw(ink)
    for box in boxes:
        pen.rectangle(box, fill=MARK_RGB)
    marked = ImageChops.multiply(image, ink)
    framing = ImageDraw.Draw(marked)
    for box in boxes:
        framing.rectangle(box, outline=EDGE_RGB, width=max(1, round(frame * pixels_per_unit)))
    return marked


def _widened(line: Box, margin: float) -> Box:
    x0, y0, x1, y1 = line
    return (x0 - margin, y0 - margin, x1 + margin, y1 + margin)


def _as_picture(kept: KeptPicture, place: PicturePlace) -> PagePicture:
    lines = () if place.box is None else (place.box,)
    return PagePicture(kept.image, kept.width, kept.height, lines, is_paper=place.kind != "image")


def _smaller(whole: KeptPicture) -> KeptPicture:
    small = whole.image.copy()
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    return KeptPicture(small, whole.width, whole.height)


def _image(width_px: int, height_px: int, rgb: bytes) -> Image:
    from PIL import Image as images

    return images.frombytes("RGB", (width_px, height_px), rgb)
