from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pptx
import pytest
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from rag.errors import DamagedFile, EmptyFile, TooLarge
from rag.readers.contract import ReadLimits
from rag.readers.pptx import read_pptx
from rag.readers.sniff import find_format
from rag.records import Locator
from tests.rag.conftest import Opened
from tests.rag.made_office import PACKAGE_RELATIONS, RELATIONS, package_of

LIMITS = ReadLimits()
PRESENTATION = "http://schemas.openxmlformats.org/presentationml/2006/main"
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)


def pptx_of(
    path: Path, slides: tuple[str, ...], *, prolog: str = "", parts: dict[str, str | bytes] | None = None
) -> Path:
    """A presentation of slides whose shape trees are the XML given."""
    numbers = range(1, len(slides) + 1)
    listed = "".join(f'<p:sldId r:id="r{number}"/>' for number in numbers)
    related = "".join(
        f'<Relationship Id="r{number}" Type="{RELATIONS}/slide" Target="slides/slide{number}.xml"/>'
        for number in numbers
    )
    spaces = f'xmlns:p="{PRESENTATION}" xmlns:a="{DRAWING}" xmlns:r="{RELATIONS}"'
    return package_of(
        path,
        {
            "[Content_Types].xml": "<Types/>",
            "ppt/presentation.xml": f"<p:presentation {spaces}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>",
            "ppt/_rels/presentation.xml.rels": f'<Relationships xmlns="{PACKAGE_RELATIONS}">{related}</Relationships>',
            **{
                f"ppt/slides/slide{number}.xml": f'<?xml version="1.0"?>{prolog}<p:sld {spaces}>{slide}</p:sld>'
                for number, slide in zip(numbers, slides, strict=True)
            },
            **(parts or {}),
        },
    )


def shape(text: str, placeholder: str = "") -> str:
    return f'<p:sp><p:nvPr><p:ph type="{placeholder}"/></p:nvPr><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:sp>'


def test_a_presentation_as_programs_write_it(opened: Opened, tmp_path: Path) -> None:
    presentation = pptx.Presentation()
    presentation.core_properties.title = "Quarterly"
    presentation.core_properties.author = "Ada Lovelace"
    presentation.core_properties.modified = datetime(2025, 3, 14, 10, 15)
    layouts = presentation.slide_layouts
    first = presentation.slides.add_slide(layouts[1])
    first.shapes.title.text = "Road\vmap"
    first.placeholders[1].text = "First point\nSecond point"
    first.notes_slide.notes_text_frame.text = "Greet Bob."
    presentation.slides.add_slide(layouts[5]).shapes.title.text = "Only a title"
    third = presentation.slides.add_slide(layouts[6])
    table = third.shapes.add_table(2, 2, 0, 0, Inches(3), Inches(1)).table
    for position, text in enumerate(("Item", "€", "Rent", "1,250")):
        table.cell(position // 2, position % 2).text = text
    picture = third.shapes.add_picture(io.BytesIO(GIF), 0, 0)
    picture._element.nvPicPr.cNvPr.set("descr", "A red house by the lake")
    group = third.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, 9, 9).text_frame.text = "grouped words"
    data = CategoryChartData()  # type: ignore[no-untyped-call]  # python-pptx says nothing
    data.categories = ["East", "West"]
    data.add_series("Sales", (1, 2))  # type: ignore[no-untyped-call]  # python-pptx says nothing
    third.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, 0, Inches(3), Inches(3), data)
    path = tmp_path / "a.pptx"
    presentation.save(str(path))
    reading = read_pptx(opened(path), LIMITS)
    assert [(block.locator, block.heading_path, block.text) for block in reading.blocks] == [
        (Locator(slide=1), ("Road map",), "First point\nSecond point\n\nNotes: Greet Bob."),
        (Locator(slide=2), (), "Only a title"),
        (
            Locator(slide=3),
            (),
            "Item | €\nRent | 1,250\n\nPicture: A red house by the lake\n\ngrouped words\n\nSales, East, West",
        ),
    ]
    assert (reading.title, reading.author) == ("Quarterly", "Ada Lovelace")
    assert reading.written_at_s == datetime(2025, 3, 14, 10, 15, tzinfo=UTC).timestamp()
    assert find_format(opened(path)) == "pptx"


def test_slide_numbers_dates_and_footers_are_not_read(opened: Opened, tmp_path: Path) -> None:
    slide = shape("12", "sldNum") + shape("today", "dt") + shape("ACME", "ftr") + shape("words", "body")
    (block,) = read_pptx(opened(pptx_of(tmp_path / "a.pptx", (slide,))), LIMITS).blocks
    assert block.text == "words"


