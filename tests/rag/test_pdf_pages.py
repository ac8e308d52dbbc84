"""Finding text on PDF pages and drawing them, in the confined process."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pikepdf
import pytest
from numpy.typing import NDArray

from rag.errors import DamagedFile, EncryptedFile, ReadError
from rag.pdf_pages import PdfPages, TextOnPage
from rag.pdf_places import Box, DrawnPage
from rag.readers.contract import ReadLimits
from tests.rag.made_archives import zip_of
from tests.rag.made_files import pdf_bytes

LINES = ["The harbour was begun in 1806.", "The first ship came in 1809, with a cargo of", "salt from the north."]
DARK = 128


@pytest.fixture
def harbour(tmp_path: Path) -> Path:
    path = tmp_path / "harbour.pdf"
    path.write_bytes(pdf_bytes([["Nothing here."], LINES]))
    return path


def pixels(drawn: DrawnPage) -> NDArray[np.uint8]:
    return np.frombuffer(drawn.rgb, dtype=np.uint8).reshape(drawn.height_px, drawn.width_px, 3)


def dark_bounds(drawn: DrawnPage) -> Box:
    """Where there is ink, in points from the top left."""
    rows, columns = np.nonzero(pixels(drawn).min(axis=2) < DARK)
    x, y = drawn.width_pt / drawn.width_px, drawn.height_pt / drawn.height_px
    return columns.min() * x, rows.min() * y, (columns.max() + 1) * x, (rows.max() + 1) * y


def bounds(boxes: Sequence[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def test_a_text_over_two_lines_gets_a_box_a_line(harbour: Path) -> None:
    sought = "The first ship came in 1809, with a cargo of salt from the north."
    (lines,) = PdfPages().find([TextOnPage(str(harbour), 2, sought)])
    first, second = lines
    assert first[0] == pytest.approx(72, abs=1.5), "the text begins 72 points from the left"
    assert second[1] - first[1] == pytest.approx(14, abs=3), "the leading is 14 points"
    assert first[2] > second[2], "the second line is shorter"
    assert 792 - 720 - 14 < first[1] < 792 - 720 + 14, "the page is measured from its top"


def test_spaces_hyphens_and_ligatures_of_the_indexed_text_do_not_matter(harbour: Path) -> None:
    found = PdfPages().find(
        [
            TextOnPage(str(harbour), 2, "the HARBOUR  was\nbegun in 1806"),
            TextOnPage(str(harbour), 2, "cargo of salt from the north. And then something that is not on the page"),
            TextOnPage(str(harbour), 2, "Quite another matter altogether"),
            TextOnPage(str(harbour), 1, "The harbour was begun in 1806."),
            TextOnPage(str(harbour), 9, "The harbour was begun in 1806."),
            TextOnPage(str(harbour), 2, " … "),
        ]
    )
    assert [len(lines) for lines in found] == [1, 0, 0, 0, 0, 0]


def test_the_longest_stretch_that_is_there_counts_when_it_is_most_of_the_text(harbour: Path) -> None:
    (lines,) = PdfPages().find([TextOnPage(str(harbour), 2, "The harbour was begun in 1806. x")])
    assert len(lines) == 1


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
@pytest.mark.parametrize("cropped", [False, True])
def test_boxes_lie_where_the_drawn_page_has_its_ink(tmp_path: Path, turned: int, cropped: bool) -> None:
    path = tmp_path / "turned.pdf"
    with pikepdf.open(io.BytesIO(pdf_bytes([LINES]))) as document:
        page = document.pages[0]
        page.obj["/Rotate"] = turned
        if cropped:
            page.obj["/CropBox"] = pikepdf.Array([50, 600, 500, 760])
        document.save(path)
    pages = PdfPages()
    drawn = pages.draw(str(path), 1)
    # Line by line: pdfium reads the lines of a page turned by 90 degrees from the last to the first.
    lines = [box for found in pages.find([TextOnPage(str(path), 1, line) for line in LINES]) for box in found]
    upright = (450.0, 160.0) if cropped else (612.0, 792.0)
    assert (drawn.width_pt, drawn.height_pt) == (upright if turned in (0, 180) else upright[::-1])
    assert bounds(lines) == pytest.approx(dark_bounds(drawn), abs=2.0)


def test_a_huge_page_is_drawn_smaller(tmp_path: Path) -> None:
    path = tmp_path / "poster.pdf"
    with pikepdf.open(io.BytesIO(pdf_bytes([LINES]))) as document:
        document.pages[0].obj["/MediaBox"] = pikepdf.Array([0, 0, 14_000, 10_000])
        document.save(path)
    drawn = PdfPages().draw(str(path), 1)
    assert drawn.width_px * drawn.height_px <= 4_100_000
    assert drawn.width_px / drawn.height_px == pytest.approx(1.4, abs=0.01)


def test_what_cannot_be_drawn_is_one_clear_error_naming_the_file(tmp_path: Path, harbour: Path) -> None:
    pages = PdfPages()
    with pytest.raises(ReadError, match=r"harbour\.pdf: there is no page 3"):
        pages.draw(str(harbour), 3)
    with pytest.raises(ReadError, match=r"gone\.pdf is not there"):
        pages.draw(str(tmp_path / "gone.pdf"), 1)
    locked = tmp_path / "locked.pdf"
    locked.write_bytes(pdf_bytes([LINES], encrypted=True))
    with pytest.raises(EncryptedFile, match=r"locked\.pdf is protected"):
        pages.draw(str(locked), 1)
    thin = tmp_path / "thin.pdf"
    with pikepdf.open(io.BytesIO(pdf_bytes([LINES]))) as document:
        document.pages[0].obj["/MediaBox"] = pikepdf.Array([0, 0, 14_000, 0.001])
        document.save(thin)
    with pytest.raises(DamagedFile, match=r"thin\.pdf"):
        pages.draw(str(thin), 1)
    (tmp_path / "letters.zip").write_bytes(zip_of({"inner.pdf": b"no pages"}))
    with pytest.raises(DamagedFile, match=r"inner\.pdf"):
        pages.draw(str(tmp_path / "letters.zip" / "inner.pdf"), 1)
    with pytest.raises(ReadError, match=r"other\.pdf is not in letters\.zip"):
        pages.draw(str(tmp_path / "letters.zip" / "other.pdf"), 1)
    link = tmp_path / "link.pdf"
    link.symlink_to(harbour)
    with pytest.raises(ReadError, match=r"link\.pdf"):
        pages.draw(str(link), 1)


def test_pages_inside_an_archive_in_an_archive_are_drawn_and_searched(tmp_path: Path, harbour: Path) -> None:
    inner = zip_of({"folder/harbour.pdf": harbour.read_bytes()})
    (tmp_path / "outer.zip").write_bytes(zip_of({"a.txt": b"words", "inner.zip": inner}))
    inside = str(tmp_path / "outer.zip" / "inner.zip" / "folder" / "harbour.pdf")
    pages = PdfPages()
    assert pages.draw(inside, 2) == pages.draw(str(harbour), 2)
    text = TextOnPage(inside, 2, LINES[0])
    assert pages.find([text]) == pages.find([TextOnPage(str(harbour), 2, LINES[0])])
    assert pages.find([text])[0]


def test_damaged_files_never_harm_and_never_hang(tmp_path: Path) -> None:
    whole = pdf_bytes([LINES, LINES])
    dice = random.Random(7)
    wanted: list[TextOnPage] = []
    for number in range(40):
        damaged = bytearray(whole[: dice.randrange(len(whole))] if number % 2 else whole)
        for _ in range(0 if number % 2 else 12):
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        path = tmp_path / f"{number}.pdf"
        path.write_bytes(damaged)
        wanted.append(TextOnPage(str(path), 1, LINES[0]))
    found = PdfPages().find(wanted)
    assert len(found) == len(wanted)
    assert any(found), "some are still readable"


def test_a_page_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "slow.pdf"
    with pikepdf.open(io.BytesIO(pdf_bytes([LINES]))) as document:
        document.pages[0].obj["/Contents"] = document.make_stream(b"0 0 600 700 re f\n" * 3_000_000)
        document.save(path)
    with pytest.raises(ReadError, match=r"slow\.pdf: page 1 was not drawn within 0.2 s"):
        PdfPages(ReadLimits(timeout_s=0.2)).draw(str(path), 1)


def test_nothing_asked_starts_no_process() -> None:
    assert PdfPages().find([]) == []
