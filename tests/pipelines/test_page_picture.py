"""Boxes for citations, pictures of pages, and the pictures' cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pipelines.page_picture import EDGE_RGB, PagePictures, PicturePlace, mark_lines
from pipelines.picture_files import PictureFiles
from pipelines.turn import Citation, Locator
from rag.errors import ReadError
from rag.pdf_pages import PdfPages
from rag.pdf_places import DrawnPage
from rag.readers.contract import ReadLimits
from rag.records import Chunk, Hit
from tests.rag.made_archives import zip_of
from tests.rag.made_files import pdf_bytes

SAID = "The harbour was begun in 1806."


class CountedPages(PdfPages):
    """The real ones, and how often a page was drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[tuple[str, int]] = []

    def draw(self, path: str, page: int) -> DrawnPage:
        self.drawn.append((path, page))
        return super().draw(path, page)


@pytest.fixture
def harbour(tmp_path: Path) -> Path:
    path = tmp_path / "harbour.pdf"
    path.write_bytes(pdf_bytes([["A page of its own."], [SAID, "The first ship came in 1809."]]))
    return path


def pictures_of(pages: PdfPages, folder: Path) -> PagePictures:
    return PagePictures(pages, PictureFiles(ReadLimits()), folder)


def page(path: Path, number: int, text: str = "") -> PicturePlace:
    return PicturePlace(str(path), "text", number, None, text)


def cited(path: Path, locator: Locator, quote: str = SAID) -> Citation:
    return Citation(1, 7, str(path), "text", locator, quote, supported=True)


def test_only_quotes_on_pages_get_boxes_and_only_where_they_stand(tmp_path: Path, harbour: Path) -> None:
    pictures = pictures_of(PdfPages(), tmp_path)
    citations = [
        cited(harbour, Locator(page=2)),
        cited(harbour, Locator(page=1)),
        cited(tmp_path / "notes.md", Locator(line=4)),
        cited(tmp_path / "gone.pdf", Locator(page=2)),
    ]
    placed = pictures.place_citations(citations)
    assert placed[1:] == tuple(citations[1:])
    box = placed[0].locator.box
    assert box is not None
    assert box[0] == pytest.approx(72, abs=2)
    assert placed[0] == replace(citations[0], locator=Locator(page=2, box=box))
    hit = Hit(1, 0.5, Chunk(7, 1, 0, SAID, (), Locator(page=2)), str(harbour), "harbour", "text")
    assert pictures.place_hits([hit])[0].chunk.locator.box == box


def test_a_quote_in_a_pdf_inside_an_archive_gets_its_box_too(tmp_path: Path, harbour: Path) -> None:
    (tmp_path / "scans.zip").write_bytes(zip_of({"old/harbour.pdf": harbour.read_bytes(), "readme.txt": b"Scans."}))
    inside = tmp_path / "scans.zip" / "old" / "harbour.pdf"
    citations = [
        cited(inside, Locator(page=2)),
        cited(harbour, Locator(page=2)),
        cited(tmp_path / "scans.zip" / "gone.pdf", Locator(page=2)),
    ]
    first, second, third = pictures_of(PdfPages(), tmp_path).place_citations(citations)
    assert first.locator.box == second.locator.box is not None
    assert third == citations[2]


def test_a_picture_is_drawn_once_and_again_when_the_file_changes(tmp_path: Path, harbour: Path) -> None:
    pages = CountedPages()
    pictures = pictures_of(pages, tmp_path)
    first = pictures.picture(page(harbour, 2, SAID))
    again = pictures.picture(page(harbour, 2, "The first ship came in 1809."))
    assert pages.drawn == [(str(harbour), 2)]
    assert (again.width, again.height) == (612, 792)
    assert again.image.tobytes() == first.image.tobytes()
    assert again.lines[0][1] > first.lines[0][1]
    harbour.write_bytes(pdf_bytes([["x"], ["Something else stands here now."]]))
    assert pictures.picture(page(harbour, 2, SAID)).lines == ()
    assert len(pages.drawn) == 2


def test_the_cache_stays_within_its_bytes_and_a_damaged_file_in_it_does_no_harm(tmp_path: Path) -> None:
    many = tmp_path / "many.pdf"
    many.write_bytes(pdf_bytes([[f"Page {n} " * 20] * 30 for n in range(6)]))
    cache = tmp_path / "pages"
    pages = CountedPages()
    PagePictures(pages, PictureFiles(ReadLimits()), tmp_path).picture(page(many, 1))
    one = sum(each.stat().st_size for each in cache.iterdir())
    pictures = PagePictures(pages, PictureFiles(ReadLimits()), tmp_path, max_pages_bytes=3 * one)
    for number in range(1, 7):
        pictures.picture(page(many, number))
    assert len(list(cache.iterdir())) in (2, 3)
    for kept in cache.iterdir():
        kept.write_bytes(kept.read_bytes()[:200])
    drawn = len(pages.drawn)
    assert pictures.picture(page(many, 6)).image.width > 1000
    assert len(pages.drawn) == drawn + 1


def test_a_picture_is_shown_also_where_nothing_can_be_kept(tmp_path: Path, harbour: Path) -> None:
    blocked = tmp_path / "pages"
    blocked.write_text("a file where the folder should be")
    assert pictures_of(PdfPages(), tmp_path).picture(page(harbour, 2, SAID)).lines


def test_a_file_that_is_gone_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"gone\.pdf is not there"):
        pictures_of(PdfPages(), tmp_path).picture(page(tmp_path / "gone.pdf", 1))


def test_marks_lie_on_their_lines_and_leave_ink_dark() -> None:
    page = Image.new("RGB", (200, 100), "white")
    page.putpixel((50, 50), (0, 0, 0))
    marked = mark_lines(page, [(20, 20, 80, 30)], pixels_per_unit=2, margin=1.5, frame=0.6)
    assert marked.getpixel((50, 50)) == (0, 0, 0)
    assert marked.getpixel((60, 50)) == (255, 214, 0)
    assert marked.getpixel((37, 37)) == EDGE_RGB
    assert marked.getpixel((10, 10)) == (255, 255, 255)
    assert page.getpixel((60, 50)) == (255, 255, 255), "the picture itself is unmarked"
