from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pikepdf
import pytest
from pikepdf import Name

from rag.errors import DamagedFile, EmptyFile, EncryptedFile, ReadError, TooLarge
from rag.readers.contract import Reading, ReadLimits
from rag.readers.pdf import join_broken_lines, legible, read_pdf
from rag.records import Locator
from tests.rag.conftest import Opened
from tests.rag.made_files import pdf_bytes

LIMITS = ReadLimits()


def reading_of(opened: Opened, path: Path, content: bytes, limits: ReadLimits = LIMITS) -> Reading:
    reading = read_pdf(opened(path, content), limits)
    reading.blocks = iter(list(reading.blocks))
    return reading


def test_each_page_has_its_number_and_its_words(opened: Opened, tmp_path: Path) -> None:
    content = pdf_bytes([["The rent is 1,250."], ["The deposit is 3,750 (three months)."]], title="Lease")
    reading = reading_of(opened, tmp_path / "a.pdf", content)
    assert reading.title == "Lease"
    assert [(block.locator, block.text) for block in reading.blocks] == [
        (Locator(page=1), "The rent is 1,250."),
        (Locator(page=2), "The deposit is 3,750 (three months)."),
    ]


def test_of_many_pages_it_is_told_how_many_were_gone_through(opened: Opened, tmp_path: Path) -> None:
    reading = read_pdf(opened(tmp_path / "a.pdf", pdf_bytes([[f"Rent of month {n}."] for n in range(20)])), LIMITS)
    assert reading.through is not None
    through = reading.through
    assert [through() for _ in reading.blocks] == [page / 20 for page in range(20)]
    assert read_pdf(opened(tmp_path / "b.pdf", pdf_bytes([["The rent."]])), LIMITS).through is None


def test_the_outline_gives_headings_where_its_words_are_on_the_page(opened: Opened, tmp_path: Path) -> None:
    lines = ["1 Rent", "It is due on the first day of every month, by bank transfer to the landlord.", "It may rise."]
    content = pdf_bytes(
        [[*lines, "2 Deposit", "Three months' rent."], ["More on the deposit."]],
        outline=[("Rent", 0), ("Not on the page", 0), ("Deposit", 0)],
    )
    blocks = list(reading_of(opened, tmp_path / "a.pdf", content).blocks)
    assert [(block.heading_path, block.locator.page) for block in blocks] == [
        (("Rent",), 1),
        (("Deposit",), 1),
        (("Deposit",), 2),
    ]
    assert blocks[1].text.startswith("2 Deposit")


def test_lines_broken_by_the_page_are_joined_and_others_kept() -> None:
    assert join_broken_lines(
        "This is a paragraph whose lines were broken by the width of the\n"
        "page, which is not where its sentences end. It has three of\n"
        "them.\n"
        "Short list:\n"
        "- one\n"
        "- two"
    ).split("\n") == [
        "This is a paragraph whose lines were broken by the width of the page, which is not where its sentences end."
        " It has three of them.",
        "Short list:",
        "- one",
        "- two",
    ]


def test_the_rows_of_a_table_stay_whole(opened: Opened, tmp_path: Path) -> None:
    def draw_table(document: pikepdf.Pdf) -> None:
        cells = [
            ("Item", "Months", "Rent"),
            ("Flat by the river, ground floor", "12", "850.00"),
            ("Garage", "3", "9.99"),
        ]
        drawn = "".join(
            f"BT /F1 11 Tf {x} {700 - 16 * row} Td ({text}) Tj ET\n"
            for row, texts in enumerate(cells)
            for x, text in zip((72, 320, 480), texts, strict=True)
        )
        document.pages[0].Contents = document.make_stream(drawn.encode())

    (block,) = reading_of(opened, tmp_path / "a.pdf", with_objects(pdf_bytes([["x"]]), draw_table)).blocks
    rows = [" ".join(line.split()) for line in block.text.split("\n")]
    assert rows == ["Item Months Rent", "Flat by the river, ground floor 12 850.00", "Garage 3 9.99"]


