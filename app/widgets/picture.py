"""A picture drawn with characters, with a window that can be moved and zoomed.

Each cell holds two by two dots in two colours (quadrant blocks): what is light in the cell takes the light colour,
what is dark the other. Any terminal with colours shows this; there is nothing to ask the terminal about, so nothing
that it could print by mistake. Knows nothing of documents; draws only what it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from app.keys import bindings

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[float, float, float, float]

QUADRANTS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
"""By which of the four dots take the foreground: 1 upper left, 2 upper right, 4 lower left, 8 lower right."""
CELL_HEIGHT = 2.0
"""In widths of a cell, as nearly all terminals have it."""
FLAT_CONTRAST = 24
"""A cell whose dots differ by less than this, of 255, is one colour."""
ZOOM_STEP = 1.5
PAN_SHARE = 0.25
"""Of what is visible, at each key."""
MIN_PIXELS_PER_CELL = 1.0
FOCUS_MARGIN = 0.15
"""Around what is looked at, as a share of its width."""
MIN_FOCUS_SHARE = 0.4
"""Of the picture's width, at least so much is shown around what is looked at."""
BESIDE_RGB = (48, 48, 48)
"""Around a picture that is smaller than the window."""


class Picture(Widget, can_focus=True):
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("picture"),
        Binding("equals_sign", "zoom(1)", show=False),  # the key of + without shift
    ]

    def __init__(self) -> None:
        super().__init__()
        self._image: Image | None = None
        self._focus: Box | None = None
        self._center = (0.0, 0.0)
        """In the picture's pixels."""
        self._pixels_per_cell = 1.0
        """Width of a cell in the picture's pixels."""
        self._is_placed = False
        """False until the size of the widget is known."""
        self._strips: list[Strip] | None = None

    def show(self, image: Image | None, focus: Box | None = None) -> None:
        """Draw this picture, and go to `focus` (in its pixels); None takes it away."""
        self._image = image
        self._focus = focus
        self._is_placed = False
        self._redraw()

    # --- the window ---

    @property
    def visible_box(self) -> Box:
        """What is drawn, in the picture's pixels; may reach beyond its edges."""
        x, y = self._center
        half_width = self.size.width * self._pixels_per_cell / 2
        half_height = self.size.height * self._pixels_per_cell * CELL_HEIGHT / 2
        return (x - half_width, y - half_height, x + half_width, y + half_height)

    @property
    def pixels_per_cell(self) -> float:
        return self._pixels_per_cell

    def _place(self, image: Image) -> None:
        """Show what is looked at, with something around it; the top of the whole where that is nothing."""
        columns, rows = max(1, self.size.width), max(1, self.size.height)
        if self._focus is None:
            self._pixels_per_cell = image.width / columns
            self._center = (image.width / 2, rows * CELL_HEIGHT * self._pixels_per_cell / 2)
        else:
            x0, y0, x1, y1 = self._focus
            wanted_width = max((x1 - x0) * (1 + 2 * FOCUS_MARGIN), image.width * MIN_FOCUS_SHARE)
            for_height = (y1 - y0) * (1 + 2 * FOCUS_MARGIN) / (rows * CELL_HEIGHT)
            self._pixels_per_cell = self._bounded(max(min(wanted_width, image.width) / columns, for_height))
            self._center = ((x0 + x1) / 2, (y0 + y1) / 2)
        self._keep_inside(image)
        self._is_placed = True

    def _bounded(self, pixels_per_cell: float) -> float:
        return min(max(pixels_per_cell, MIN_PIXELS_PER_CELL), self._whole())

    def _whole(self) -> float:
        """The zoom at which all of the picture is visible."""
        if self._image is None:
            return MIN_PIXELS_PER_CELL
        columns, rows = max(1, self.size.width), max(1, self.size.height)
        return max(self._image.width / columns, self._image.height / (rows * CELL_HEIGHT), MIN_PIXELS_PER_CELL)

    def _keep_inside(self, image: Image) -> None:
        """The window ends at the picture's edges; a picture smaller than the window stands in its middle."""
        x0, y0, x1, y1 = self.visible_box
        x, y = self._center
        self._center = (_kept_inside(x, x1 - x0, image.width), _kept_inside(y, y1 - y0, image.height))

    def _placed(self) -> Image | None:
        """The picture, once it has its place in the window."""
        if self._image is not None and not self._is_placed:
            self._place(self._image)
        return self._image

    def action_zoom(self, steps: int) -> None:
        if (image := self._placed()) is not None:
            self._pixels_per_cell = self._bounded(self._pixels_per_cell / ZOOM_STEP**steps)
            self._keep_inside(image)
            self._redraw()

    def action_pan(self, columns: int, rows: int) -> None:
        if (image := self._placed()) is not None:
            x0, y0, x1, y1 = self.visible_box
            x, y = self._center
            self._center = (x + columns * PAN_SHARE * (x1 - x0), y + rows * PAN_SHARE * (y1 - y0))
            self._keep_inside(image)
            self._redraw()

    def action_whole(self) -> None:
        """All of the picture, or back to what is looked at."""
        if (image := self._placed()) is None:
            return
        if self._pixels_per_cell < self._whole():
            self._pixels_per_cell = self._whole()
            self._keep_inside(image)
        else:
            self._is_placed = False
        self._redraw()

    # --- drawing ---

    def on_resize(self) -> None:
        self._is_placed = False
        self._strips = None

    def _redraw(self) -> None:
        self._strips = None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        if not self.size or (image := self._placed()) is None:
            return Strip.blank(self.size.width, self.visual_style.rich_style)
        if self._strips is None:
            self._strips = draw(image, self.visible_box, self.size)
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width)


