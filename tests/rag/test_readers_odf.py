from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rag.errors import DamagedFile, EmptyFile, EncryptedFile, TooLarge
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.odf_text import read_odp, read_odt
from rag.readers.ods import read_ods
from rag.readers.sniff import find_format
from rag.records import Locator
from tests.rag.conftest import Opened
from tests.rag.made_office import odf_of, package_of

LIMITS = ReadLimits()
READERS: dict[str, Callable[[OpenedFile, ReadLimits], Reading]] = {
    "text": read_odt,
    "spreadsheet": read_ods,
    "presentation": read_odp,
}


def text_of(opened: Opened, path: Path, body: str, styles: str = "") -> list[tuple[tuple[str, ...], str]]:
    reading = read_odt(opened(odf_of(path, "text", body, styles=styles)), LIMITS)
    return [(block.heading_path, block.text) for block in reading.blocks]


def lines_of(opened: Opened, path: Path, body: str) -> dict[tuple[str, int], str]:
    lines: dict[tuple[str, int], str] = {}
    for block in read_ods(opened(odf_of(path, "spreadsheet", body)), LIMITS).blocks:
        assert block.locator.sheet is not None
        assert block.locator.row is not None
        for number, line in enumerate(block.text.split("\n"), start=block.locator.row):
            lines[block.locator.sheet, number] = line
    return lines


def cell(text: str, more: str = "") -> str:
    return f'<table:table-cell office:value-type="string" {more}><text:p>{text}</text:p></table:table-cell>'


def row(*cells: str, more: str = "") -> str:
    return f"<table:table-row {more}>{''.join(cells)}</table:table-row>"


def sheet(*rows: str, name: str = "Q3") -> str:
    return f'<table:table table:name="{name}">{"".join(rows)}</table:table>'


def test_headings_paragraphs_lists_and_tables(opened: Opened, tmp_path: Path) -> None:
    body = (
        '<text:p text:style-name="P1">My report</text:p><text:h text:outline-level="1">Costs</text:h>'
        "<text:p>The rent<text:s text:c='2'/>is <text:span>due</text:span><text:line-break/>now.</text:p>"
        '<text:h text:outline-level="2">List</text:h>'
        "<text:list><text:list-item><text:p>one</text:p></text:list-item>"
        "<text:list-item><text:p>two</text:p></text:list-item></text:list>"
        f"{sheet(row(cell('Item'), cell('€')), row(cell('Rent'), cell('1')))}"
        '<text:h text:outline-level="2">Nothing below</text:h>'
    )
    styles = '<style:style style:name="P1" style:parent-style-name="Title"/>'
    assert text_of(opened, tmp_path / "a.odt", body, styles) == [
        (("My report", "Costs"), "The rent  is due\nnow."),
        (("My report", "Costs", "List"), "- one\n- two\n\nItem | €\nRent | 1"),
        (("My report", "Costs"), "Nothing below"),
    ]


def test_notes_and_comments_come_last_and_deletions_and_contents_not_at_all(opened: Opened, tmp_path: Path) -> None:
    body = (
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
        "<text:table-of-content><text:p>Costs 1</text:p></text:table-of-content>"
        "<text:p>Body<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>See annex.</text:p>"
        "</text:note-body></text:note> goes on."
        "<office:annotation><dc:creator>Ada</dc:creator><dc:date>2025-03-14</dc:date><text:p>Since when?</text:p>"
        "<text:p>Ask Bob.</text:p></office:annotation></text:p>"
        "<text:p><draw:frame><draw:text-box><text:p>in the box</text:p></draw:text-box>"
        "<svg:desc>A red house</svg:desc></draw:frame>around</text:p>"
    )
    assert text_of(opened, tmp_path / "a.odt", body) == [
        ((), "Body goes on.\n\nin the box\n\nPicture: A red house\n\naround"),
        (("Footnotes",), "See annex."),
        (("Comments",), "Ada: Since when?\nAsk Bob."),
    ]


def test_headers_and_footers_are_read_once(opened: Opened, tmp_path: Path) -> None:
    master_page = (
        "<style:header><text:p>Heron Ltd</text:p><text:h>Our ref. 4711</text:h></style:header>"
        "<style:header-left><text:p>Heron Ltd</text:p></style:header-left><text:p>no header</text:p>"
        "<style:footer><text:p><text:page-number>12</text:page-number></text:p></style:footer>"
    )
    path = odf_of(tmp_path / "a.odt", "text", "<text:p>The rent.</text:p>", master_page=master_page)
    assert [(block.heading_path, block.text) for block in read_odt(opened(path), LIMITS).blocks] == [
        ((), "The rent."),
        (("Header and footer",), "Heron Ltd\n\nOur ref. 4711"),
    ]


