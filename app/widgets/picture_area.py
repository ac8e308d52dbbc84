"""A widget that shows a part of a picture as sharply as the terminal can.

Blocks are drawn at once. Where the terminal takes more (sixels, kitty's protocol), a thread makes that ready and it
takes the blocks' place: encoding takes up to half a second, and keys must not wait for it. Decodes nothing: pictures
come as pixels.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from textual import work
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget
from textual.worker import Worker, WorkerState

from app.picture_drawing import KITTY_MOST_CELLS, Box, DrawnPicture, blocks, forget_in_kitty, kitty, sixels
from app.terminal_pictures import Protocol, cell_px_now

if TYPE_CHECKING:
    from PIL.Image import Image

    from app.homebody_app import HomebodyApp

CELL_HEIGHT = 2.0
"""In widths of a cell, as nearly all terminals have it; where the terminal told, its own counts."""
SHARPEN_AFTER_S = 0.08
"""So long nothing must have moved: a key that is held down does not encode every step."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is to be seen, and on how many cells."""

    image: Image
    box: Box
    size: Size
    cell_px: tuple[int, int]

    def is_same(self, other: Part | None) -> bool:
        """Pillow's own comparison looks at every pixel."""
        return (
            other is not None
            and self.image is other.image
            and (self.box, self.size, self.cell_px) == (other.box, other.size, other.cell_px)
        )


class PictureArea(Widget):
    """Subclasses say what is shown (`part`), and call `redraw` when that changes."""

    _image_ids: ClassVar[itertools.count[int]] = itertools.count(random.randrange(1 << 16, 1 << 23))
    """kitty's names for pictures, shared by all programs in a window: begun anywhere, so that they differ."""

    class Sharpened(Message):
        """A thread has the same part in the terminal's own way."""

        def __init__(self, part: Part, drawn: DrawnPicture) -> None:
            super().__init__()
            self.part = part
            self.drawn = drawn

    def __init__(self) -> None:
        super().__init__()
        self._drawn: tuple[Part, DrawnPicture] | None = None
        self._waits: Timer | None = None

    def part(self) -> Part | None:
        """What is shown now; None where that is nothing."""
        return None

    # --- the terminal ---

    @property
    def protocol(self) -> Protocol:
        return cast("HomebodyApp", self.app).picture_protocol

    @property
    def cell_px(self) -> tuple[int, int]:
        return cell_px_now(cast("HomebodyApp", self.app).terminal_pictures.cell_px)

    @property
    def cell_height(self) -> float:
        """In widths of a cell."""
        width, height = self.cell_px
        return CELL_HEIGHT if self.protocol in ("blocks", "off") else height / width

    def _send(self, sequence: str) -> None:
        """Past Textual's drawing but through its writer, so that it never stands in the middle of something else."""
        driver = self.app._driver
        if driver is not None and sequence:
            driver.write(sequence)

    # --- drawing ---

    def redraw(self) -> None:
        self.refresh()

    def render_line(self, y: int) -> Strip:
        strips = self._strips()
        return strips[y] if y < len(strips) else Strip.blank(self.size.width, self.visual_style.rich_style)

    def _strips(self) -> tuple[Strip, ...]:
        part = self.part()
        if part is None or not part.size:
            return ()
        if self._drawn is None or not self._drawn[0].is_same(part):
            self._replace(part, blocks(part.image, part.box, part.size))
            if self.protocol in ("kitty", "sixel"):
                self._sharpen_soon()
        assert self._drawn is not None
        return self._drawn[1].strips

    def _replace(self, part: Part, drawn: DrawnPicture) -> None:
        self._forget()
        self._send(drawn.transmission)
        self._drawn = (part, drawn)

    def _forget(self) -> None:
        if self._drawn is not None and (image_id := self._drawn[1].image_id):
            self._send(forget_in_kitty(image_id))
        self._drawn = None

    def _sharpen_soon(self) -> None:
        if self._waits is not None:
            self._waits.stop()
        self._waits = self.set_timer(SHARPEN_AFTER_S, self._sharpen_now)

    def _sharpen_now(self) -> None:
        part = self.part()
        if part is not None and part.size and max(part.size) <= KITTY_MOST_CELLS:
            self.sharpen(part, self.protocol)

    @work(thread=True, exclusive=True, group="sharpen", exit_on_error=False)
    def sharpen(self, part: Part, protocol: Protocol) -> None:
        if protocol == "kitty":
            drawn = kitty(part.image, part.box, part.size, part.cell_px, next(self._image_ids) & 0xFFFFFF or 1)
        else:
            drawn = sixels(part.image, part.box, part.size, part.cell_px)
        self.post_message(self.Sharpened(part, drawn))

    def on_picture_area_sharpened(self, event: Sharpened) -> None:
        event.stop()
        if event.part.is_same(self.part()):  # the user may be elsewhere in it by now
            self._replace(event.part, event.drawn)
            self.refresh()

    def on_unmount(self) -> None:
        self._forget()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A thread ended with an error that its body did not expect."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            cast("HomebodyApp", self.app).report_bug(event.worker.error)
