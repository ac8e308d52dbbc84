"""Pictures as lines of a terminal: what the bytes of each way say."""

from __future__ import annotations

import base64
import re
import zlib

import numpy as np
import pytest
from PIL import Image
from rich.segment import Segment
from textual.color import Color
from textual.geometry import Size
from textual.strip import Strip

from app.control_filter import ControlFilter
from app.picture_drawing import (
    BESIDE_RGB,
    KITTY_CHUNK,
    KITTY_MOST_CELLS,
    KITTY_PLACEHOLDER,
    QUADRANTS,
    SharpPicture,
    blocks,
    cut,
    forget_in_kitty,
    kitty,
    sixels,
)

CELL_PX = (8, 17)
"""As xterm has it with a common font: no multiple of the six pixels of a band."""
SIZE = Size(10, 4)
LINE = Strip([Segment("0123456789abc")], 13)
"""Three cells wider than the picture."""


def halves() -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (80, 68), (200, 0, 0))
    image.paste((0, 0, 200), (40, 0, 80, 68))
    return image


def whole(image: Image.Image) -> tuple[float, float, float, float]:
    return (0.0, 0.0, float(image.width), float(image.height))


def decoded_sixels(sent: str) -> np.ndarray:
    """What a terminal makes of one sixel picture that starts at its upper left; -1 where nothing was drawn."""
    found = re.fullmatch(r'\x1bP[\d;]*q"1;1;(\d+);(\d+)(.*)\x1b\\', sent, re.DOTALL)
    assert found is not None
    width, height = int(found[1]), int(found[2])
    canvas = np.full((height + 6, width, 3), -1, dtype=np.int16)
    palette: dict[int, tuple[int, ...]] = {}
    colour, column, top = -1, 0, 0
    for number, percent, count, sign, move in re.findall(
        r"#(\d+)(?:;2;(\d+;\d+;\d+))?|(?:!(\d+))?([?-~])|([$-])", found[3]
    ):
        if number:
            if percent:
                palette[int(number)] = tuple(round(int(each) * 2.55) for each in percent.split(";"))
            else:
                colour = int(number)  # as xterm: only this selects
        elif move:
            column, top = 0, top + (6 if move == "-" else 0)
        else:
            run = slice(column, column := column + int(count or 1))
            for bit in range(6):
                if (ord(sign) - 63) >> bit & 1:
                    canvas[top + bit, run] = palette[colour]
    assert (canvas[height:] == -1).all(), "nothing is drawn below the line that it belongs to"
    return canvas[:height]


def sixel_of(drawn: SharpPicture, row: int) -> str:
    """The sixel picture of a line; checks that it stands behind the line's cells and gives the cursor back."""
    cells, control, rest = drawn.over(LINE, row)
    assert (cells.text, rest.text) == ("0123456789", "abc")
    assert control.control, "it takes no cells"
    found = re.fullmatch(r"\x1b\[10D\x1b7(\x1bP.*\x1b\\)\x1b8\x1b\[10C", control.text, re.DOTALL)
    assert found is not None
    return found[1]


def test_a_part_is_cut_out_and_what_is_beyond_the_edges_is_grey() -> None:
    pixels = np.asarray(cut(halves(), (-80, 0, 160, 68), 24, 8))
    assert tuple(pixels[0, 2]) == BESIDE_RGB
    assert tuple(pixels[0, 9]) == (200, 0, 0)
    assert tuple(pixels[0, 14]) == (0, 0, 200)
    assert tuple(pixels[0, 20]) == BESIDE_RGB


def test_blocks_have_the_pictures_colours() -> None:
    drawn = blocks(halves(), whole(halves()), SIZE)
    assert len(drawn) == SIZE.height
    for strip in drawn:
        assert strip.cell_length == SIZE.width
        assert set(strip.text) <= set(QUADRANTS)
        backgrounds = [each.style.bgcolor.triplet for each in strip if each.style and each.style.bgcolor]
        assert [tuple(each) for each in backgrounds if each] == [(200, 0, 0), (0, 0, 200)]


