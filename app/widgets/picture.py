"""A picture in a window that can be moved and zoomed. Knows nothing of documents; draws only what it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from app.keys import bindings
from app.picture_drawing import Box
from app.widgets.picture_area import Part, PictureArea

if TYPE_CHECKING:
    from PIL.Image import Image

ZOOM_STEP = 1.5
PAN_SHARE = 0.25
"""Of what is visible, at each key."""
MIN_PIXELS_PER_CELL = 1.0
FOCUS_MARGIN = 0.15
"""Around what is looked at, as a share of its width."""
MIN_FOCUS_SHARE = 0.4
"""Of the picture's width, at least so much is shown around what is looked at."""


class Picture(PictureArea, can_focus=True):
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("picture"),
        Binding("equals_sign", "zoom(1)", show=False),  # the key of + without shift
    ]

    def __init__(self) -> None:
        super().__init__()
        self._image: Image | None = None
        self._focus: Box | None = None
        self._begins_whole = False
        self._center = (0.0, 0.0)
        """In the picture's pixels."""
        self._pixels_per_cell = 1.0
        """Width of a cell in the picture's pixels."""
        self._is_placed = False
        """False until the size of the widget is known."""

    def show(self, image: Image | None, focus: Box | None = None, *, whole: bool = False) -> None:
        """Draw this picture, and go to `focus` (in its pixels); None takes it away.

        Without a focus its upper end is shown over the full width, or all of it where `whole` is said.
        """
        self._image = image
        self._focus = focus
        self._begins_whole = whole
        self._is_placed = False
        self.redraw()

    # --- the window ---

    @property
    def visible_box(self) -> Box:
        """What is drawn, in the picture's pixels; may reach beyond its edges."""
        x, y = self._center
        half_width = self.size.width * self._pixels_per_cell / 2
        half_height = self.size.height * self._pixels_per_cell * self.cell_height / 2
        return (x - half_width, y - half_height, x + half_width, y + half_height)

    def part(self) -> Part | None:
        if not self.size or (image := self._placed()) is None:
            return None
        return Part(image, self.visible_box, self.size, self.cell_px)

    def _place(self, image: Image) -> None:
        """Show what is looked at, with something around it."""
        columns, rows = max(1, self.size.width), max(1, self.size.height)
        if self._focus is not None:
            x0, y0, x1, y1 = self._focus
            wanted_width = max((x1 - x0) * (1 + 2 * FOCUS_MARGIN), image.width * MIN_FOCUS_SHARE)
            for_height = (y1 - y0) * (1 + 2 * FOCUS_MARGIN) / (rows * self.cell_height)
            self._pixels_per_cell = self._bounded(max(min(wanted_width, image.width) / columns, for_height))
            self._center = ((x0 + x1) / 2, (y0 + y1) / 2)
        elif self._begins_whole:
            self._pixels_per_cell = self._whole()
            self._center = (image.width / 2, image.height / 2)
        else:
            self._pixels_per_cell = image.width / columns
            self._center = (image.width / 2, rows * self.cell_height * self._pixels_per_cell / 2)
        self._keep_inside(image)
        self._is_placed = True

    def _bounded(self, pixels_per_cell: float) -> float:
        return min(max(pixels_per_cell, MIN_PIXELS_PER_CELL), self._whole())

    def _whole(self) -> float:
        """The zoom at which all of the picture is visible."""
        if self._image is None:
            return MIN_PIXELS_PER_CELL
        columns, rows = max(1, self.size.width), max(1, self.size.height)
        return max(self._image.width / columns, self._image.height / (rows * self.cell_height), MIN_PIXELS_PER_CELL)

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
            self.redraw()

    def action_pan(self, columns: int, rows: int) -> None:
        if (image := self._placed()) is not None:
            x0, y0, x1, y1 = self.visible_box
            x, y = self._center
            self._center = (x + columns * PAN_SHARE * (x1 - x0), y + rows * PAN_SHARE * (y1 - y0))
            self._keep_inside(image)
            self.redraw()

    def action_whole(self) -> None:
        """All of the picture, or back to what is looked at."""
        if (image := self._placed()) is None:
            return
        if self._pixels_per_cell < self._whole():
            self._pixels_per_cell = self._whole()
            self._keep_inside(image)
        else:
            self._is_placed = False
        self.redraw()

    def on_resize(self) -> None:
        self._is_placed = False


def _kept_inside(center: float, window: float, length: float) -> float:
    if window >= length:
        return length / 2
    return min(max(center, window / 2), length - window / 2)
