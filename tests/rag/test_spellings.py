from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.spellings import number_readings, other_spellings, spellings_column, tokenized, unspaced_runs, without_marks


@pytest.mark.parametrize(
    ("written", "readings"),
    [
        ("1,250.00", ["1250"]),
        ("1.250,00", ["1250"]),
        ("1 250,50", ["1250d5"]),
        ("12'345'678", ["12345678"]),
        ("1,250", ["1250", "1d25"]),
        ("12.50", ["12d5"]),
        ("007.10", ["7d1"]),
        ("1.2.3", []),
    ],
)
def test_a_number_is_read_without_its_separators(written: str, readings: list[str]) -> None:
    assert number_readings(written) == readings


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("call +49 (0)30 123-4567", "49301234567"),
        ("call +49 (0)30 123-4567", "1234567"),
        ("DE89 3704 0044 0532 0130 00", "de89370400440532013000"),
        ("on 2024-01-15", "20240115"),
        ("INV-2024-017", "inv2024017"),
        ("an e-mail", "email"),
        ("getUserName", "get user name"),
        ("HTTPServer", "http server"),
        ("get_user_name", "getusername"),
        ("since v2.31.4", "2 31 4"),
        ("100km", "100 km"),
        ("Herr Müller", "mueller"),
        ("Straße", "strasse"),
        ("Łódź", "lodz"),
        ("новый", "новыи"),
        ("con\ufb01guration", "configuration"),
    ],
)
def test_what_is_written_in_several_ways_is_written_in_one(text: str, spelling: str) -> None:
    assert spelling in other_spellings(text)


@pytest.mark.parametrize("text", ["", "plain words only.", "a3f5c9d12e44b0", "Crème brûlée", "x - y"])
def test_most_text_has_no_other_spelling(text: str) -> None:
    assert other_spellings(text) == []


def test_scripts_without_spaces_are_stored_as_pairs() -> None:
    assert spellings_column("私は東京都に。茶", "") == "私は は東 東京 京都 都に に 茶"
    assert unspaced_runs("ภาษาไทย and 학교") == ["ภาษาไทย", "학교"]
    assert spellings_column("が", "見出し") == "見出 出し し が"


def test_marks_are_taken_off_and_korean_stays() -> None:
    assert without_marks("Ünïcödé й 학교") == "Unicode и 학교"
    assert tokenized("Müller й") == "Muller й"


@given(st.text(max_size=200))
def test_any_text_has_spellings_of_words_only(text: str) -> None:
    column = spellings_column(text, "")
    assert "\n" not in column
    assert all(spelling.strip() == spelling and spelling for spelling in other_spellings(text))
