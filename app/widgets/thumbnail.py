"""A small picture of a file, made when it comes into sight. Where there is none it says why, and where it is.

A thread asks the Home for it; nothing is decoded here.
"""

from __future__ import annotations

import textwrap
from functools import partial
from typing import TYPE_CHECKING, cast

from rich.segment import Segment
from textual import work
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from app.messages import Failure
from app.widgets.picture_area import Part, PictureArea

if TYPE_CHECKING:
    from PIL.Image import Image

    from app.homebody_app import HomebodyApp
    from pipelines.home import Home
    from pipelines.page_picture import PagePicture, PicturePlace

LOADING = "…"
ASK_AFTER_S = 0.1
"""So long it must have been in sight: who goes through a list quickly wants to see where they stop."""


class Thumbnail(PictureArea):
    """As large as its place allows, at its upper left. It asks for its picture when it is drawn for the first time."""

    class Loaded(Message):
        """A thread has the picture, or why there is none."""

        def __init__(self, place: PicturePlace, picture: PagePicture | None, failure: Failure | None = None) -> None:
            super().__init__()
            self.place = place
            self.picture = picture
            self.failure = failure

    def __init__(self, place: PicturePlace | None = None) -> None:
        super().__init__()
        self._place = place
        self._is_asked = False
        self._image: Image | None = None
        self._said = LOADING
        """In place of a picture."""

    def show(self, place: PicturePlace | None) -> None:
        """Another file's picture, or none."""
        if place == self._place:
            return
        self._place = place
        self._is_asked = False
        self._image = None
        self._said = LOADING
        self.redraw()

    @property
    def image(self) -> Image | None:
        return self._image

    def part(self) -> Part | None:
        if self._image is None:
            return None
        width, height = self._image.size
        columns, rows = self.size
        if not columns or not rows:
            return None
        # No larger than it is: one pixel a dot is as much as there is to see.
        per_cell = max(width / columns, height / (rows * self.cell_height), 1.0)
        wide, high = max(1, round(width / per_cell)), max(1, round(height / per_cell / self.cell_height))
        return Part(self._image, (0, 0, width, height), Size(min(wide, columns), min(high, rows)), self.cell_px)

    def render_line(self, y: int) -> Strip:
        if self._place is not None and not self._is_asked:
            self._is_asked = True
            self.set_timer(ASK_AFTER_S, partial(self._ask, self._place))
        quiet = self.visual_style.rich_style
        if self._image is not None:
            return super().render_line(y).adjust_cell_length(self.size.width, quiet)
        lines = textwrap.wrap(self._said, max(8, self.size.width)) if self._place is not None else []
        return Strip([Segment(lines[y], quiet)] if y < len(lines) else []).adjust_cell_length(self.size.width, quiet)

    def _ask(self, place: PicturePlace) -> None:
        home = cast("HomebodyApp", self.app).home
        if home is not None and place == self._place:
            self.load(home, place)

    @work(thread=True, exclusive=True, group="thumbnail", exit_on_error=False)
    def load(self, home: Home, place: PicturePlace) -> None:
        from app.present import failure_of
        from pipelines.errors import EXPECTED_ERRORS

        try:
            self.post_message(self.Loaded(place, home.pages.thumbnail(place)))
        except EXPECTED_ERRORS as error:
            self.post_message(self.Loaded(place, None, failure_of(error)))

    def on_thumbnail_loaded(self, event: Loaded) -> None:
        event.stop()
        if event.place != self._place:
            return  # the user is at another one by now
        if event.picture is not None:
            self._image = event.picture.marked()
        elif event.failure is not None:
            self._said = event.failure.text
        self.redraw()
