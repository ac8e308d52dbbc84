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
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget
from textual.worker import Worker, WorkerState

from app.picture_drawing import KITTY_MOST_CELLS, Box, SharpPicture, blocks, forget_in_kitty, kitty, sixels
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

        def __init__(self, part: Part, sharp: SharpPicture) -> None:
            super().__init__()
            self.part = part
            self.sharp = sharp

    def __init__(self) -> None:
        super().__init__()
        self._drawn: tuple[Part, tuple[Strip, ...]] | None = None
        """With blocks."""
        self._sharp: SharpPicture | None = None
        """The same part in the terminal's own way, once it is made."""
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
        strips = self._blocks_of(self.part())
        return strips[y] if y < len(strips) else Strip.blank(self.size.width, self.visual_style.rich_style)

    def render_lines(self, crop: Region) -> list[Strip]:
        """With the sharp picture over the blocks. While another screen stands before this one, which is then drawn
        tinted, the blocks are all there is."""
        strips = super().render_lines(crop)
        sharp = self._sharp
        if sharp is None or not self.screen.is_active or crop.x:
            return strips
        return [sharp.over(strip, row) for row, strip in enumerate(strips, start=crop.y)]

    def _blocks_of(self, part: Part | None) -> tuple[Strip, ...]:
        if part is None or not part.size:
            self._forget()
            return ()
        if self._drawn is None or not self._drawn[0].is_same(part):
            self._forget()
            self._drawn = (part, blocks(part.image, part.box, part.size))
            if self.protocol in ("kitty", "sixel"):
                self._sharpen_soon()
        return self._drawn[1]

    def _forget(self) -> None:
        if self._sharp is not None and self._sharp.image_id:
            self._send(forget_in_kitty(self._sharp.image_id))
        self._sharp = None
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
            sharp = kitty(part.image, part.box, part.size, part.cell_px, next(self._image_ids) & 0xFFFFFF or 1)
        else:
            sharp = sixels(part.image, part.box, part.size, part.cell_px)
        self.post_message(self.Sharpened(part, sharp))

    def on_picture_area_sharpened(self, event: Sharpened) -> None:
        event.stop()
        if self._drawn is not None and self._drawn[0].is_same(event.part) and event.part.is_same(self.part()):
            self._send(event.sharp.transmission)
            self._sharp = event.sharp
            self.refresh()

    def on_unmount(self) -> None:
        self._forget()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A thread ended with an error that its body did not expect."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            cast("HomebodyApp", self.app).report_bug(event.worker.error)
