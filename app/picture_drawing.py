"""A part of a picture as lines of a terminal: with block characters, as sixels, or in kitty's protocol.

Blocks need nothing but colours: each cell holds two by two dots in two of them. Sixels are sent line by line, each
behind the characters of its line, so that whatever draws a line anew draws its part of the picture too. kitty is given
the picture once; the lines hold its placeholder characters, which any program can move and cut like text.
Pure: values in, lines out. Knows nothing of widgets, files and of which terminal takes what.
"""

from __future__ import annotations

import base64
import re
import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.segment import ControlType, Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in a picture's pixels; may reach beyond its edges."""

QUADRANTS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
"""By which of the four dots take the foreground: 1 upper left, 2 upper right, 4 lower left, 8 lower right."""
FLAT_CONTRAST = 24
"""A cell whose dots differ by less than this, of 255, is one colour."""
BESIDE_RGB = (48, 48, 48)
"""Around a picture that is smaller than what is shown."""

SIXEL_COLOURS = 128
_DEFINED = re.compile(r"#(\d+);2;\d+;\d+;\d+")

KITTY_PLACEHOLDER = chr(0x10EEEE)
KITTY_CHUNK = 4096
"""The protocol allows no longer payload in one message."""
KITTY_MOST_CELLS = 297
"""Of a picture in one direction: there are no more marks to number them with."""
_KITTY_MARKS = """
305 30d-30e 310 312 33d-33f 346 34a-34c 350-352 357 35b 363-36f 483-487 592-595 597-599 59c-5a1 5a8-5a9 5ab-5ac 5af 5c4
610-617 657-65b 65d-65e 6d6-6dc 6df-6e2 6e4 6e7-6e8 6eb-6ec 730 732-733 735-736 73a 73d 73f-741 743 745 747 749-74a
7eb-7f1 7f3 816-819 81b-823 825-827 829-82d 951 953-954 f82-f83 f86-f87 135d-135f 17dd 193a 1a17 1a75-1a7c 1b6b
1b6d-1b73 1cd0-1cd2 1cda-1cdb 1ce0 1dc0-1dc1 1dc3-1dc9 1dcb-1dcc 1dd1-1de6 1dfe 20d0-20d1 20d4-20d7 20db-20dc 20e1 20e7
20e9 20f0 2cef-2cf1 2de0-2dff a66f a67c-a67d a6f0-a6f1 a8e0-a8f1 aab0 aab2-aab3 aab7-aab8 aabe-aabf aac1 fe20-fe26
10a0f 10a38 1d185-1d189 1d1aa-1d1ad 1d242-1d244
"""
"""The protocol's rowcolumn-diacritics.txt: which combining marks stand for 0, 1, 2, …"""


@dataclass(frozen=True, slots=True)
class SharpPicture:
    """What lies over a picture drawn with blocks, in a protocol of the terminal's own."""

    size: Size
    """In cells."""
    lines: tuple[Segment, ...]
    """Sixels: a control segment that draws over the cells before it. kitty: placeholders in place of the cells."""
    transmission: str = ""
    """What the terminal must have been sent before."""
    image_id: int = 0
    """By which the terminal can be told to forget it; 0 where it keeps nothing."""

    def over(self, strip: Strip, row: int) -> Strip:
        """A line with this picture's part of it at its left. Nothing may touch the segments after this: Textual's
        filters take the mark from control segments, and would change the colours that kitty counts by."""
        if row >= len(self.lines) or strip.cell_length < self.size.width:
            return strip
        cells = strip.crop(0, self.size.width)
        rest = strip.crop(self.size.width, strip.cell_length)
        line = self.lines[row]
        covered = [*cells, line] if line.control else [line]
        return Strip([*covered, *rest], strip.cell_length)


def blocks(image: Image, box: Box, size: Size) -> tuple[Strip, ...]:
    """With quadrant blocks: what is light in a cell takes the light colour, what is dark the other."""
    dots = np.asarray(cut(image, box, 2 * size.width, 2 * size.height), dtype=np.float32)
    # (rows, columns, 4 dots, 3 colours); the dots in the order of QUADRANTS
    cells = dots.reshape(size.height, 2, size.width, 2, 3).transpose(0, 2, 1, 3, 4).reshape(size.height, -1, 4, 3)
    light = cells @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    middle = (light.max(axis=2) + light.min(axis=2)) / 2
    is_dark = (light < middle[..., None]) & ((light.max(axis=2) - light.min(axis=2)) >= FLAT_CONTRAST)[..., None]
    glyphs = (is_dark * np.array([1, 2, 4, 8])).sum(axis=2)
    dark, rest = _mean(cells, is_dark), _mean(cells, ~is_dark)
    return tuple(_strip(glyphs[row], dark[row], rest[row]) for row in range(size.height))


