from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import olefile
import pytest
import xlwt

from rag.errors import EncryptedFile, ReadError, UnsupportedFile
from rag.readers.contract import ReadLimits
from rag.readers.sniff import accepts_name, find_format
from rag.readers.xls import read_xls
from rag.records import Block
from tests.rag.conftest import Opened
from tests.rag.made_office import ole_bytes, summary_information

LIMITS = ReadLimits()
FILE_PASS = b"\x2f\x00\x06\x00\x00\x00\x59\xb3\x0a\x9a"
"""A record that says that all that follow are encrypted, by the oldest of the ways."""


def xls_of(path: Path) -> Path:
    book = xlwt.Workbook()
    sheet = book.add_sheet("Old")
    for column, title in enumerate(("City", "Day", "Share", "Rent", "Paid")):
        sheet.write(0, column, title)
    sheet.write(1, 0, "Köln\nam Rhein")
    sheet.write(1, 1, date(2025, 3, 14), xlwt.easyxf(num_format_str="D-MMM-YY"))
    sheet.write(1, 2, 0.125, xlwt.easyxf(num_format_str="0.0%"))
    sheet.write(1, 3, 1250, xlwt.easyxf(num_format_str='#,##0.00 "€"'))
    sheet.write(1, 4, True)
    sheet.write_merge(2, 3, 0, 0, "North")
    sheet.write(2, 2, 1)
    sheet.write(3, 2, 2)
    book.add_sheet("Empty")
    book.add_sheet("Far").write(65535, 255, "last")
    book.save(str(path))
    return path


def test_a_workbook_as_a_person_sees_it(opened: Opened, tmp_path: Path) -> None:
    file = opened(xls_of(tmp_path / "a.xls"))
    assert find_format(file) == "xls"
    reading = read_xls(file, LIMITS)
    blocks = list(reading.blocks)
    assert [(block.locator.sheet, block.locator.row) for block in blocks] == [("Old", 1), ("Far", 65536)]
    assert blocks[0].text.split("\n") == [
        "City | Day | Share | Rent | Paid",
        "City: Köln am Rhein | Day: 2025-03-14 | Share: 12.5% | Rent: 1,250.00 € | Paid: TRUE",
        "City: North | Share: 1",
        "City: North | Share: 2",
    ]


def test_who_wrote_it_and_when(opened: Opened, tmp_path: Path) -> None:
    with olefile.OleFileIO(xls_of(tmp_path / "a.xls").read_bytes()) as ole:
        workbook = ole.openstream("Workbook").read()
    saved = datetime(2025, 3, 14, 10, 15, tzinfo=UTC)
    filetime = int((saved.timestamp() + 11_644_473_600) * 10_000_000)
    properties = summary_information({2: "Köln", 4: "Ada Lovelace"}, {12: 1, 13: filetime})
    content = ole_bytes({"Workbook": workbook, "\x05SummaryInformation": properties})
    reading = read_xls(opened(tmp_path / "b.xls", content), LIMITS)
    assert (reading.title, reading.author, reading.written_at_s) == ("Köln", "Ada Lovelace", saved.timestamp())
    assert list(reading.blocks)


def test_a_workbook_is_known_whatever_it_is_called(opened: Opened, tmp_path: Path) -> None:
    content = xls_of(tmp_path / "a.xls").read_bytes()
    for name in ("b.xlsx", "c.doc", "d"):
        assert find_format(opened(tmp_path / name, content)) == "xls"


def test_an_encrypted_workbook_is_recognised(opened: Opened, tmp_path: Path) -> None:
    start = b"\x09\x08\x10\x00\x00\x06\x05\x00\xbb\x0d\xcc\x07\x00\x00\x00\x00\x06\x00\x00\x00"
    with pytest.raises(EncryptedFile, match="password") as raised:
        read_xls(opened(tmp_path / "a.xls", start + FILE_PASS + b"\0" * 100), LIMITS)
    assert raised.value.hint


def part_of(opened: Opened, path: Path, content: bytes) -> ReadError | list[Block]:
    try:
        return list(read_xls(opened(path, content), LIMITS).blocks)
    except ReadError as error:
        return error


@pytest.mark.parametrize("tenth", range(10))
def test_a_truncated_workbook_is_refused_or_read_in_part(opened: Opened, tmp_path: Path, tenth: int) -> None:
    content = xls_of(tmp_path / "a.xls").read_bytes()
    read = part_of(opened, tmp_path / "b.xls", content[: 9 + len(content) * tenth // 10])
    assert read
    assert not isinstance(read, ReadError) or ("b.xls" in str(read) and read.hint)


@pytest.mark.parametrize(
    ("stream", "extension", "remedy"), [("WordDocument", "doc", ".docx"), ("PowerPoint Document", "ppt", ".pptx")]
)
def test_old_word_and_powerpoint_files_are_refused_with_the_remedy(
    opened: Opened, tmp_path: Path, stream: str, extension: str, remedy: str
) -> None:
    assert accepts_name(f"a.{extension}")
    for name in (f"a.{extension}", f"b.{extension}x", "c"):
        with pytest.raises(UnsupportedFile, match="old format") as raised:
            find_format(opened(tmp_path / name, ole_bytes({stream: b"x"})))
        assert remedy in raised.value.hint


def test_an_encrypted_document_is_recognised_however_large(opened: Opened, tmp_path: Path) -> None:
    content = ole_bytes({"EncryptionInfo": b"x", "EncryptedPackage": b"x" * 50_000})
    for name in ("a.docx", "a.xlsx", "a.pptx", "a"):
        with pytest.raises(EncryptedFile, match="password"):
            find_format(opened(tmp_path / name, content))
