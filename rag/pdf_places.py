"""Where a stretch of text stands on a PDF page, and what the page looks like. For `rag.pdf_page_worker`.

Places are boxes in PDF points from the top left of the page as it is shown: turned as the page says, cut to its
crop box. The text looked for is a passage as it was indexed: lines joined, hyphens at line ends gone, spaces moved.
So letters and digits alone are compared; where not all of it is found, the longest stretch that is counts.
Knows nothing of files, processes or passages' ids.
"""

from __future__ import annotations

import ctypes
import math
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pypdfium2 import PdfPage, PdfTextPage

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in points from the page's top left."""

MAX_PAGE_CHARS = 200_000
"""Of a page with more, the first so many are looked through."""
MAX_SOUGHT_CHARS = 20_000
MAX_BOXES = 2_000
MIN_FOUND_SHARE = 0.5
"""Less of the text than this on the page is taken for chance."""
MAX_COMPARED = 40_000_000
"""Product of two lengths up to which the longest common stretch is looked for: about a second."""
SAME_LINE_OVERLAP = 0.5
"""Two boxes whose heights overlap by this share stand on one line."""
DEVICE_UNITS = 100
"""A point, in the whole numbers that pdfium gives places on a device in."""
MAX_PIXELS = 4_000_000
MAX_DOTS_PER_INCH = 200
POINTS_PER_INCH = 72


@dataclass(frozen=True, slots=True)
class DrawnPage:
    """A page as pixels."""

    width_px: int
    height_px: int
    width_pt: float
    height_pt: float
    rgb: bytes
    """Row after row, three bytes a pixel."""


def find_lines(page: PdfPage, sought: str) -> list[Box]:
    """One box a line of the text on this page, top to bottom as it is read; empty when it does not stand there."""
    wanted, _ = _letters(sought[:MAX_SOUGHT_CHARS])
    if not wanted:
        return []
    textpage = page.get_textpage()
    try:
        characters = _characters(textpage)
        letters, places = _letters(characters)
        span = _find(wanted, letters)
        if span is None:
            return []
        first, last = places[span[0]], places[span[1] - 1]
        boxes = _boxes(page, textpage, first, last - first + 1)
    finally:
        textpage.close()
    return _joined_lines(boxes)


def draw_page(page: PdfPage) -> DrawnPage:
    """The page at MAX_DOTS_PER_INCH, or as many as MAX_PIXELS allow.

    Raises ValueError for a page without an area, or too long and thin to be drawn.
    """
    from pypdfium2 import raw

    width_pt, height_pt = page.get_size()
    if not (math.isfinite(width_pt) and math.isfinite(height_pt) and width_pt > 0 and height_pt > 0):
        raise ValueError("a page without an area")
    scale = min(MAX_DOTS_PER_INCH / POINTS_PER_INCH, math.sqrt(MAX_PIXELS / (width_pt * height_pt)))
    if min(width_pt, height_pt) * scale < 1 or max(width_pt, height_pt) * scale > MAX_PIXELS / 10:
        raise ValueError("a page too long and thin to be drawn")
    bitmap = page.render(scale=scale, rev_byteorder=True, force_bitmap_format=raw.FPDFBitmap_BGR)
    try:
        row_bytes = 3 * bitmap.width
        view = memoryview(bitmap.buffer).cast("B")
        rows = (view[at : at + row_bytes] for at in range(0, bitmap.height * bitmap.stride, bitmap.stride))
        return DrawnPage(bitmap.width, bitmap.height, width_pt, height_pt, b"".join(rows))
    finally:
        bitmap.close()


def _characters(textpage: PdfTextPage) -> str:
    """The page's characters, one for each of pdfium's own, so that their places are its indices."""
    from pypdfium2 import raw

    count = min(textpage.count_chars(), MAX_PAGE_CHARS)
    return "".join(_character(raw.FPDFText_GetUnicode(textpage, index)) for index in range(count))


def _character(code: int) -> str:
    # pdfium gives UTF-16 units on some platforms: a lone half compares to nothing, which is what it is worth.
    return chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else " "


def _letters(text: str) -> tuple[str, list[int]]:
    """Letters and digits only, folded, and for each the place in `text` that it comes from."""
    kept: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if character.isascii():
            if character.isalnum():
                kept.append(character.lower())
                places.append(place)
            continue
        for part in unicodedata.normalize("NFKD", character).casefold():  # `ﬁ` is two letters
            if part.isalnum():
                kept.append(part)
                places.append(place)
    return "".join(kept), places


def _find(wanted: str, letters: str) -> tuple[int, int] | None:
    start = letters.find(wanted)
    if start >= 0:
        return start, start + len(wanted)
    if len(wanted) * len(letters) > MAX_COMPARED:
        return None
    found = SequenceMatcher(None, letters, wanted, autojunk=False).find_longest_match()
    if found.size < MIN_FOUND_SHARE * len(wanted):
        return None
    return found.a, found.a + found.size


def _boxes(page: PdfPage, textpage: PdfTextPage, start: int, count: int) -> list[Box]:
    number = min(textpage.count_rects(start, count), MAX_BOXES)
    return [_as_shown(page, *textpage.get_rect(index)) for index in range(number)]


def _as_shown(page: PdfPage, left: float, bottom: float, right: float, top: float) -> Box:
    """From the page's own coordinates (up from the bottom left, unturned) to those of the page as it is shown."""
    from pypdfium2 import raw

    width_pt, height_pt = page.get_size()
    width, height = round(width_pt * DEVICE_UNITS), round(height_pt * DEVICE_UNITS)
    xs: list[float] = []
    ys: list[float] = []
    for x, y in ((left, bottom), (right, top)):
        device_x, device_y = ctypes.c_int(), ctypes.c_int()
        raw.FPDF_PageToDevice(page, 0, 0, width, height, 0, x, y, device_x, device_y)
        xs.append(min(max(device_x.value / DEVICE_UNITS, 0.0), width_pt))
        ys.append(min(max(device_y.value / DEVICE_UNITS, 0.0), height_pt))
    return (round(min(xs), 2), round(min(ys), 2), round(max(xs), 2), round(max(ys), 2))


def _joined_lines(boxes: Iterable[Box]) -> list[Box]:
    """Boxes that follow each other on one line (pdfium makes one for every change of font) become one."""
    lines: list[Box] = []
    for box in boxes:
        if box[2] <= box[0] or box[3] <= box[1]:
            continue
        if lines and _on_one_line(lines[-1], box):
            lines[-1] = around([lines[-1], box])
        else:
            lines.append(box)
    return lines


def _on_one_line(one: Box, other: Box) -> bool:
    shared = min(one[3], other[3]) - max(one[1], other[1])
    height = min(one[3] - one[1], other[3] - other[1])
    gap = other[0] - one[2]
    return shared >= SAME_LINE_OVERLAP * height and gap < 4 * max(one[3] - one[1], other[3] - other[1])


def around(boxes: Iterable[Box]) -> Box:
    """The smallest box that contains all of them. There must be one."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return (min(lefts), min(tops), max(rights), max(bottoms))
