from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.readers.document_dates import unix_time_of_iso, unix_time_of_pdf

MARCH_14 = datetime(2025, 3, 14, 10, 15, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    ["2025-03-14T10:15:00Z", "2025-03-14T10:15:00.123456789Z", "2025-03-14T11:15:00+01:00", " 2025-03-14T10:15:00 "],
)
def test_iso_dates(text: str) -> None:
    assert unix_time_of_iso(text) == MARCH_14


@pytest.mark.parametrize(
    "text",
    [
        "D:20250314101500Z",
        "D:20250314111500+01'00'",
        "20250314101500",
        "D:20250314091500-01'00",
        "2025-03-14T10:15:00Z",
    ],
)
def test_pdf_dates(text: str) -> None:
    assert unix_time_of_pdf(text) == MARCH_14


def test_a_pdf_date_may_end_early() -> None:
    assert unix_time_of_pdf("D:2025") == datetime(2025, 1, 1, tzinfo=UTC).timestamp()
    assert unix_time_of_pdf("D:202503") == datetime(2025, 3, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("text", ["", "yesterday", "1601-01-01T00:00:00Z", "1899-12-30", "9999-12-31", "2025-13-41"])
def test_what_programs_write_for_unknown_is_no_date(text: str) -> None:
    assert unix_time_of_iso(text) is None
    assert unix_time_of_pdf(text) is None


@given(st.text(max_size=40) | st.from_regex(r"D:\d{0,20}[+\-Z]?\d{0,4}'?\d{0,4}", fullmatch=True))
def test_any_text_gives_a_time_or_none(text: str) -> None:
    for time_s in (unix_time_of_iso(text), unix_time_of_pdf(text)):
        assert time_s is None or 0 < time_s < 5e9