def sixels(image: Image, box: Box, size: Size, cell_px: tuple[int, int]) -> SharpPicture:
    """One sixel picture a line. Slow for a large one (half a second for a screen): not for the UI's thread."""
    from PIL.Image import Dither
    from textual_image._sixel import SixelOptions, image_to_sixels  # not its widgets: see the log of 2026-11-22

    width, height = cell_px
    pixels = cut(image, box, size.width * width, size.height * height)
    pixels = pixels.quantize(SIXEL_COLOURS, dither=Dither.NONE).convert(
        "RGB"
    )  # one palette, so that lines fit together
    options = SixelOptions(colors=SIXEL_COLOURS)
    lines = []
    for row in range(size.height):
        line = image_to_sixels(pixels.crop((0, row * height, pixels.width, (row + 1) * height)), options)
        # By the standard defining a colour selects it; xterm wants to be told.
        line = _DEFINED.sub(r"\g<0>#\1", line)
        lines.append(Segment(f"\x1b[{size.width}D\x1b7{line}\x1b8\x1b[{size.width}C", None, _CONTROL))
    return SharpPicture(size, tuple(lines))


def kitty(image: Image, box: Box, size: Size, cell_px: tuple[int, int], image_id: int) -> SharpPicture:
    """`image_id`: 1 to 2**24 - 1. Raises ValueError for more cells than KITTY_MOST_CELLS in a direction."""
    if max(size) > KITTY_MOST_CELLS:
        raise ValueError("more cells than can be numbered")
    pixels = cut(image, box, size.width * cell_px[0], size.height * cell_px[1])
    colour = Style(color=Color.from_rgb(image_id >> 16, image_id >> 8 & 255, image_id & 255))
    marks = _kitty_marks()
    lines = []
    for row in range(size.height):
        text = "".join(f"{KITTY_PLACEHOLDER}{marks[row]}{marks[column]}" for column in range(size.width))
        lines.append(Segment(text, colour))
    return SharpPicture(size, tuple(lines), _kitty_message(pixels, size, image_id), image_id)


def forget_in_kitty(image_id: int) -> str:
    return f"\x1b_Ga=d,d=I,i={image_id},q=2\x1b\\"


def cut(image: Image, box: Box, width: int, height: int) -> Image:
    """The box of an RGB picture, at this size; what is beyond its edges in BESIDE_RGB."""
    from PIL import Image as images

    x0, y0, x1, y1 = box
    per_x, per_y = (x1 - x0) / width, (y1 - y0) / height
    left, top = max(0.0, x0), max(0.0, y0)
    right, bottom = min(float(image.width), x1), min(float(image.height), y1)
    column, row = round((left - x0) / per_x), round((top - y0) / per_y)
    columns, rows = min(round((right - left) / per_x), width - column), min(round((bottom - top) / per_y), height - row)
    if columns <= 0 or rows <= 0 or right <= left or bottom <= top:
        return images.new("RGB", (width, height), BESIDE_RGB)
    smaller = (right - left) >= columns
    how = images.Resampling.BOX if smaller else images.Resampling.BICUBIC
    part = image.resize((columns, rows), how, box=(left, top, right, bottom))
    if (columns, rows) == (width, height):
        return part
    canvas = images.new("RGB", (width, height), BESIDE_RGB)
    canvas.paste(part, (column, row))
    return canvas


_CONTROL = ((ControlType.CURSOR_FORWARD, 0),)
"""Marks a segment as one that takes no cells and is passed on as it is: only made here."""


@cache
def _kitty_marks() -> str:
    marks: list[str] = []
    for part in _KITTY_MARKS.split():
        first, _, last = part.partition("-")
        marks += map(chr, range(int(first, 16), int(last or first, 16) + 1))
    return "".join(marks)


def _kitty_message(pixels: Image, size: Size, image_id: int) -> str:
    """Transmit and place it, without any answer."""
    payload = base64.b64encode(zlib.compress(pixels.tobytes(), 1)).decode("ascii")
    chunks = [payload[at : at + KITTY_CHUNK] for at in range(0, len(payload), KITTY_CHUNK)]
    head = f"a=T,U=1,q=2,f=24,o=z,i={image_id},s={pixels.width},v={pixels.height},c={size.width},r={size.height},"
    messages = []
    for number, chunk in enumerate(chunks):
        more = int(number < len(chunks) - 1)
        messages.append(f"\x1b_G{head if number == 0 else 'q=2,'}m={more};{chunk}\x1b\\")
    return "".join(messages)


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
    color = Color.from_rgb(*front) if front else None
    return Segment(text, Style(color=color, bgcolor=Color.from_rgb(*back)))
