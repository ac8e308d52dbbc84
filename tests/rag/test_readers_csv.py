from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.errors import DamagedFile, EmptyFile
from rag.readers.contract import ReadLimits
from rag.readers.csv_table import MAX_RECORD_CHARS, find_separator, read_csv
from rag.readers.sniff import find_format
from tests.rag.conftest import Opened

LIMITS = ReadLimits()


def rows_of(opened: Opened, path: Path, content: str | bytes) -> tuple[dict[int, str], list[str]]:
    """Lines by row number, and the notes."""
    reading = read_csv(opened(path, content), LIMITS)
    lines: dict[int, str] = {}
    for block in reading.blocks:
        assert block.locator.row is not None
        assert block.locator.sheet is None
        lines.update(enumerate(block.text.split("\n"), start=block.locator.row))
    return lines, reading.notes


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Ada;3,5;4,25", "Bob;1,0;2,5"], ";"),
        (["1,5;2,5;3,5", "4,5;-5,5;6,5"], ";"),
        (["1,5\t2,5", "3,5\t4,5"], "\t"),
        (["1,2,3", "4,5,6"], ","),
        (["1,2", "3,4"], ","),
        (["1,Ada;Bob", "2,Eve;Joe"], ","),
    ],
)
def test_decimal_commas_separate_nothing(lines: list[str], expected: str) -> None:
    assert find_separator(lines) == expected


@pytest.mark.parametrize(("separator", "name"), [(",", "a.csv"), (";", "a.csv"), ("\t", "a.tsv"), ("|", "a.csv")])
def test_the_separator_is_found(opened: Opened, tmp_path: Path, separator: str, name: str) -> None:
    content = "\n".join(separator.join(row) for row in (("Name", "City", "Born"), ("Ada", "London", "1815")))
    lines, notes = rows_of(opened, tmp_path / name, content)
    assert lines == {1: "Name | City | Born", 2: "Name: Ada | City: London | Born: 1815"}
    assert notes == []


def test_decimal_commas_do_not_mislead(opened: Opened, tmp_path: Path) -> None:
    content = "Artikel;Preis\nBrot;3,50\nMilch;1,19\nEier;2,99\n"
    assert rows_of(opened, tmp_path / "a.csv", content)[0][3] == "Artikel: Milch | Preis: 1,19"


def test_a_stated_separator_is_no_row_of_its_own(opened: Opened, tmp_path: Path) -> None:
    lines, _ = rows_of(opened, tmp_path / "a.csv", "sep=;\nName;Born\nAda;1815\n")
    assert lines == {2: "Name | Born", 3: "Name: Ada | Born: 1815"}


def test_rows_are_counted_as_a_spreadsheet_does(opened: Opened, tmp_path: Path) -> None:
    lines, _ = rows_of(opened, tmp_path / "a.csv", 'Name,Note\nAda,"two\nlines"\n\n,,\nBob,"a ""quoted"" word"\n')
    assert lines == {1: "Name | Note", 2: "Name: Ada | Note: two lines", 5: 'Name: Bob | Note: a "quoted" word'}


def test_an_old_encoding_and_a_byte_order_mark(opened: Opened, tmp_path: Path) -> None:
    lines, notes = rows_of(opened, tmp_path / "a.csv", "Name;Ort\nJosé;Köln\n".encode("cp1252"))
    assert lines[2] == "Name: José | Ort: Köln"
    assert "cp1252" in "".join(notes)
    lines, _ = rows_of(opened, tmp_path / "b.csv", b"\xef\xbb\xbf" + "Name;Ort\nJosé;Köln\n".encode())
    assert lines[2] == "Name: José | Ort: Köln"
    lines, _ = rows_of(opened, tmp_path / "c.csv", "Name\tOrt\nJosé\tKöln\n".encode("utf-16"))
    assert lines[2] == "Name: José | Ort: Köln"


def test_a_quotation_that_never_ends_swallows_nothing(opened: Opened, tmp_path: Path) -> None:
    lines, notes = rows_of(opened, tmp_path / "a.csv", 'a,b\n1,"x\n2,y\n3,z\n')
    assert [lines[row] for row in (2, 3, 4)] == ["a: 1 | b: x", "a: 2 | b: y", "a: 3 | b: z"]
    assert notes == ["row 2 begins a quotation that does not end; read on without quotations"]


def test_a_quotation_that_never_ends_in_a_large_file(opened: Opened, tmp_path: Path) -> None:
    content = 'a,b\n1,"x\n' + "2,some words\n" * (MAX_RECORD_CHARS // 12)
    lines, notes = rows_of(opened, tmp_path / "a.csv", content)
    assert len(lines) == content.count("\n")
    assert lines[len(lines)] == "a: 2 | b: some words"
    assert len(notes) == 1


def test_inch_marks_end_nothing(opened: Opened, tmp_path: Path) -> None:
    content = 'Part,Note\npipe 5" wide,"two\nlines"\nbolt,x\n'
    lines, notes = rows_of(opened, tmp_path / "a.csv", content)
    assert lines[3] == "Part: bolt | Note: x"
    assert notes == []


def test_what_is_no_table_is_refused(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match=r"a\.csv") as raised:
        rows_of(opened, tmp_path / "a.csv", b"\x00\x01\x02" * 100)
    assert raised.value.hint
    with pytest.raises(DamagedFile, match="line of more than") as raised:
        rows_of(opened, tmp_path / "a.csv", "x" * (2 * MAX_RECORD_CHARS))
    assert raised.value.hint
    for content in ("\n\n\n", ",,,\n,,,\n", " "):
        with pytest.raises(EmptyFile):
            rows_of(opened, tmp_path / "a.csv", content)


def test_a_text_under_excels_old_name_is_read_as_a_table(opened: Opened, tmp_path: Path) -> None:
    assert find_format(opened(tmp_path / "a.xls", "Name\tCity\nAda\tLondon\n")) == "csv"
    assert find_format(opened(tmp_path / "b.xls", "<html><table></table></html>")) == "html"


values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
NAMES = ["alpha", "beta", "gamma", "delta", "epsilon"]
tables = st.integers(2, len(NAMES)).flatmap(  # every row has the header's columns: of other tables one can only guess
    lambda columns: st.lists(st.lists(values, min_size=columns, max_size=columns), min_size=1, max_size=20)
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables, st.sampled_from(",;\t|"))
def test_whatever_is_written_is_found_in_its_row(
    opened: Opened, tmp_path: Path, table: list[list[str]], separator: str
) -> None:
    written = io.StringIO()
    writer = csv.writer(written, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerow(NAMES[: len(table[0])])
    writer.writerows(table)
    lines, _ = rows_of(opened, tmp_path / "a.csv", written.getvalue())
    for number, row in enumerate(table, start=2):
        for value in filter(str.strip, row):
            assert " ".join(value.split()) in lines[number]


@given(st.lists(st.text(max_size=40), max_size=20))
def test_any_lines_have_a_separator(lines: list[str]) -> None:
    assert find_separator(lines) in ",;\t|"