def test_each_line_of_a_sixel_picture_shows_its_own_part() -> None:
    image = halves()
    image.paste((0, 160, 0), (0, 51, 80, 68))  # the last line's worth
    drawn = sixels(image, whole(image), SIZE, CELL_PX)
    assert len(drawn.lines) == SIZE.height
    for row in range(SIZE.height):
        pixels = decoded_sixels(sixel_of(drawn, row))
        assert pixels.shape == (CELL_PX[1], SIZE.width * CELL_PX[0], 3)
        left, right = pixels[8, 5], pixels[8, 75]
        expected = ((0, 160, 0), (0, 160, 0)) if row == 3 else ((200, 0, 0), (0, 0, 200))
        assert np.abs(left - expected[0]).max() <= 4
        assert np.abs(right - expected[1]).max() <= 4
        assert (pixels >= 0).all(), "every pixel is drawn, those of the first band too"


def test_a_sixel_line_is_drawn_again_with_its_end_only_and_no_text_can_be_one() -> None:
    drawn = sixels(halves(), whole(halves()), SIZE, CELL_PX)
    strip = drawn.over(LINE, 0)
    assert strip.cell_length == LINE.cell_length
    assert "\x1bP" in "".join(segment.text for segment in strip.crop(4, 13))
    assert "\x1bP" not in "".join(segment.text for segment in strip.crop(0, 4)), "not over what covers its end"
    assert drawn.over(LINE, SIZE.height) == LINE, "below the picture nothing is drawn"
    assert drawn.over(LINE.crop(0, 9), 0) == LINE.crop(0, 9), "nor where there is no room for it"
    hostile = [Segment("\x1bPq~\x1b\\")]
    assert "\x1b" not in ControlFilter().apply(hostile, Color(0, 0, 0))[0].text


def test_kitty_is_sent_the_pixels_in_chunks_and_asked_for_no_answer() -> None:
    image = Image.effect_noise((300, 300), 90).convert("RGB")
    drawn = kitty(image, whole(image), SIZE, CELL_PX, 0x010203)
    messages = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", drawn.transmission)
    assert "".join(f"\x1b_G{keys};{payload}\x1b\\" for keys, payload in messages) == drawn.transmission
    assert len(messages) > 2
    keys = [dict(each.split("=") for each in head.split(",")) for head, _ in messages]
    assert keys[0] | {"m": "1"} == keys[0]
    assert {key: keys[0][key] for key in "aUqfoisvcr"} == {
        "a": "T", "U": "1", "q": "2", "f": "24", "o": "z", "i": "66051", "s": "80", "v": "68", "c": "10", "r": "4",
    }  # fmt: skip
    assert [each["m"] for each in keys[1:]] == ["1"] * (len(keys) - 2) + ["0"]
    assert all(len(payload) <= KITTY_CHUNK for _, payload in messages)
    pixels = zlib.decompress(base64.b64decode("".join(payload for _, payload in messages)))
    assert pixels == cut(image, whole(image), 80, 68).tobytes()
    assert forget_in_kitty(drawn.image_id) == f"\x1b_Ga=d,d=I,i={0x010203},q=2\x1b\\"


def test_kittys_placeholders_carry_the_number_and_their_place_and_may_be_cut_like_text() -> None:
    from textual_image.renderable.tgp import _NUMBER_TO_DIACRITIC  # asks no terminal: here is none

    drawn = kitty(halves(), whole(halves()), Size(KITTY_MOST_CELLS, 2), (2, 4), 0x010203)
    marks = list(map(chr, _NUMBER_TO_DIACRITIC))
    for row, segment in enumerate(drawn.lines):
        strip = drawn.over(Strip.blank(KITTY_MOST_CELLS + 3), row)
        assert strip.text.rstrip() == "".join(KITTY_PLACEHOLDER + marks[row] + mark for mark in marks)
        assert segment.style is not None
        assert segment.style.color is not None
        assert segment.style.color.triplet == (1, 2, 3)
        assert segment.cell_length == strip.cell_length - 3 == KITTY_MOST_CELLS
        assert strip.crop(3, 5).text == "".join(KITTY_PLACEHOLDER + marks[row] + mark for mark in marks[3:5])
    with pytest.raises(ValueError, match="numbered"):
        kitty(halves(), whole(halves()), Size(KITTY_MOST_CELLS + 1, 2), (2, 4), 1)
