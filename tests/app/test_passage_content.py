"""How passages are shown: marks, line numbers, rows of a sheet."""

from __future__ import annotations

import pytest

from app.passage_content import CITED_STYLE, cited_spans, file_facts, passage_content
from app.wording import day
from pipelines.turn import Locator
from rag.records import Chunk


def chunk(text: str, locator: Locator) -> Chunk:
    return Chunk(1, 1, 0, text, (), locator)


def marked(content: object) -> list[str]:
    from textual.content import Content

    assert isinstance(content, Content)
    return [content.plain[span.start : span.end] for span in content.spans if span.style == CITED_STYLE]


def test_all_quotes_stand_out_whatever_their_line_breaks() -> None:
    text = "The pier was built\nin 1874. It was repaired in 1901."
    content = passage_content(
        chunk(text, Locator(page=3)), "a.pdf", ["built in 1874.", "repaired in 1901", "not there"]
    )
    assert content.plain == text
    assert marked(content) == ["built\nin 1874.", "repaired in 1901"]


def test_quotes_are_found_in_cleaned_text_and_are_no_patterns() -> None:
    assert cited_spans("a␛b (c.*d)", ["(c.*d)"]) == [(4, 10)]
    content = passage_content(
        chunk("before \x1b[31mred\x1b[0m after", Locator(page=1)), "a.pdf", ["\x1b[31mred\x1b[0m after"]
    )
    assert "\x1b" not in content.plain
    assert marked(content)[0].endswith("after")


def test_lines_of_code_are_numbered_and_the_margin_is_never_marked() -> None:
    content = passage_content(
        chunk("def f():\n    return 1\n\nx = f()", Locator(line=98)), "a.py", ["return 1\n\nx = f()"]
    )
    assert content.plain == " 98 │ def f():\n 99 │     return 1\n100 │ \n101 │ x = f()"
    assert marked(content) == ["return 1", "x = f()"]


def test_of_formatted_text_only_the_first_line_has_a_number() -> None:
    content = passage_content(chunk("one\n\ntwo", Locator(line=7)), "notes.md")
    assert content.plain == "7 │ one\n  │ \n  │ two"


@pytest.mark.parametrize("between", ["; ", " | "])
def test_a_row_of_a_sheet_is_a_table_of_headers_and_values(between: str) -> None:
    rows = [["Date: 2025-03-14", "Supplier: Nordlicht: Energie", "Amount: 187.40"], ["Date: 2025-03-21", "Amount: 1"]]
    text = "\n".join(between.join(row) for row in rows)
    content = passage_content(chunk(text, Locator(sheet="Q1", row=2)), "a.xlsx", [text.split("\n")[0]])
    assert content.plain.split("\n") == [
        "Date     │ 2025-03-14",
        "Supplier │ Nordlicht: Energie",
        "Amount   │ 187.40",
        "",
        "Date   │ 2025-03-21",
        "Amount │ 1",
    ]
    assert marked(content) == ["2025-03-14", "Nordlicht: Energie", "187.40"]


def test_rows_of_a_csv_have_no_sheet_and_are_tables_all_the_same() -> None:
    content = passage_content(chunk("Name: Ada | Town: Bern", Locator(row=2)), "a.csv", ["Name: Ada | Town: Bern"])
    assert content.plain == "Name │ Ada\nTown │ Bern"


def test_text_of_a_sheet_without_headers_stays_text() -> None:
    content = passage_content(chunk("just a note in a cell", Locator(sheet="Q1", row=2)), "a.xlsx", ["a note"])
    assert content.plain == "just a note in a cell"
    assert marked(content) == ["a note"]


def test_what_is_known_of_a_file_is_said_in_one_line() -> None:
    assert file_facts("/x/a.pdf", "Ada\x1b[1m L.", 0.0, 5.0).startswith("PDF · Ada")
    assert "\x1b" not in file_facts("/x/a.pdf", "Ada\x1b[1m", None, None)
    assert file_facts("/x/a.md", "", None, 1_700_000_000.0) == f"MD · changed {day(1_700_000_000.0)}"
    assert day(1_700_000_000.0) in ("14 November 2023", "15 November 2023")
    assert day(1e30) == "an unknown day"
