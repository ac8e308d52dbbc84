"""Cutting answers and passages into sentences."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sentences import split_sentences


def cut(text: str) -> list[str]:
    return [text[each.start : each.end] for each in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Smith paid 1,250.50 euros. It was due.", ["Dr. Smith paid 1,250.50 euros.", "It was due."]),
        ("See e.g. page 3, Fig. 4 and No. 5.", ["See e.g. page 3, Fig. 4 and No. 5."]),
        ("The U.S. Army came at 5 p.m. He left.", ["The U.S. Army came at 5 p.m.", "He left."]),
        ("Am 3. Oktober kam J. Schmidt an.", ["Am 3. Oktober kam J. Schmidt an."]),
        ("It costs 3. Then it rains.", ["It costs 3.", "Then it rains."]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("The rent is 940 [1]. It is due. [2] Soon.", ["The rent is 940 [1].", "It is due. [2]", "Soon."]),
        ("Wait… there is more… The end.", ["Wait… there is more…", "The end."]),
        ("家賃は九万円です。次は？", ["家賃は九万円です。", "次は？"]),  # noqa: RUF001 - full-width marks are the point
        ("1. First step\n2. Second step", ["First step", "Second step"]),
        ("- **Rent**: 940 euros. Due monthly.\n* Deposit", ["**Rent**: 940 euros.", "Due monthly.", "Deposit"]),
        ("- an item that goes\n  on here\n- next", ["an item that goes\n  on here", "next"]),
        ("Rent: 900\nDeposit: 950", ["Rent: 900", "Deposit: 950"]),
        ("# Costs\nThe rent is high.", ["Costs", "The rent is high."]),
        ("> quoted text here.", ["quoted text here."]),
        ("", []),
        (" \n\n ---\n", []),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert cut(text) == sentences


def test_lines_wrapped_by_width_stay_one_sentence() -> None:
    line = "The deposit amounts to two rents and is returned within six weeks after\nYou have moved out and paid."
    assert cut(line) == [line]


def test_a_table_counts_by_row_and_a_code_block_as_one() -> None:
    text = "| Item | Price |\n|---|---|\n| Rent | 940 |\n\n```\nx = 1.5\ny = 2. z\n```\nDone."
    found = [(text[each.start : each.end], each.kind) for each in split_sentences(text)]
    assert found == [
        ("| Item | Price |", "header row"),
        ("| Rent | 940 |", "row"),
        ("x = 1.5\ny = 2. z", "code"),
        ("Done.", "prose"),
    ]


def test_an_open_code_block_goes_to_the_end() -> None:
    assert cut("```python\nx = 1\n\ny = 2") == ["x = 1\n\ny = 2"]


@given(st.text(alphabet="aB1 .!?\n-|`#*>[]…。", max_size=200))
def test_sentences_never_overlap_and_hold_all_letters(text: str) -> None:
    sentences = split_sentences(text)
    assert all(one.end <= other.start for one, other in pairwise(sentences))
    assert all(text[each.start : each.end].strip() == text[each.start : each.end] != "" for each in sentences)
    outside = list(text)
    for each in sentences:
        outside[each.start : each.end] = [" "] * (each.end - each.start)
    lost = "".join(outside)
    assert "B" not in lost.replace("```", "") or "```" in text, "words outside of sentences only on a fence's line"
