from __future__ import annotations

import tracemalloc
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import xlsxwriter

from rag.errors import DamagedFile, EmptyFile, EncryptedFile, TooLarge
from rag.readers.contract import Reading, ReadLimits
from rag.readers.sniff import find_format
from rag.readers.xlsx import column_of, read_xlsx
from tests.rag.conftest import Opened
from tests.rag.made_office import MAIN, PACKAGE_RELATIONS, RELATIONS, package_of, xlsx_of

LIMITS = ReadLimits()
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500


def lines_of(reading: Reading) -> dict[tuple[str, int], str]:
    lines: dict[tuple[str, int], str] = {}
    for block in reading.blocks:
        assert block.locator.sheet is not None
        assert block.locator.row is not None
        for number, line in enumerate(block.text.split("\n"), start=block.locator.row):
            lines[block.locator.sheet, number] = line
    return lines


def read_lines(opened: Opened, path: Path) -> dict[tuple[str, int], str]:
    return lines_of(read_xlsx(opened(path), LIMITS))


def cell(reference: str, value: str | float, kind: str = "n", style: int = 0) -> str:
    return f'<c r="{reference}" t="{kind}" s="{style}"><v>{value}</v></c>'


def test_a_workbook_as_programs_write_it(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        book.set_properties({"title": "Costs", "author": "Ada Lovelace", "created": datetime(2025, 3, 14, 10, 15)})
        day, share = book.add_format({"num_format": "dd.mm.yyyy"}), book.add_format({"num_format": "0.0%"})
        money = book.add_format({"num_format": '#,##0.00 "€"'})
        sheet = book.add_worksheet("Q3")
        sheet.write_row(0, 0, ["City", "Day", "Share", "Rent", "Sum", "Paid"])
        sheet.write(1, 0, "  Köln\nam Rhein ")
        sheet.write_datetime(1, 1, datetime(2025, 3, 14), day)
        sheet.write(1, 2, 0.125, share)
        sheet.write(1, 3, 1250, money)
        sheet.write_formula(1, 4, "=D2*2", money, 2500)
        sheet.write(1, 5, True)
        book.add_chartsheet("Chart")
        hidden = book.add_worksheet("Hidden")
        hidden.hide()
        hidden.write(9, 3, "found too")
    reading = read_xlsx(opened(path), LIMITS)
    assert lines_of(reading) == {
        ("Q3", 1): "City | Day | Share | Rent | Sum | Paid",
        ("Q3", 2): "City: Köln am Rhein | Day: 2025-03-14 | Share: 12.5% | Rent: 1,250.00 € | Sum: 2,500.00 €"
        " | Paid: TRUE",
        ("Hidden", 10): "found too",
    }
    assert (reading.title, reading.author) == ("Costs", "Ada Lovelace")
    assert reading.written_at_s == datetime(2025, 3, 14, 10, 15, tzinfo=UTC).timestamp()
    assert find_format(opened(path)) == "xlsx"


def test_merged_headers_and_groups(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet("S")
        sheet.merge_range(0, 0, 0, 2, "Sales by region", None)
        sheet.merge_range(1, 0, 2, 0, "Region", None)
        sheet.merge_range(1, 1, 1, 2, "2024", None)
        sheet.write_row(2, 1, ["Q1", "Q2"])
        sheet.merge_range(3, 0, 4, 0, "North", None)
        sheet.write_row(3, 1, [1, 2])
        sheet.write_row(4, 1, [3, 4])
    reading = read_xlsx(opened(path), LIMITS)
    blocks = list(reading.blocks)
    assert blocks[0].heading_path == ("S", "Sales by region")
    assert blocks[0].text.split("\n")[3:] == [
        "Region: North | 2024 Q1: 1 | 2024 Q2: 2",
        "Region: North | 2024 Q1: 3 | 2024 Q2: 4",
    ]


def test_formulas_that_were_never_computed_are_told(opened: Opened, tmp_path: Path) -> None:
    path = xlsx_of(tmp_path / "a.xlsx", f'<row r="1">{cell("A1", 5)}<c r="B1"><f>A1*2</f></c></row>')
    reading = read_xlsx(opened(path), LIMITS)
    assert lines_of(reading) == {("Sheet", 1): "5"}
    assert "1 formulas have no computed value" in reading.notes[0]


def test_odd_references_and_numbers(opened: Opened, tmp_path: Path) -> None:
    rows = (
        '<row><c><v>1</v></c><c t="s"><v>0</v></c><c t="s"><v>99</v></c><c t="s"><v>-1</v></c></row>'
        '<row r="1"><c r="ZZZZ1"><v>2</v></c><c r="??"><v>many</v></c><c r="D2" s="77"><v>1e400</v></c></row>'
        '<row r="99999999999"><c t="inlineStr"><is><t>in</t><t>line</t></is></c><c t="e"><v>#REF!</v></c>'
        '<c t="d"><v>2025-03-14T00:00:00</v></c></row>'
    )
    path = xlsx_of(tmp_path / "a.xlsx", rows, strings=("shared_x000D_ words",))
    assert read_lines(opened, path) == {
        ("Sheet", 1): "1 | shared words",
        ("Sheet", 2): "2 | many | inf",
        ("Sheet", 3): "inline | #REF! | 2025-03-14",
    }
    assert [column_of(each) for each in ("A", "Z", "AA", "XFD", "XFE", "a", "")] == [0, 25, 26, 16383, -1, -1, -1]


def test_sheet_names_with_control_characters(opened: Opened, tmp_path: Path) -> None:
    path = xlsx_of(tmp_path / "a.xlsx", f'<row r="1">{cell("A1", 5)}</row>', sheet_name="Q&#9;3&#x85;&#x202e;\u200bx")
    assert list(read_lines(opened, path)) == [("Q 3 x", 1)]


def test_a_million_empty_rows_and_the_last_cell(opened: Opened, tmp_path: Path) -> None:
    empty = "".join(f'<row r="{row}" s="1"><c r="A{row}" s="1"/></row>' for row in range(2, 30_000))
    last = '<row r="1048576"><c r="XFD1048576"><v>7</v></c></row>'
    path = xlsx_of(tmp_path / "a.xlsx", f'<row r="1">{cell("A1", 5)}</row>{empty}{last}')
    file = opened(path)
    tracemalloc.start()
    lines = lines_of(read_xlsx(file, LIMITS))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert lines == {("Sheet", 1): "5", ("Sheet", 1_048_576): "7"}
    assert peak_bytes < 4 << 20


def test_a_sheet_is_read_in_a_fraction_of_its_size(opened: Opened, tmp_path: Path) -> None:
    rows = "".join(f'<row r="{row}">{cell(f"A{row}", row**400, "str")}</row>' for row in range(1, 10_001))
    assert len(rows) > 12 << 20
    file = opened(xlsx_of(tmp_path / "a.xlsx", rows))
    del rows
    tracemalloc.start()
    last = [block.locator.row for block in read_xlsx(file, LIMITS).blocks][-1]
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert last is not None
    assert last > 9_990
    assert peak_bytes < 4 << 20


def test_a_row_of_every_column(opened: Opened, tmp_path: Path) -> None:
    path = xlsx_of(tmp_path / "a.xlsx", "".join(f'<row r="{row}">{"<c><v>1</v></c>" * 20_000}</row>' for row in (1, 2)))
    assert read_lines(opened, path)["Sheet", 2].count("|") == 16_383


def test_a_document_type_is_refused(opened: Opened, tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    outside = '<!DOCTYPE x [<!ENTITY b SYSTEM "file:///etc/passwd">]>'
    for prolog in (bomb, outside):
        path = xlsx_of(tmp_path / "a.xlsx", '<row r="1"><c><v>&b;</v></c></row>', prolog=prolog)
        with pytest.raises(DamagedFile, match=r"a\.xlsx declares a document type"):
            read_lines(opened, path)


def test_a_part_that_lies_about_its_size_is_refused(opened: Opened, tmp_path: Path) -> None:
    path = xlsx_of(tmp_path / "a.xlsx", f'<row r="1">{cell("A1", 5)}</row>' + " " * 1_000_000)
    content = bytearray(path.read_bytes())
    true_size = zipfile.ZipFile(path).getinfo("xl/worksheets/sheet1.xml").file_size.to_bytes(4, "little")
    assert content.count(true_size) == 2
    with pytest.raises(DamagedFile, match=r"a\.xlsx") as raised:
        read_lines(opened, Path(opened(path, bytes(content).replace(true_size, (1000).to_bytes(4, "little"))).path))
    assert raised.value.hint


def test_a_zip_bomb_is_refused_before_it_is_unpacked(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match=r"a\.xlsx unpacks"):
        read_lines(opened, xlsx_of(tmp_path / "a.xlsx", "", parts={"xl/bomb.bin": b"\0" * 50_000_000}))


def test_an_encrypted_workbook_is_recognised(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(EncryptedFile, match="password"):
        find_format(opened(tmp_path / "a.xlsx", OLE + "EncryptedPackage".encode("utf-16-le")))


def test_what_is_no_workbook_is_refused(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match=r"a\.xlsx is not an Excel workbook"):
        read_lines(opened, package_of(tmp_path / "a.xlsx", {"hello.txt": "hello"}))
    with pytest.raises(DamagedFile, match="not an Excel workbook"):
        find_format(opened(tmp_path / "b.xlsx", "just words"))
    with pytest.raises(EmptyFile):
        read_lines(opened, xlsx_of(tmp_path / "c.xlsx", '<row r="1"><c r="A1"/></row>'))


def test_comments_text_boxes_and_titles_of_charts_follow_the_rows(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet("Q3")
        sheet.write_row(0, 0, ["Rent", 1250])
        sheet.write_comment(9, 1, "Since\nwhen?", {"author": "Ada"})
        sheet.write_comment(1, 0, "Checked", {})
        sheet.insert_textbox(3, 3, "Typed beside the table")
        chart = book.add_chart({"type": "column"})
        chart.add_series({"values": "=Q3!$B$1:$B$1"})
        chart.set_title({"name": "Rents by quarter"})
        sheet.insert_chart(5, 5, chart)
    blocks = list(read_xlsx(opened(path), LIMITS).blocks)
    assert [(str(block.locator), block.heading_path, block.text) for block in blocks] == [
        ("Q3 row 1", ("Q3",), "Rent | 1250"),
        ("Q3 row 2", ("Q3", "Comments"), "A2: Checked"),
        ("Q3 row 10", ("Q3", "Comments"), "B10, Ada: Since when?"),
        ("Q3", ("Q3", "Drawings"), "Typed beside the table\n\nRents by quarter"),
    ]


def test_a_discussion_is_read_once(opened: Opened, tmp_path: Path) -> None:
    threaded = "http://schemas.microsoft.com/office/spreadsheetml/2018/threadedcomments"
    relation = f'<Relationship Id="{{0}}" Type="{RELATIONS}/{{0}}" Target="{{1}}"/>'
    path = xlsx_of(
        tmp_path / "a.xlsx",
        f"<row r='1'>{cell('A1', 1)}</row>",
        parts={
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE_RELATIONS}">'
            + relation.format("worksheet", "worksheets/sheet1.xml").replace('"worksheet"', '"s1"', 1)
            + relation.format("person", "persons.xml")
            + "</Relationships>",
            "xl/persons.xml": f'<personList xmlns="{threaded}"><person displayName="Ada" id="{{P}}"/></personList>',
            "xl/worksheets/_rels/sheet1.xml.rels": f'<Relationships xmlns="{PACKAGE_RELATIONS}">'
            + relation.format("comments", "../comments1.xml")
            + relation.format("threadedComment", "../threaded1.xml")
            + "</Relationships>",
            "xl/comments1.xml": f'<comments xmlns="{MAIN}"><authors><author>tc=1</author></authors><commentList>'
            '<comment ref="A1" authorId="0"><text><t>[Threaded comment] Your version of Excel …</t></text></comment>'
            '<comment ref="A2" authorId="9"><text><r><t>A </t></r><r><t>note</t></r></text></comment>'
            "</commentList></comments>",
            "xl/threaded1.xml": f'<ThreadedComments xmlns="{threaded}"><threadedComment ref="A1" personId="{{P}}">'
            '<text>Since when?</text></threadedComment><threadedComment ref="A1" personId="{Q}"><text>May.</text>'
            "</threadedComment></ThreadedComments>",
        },
    )
    assert [block.text for block in read_xlsx(opened(path), LIMITS).blocks] == [
        "1",
        "A1, Ada: Since when?",
        "A1: May.",
        "A2: A note",
    ]