def test_pages_without_text_are_noted(opened: Opened, tmp_path: Path) -> None:
    reading = reading_of(opened, tmp_path / "a.pdf", pdf_bytes([["words"], [], [], ["more"], []]))
    assert reading.notes == ["no text layer on pages 2-3, 5 (scanned?)"]


def test_a_scan_is_refused_with_the_reason(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"a\.pdf has no text layer") as raised:
        reading_of(opened, tmp_path / "a.pdf", pdf_bytes([[], []]))
    assert "OCR" in raised.value.hint


def test_an_encrypted_file_is_told_from_a_damaged_one(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(EncryptedFile, match=r"a\.pdf is protected by a password"):
        reading_of(opened, tmp_path / "a.pdf", pdf_bytes([["words"]], encrypted=True))


def test_no_pages_are_empty(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(EmptyFile, match=r"a\.pdf has no pages"):
        reading_of(opened, tmp_path / "a.pdf", pdf_bytes([]))


@pytest.mark.parametrize("tenth", range(10))
def test_a_truncated_file_is_refused_or_gives_whole_pages(opened: Opened, tmp_path: Path, tenth: int) -> None:
    pages = [[f"Page {number} says {number * 111}." for _ in range(40)] for number in range(1, 9)]
    content = pdf_bytes(pages)
    cut = content[: 10 + len(content) * tenth // 10]
    try:
        reading = reading_of(opened, tmp_path / "a.pdf", cut)
    except (DamagedFile, EmptyFile):
        return
    # pdfium rebuilt the table of objects: what it found must be what the page says.
    for block in reading.blocks:
        assert f"Page {block.locator.page} says {(block.locator.page or 0) * 111}." in block.text


def test_what_can_be_recovered_of_a_file_that_was_cut_off_is_read_and_said(opened: Opened, tmp_path: Path) -> None:
    content = pdf_bytes([[f"Page {number} is whole."] for number in range(1, 9)])
    reading = reading_of(opened, tmp_path / "a.pdf", content[: len(content) * 3 // 4])
    blocks = list(reading.blocks)
    assert blocks
    assert blocks[0].text == "Page 1 is whole."
    assert "the file is damaged; what could be recovered of it was read" in reading.notes


def test_more_pages_than_the_limit_are_refused_by_name_of_the_setting(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(TooLarge) as raised:
        reading_of(opened, tmp_path / "a.pdf", pdf_bytes([["x"]] * 5), ReadLimits(max_pages=4))
    assert "library.max_pages" in raised.value.hint


def test_who_wrote_it_and_when(opened: Opened, tmp_path: Path) -> None:
    with pikepdf.open(io.BytesIO(pdf_bytes([["x"]]))) as document:
        document.docinfo["/Author"] = "Ada Lovelace"
        document.docinfo["/CreationDate"] = "D:20250314111500+01'00'"
        document.docinfo["/ModDate"] = "D:20260101000000Z"
        document.save(tmp_path / "a.pdf")
    reading = read_pdf(opened(tmp_path / "a.pdf"), ReadLimits())
    assert reading.author == "Ada Lovelace"
    assert reading.written_at_s == datetime(2025, 3, 14, 10, 15, tzinfo=UTC).timestamp()


def with_objects(content: bytes, change: Callable[[pikepdf.Pdf], None]) -> bytes:
    made = io.BytesIO()
    with pikepdf.open(io.BytesIO(content)) as document:
        change(document)
        document.save(made)
    return made.getvalue()


def annotate(document: pikepdf.Pdf, *annotations: dict[str, object]) -> pikepdf.Array:
    """The annotations, put on the first page."""
    made = pikepdf.Array()
    for annotation in annotations:
        keys = {"/Type": Name.Annot, "/Rect": [0, 0, 99, 9], **{f"/{key}": value for key, value in annotation.items()}}
        made.append(document.make_indirect(pikepdf.Dictionary(keys)))
    document.pages[0].Annots = made
    return made


def test_what_was_filled_in_is_read_under_the_names_of_the_form(opened: Opened, tmp_path: Path) -> None:
    def fill(document: pikepdf.Pdf) -> None:
        widget = {"Subtype": Name.Widget}
        fields = annotate(
            document,
            {**widget, "FT": Name.Tx, "T": "form1[0].name[0]", "V": "Ada Lovelace"},
            {**widget, "FT": Name.Tx, "T": "b", "TU": "Date of birth", "V": "10 December 1815"},
            {**widget, "FT": Name.Tx, "T": "empty"},
            {**widget, "FT": Name.Tx, "T": "secret", "V": "hunter2", "Ff": 1 << 13},
            {**widget, "FT": Name.Ch, "T": "city", "V": "Paris", "Opt": ["London", "Paris"]},
            {**widget, "FT": Name.Btn, "T": "agreed", "V": Name.Yes, "AS": Name.Yes, "AP": {"/N": {"/Yes": None}}},
            {**widget, "FT": Name.Btn, "T": "refused", "V": Name.Off, "AS": Name.Off},
        )
        document.Root.AcroForm = pikepdf.Dictionary(Fields=fields, NeedAppearances=True)

    blocks = list(reading_of(opened, tmp_path / "a.pdf", with_objects(pdf_bytes([["Who?"], ["x"]]), fill)).blocks)
    assert [(block.heading_path, block.locator.page) for block in blocks] == [((), 1), (("Form",), 1), ((), 2)]
    assert blocks[1].text.split("\n")[:3] == ["name: Ada Lovelace", "Date of birth: 10 December 1815", "city: Paris"]
    assert "hunter2" not in blocks[1].text
    assert "refused" not in blocks[1].text


def test_remarks_are_read_beside_the_page_and_make_a_scan_worth_reading(opened: Opened, tmp_path: Path) -> None:
    def remark(document: pikepdf.Pdf) -> None:
        annotate(
            document,
            {"Subtype": Name.Text, "Contents": "Since when?", "T": "Ada"},
            {"Subtype": Name.FreeText, "Contents": "Typed on the page"},
            {"Subtype": Name.Highlight, "Contents": "The rent."},
            {"Subtype": Name.Popup, "Contents": "Since when?"},
        )

    marked = with_objects(pdf_bytes([["The rent."]]), remark)
    blocks = list(reading_of(opened, tmp_path / "a.pdf", marked).blocks)
    assert [(block.heading_path, block.text) for block in blocks] == [
        ((), "The rent."),
        (("Remarks",), "Ada: Since when?\n\nTyped on the page"),
    ]
    scan = reading_of(opened, tmp_path / "b.pdf", with_objects(pdf_bytes([[]]), remark))
    assert [block.locator.page for block in scan.blocks] == [1]
    assert scan.notes == ["no text layer on page 1 (scanned?)"]


def test_attached_files_are_files_inside(opened: Opened, tmp_path: Path) -> None:
    def attach(document: pikepdf.Pdf) -> None:
        document.attachments["data.xml"] = b"<total>12</total>"
        document.attachments["../up/notes.txt"] = b"the rent"

    content = with_objects(pdf_bytes([["Invoice"]]), attach)
    members = list(read_pdf(opened(tmp_path / "a.pdf", content), LIMITS).members)
    assert {member.path: member.open().read() for member in members} == {
        "data.xml": b"<total>12</total>",
        "notes.txt": b"the rent",
    }
    small = ReadLimits(max_file_bytes=5)
    with pytest.raises(TooLarge, match=r"attached to b\.pdf"):
        next(iter(read_pdf(opened(tmp_path / "b.pdf", content), small).members)).open()


def test_hyphens_that_join_words_stay_and_those_of_a_broken_word_go(opened: Opened, tmp_path: Path) -> None:
    lines = [
        "It is hyphen-",
        "ated, Smith-",
        "Jones says; state-of-the-",
        "art since 2019-",
        "2020, says the LAND-",
        "LORD.",
    ]
    (block,) = reading_of(opened, tmp_path / "a.pdf", pdf_bytes([lines])).blocks
    words = " ".join(block.text.split())
    assert words == "It is hyphenated, Smith-Jones says; state-of-the-art since 2019-2020, says the LANDLORD."


def test_a_heading_that_runs_over_lines_is_found_by_the_outline(opened: Opened, tmp_path: Path) -> None:
    lines = ["2.1 On the rent that is due", "and the deposit", "It is due on the first day."]
    content = pdf_bytes([lines], outline=[("On the rent that is due and the deposit", 0)])
    (block,) = reading_of(opened, tmp_path / "a.pdf", content).blocks
    assert block.heading_path == ("On the rent that is due and the deposit",)


def test_what_programs_write_for_no_title_is_none(opened: Opened, tmp_path: Path) -> None:
    assert reading_of(opened, tmp_path / "a.pdf", pdf_bytes([["x"]], title="(Untitled)")).title == ""


def test_a_font_that_does_not_tell_its_letters_is_looked_at_instead(opened: Opened, tmp_path: Path) -> None:
    def number_glyphs(document: pikepdf.Pdf) -> None:
        words = "The rent is due on the first of May and not before " * 10
        glyphs = b"".join((ord(letter) - 29).to_bytes(2, "big") for letter in words)
        descriptor = {"/Type": Name.FontDescriptor, "/FontName": Name("/AAAAAA+Own"), "/Flags": 4, "/ItalicAngle": 0}
        inner = pikepdf.Dictionary(
            Type=Name.Font,
            Subtype=Name.CIDFontType2,
            BaseFont=Name("/AAAAAA+Own"),
            CIDSystemInfo=pikepdf.Dictionary(Registry=b"Adobe", Ordering=b"Identity", Supplement=0),
            FontDescriptor=document.make_indirect(pikepdf.Dictionary(descriptor)),
            CIDToGIDMap=Name.Identity,
        )
        font = pikepdf.Dictionary(
            Type=Name.Font,
            Subtype=Name.Type0,
            BaseFont=Name("/AAAAAA+Own"),
            Encoding=Name("/Identity-H"),
            DescendantFonts=[document.make_indirect(inner)],
        )
        document.pages[1].Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
        document.pages[1].Contents = document.make_stream(b"BT /F1 12 Tf 72 700 Td <%s> Tj ET" % glyphs.hex().encode())

    content = with_objects(pdf_bytes([["The lease"], ["x"]]), number_glyphs)
    reading = reading_of(opened, tmp_path / "a.pdf", content)
    assert [block.locator.page for block in reading.blocks] == [1, 2]
    assert reading.notes == ["the fonts on page 2 do not tell which letters they show"]
    drawing = reading_of(opened, tmp_path / "b.pdf", content, ReadLimits(draws=True))
    assert [block.drawing is not None for block in drawing.blocks] == [False, True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See https://example.org/a/rather/long/path/to/a/page for more, says " * 5, True),
        ("\u79df\u91d1\u6bcf\u6708\u4e00\u65e5\u5230\u671f" * 40, True),
        ("\ue001\ue002 \ue003 " * 80, False),
        ("7KHUHQWLVGXHRQWKHILUVWRI0D" * 20, False),
        ("7KHUHQWLVGXHRQWKHILUVWRI0D", True),
    ],
    ids=["links", "no spaces", "own signs", "endless", "too little to judge"],
)
def test_which_text_is_legible(text: str, expected: bool) -> None:
    assert legible(text) is expected


def test_a_million_objects_are_no_hindrance(opened: Opened, tmp_path: Path) -> None:
    whole = pdf_bytes([["The rent."]])
    table = whole.rindex(b"xref\n0")
    known = whole[table:].split(b"\n")
    own = int(known[1].split()[1])
    one = b"%07d 0 obj\nnull\nendobj\n"
    others = range(own, own + 1_000_000)
    places = range(table, table + len(one % 0) * len(others), len(one % 0))
    content = (
        whole[:table]
        + b"".join(one % number for number in others)
        + b"xref\n0 %d\n" % others.stop
        + b"".join(line + b"\n" for line in known[2 : 2 + own])
        + b"".join(b"%010d 00000 n \n" % place for place in places)
        + whole[whole.rindex(b"trailer\n") : whole.rindex(b"startxref")].replace(
            b"/Size %d" % own, b"/Size %d" % others.stop
        )
        + b"startxref\n%d\n%%%%EOF\n" % places.stop
    )
    (block,) = reading_of(opened, tmp_path / "a.pdf", content).blocks
    assert block.text == "The rent."
