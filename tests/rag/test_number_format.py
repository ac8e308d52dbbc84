from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.readers.number_format import number_format, show_general

ACCOUNTING = '_("$"* #,##0.00_);_("$"* (#,##0.00);_("$"* "-"??_);_(@_)'


@pytest.mark.parametrize(
    ("code", "value", "shown"),
    [
        ("General", 45730, "45730"),
        ("General", 0.1 + 0.2, "0.3"),
        ("0", 2.5, "3"),
        ("0.00%", 0.12345, "12.35%"),
        ("0%", -0.5, "-50%"),
        ("#,##0.00", 1234567.891, "1,234,567.89"),
        ("$#,##0", 999999.5, "$1,000,000"),
        ("[$€-407] #,##0.00", 1234.5, "€ 1,234.50"),
        ("#,##0.00 [$€-407]", -1234.5, "-1,234.50 €"),
        (ACCOUNTING, -5.5, "$(5.50)"),
        (ACCOUNTING, 0, "$-"),
        ("[Red]-0;0", -3, "3"),
        ("00000", 1234, "01234"),
        ("000\\-00\\-0000", 123456789, "123-45-6789"),
        ('0.0,,"M"', 1234567, "1.2M"),
        ('0.0 "kg"', 1.26, "1.3 kg"),
        ("#.##", 1.5, "1.5"),
        (".00", 0.256, ".26"),
        ("0.00E+00", 12345, "1.23E+4"),
        ("# ?/?", 0.5, " 0.5"),
        ('"yes"', 1, "yes"),
        (";;;", 3, "3"),
        ("", 7, "7"),
        ("@", 7, "7"),
    ],
)
def test_numbers_are_shown_as_in_their_cell(code: str, value: float, shown: str) -> None:
    assert number_format(code)(value) == shown


@pytest.mark.parametrize(
    ("code", "value", "shown"),
    [
        ("dd.mm.yyyy", 45730, "2025-03-14"),
        ("m/d/yy;@", 45730, "2025-03-14"),
        ("[$-F800]dddd\\,\\ mmmm\\ dd\\,\\ yyyy", 45730, "2025-03-14"),
        ("d/m/yy h:mm", 45730.5, "2025-03-14 12:00"),
        ("mmm yyyy", 45730, "2025-03"),
        ("yyyy", 45730, "2025"),
        ("h:mm AM/PM", 0.75, "18:00"),
        ("[h]:mm", 1.5, "36:00"),
        ("yyyy-mm-dd", 1, "1900-01-01"),
        ("yyyy-mm-dd", 61, "1900-03-01"),
        ("yyyy-mm-dd", -1, "-1"),
        ("yyyy-mm-dd", 3e6, "3000000"),
    ],
)
def test_dates_and_times_are_iso(code: str, value: float, shown: str) -> None:
    assert number_format(code)(value) == shown


def test_the_epoch_of_1904() -> None:
    assert number_format("yyyy-mm-dd", epoch_1904=True)(44268) == "2025-03-14"


@given(st.text(alphabet='0#?.,%/E+-_*\\"[]$€;ymdhsAMP@ \0', max_size=40), st.floats())
def test_any_code_shows_any_number(code: str, value: float) -> None:
    shown = number_format(code)(value)
    assert shown or value == 0
    assert "\0" not in shown


@given(st.integers(-(10**14), 10**14))
def test_whole_numbers_keep_every_digit(value: int) -> None:
    assert show_general(value) == str(value)
    assert number_format("#,##0")(value).replace(",", "") == str(value)


@given(st.floats(-1e9, 1e9))
def test_shown_decimals_are_the_number(value: float) -> None:
    assert math.isclose(float(number_format("0.00")(value)), value, abs_tol=0.00501)
