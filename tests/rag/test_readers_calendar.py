"""Calendars and address books: the same lines, other entries."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import EmptyFile, ReadError
from rag.readers.calendar_ics import read_calendar
from rag.readers.contacts_vcf import read_contacts
from rag.readers.content_lines import MAX_LINE_CHARS, entries
from rag.readers.contract import Reading, ReadLimits
from tests.rag.conftest import Opened
from tests.rag.damaged import damaged

LIMITS = ReadLimits()
CALENDAR = """BEGIN:VCALENDAR
VERSION:2.0
X-WR-CALNAME:Home
BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:STANDARD
DTSTART:19701025T030000
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
SUMMARY:Dentist\\, Dr. Zahn
DTSTART;TZID=Europe/Berlin:20250314T100000
DTEND;TZID=Europe/Berlin:20250314T110000
RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TU;UNTIL=20251231T000000Z
DESCRIPTION:bring\\nthe car
 d
ORGANIZER;CN="Anna: S":mailto:anna@x.org
ATTENDEE;CN=Bob:mailto:bob@y.org
BEGIN:VALARM
DESCRIPTION:an alarm
END:VALARM
LOCATION:Main St. 1
END:VEVENT
BEGIN:VTODO
SUMMARY:Pay
DUE:20250401
END:VTODO
END:VCALENDAR
"""
CONTACTS = """BEGIN:VCARD
VERSION:3.0
FN:Anna Schmidt
ORG:ACME;R&D
item1.TEL;TYPE=CELL:+49 151 12
EMAIL;TYPE=INTERNET:anna@x.org
ADR;TYPE=HOME:;;Street 1\\, back;Berlin;;10115;DE
NOTE:Likes\\nmath
PHOTO;ENCODING=b;TYPE=JPEG:AAAA
 AAAA
END:VCARD
BEGIN:VCARD
VERSION:2.1
N:Müller;Jürgen
NOTE;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:sch=C3=B6n=
 und gut
TEL;HOME;VOICE:123
END:VCARD
"""


def blocks(reading: Reading) -> list[tuple[int | None, tuple[str, ...], str]]:
    return [(block.locator.line, block.heading_path, block.text) for block in reading.blocks]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_events_and_tasks_are_told_as_a_person_would(opened: Opened, tmp_path: Path, end: str) -> None:
    reading = read_calendar(opened(tmp_path / "a.ics", CALENDAR.replace("\n", end).encode()), LIMITS)
    assert blocks(reading) == [
        (
            10,
            ("Dentist, Dr. Zahn",),
            "Event: Dentist, Dr. Zahn\nWhen: 2025-03-14 10:00 Europe/Berlin to 11:00 Europe/Berlin\n"
            "Repeats: weekly, every 2, on MO, TU, until 2025-12-31\nWhere: Main St. 1\n"
            "Organizer: Anna: S <anna@x.org>\nWith: Bob <bob@y.org>\n\nbring\nthe card",
        ),
        (24, ("Pay",), "Task: Pay\nDue: 2025-04-01"),
    ]
    assert reading.title == "Home"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_contacts_are_told_with_their_numbers(opened: Opened, tmp_path: Path, end: str) -> None:
    reading = read_contacts(opened(tmp_path / "a.vcf", CONTACTS.replace("\n", end).encode()), LIMITS)
    assert blocks(reading) == [
        (
            1,
            ("Anna Schmidt",),
            "Name: Anna Schmidt\nOrganization: ACME, R&D\nPhone (cell): +49 151 12\nEmail: anna@x.org\n"
            "Address (home): Street 1, back, Berlin, 10115, DE\nNote: Likes\nmath",
        ),
        (12, ("Jürgen Müller",), "Name: Jürgen Müller\nNote: schön und gut\nPhone (home): 123"),
    ]


def test_what_has_no_entries_is_empty(opened: Opened, tmp_path: Path) -> None:
    with pytest.raises(EmptyFile, match=r"a\.ics"):
        blocks(read_calendar(opened(tmp_path / "a.ics", "BEGIN:VCALENDAR\nEND:VCALENDAR"), LIMITS))
    with pytest.raises(EmptyFile, match=r"a\.vcf"):
        blocks(read_contacts(opened(tmp_path / "a.vcf", "no: card"), LIMITS))


def test_an_entry_that_is_never_closed_ends_with_the_next(opened: Opened, tmp_path: Path) -> None:
    content = "BEGIN:VCARD\nFN:One\nBEGIN:VCARD\nFN:Two"
    assert [path for _, path, _ in blocks(read_contacts(opened(tmp_path / "a.vcf", content), LIMITS))] == [
        ("One",),
        ("Two",),
    ]


@pytest.mark.parametrize(
    "content",
    [
        "FN:x" + "y" * 3_000_000,
        "FN:x\n" + " y\n" * 200_000,
        "FN:x\n" + "BEGIN:X\n" * 100_000,
        "FN:x\nNOTE" + ";a" * 50_000,
        'FN:x\nADR:"' + "\\;" * 50_000,
        "FN:x\nNOTE;QUOTED-PRINTABLE:" + "=\n" * 200_000,
        "FN:x\n" + "TEL:1\n" * 100_000,
    ],
    ids=["long", "folded", "nested", "parameters", "escapes", "soft", "many"],
)
def test_hostile_entries_stay_small(opened: Opened, tmp_path: Path, content: str) -> None:
    (found,) = blocks(read_contacts(opened(tmp_path / "a.vcf", f"BEGIN:VCARD\n{content}\nEND:VCARD"), LIMITS))[:1]
    assert found[2].startswith("Name: x")
    assert len(found[2]) <= 2 * MAX_LINE_CHARS


@given(st.text(alphabet='BEGIN:VCARDND;="\\,\n \tFn=1', max_size=400))
def test_any_text_gives_entries_or_none(text: str) -> None:
    for entry in entries([f"BEGIN:VCARD\n{text}"], frozenset({"VCARD"})):
        assert entry.line >= 1
        for line in entry.lines:
            assert isinstance(line.text, str)
            assert line.parts()


def test_damaged_files_are_read_as_far_as_they_go(opened: Opened, tmp_path: Path) -> None:
    for number, content in enumerate(damaged((CALENDAR + CONTACTS).encode(), 150)):
        for read in (read_calendar, read_contacts):
            try:
                blocks(read(opened(tmp_path / f"{number}", content or b"\n"), LIMITS))
            except ReadError:
                continue