def _kept_inside(center: float, window: float, length: float) -> float:
    if window >= length:
        return length / 2
    return min(max(center, window / 2), length - window / 2)


def draw(image: Image, box: Box, size: Size) -> list[Strip]:
    """A part of a picture as lines of quadrant blocks. `box` may reach beyond the picture."""
    dots = _dots(image, box, size)
    # (rows, columns, 4 dots, 3 colours); the dots in the order of QUADRANTS
    cells = dots.reshape(size.height, 2, size.width, 2, 3).transpose(0, 2, 1, 3, 4).reshape(size.height, -1, 4, 3)
    light = cells @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    middle = (light.max(axis=2) + light.min(axis=2)) / 2
    is_dark = (light < middle[..., None]) & ((light.max(axis=2) - light.min(axis=2)) >= FLAT_CONTRAST)[..., None]
    glyphs = (is_dark * np.array([1, 2, 4, 8])).sum(axis=2)
    dark, rest = _mean(cells, is_dark), _mean(cells, ~is_dark)
    return [_strip(glyphs[row], dark[row], rest[row]) for row in range(size.height)]


def _dots(image: Image, box: Box, size: Size) -> NDArray[np.float32]:
    """The box at two by two dots a cell, shape (2 * height, 2 * width, 3)."""
    from PIL import Image as images

    width, height = 2 * size.width, 2 * size.height
    x0, y0, x1, y1 = box
    per_x, per_y = (x1 - x0) / width, (y1 - y0) / height
    left, top = max(0.0, x0), max(0.0, y0)
    right, bottom = min(float(image.width), x1), min(float(image.height), y1)
    canvas = np.full((height, width, 3), BESIDE_RGB, dtype=np.float32)
    column, row = round((left - x0) / per_x), round((top - y0) / per_y)
    columns, rows = min(round((right - left) / per_x), width - column), min(round((bottom - top) / per_y), height - row)
    if columns > 0 and rows > 0 and right > left and bottom > top:
        part = image.resize((columns, rows), images.Resampling.BOX, box=(left, top, right, bottom))
        canvas[row : row + rows, column : column + columns] = np.asarray(part, dtype=np.float32)
    return canvas


def _mean(cells: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The mean colour of the dots in the mask, shape (rows, columns, 3); black where there is none."""
    count = np.maximum(mask.sum(axis=2), 1)[..., None]
    colours: NDArray[np.uint8] = ((cells * mask[..., None]).sum(axis=2) / count).round().astype(np.uint8)
    return colours


def _strip(glyphs: NDArray[np.int_], dark: NDArray[np.uint8], rest: NDArray[np.uint8]) -> Strip:
    """One line; neighbours that look alike become one segment."""
    segments: list[Segment] = []
    text = ""
    look: tuple[bytes, bytes] | None = None
    for glyph, front, back in zip(glyphs.tolist(), dark, rest, strict=True):
        mine = (front.tobytes() if glyph else b"", back.tobytes())
        if mine != look and text:
            segments.append(_segment(text, look))
            text = ""
        look = mine
        text += QUADRANTS[glyph]
    segments.append(_segment(text, look))
    return Strip(segments, len(glyphs))


def _segment(text: str, look: tuple[bytes, bytes] | None) -> Segment:
    if look is None:
        return Segment(text)
    front, back = look
    color = RichColor.from_rgb(*front) if front else None
    return Segment(text, RichStyle(color=color, bgcolor=RichColor.from_rgb(*back)))