def test_comments_of_cells_and_slides(opened: Opened, tmp_path: Path) -> None:
    comment = (
        "<office:annotation><dc:creator>Ada</dc:creator><dc:date>2025-03-14</dc:date>"
        "<text:p>Since</text:p><text:p>when?</text:p></office:annotation>"
    )
    commented = f'<table:table-cell office:value-type="string">{comment}<text:p>Rent</text:p></table:table-cell>'
    empty = '<table:table-row table:number-rows-repeated="8"/>'
    body = sheet(row(cell("Item"), commented), empty, row(cell("x", 'table:number-columns-repeated="26"'), commented))
    blocks = list(read_ods(opened(odf_of(tmp_path / "a.ods", "spreadsheet", body)), LIMITS).blocks)
    assert [(str(block.locator), block.text) for block in blocks if block.heading_path == ("Q3", "Comments")] == [
        ("Q3 row 1", "B1, Ada: Since when?"),
        ("Q3 row 10", "AA10, Ada: Since when?"),
    ]
    assert blocks[0].text == "Item | Rent"
    slide = (
        f"<draw:page><draw:frame><draw:text-box><text:p>One</text:p></draw:text-box></draw:frame>{comment}</draw:page>"
    )
    (block,) = read_odp(opened(odf_of(tmp_path / "a.odp", "presentation", slide)), LIMITS).blocks
    assert block.text == "One\nComment by Ada: Since\nwhen?"


def test_who_wrote_it_and_when(opened: Opened, tmp_path: Path) -> None:
    meta = (
        "<dc:title>Costs</dc:title><meta:initial-creator>Ada</meta:initial-creator><dc:creator>Bob</dc:creator>"
        "<meta:creation-date>2013-01-01T00:00:00</meta:creation-date><dc:date>2025-03-14T10:15:00.123456789</dc:date>"
    )
    reading = read_odt(opened(odf_of(tmp_path / "a.odt", "text", "<text:p>x</text:p>", meta=meta)), LIMITS)
    assert (reading.title, reading.author) == ("Costs", "Ada")
    assert reading.written_at_s == datetime(2025, 3, 14, 10, 15, tzinfo=UTC).timestamp()


def test_a_sheet_shows_what_a_person_sees(opened: Opened, tmp_path: Path) -> None:
    body = sheet(
        row(cell("Day"), cell("Share"), cell("Rent")),
        row(
            '<table:table-cell office:value-type="date" office:date-value="2025-03-14"><text:p>14.03.25</text:p>'
            "</table:table-cell>",
            '<table:table-cell office:value-type="percentage" office:value="0.125"><text:p>12,5 %</text:p>'
            "</table:table-cell>",
            '<table:table-cell office:value-type="currency" office:value="1250"><text:p>1.250,00 €</text:p>'
            "</table:table-cell>",
        ),
        row(
            '<table:table-cell office:value-type="date" office:date-value="2025-03-14T09:30:00"/>',
            '<table:table-cell office:value-type="float" office:value="0.5"/>',
            cell("two</text:p><text:p>lines"),
        ),
    )
    assert lines_of(opened, tmp_path / "a.ods", body) == {
        ("Q3", 1): "Day | Share | Rent",
        ("Q3", 2): "Day: 2025-03-14 | Share: 12,5 % | Rent: 1.250,00 €",
        ("Q3", 3): "Day: 2025-03-14 09:30 | Share: 0.5 | Rent: two lines",
    }


def test_repeated_rows_and_cells_are_counted_not_made(opened: Opened, tmp_path: Path) -> None:
    nothing = '<table:table-cell table:number-columns-repeated="16384"/>'
    body = sheet(
        row(cell("a", 'table:number-columns-repeated="3"'), cell("b")),
        row(nothing, more='table:number-rows-repeated="1000000"'),
        row(cell("c"), more='table:number-rows-repeated="2"'),
        row(cell("d", 'table:number-columns-repeated="99999999"'), more='table:number-rows-repeated="99999999999"'),
        name="Q&#9;3&#x85;",
    ) + sheet(row(cell("e")), name="Other")
    lines = lines_of(opened, tmp_path / "a.ods", body)
    assert lines["Q 3", 1] == "a | a | a | b"
    assert lines["Q 3", 1_000_002] == lines["Q 3", 1_000_003] == "c"
    assert lines["Other", 1] == "e"
    assert len(lines) < 2_000


