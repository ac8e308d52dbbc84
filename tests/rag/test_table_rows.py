from __future__ import annotations

from collections.abc import Iterable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from rag.readers.table_rows import Merge, Row, table_blocks
from rag.records import Block


def rows_of(*rows: Sequence[str] | None) -> list[Row]:
    """`None` is an empty row."""
    return [
        (number, {column: text for column, text in enumerate(row) if text})
        for number, row in enumerate(rows, start=1)
        if row
    ]


def lines_of(*rows: Sequence[str] | None, merges: Sequence[Merge] = ()) -> list[tuple[int, str]]:
    return numbered(table_blocks(rows_of(*rows), "S", merges))


def numbered(blocks: Iterable[Block]) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for block in blocks:
        assert block.locator.row is not None
        found.extend(enumerate(block.text.split("\n"), start=block.locator.row))
    return found


def test_a_row_is_read_with_its_headers() -> None:
    assert lines_of(("City", "Amount"), ("Berlin", "12"), ("Rome", "")) == [
        (1, "City | Amount"),
        (2, "City: Berlin | Amount: 12"),
        (3, "City: Rome"),
    ]


def test_a_table_of_numbers_has_no_headers() -> None:
    assert lines_of(("1", "2"), ("3", "4")) == [(1, "1 | 2"), (2, "3 | 4")]


def test_words_that_come_again_below_are_no_headers() -> None:
    assert lines_of(("Ada", "Berlin"), ("Bob", "Berlin"))[1] == (2, "Bob | Berlin")


def test_years_may_be_headers() -> None:
    assert lines_of(("Item", "2024", "2025"), ("Rent", "900.50", "950"))[1] == (
        2,
        "Item: Rent | 2024: 900.50 | 2025: 950",
    )


def test_a_title_above_the_headers_is_a_heading() -> None:
    blocks = list(table_blocks(rows_of(("Sales by city",), None, ("City", "Amount"), ("Rome", "5")), "Q3"))
    assert [(block.heading_path, block.locator.row, block.text) for block in blocks] == [
        (("Q3",), 1, "Sales by city"),
        (("Q3", "Sales by city"), 3, "City | Amount\nCity: Rome | Amount: 5"),
    ]


def test_two_rows_of_headers_are_joined() -> None:
    rows = [("Region", "2024", "", "2025", ""), ("", "Q1", "Q2", "Q1", "Q2"), ("North", "1", "2", "3", "4")]
    expected = "Region: North | 2024 Q1: 1 | 2024 Q2: 2 | 2025 Q1: 3 | 2025 Q2: 4"
    assert lines_of(*rows)[-1] == (3, expected)
    merges = [Merge(1, 2, 0, 0), Merge(1, 1, 1, 2), Merge(1, 1, 3, 4)]
    assert lines_of(*rows, merges=merges)[-1] == (3, expected)


def test_a_cell_that_reaches_down_is_read_in_each_row() -> None:
    rows = [("Region", "City", "Amount"), ("North", "Kiel", "1"), ("", "Bremen", "2"), ("South", "Ulm", "3")]
    lines = lines_of(*rows, merges=[Merge(2, 3, 0, 0)])
    assert lines[2] == (3, "Region: North | City: Bremen | Amount: 2")
    assert lines[3] == (4, "Region: South | City: Ulm | Amount: 3")


def test_a_second_table_below_has_its_own_headers() -> None:
    lines = lines_of(("City", "Amount"), ("Rome", "5"), None, ("Name", "Age"), ("Ada", "36"), None, ("Bob", "40"))
    assert lines[3] == (5, "Name: Ada | Age: 36")
    assert lines[4] == (7, "Name: Bob | Age: 40")


def test_a_line_break_in_a_cell_does_not_begin_a_row() -> None:
    assert lines_of(("1", "a\nb\r\nc\u2028d\x85e"), ("2", "f")) == [(1, "1 | a b c d e"), (2, "2 | f")]


def test_a_million_gaps_cost_nothing() -> None:
    rows = [(1, {0: "first"}), (1_048_576, {16_383: "last"})]
    assert numbered(table_blocks(rows)) == [(1, "first"), (1_048_576, "last")]


cells = st.dictionaries(st.integers(0, 6), st.text(min_size=1, max_size=30).filter(str.strip), min_size=1, max_size=5)


@given(st.dictionaries(st.integers(1, 80), cells, max_size=40))
def test_every_value_is_on_the_line_of_its_row(table: dict[int, dict[int, str]]) -> None:
    lines = dict(numbered(table_blocks(sorted(table.items()))))
    assert lines.keys() == table.keys()
    for number, row in table.items():
        for value in row.values():
            words = [word for word in value.split() if word.isascii() and word.isalnum()]
            assert all(word in lines[number] for word in words)
