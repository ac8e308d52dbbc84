"""What is said of a query while it is being typed."""

from __future__ import annotations

import pytest

from pipelines.query_hints import complete, completions_at, hints_for, stems_looked_for


def test_filters_are_said_in_words() -> None:
    hints = hints_for('invoice kind:pdf after:2025-01 in:notes -draft "exact words"')
    assert hints.active == ("only pdf", "since 2025-01", "in notes", "without draft", "word for word: exact words")
    assert hints.problem == ""


@pytest.mark.parametrize("typed", ["", "When is the rent due?", "at 10:30 today", "http://example.org"])
def test_plain_questions_have_no_hints(typed: str) -> None:
    assert hints_for(typed) == hints_for("")


def test_what_makes_no_sense_is_said_with_what_would_but_not_while_it_is_being_typed() -> None:
    assert "after:never is no date" in hints_for("x after:never").problem
    assert "write a year" in hints_for("x after:never").problem
    typing = hints_for("x after:tod")
    assert typing.problem == ""
    assert typing.completions == ("today",)


def test_the_filter_under_the_cursor_is_completed() -> None:
    assert "pdf" in completions_at("report kind:")
    assert set(completions_at("report kind:p")) >= {"pdf"}
    assert all(each.startswith("p") for each in completions_at("report kind:p"))
    assert completions_at("report kind:pdf more words") == ()
    assert completions_at("mankind:p") == ()
    assert complete("x after:yes") == "terday "
    assert complete("x after:") == ""
    assert complete("x") == ""
    assert complete("kind:pdf,mai").strip() == "l"


def test_the_words_looked_for_are_those_without_filters() -> None:
    assert stems_looked_for("rising payments kind:pdf of 940 euros") == ("rise", "payment", "940", "euro")
