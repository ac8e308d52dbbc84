"""Values in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.wording import (
    counted,
    duration,
    from_where_it_says,
    index_progress,
    index_report,
    on_one_line,
    place,
    short_path,
    size,
    when,
)
from pipelines.events import FileFailed, IndexProgress, IndexReport
from pipelines.turn import Locator


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (0.0004, "1 ms"),
        (0.04, "40 ms"),
        (9.94, "9.9 s"),
        (12.4, "12 s"),
        (59.6, "1 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (999, "999 B"), (1200, "1.2 kB"), (23_000_000, "23 MB"), (1.117e9, "1.1 GB")]
)
def test_sizes(count: float, words: str) -> None:
    assert size(count) == words


def test_counts() -> None:
    assert [counted(n, "file") for n in (0, 1, 1204)] == ["0 files", "1 file", "1,204 files"]
    assert counted(2, "entry", "entries") == "2 entries"


@pytest.mark.parametrize(
    ("ago_s", "words"), [(5, "just now"), (300, "5 min ago"), (7200, "2 h ago"), (90_000, "yesterday")]
)
def test_moments(ago_s: float, words: str) -> None:
    assert when(1_000_000 - ago_s, now_s=1_000_000) == words


def test_paths_are_short_and_on_one_line() -> None:
    home = str(Path.home())
    assert short_path(f"{home}/notes.md") == "~/notes.md"
    assert short_path("/files/a/notes.md", folder="/files") == "a/notes.md"
    assert short_path("/filesystem/notes.md", folder="/files") == "/filesystem/notes.md"
    assert short_path("/files/in\nvoice\x1b[2J.pdf") == "/files/in␊voice␛.pdf"


def test_places() -> None:
    assert place("/f/notes.md", Locator(line=12)) == "/f/notes.md:12"
    assert place("/f/manual.pdf", Locator(page=3)) == "/f/manual.pdf, page 3"
    assert place("/f/q.xlsx", Locator(sheet="Q\x1b[31m3", row=14)) == "/f/q.xlsx, Q␛3 row 14"
    assert place("/f/letter.docx", Locator()) == "/f/letter.docx"
    assert place("/f/how-to.GIF", Locator(page=3)) == "/f/how-to.GIF, frame 3"


def test_a_long_text_on_one_line() -> None:
    assert on_one_line(" two\n words ", limit=20) == "two words"
    assert on_one_line("word " * 10, limit=12) == "word word w…"


def test_indexing() -> None:
    assert index_progress(IndexProgress("walking", 0, 0)) == "Looking for files"
    assert index_progress(IndexProgress("walking", 12, 0)) == "Looking for files · 12 files"
    running = IndexProgress("reading", 120, 2000, rate_per_s=35.0)
    assert index_progress(running) == "Reading · 120 of 2,000 files · 35/s · 54 s left"
    large = IndexProgress("reading", 0, 1, "/table.csv", chunks=235_500)
    assert index_progress(large) == "Reading · 0 of 1 file · 235,500 passages"
    long = IndexProgress("reading", 3, 7, "/notes/meeting.mp3", heard_s=750, length_s=3480)
    assert index_progress(long) == "Reading · 3 of 7 files · meeting.mp3 12:30 of 58:00"
    assert index_progress(replace(long, length_s=None)) == "Reading · 3 of 7 files · meeting.mp3 12:30"
    part = IndexProgress("reading", 0, 1, rate_per_s=0.005, large_file="/mail/Inbox.mbox", read_share=0.375)
    assert index_progress(part) == "Reading · 0 of 1 file · 2 min left · Inbox.mbox 38 %"
    report = IndexReport(2, 3, 1, (FileFailed("/f/x", "encrypted"),), 40, 1.25)
    assert index_report(report) == "2 files read, 3 unchanged, 1 removed, 1 not readable; 40 new passages in 1.2 s"


def test_a_passage_is_shown_from_the_row_that_says_it() -> None:
    rows = "\n".join(f"name: Person{number} | phone: {number:07}" for number in range(9))
    passage = f"{rows}\nname: Marta Kowalski | phone: 1234567"
    assert from_where_it_says(passage, "Marta Kowalski phone", limit=120) == "… name: Marta Kowalski | phone: 1234567"
    assert from_where_it_says(passage, "person0 phone", limit=120) == passage
    assert from_where_it_says(passage, "is it", limit=120) == passage, "no word to look for"
    assert from_where_it_says("one line " * 50, "line", limit=20) == "one line " * 50
