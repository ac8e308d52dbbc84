"""Pictures' own files as they look, and the small ones that are kept: real files through the real process."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from PIL import Image

from pipelines.errors import EXPECTED_ERRORS, FileNotUsable
from pipelines.page_picture import THUMBNAIL_PX, PagePictures, PicturePlace, picture_place, place_of_file
from pipelines.picture_files import PictureFiles
from pipelines.turn import Locator
from rag.pdf_pages import PdfPages
from rag.readers.contract import ReadLimits
from tests.rag.made_files import pdf_bytes

RED, GREEN, BLUE = (220, 30, 30), (30, 200, 30), (30, 30, 220)
SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200"><rect width="300" height="200" fill="#1e1edc"/></svg>
"""


@pytest.fixture(scope="module")
def files() -> Iterator[PictureFiles]:
    made = PictureFiles(ReadLimits())
    yield made
    made.close()


def saved(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def colour_at(image: Image.Image, x: float, y: float) -> tuple[int, ...]:
    """At a share of its width and height."""
    found = image.getpixel((int(x * image.width), int(y * image.height)))
    assert isinstance(found, tuple)
    return found


def near(found: tuple[int, ...], colour: tuple[int, int, int]) -> bool:
    return max(abs(a - b) for a, b in zip(found, colour, strict=True)) < 30


def three(size: tuple[int, int] = (300, 200)) -> list[Image.Image]:
    return [Image.new("RGB", size, colour) for colour in (RED, GREEN, BLUE)]


def test_a_tiff_is_opened_at_its_page_and_an_animation_at_its_first_frame(files: PictureFiles, tmp_path: Path) -> None:
    first, *others = three()
    scan = saved(first, tmp_path / "scan.tif", save_all=True, append_images=others)
    moving = saved(first, tmp_path / "moving.gif", save_all=True, append_images=others)
    pictures = PagePictures(PdfPages(), files, tmp_path / "cache")
    for page, colour in ((None, RED), (1, RED), (3, BLUE)):
        shown = pictures.picture(PicturePlace(str(scan), "image", page))
        assert near(colour_at(shown.image, 0.5, 0.5), colour)
    assert near(colour_at(pictures.thumbnail(PicturePlace(str(moving), "image")).image, 0.5, 0.5), RED)
    with pytest.raises(FileNotUsable, match=r"scan\.tif shows nothing on page 4"):
        files.drawing(str(scan), 4)


def test_a_box_lies_where_it_was_read_on_a_large_turned_photo_and_its_thumbnail(
    files: PictureFiles, tmp_path: Path
) -> None:
    photo = Image.new("RGB", (5000, 3000), (0, 0, 0))
    photo.paste(RED, (0, 0, 2500, 1500))  # turned by a quarter to the right this is at the upper right
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(photo, tmp_path / "photo.jpg", exif=exif)
    box = (1500.0, 0.0, 3000.0, 2500.0)
    pictures = PagePictures(PdfPages(), files, tmp_path / "cache")
    place = PicturePlace(str(path), "image", None, box)
    for shown in (pictures.picture(place), pictures.thumbnail(place)):
        assert (shown.width, shown.height) == pytest.approx((3000, 5000), rel=0.002)
        assert near(colour_at(shown.image, 0.75, 0.25), RED)
        focus = shown.focus
        assert focus is not None
        assert focus == pytest.approx((shown.image.width / 2, 0, shown.image.width, shown.image.height / 2), abs=3)
        assert shown.marked().getpixel((shown.image.width // 2 - 1, shown.image.height // 4)) == (214, 92, 0)
    assert max(pictures.thumbnail(place).image.size) == THUMBNAIL_PX


def test_drawings_files_in_archives_and_pdfs_in_them_have_thumbnails(files: PictureFiles, tmp_path: Path) -> None:
    (tmp_path / "drawing.svg").write_text(SVG)
    photo = io.BytesIO()
    three()[1].save(photo, "PNG")
    with zipfile.ZipFile(tmp_path / "papers.zip", "w") as archive:
        archive.writestr("photos/green.png", photo.getvalue())
        archive.writestr("letter.pdf", pdf_bytes([["Dear Sir or Madam"]]))
    pictures = PagePictures(PdfPages(), files, tmp_path / "cache")
    assert near(
        colour_at(pictures.thumbnail(PicturePlace(str(tmp_path / "drawing.svg"), "image")).image, 0.5, 0.5), BLUE
    )
    inside = PicturePlace(str(tmp_path / "papers.zip/photos/green.png"), "image")
    assert near(colour_at(pictures.thumbnail(inside).image, 0.5, 0.5), GREEN)
    letter = pictures.picture(
        PicturePlace(str(tmp_path / "papers.zip/letter.pdf"), "text", 1, None, "Dear Sir or Madam")
    )
    assert letter.is_paper
    assert len(letter.lines) == 1


def test_a_thumbnail_is_made_once_and_again_when_the_file_changes(tmp_path: Path) -> None:
    path = saved(three()[0], tmp_path / "a.png")
    made = PictureFiles(ReadLimits())
    pictures = PagePictures(PdfPages(), made, tmp_path / "cache")
    place = PicturePlace(str(path), "image")
    first = pictures.thumbnail(place)
    made.close()

    class Broken(PictureFiles):
        def drawing(self, path: str, page: int | None = None) -> NoReturn:  # noqa: ARG002
            raise FileNotUsable(f"{path} is asked for again")

    kept = PagePictures(PdfPages(), Broken(ReadLimits()), tmp_path / "cache")
    again = kept.thumbnail(place)
    assert (again.width, again.height, again.image.size) == (first.width, first.height, first.image.size)
    saved(three((310, 200))[2], path)
    with pytest.raises(FileNotUsable, match="asked for again"):
        kept.thumbnail(place)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8\xff\xe0" + bytes(40), b"GIF89a\xff\xff\xff\xff", b"words, not a picture"]
)
def test_what_is_no_picture_is_one_clear_error(files: PictureFiles, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.jpg"
    path.write_bytes(content)
    with pytest.raises(EXPECTED_ERRORS, match=r"odd\.jpg"):
        files.drawing(str(path))


def test_what_has_looks() -> None:
    box = (1.0, 2.0, 3.0, 4.0)
    assert picture_place("/a.tif", "image", Locator(page=2, box=box), "x") == PicturePlace("/a.tif", "image", 2, box)
    assert picture_place("/a.PDF", "text") == PicturePlace("/a.PDF", "text", 1)
    assert picture_place("/a.pdf", "text", Locator(page=7), "said") == PicturePlace("/a.pdf", "text", 7, None, "said")
    assert picture_place("/a.md", "text", Locator(line=3)) is None
    assert picture_place("/a.mp3", "audio", Locator(start_s=1.0)) is None
    assert place_of_file("/a.HEIC") == PicturePlace("/a.HEIC", "image")
    assert place_of_file("/a.docx") is None