def related(*relations: tuple[str, str]) -> str:
    """The relations of a part: kind and target of each."""
    listed = (
        f'<Relationship Id="x{number}" Type="{RELATIONS}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(relations)
    )
    return f'<Relationships xmlns="{PACKAGE_RELATIONS}">{"".join(listed)}</Relationships>'


def test_comments_old_and_new_are_read_with_who_wrote_them(opened: Opened, tmp_path: Path) -> None:
    today = "http://schemas.microsoft.com/office/powerpoint/2018/8/main"

    def body(words: str) -> str:
        return f"<n:txBody><a:p><a:r><a:t>{words}</a:t></a:r></a:p></n:txBody>"

    path = pptx_of(
        tmp_path / "a.pptx",
        (shape("one"), shape("two")),
        parts={
            "ppt/slides/_rels/slide1.xml.rels": related(("comments", "../comments/comment1.xml")),
            "ppt/comments/comment1.xml": f'<p:cmLst xmlns:p="{PRESENTATION}"><p:cm authorId="0"><p:pos x="1"/>'
            '<p:text>Too long?</p:text></p:cm><p:cm authorId="7"><p:text>No.</p:text></p:cm></p:cmLst>',
            "ppt/slides/_rels/slide2.xml.rels": related(("comments", "../comments/modern.xml")),
            "ppt/comments/modern.xml": f'<n:cmLst xmlns:n="{today}" xmlns:a="{DRAWING}"><n:cm authorId="{{B}}">'
            f'<n:replyLst><n:reply authorId="0">{body("Today.")}</n:reply></n:replyLst>{body("Since when?")}'
            "</n:cm></n:cmLst>",
            "ppt/commentAuthors.xml": f'<p:cmAuthorLst xmlns:p="{PRESENTATION}">'
            '<p:cmAuthor id="0" name="Ada"/></p:cmAuthorLst>',
            "ppt/authors.xml": f'<n:authorLst xmlns:n="{today}"><n:author id="{{B}}" name="Bob"/></n:authorLst>',
            "ppt/_rels/presentation.xml.rels": related(
                ("slide", "slides/slide1.xml"),
                ("slide", "slides/slide2.xml"),
                ("commentAuthors", "commentAuthors.xml"),
                ("authors", "authors.xml"),
            )
            .replace('"x0"', '"r1"')
            .replace('"x1"', '"r2"'),
        },
    )
    assert [block.text for block in read_pptx(opened(path), LIMITS).blocks] == [
        "one\n\nComment by Ada: Too long?\n\nComment: No.",
        "two\n\nComment by Bob: Since when?\n\nComment by Ada: Today.",
    ]


def test_slides_keep_their_numbers_where_one_is_missing(opened: Opened, tmp_path: Path) -> None:
    path = pptx_of(tmp_path / "a.pptx", (shape("one"), "", shape("three")))
    assert [block.locator.slide for block in read_pptx(opened(path), LIMITS).blocks] == [1, 3]


def test_hostile_presentations_are_refused(opened: Opened, tmp_path: Path) -> None:
    prolog = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    with pytest.raises(DamagedFile, match=r"a\.pptx declares a document type"):
        list(read_pptx(opened(pptx_of(tmp_path / "a.pptx", (shape("&b;"),), prolog=prolog)), LIMITS).blocks)
    with pytest.raises(TooLarge, match=r"b\.pptx unpacks"):
        read_pptx(opened(pptx_of(tmp_path / "b.pptx", (), parts={"ppt/media/x.bin": b"\0" * 50_000_000})), LIMITS)
    with pytest.raises(TooLarge, match="nests"):
        list(read_pptx(opened(pptx_of(tmp_path / "c.pptx", ("<p:x>" * 3000 + "</p:x>" * 3000,))), LIMITS).blocks)
    with pytest.raises(TooLarge, match="slides"):
        list(read_pptx(opened(pptx_of(tmp_path / "d.pptx", (shape("x"),) * 3)), ReadLimits(max_pages=2)).blocks)


def test_what_is_no_presentation_is_refused(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match="not a PowerPoint presentation"):
        read_pptx(opened(package_of(tmp_path / "a.pptx", {"x": "y"})), LIMITS)
    with pytest.raises(EmptyFile):
        list(read_pptx(opened(pptx_of(tmp_path / "b.pptx", ("<p:cSld/>",))), LIMITS).blocks)
