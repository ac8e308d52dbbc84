"""Pictures of every kind, made here: their pixels upright and small, what they tell of themselves, and damage."""

from __future__ import annotations

import io
import random
import struct
import threading
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from rag.errors import DamagedFile, ReadError, TooLarge
from rag.pictures import MAX_SIDE_PX, Drawing
from rag.readers.contract import Reading, ReadLimits
from rag.readers.picture import MAX_KEY_FRAMES, NOT_WHOLE, _decoded, read_picture
from rag.readers.registry import choose_reader
from rag.readers.svg import read_svg
from rag.reading import DocumentReader, TextEnded
from tests.rag.conftest import Opened

LIMITS = replace(ReadLimits(), draws=True)
RED, BLUE = (200, 20, 20), (20, 40, 200)


def red_over_blue(size: tuple[int, int] = (80, 40), mode: str = "RGB") -> Image.Image:
    picture = Image.new("RGB", size, BLUE)
    ImageDraw.Draw(picture).rectangle((0, 0, size[0], size[1] // 2 - 1), fill=RED)
    return picture.convert(mode)


def encoded(picture: Image.Image, format_: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format_, **options)
    return file.getvalue()


def drawings(reading: Reading) -> list[Drawing]:
    return [block.drawing for block in reading.blocks if block.drawing is not None]


def colour_at(drawing: Drawing, x: int, y: int) -> tuple[int, int, int]:
    at = 3 * (y * drawing.width_px + x)
    red, green, blue = drawing.rgb[at : at + 3]
    return red, green, blue


def is_like(colour: tuple[int, int, int], wanted: tuple[int, int, int]) -> bool:
    return max(abs(a - b) for a, b in zip(colour, wanted, strict=True)) < 40


@pytest.mark.parametrize(
    ("format_", "mode", "suffix"),
    [
        ("JPEG", "RGB", "jpg"),
        ("JPEG", "CMYK", "jpg"),
        ("JPEG", "L", "jpeg"),
        ("PNG", "RGB", "png"),
        ("PNG", "P", "png"),
        ("PNG", "RGBA", "png"),
        ("WEBP", "RGB", "webp"),
        ("GIF", "P", "gif"),
        ("BMP", "RGB", "bmp"),
        ("TIFF", "RGB", "tif"),
        ("TIFF", "CMYK", "tif"),
        ("AVIF", "RGB", "avif"),
    ],
)
def test_every_format_comes_as_rgb(opened: Opened, tmp_path: Path, format_: str, mode: str, suffix: str) -> None:
    file = opened(tmp_path / f"a.{suffix}", encoded(red_over_blue(mode=mode), format_))
    reader, version = choose_reader(file)
    assert version == "picture/2"
    reading = reader(file, LIMITS)
    (drawing,) = drawings(reading)
    assert reading.kind == "image"
    assert (drawing.width_px, drawing.height_px, drawing.units_per_px) == (80, 40, 1.0)
    assert drawing.facts is not None
    assert drawing.facts.format == format_
    if mode != "L":
        assert is_like(colour_at(drawing, 40, 5), RED)
        assert is_like(colour_at(drawing, 40, 35), BLUE)
        assert {name for name, _ in drawing.facts.colours} == {"red", "blue"}


def test_a_photo_is_turned_and_tells_when_where_and_with_what(opened: Opened, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    exif[0x010F], exif[0x0110], exif[0x010E] = "Apple", "Apple iPhone 12", "Ferry \x1b[31mat\x00 noon"
    exif.get_ifd(0x8769).update({0x9003: "2025:06:14 15:20:31", 0x9011: "+02:00"})
    exif.get_ifd(0x8825).update({1: "N", 2: (41.0, 53.0, 24.72), 3: "W", 4: (12.0, 29.0, 32.28)})
    reading = read_picture(opened(tmp_path / "a.jpg", encoded(red_over_blue(), "JPEG", exif=exif)), LIMITS)
    (drawing,) = drawings(reading)
    assert (drawing.width_px, drawing.height_px) == (40, 80)
    assert is_like(colour_at(drawing, 35, 40), RED)
    facts = drawing.facts
    assert facts is not None
    assert (facts.width_px, facts.height_px, facts.camera) == (40, 80, "Apple iPhone 12")
    assert facts.taken_at == "2025-06-14T15:20:31+02:00"
    assert reading.written_at_s == 1749907231
    assert (facts.latitude, facts.longitude) == (41.8902, -12.4923)
    assert facts.title == "Ferry [31mat noon"


def test_exif_of_nonsense_is_left_out(opened: Opened, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 99
    exif.get_ifd(0x8769).update({0x9003: "2025:99:99 99:99:99"})
    exif.get_ifd(0x8825).update({1: "N", 2: (941.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)})
    (drawing,) = drawings(read_picture(opened(tmp_path / "a.jpg", encoded(red_over_blue(), "JPEG", exif=exif)), LIMITS))
    assert drawing.facts is not None
    assert (drawing.facts.taken_at, drawing.facts.latitude, drawing.facts.longitude) == ("", None, None)


def test_a_large_picture_is_handed_over_small_with_boxes_in_its_own_pixels(opened: Opened, tmp_path: Path) -> None:
    (drawing,) = drawings(
        read_picture(opened(tmp_path / "a.jpg", encoded(red_over_blue((5000, 3000)), "JPEG")), LIMITS)
    )
    assert max(drawing.width_px, drawing.height_px) == MAX_SIDE_PX
    assert drawing.units_per_px == 2.5
    assert drawing.facts is not None
    assert drawing.facts.width_px == 5000


def test_sixteen_bits_become_eight_and_nothing_is_on_white(opened: Opened, tmp_path: Path) -> None:
    deep = Image.frombytes("I;16", (2, 1), struct.pack("<HH", 0, 65535))
    (drawing,) = drawings(read_picture(opened(tmp_path / "a.png", encoded(deep, "PNG")), LIMITS))
    assert drawing.rgb == bytes([0, 0, 0, 255, 255, 255])
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    (drawing,) = drawings(read_picture(opened(tmp_path / "b.png", encoded(clear, "PNG")), LIMITS))
    assert set(drawing.rgb) == {255}


def test_every_page_of_a_tiff_is_drawn(opened: Opened, tmp_path: Path) -> None:
    pages = [red_over_blue((30 + n, 20)) for n in range(4)]
    content = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    found = drawings(read_picture(opened(tmp_path / "a.tif", content), LIMITS))
    assert [(each.page, each.width_px) for each in found] == [(1, 30), (2, 31), (3, 32), (4, 33)]
    assert [each.facts is not None for each in found] == [True, False, False, False]


@pytest.mark.parametrize(("format_", "suffix"), [("GIF", "gif"), ("PNG", "png"), ("WEBP", "webp")])
def test_of_an_animation_a_few_frames_that_differ_are_drawn(
    opened: Opened, tmp_path: Path, format_: str, suffix: str
) -> None:
    frames = [Image.new("RGB", (16, 16), (255, 255, 255) if n // 8 % 2 else (n % 8, 0, 0)) for n in range(200)]
    content = encoded(frames[0], format_, save_all=True, append_images=frames[1:], duration=20)
    found = drawings(read_picture(opened(tmp_path / f"a.{suffix}", content), LIMITS))
    assert 2 <= len(found) <= MAX_KEY_FRAMES
    assert found[0].page == 1


@pytest.mark.parametrize(("format_", "suffix"), [("GIF", "gif"), ("PNG", "png"), ("WEBP", "webp")])
def test_other_words_on_a_frame_that_stands_make_it_another_one(
    opened: Opened, tmp_path: Path, format_: str, suffix: str
) -> None:
    frames = [Image.new("RGB", (500, 300), (250, 250, 250)) for _ in range(4)]
    for frame, words in zip(frames, ("Unscrew the lid", "Pour the vinegar", "Pour the vinegar", "Wait"), strict=True):
        ImageDraw.Draw(frame).text((60, 120), words, fill=(20, 20, 20), font_size=40)
    content = encoded(frames[0], format_, save_all=True, append_images=frames[1:], duration=[900, 900, 900, 900])
    found = drawings(read_picture(opened(tmp_path / f"a.{suffix}", content), LIMITS))
    assert len(found) == 3
    hasty = encoded(frames[0], format_, save_all=True, append_images=frames[1:], duration=40)
    assert len(drawings(read_picture(opened(tmp_path / f"b.{suffix}", hasty), LIMITS))) == 1


def png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def test_a_bomb_is_told_in_one_line_before_it_goes_off(opened: Opened, tmp_path: Path) -> None:
    content = png_header(65_000, 65_000) + struct.pack(">I", 4) + b"IDAT" + b"\0" * 8
    with pytest.raises(TooLarge, match=r"a\.png has 65,000 x 65,000 pixels") as raised:
        read_picture(opened(tmp_path / "a.png", content), LIMITS)
    assert raised.value.hint


def test_a_picture_that_is_cut_off_is_shown_as_far_as_it_goes(opened: Opened, tmp_path: Path) -> None:
    content = encoded(red_over_blue((400, 300)), "JPEG")
    reading = read_picture(opened(tmp_path / "a.jpg", content[: len(content) * 2 // 3]), LIMITS)
    assert len(drawings(reading)) == 1
    assert reading.notes == [NOT_WHOLE]
    with pytest.raises(DamagedFile, match=r"a\.png"):
        read_picture(opened(tmp_path / "a.png", encoded(red_over_blue(), "PNG")[:20]), LIMITS)


def test_without_an_area_there_is_no_picture(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(DamagedFile):
        read_picture(opened(tmp_path / "a.png", png_header(0, 10)), LIMITS)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
def test_flipped_bits_end_as_a_drawing_or_as_one_clear_error(opened: Opened, tmp_path: Path, format_: str) -> None:
    dice = random.Random(11)
    whole = encoded(red_over_blue(), format_)
    for number in range(40):
        content = bytearray(whole)
        for _ in range(3):
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        said: list[str] = []
        found: list[Drawing] = []
        try:
            found = drawings(read_picture(opened(tmp_path / f"{number}.{format_.lower()}", bytes(content)), LIMITS))
        except ReadError as error:
            said.append(str(error))
        assert found or f"{number}." in said[0]
        assert all(len(each.rgb) == 3 * each.width_px * each.height_px for each in found)


def test_what_it_is_decides_and_not_its_name(opened: Opened, tmp_path: Path) -> None:
    file = opened(tmp_path / "a.png", encoded(red_over_blue(), "JPEG"))
    reader, _ = choose_reader(file)
    (drawing,) = drawings(reader(file, LIMITS))
    assert drawing.facts is not None
    assert drawing.facts.format == "JPEG"
    with pytest.raises(DamagedFile, match="not a picture"):
        choose_reader(opened(tmp_path / "b.jpg", b"just words"))


SVG = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="100" height="50">
<title>A plan</title><rect width="50" height="50" fill="#c81414"/>%s<text x="5" y="20">Front door</text></svg>"""


def test_an_svg_is_drawn_and_its_words_are_read(opened: Opened, tmp_path: Path) -> None:
    reading = read_svg(opened(tmp_path / "a.svg", SVG % ""), LIMITS)
    text, drawn = list(reading.blocks)
    assert text.text == "A plan\nFront door"
    assert reading.title == "A plan"
    drawing = drawn.drawing
    assert drawing is not None
    assert (drawing.has_text, drawing.width_px, drawing.height_px) == (True, 1000, 500)
    assert is_like(colour_at(drawing, 250, 400), RED)


def test_an_svg_shows_no_other_file(opened: Opened, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(encoded(Image.new("RGB", (50, 50), (0, 250, 0)), "PNG"))
    for link in (
        f'<image x="50" width="50" height="50" href="{secret}"/>',
        f'<image x="50" width="50" height="50" xlink:href="file://{secret}"/>',
        f'<image x="50" width="50" height="50" href="{secret.name}"/>',
        f'<filter id="f"><feImage href="{secret}"/></filter><rect x="50" width="50" height="50" filter="url(#f)"/>',
        f'<style>@import url("{secret}"); rect {{ fill: url({secret}) }}</style>',
    ):
        found = drawings(read_svg(opened(tmp_path / "a.svg", SVG % link), LIMITS))
        assert all((0, 250, 0) not in {colour_at(each, x, 250) for x in (600, 750, 900)} for each in found)


def test_an_svg_with_entities_is_refused(opened: Opened, tmp_path: Path) -> None:
    bomb = '<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>' + SVG % "<desc>&b;</desc>"
    with pytest.raises(DamagedFile, match="entities"):
        read_svg(opened(tmp_path / "a.svg", bomb), LIMITS)
    with pytest.raises(DamagedFile, match="SVG"):
        read_svg(opened(tmp_path / "b.svg", "<svg"), LIMITS)


def test_pixels_come_out_of_the_reading_process(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(encoded(red_over_blue((1200, 900)), "PNG"))
    with DocumentReader(LIMITS) as reader:
        parts = list(reader.stream(file, lambda _: "text", threading.Event()))
    (drawing,) = [part for part in parts if isinstance(part, Drawing)]
    assert len(drawing.rgb) == 1200 * 900 * 3
    assert is_like(colour_at(drawing, 600, 10), RED)
    (ended,) = [part for part in parts if isinstance(part, TextEnded)]
    assert ended.facts.kind == "image"


def test_a_photo_is_decoded_no_larger_than_it_is_looked_at(opened: Opened, tmp_path: Path) -> None:
    """A JPEG can be decoded at a half, a quarter or an eighth: a fifth of the time for a telephone's photo.

    Boxes stay in the pixels of the picture at its full size.
    """
    photo = encoded(red_over_blue((4032, 3024)), "JPEG")
    with Image.open(io.BytesIO(photo)) as image:
        decoded, is_whole = _decoded(image, "photo.jpg")
        assert (decoded.size, is_whole) == ((2016, 1512), True)
    (drawing,) = drawings(read_picture(opened(tmp_path / "a.jpg", photo), LIMITS))
    assert (drawing.width_px, drawing.height_px) == (2000, 1500)
    assert drawing.units_per_px == 2.016
    (square,) = drawings(read_picture(opened(tmp_path / "b.jpg", encoded(red_over_blue((4400, 4400)), "JPEG")), LIMITS))
    assert (square.width_px, square.units_per_px) == (2000, 2.2)