def test_merged_cells_are_read_in_each_row(opened: Opened, tmp_path: Path) -> None:
    body = sheet(
        row(cell("Region", 'table:number-rows-spanned="2"'), cell("2024", 'table:number-columns-spanned="2"')),
        row("<table:covered-table-cell/>", cell("Q1"), cell("Q2")),
        row(cell("North", 'table:number-rows-spanned="2"'), cell("1"), cell("2")),
        row("<table:covered-table-cell/>", cell("3"), cell("4")),
    )
    assert lines_of(opened, tmp_path / "a.ods", body)["Q3", 4] == "Region: North | 2024 Q1: 3 | 2024 Q2: 4"


def test_slides_with_titles_and_notes(opened: Opened, tmp_path: Path) -> None:
    def frame(text: str, kind: str) -> str:
        box = f"<draw:text-box><text:p>{text}</text:p></draw:text-box>"
        return f'<draw:frame presentation:class="{kind}">{box}</draw:frame>'

    body = (
        f"<draw:page>{frame('Roadmap', 'title')}{frame('First', 'outline')}{frame('7', 'page-number')}"
        f"<presentation:notes>{frame('Greet Bob.', 'notes')}</presentation:notes></draw:page>"
        f"<draw:page>{frame('Only a title', 'title')}</draw:page><draw:page/>"
        f"<draw:page>{frame('last', '')}</draw:page>"
    )
    reading = read_odp(opened(odf_of(tmp_path / "a.odp", "presentation", body)), LIMITS)
    assert [(block.locator, block.heading_path, block.text) for block in reading.blocks] == [
        (Locator(slide=1), ("Roadmap",), "First\nNotes: Greet Bob."),
        (Locator(slide=2), (), "Only a title"),
        (Locator(slide=4), (), "last"),
    ]
    assert reading.title == "Roadmap"


@pytest.mark.parametrize(("kind", "extension"), [("text", "odt"), ("spreadsheet", "ods"), ("presentation", "odp")])
def test_hostile_files_of_each_kind(opened: Opened, tmp_path: Path, kind: str, extension: str) -> None:
    read = READERS[kind]
    prolog = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    with pytest.raises(DamagedFile, match="declares a document type"):
        list(read(opened(odf_of(tmp_path / f"a.{extension}", kind, "&a;", prolog=prolog)), LIMITS).blocks)
    with pytest.raises(TooLarge, match="nests"):
        list(read(opened(odf_of(tmp_path / "b", kind, "<text:x>" * 3000 + "</text:x>" * 3000)), LIMITS).blocks)
    with pytest.raises(EmptyFile):
        list(read(opened(odf_of(tmp_path / "c", kind, "<text:p> </text:p>")), LIMITS).blocks)
    with pytest.raises(DamagedFile, match="is not an OpenDocument"):
        read(opened(package_of(tmp_path / "d", {"x": "y"})), LIMITS)
    whole = odf_of(tmp_path / "e", kind, "<text:p>x</text:p>" * 500).read_bytes()
    with pytest.raises(DamagedFile, match=r"cut\.od.") as raised:
        list(read(opened(tmp_path / f"cut.{extension}", whole[: len(whole) // 2]), LIMITS).blocks)
    assert raised.value.hint


@pytest.mark.parametrize(("kind", "expected"), [("text", "odt"), ("spreadsheet", "ods"), ("presentation", "odp")])
def test_the_kind_is_told_by_the_content(opened: Opened, tmp_path: Path, kind: str, expected: str) -> None:
    assert find_format(opened(odf_of(tmp_path / "a.docx", kind, "<text:p>x</text:p>"))) == expected


def test_an_encrypted_document_is_recognised(opened: Opened, tmp_path: Path) -> None:
    path = odf_of(tmp_path / "a.odt", "text", "", manifest="<manifest><encryption-data/></manifest>")
    with pytest.raises(EncryptedFile, match="password") as raised:
        find_format(opened(path))
    assert raised.value.hint
