"""Calendars (iCalendar, .ics): each event, task or journal entry a block, with the line it begins at.

Times are shown as they are written, with their zone; repeats are told, not listed one by one. Calendars of any
size are read one entry at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag.errors import EmptyFile
from rag.readers.blocks import NOTHING_TO_FIND, blocks_at
from rag.readers.clean_text import clean_title
from rag.readers.content_lines import ContentLine, Entry, entries
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.plain_text import decoded_text
from rag.records import Block, Locator

MAX_PEOPLE = 50

_KINDS = frozenset({"VEVENT", "VTODO", "VJOURNAL"})
_SKIPPED_KINDS = frozenset({"VTIMEZONE", "VFREEBUSY", "VALARM"})
_MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)\d\d(Z?))?")
_RULE = re.compile(r"([A-Z-]+)=([^;]*)")


def read_calendar(file: OpenedFile, _limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile for a calendar without entries."""
    pieces, notes = decoded_text(file)
    reading = Reading(iter(()), notes=notes)
    reading.blocks = _blocks(pieces, file.name, reading)
    return reading


def _blocks(pieces: Iterator[str], name: str, reading: Reading) -> Iterator[Block]:
    count = 0
    calendar_name = first_summary = ""
    for entry in entries(pieces, _KINDS | _SKIPPED_KINDS):
        if entry.kind not in _KINDS:
            calendar_name = calendar_name or clean_title(entry.text("X-WR-CALNAME") or entry.text("NAME"))
            continue
        summary = clean_title(entry.text("SUMMARY"))
        for block in blocks_at(Locator(line=entry.line), _entry_text(entry, summary), (summary,) if summary else ()):
            count += 1
            yield block
        first_summary = first_summary or summary
    reading.title = calendar_name or (first_summary if count == 1 else "")
    if not count:
        raise EmptyFile(f"{name} has no entries", hint=NOTHING_TO_FIND)


def _entry_text(entry: Entry, summary: str) -> str:
    fields = [
        ("Event" if entry.kind == "VEVENT" else "Task" if entry.kind == "VTODO" else "Journal", summary),
        ("When", _when(entry)),
        ("Due", _moment(line) if (line := _first(entry, "DUE")) else ""),
        ("Repeats", _repeats(entry.text("RRULE"))),
        ("Where", " ".join(entry.text("LOCATION").split())),
        ("Organizer", _person(line) if (line := _first(entry, "ORGANIZER")) else ""),
        ("With", ", ".join(_person(line) for line in entry.all("ATTENDEE")[:MAX_PEOPLE])),
        ("Status", entry.text("STATUS").lower() if entry.text("STATUS").upper() != "CONFIRMED" else ""),
        ("Categories", ", ".join(part for line in entry.all("CATEGORIES") for part in line.parts(",") if part)),
        ("Link", entry.text("URL")),
    ]
    head = "\n".join(f"{name}: {value}" for name, value in fields if value)
    notes = "\n\n".join(line.text for name in ("DESCRIPTION", "COMMENT") for line in entry.all(name))
    return f"{head}\n\n{notes}" if notes.strip() else head


def _first(entry: Entry, name: str) -> ContentLine | None:
    return next(iter(entry.all(name)), None)


def _when(entry: Entry) -> str:
    start, end = _first(entry, "DTSTART"), _first(entry, "DTEND")
    if start is None:
        return ""
    begin = _moment(start)
    until = _moment(end) if end is not None else ""
    if not until or until == begin:
        return begin
    same_day = until[:10] == begin[:10]
    return f"{begin} to {until[11:] if same_day and len(until) > 10 else until}"


def _moment(line: ContentLine) -> str:
    """`2025-03-14 10:00 Europe/Berlin`; the value as it is where it is no date."""
    found = _MOMENT.fullmatch(line.raw.strip())
    if found is None:
        return line.text[:100]
    day = f"{found[1]}-{found[2]}-{found[3]}"
    if found[4] is None:
        return day
    zone = "UTC" if found[6] else line.parameters.get("TZID", "")
    return f"{day} {found[4]}:{found[5]} {zone}".strip()


def _repeats(rule: str) -> str:
    parts = dict(_RULE.findall(rule))
    told = [parts["FREQ"].lower()] if parts.get("FREQ") else []
    if parts.get("INTERVAL", "1") != "1":
        told.append(f"every {parts['INTERVAL']}")
    if parts.get("BYDAY"):
        told.append(f"on {parts['BYDAY'].replace(',', ', ')}")
    if parts.get("COUNT"):
        told.append(f"{parts['COUNT']} times")
    if until := _MOMENT.match(parts.get("UNTIL", "")):
        told.append(f"until {until[1]}-{until[2]}-{until[3]}")
    return ", ".join(told)


def _person(line: ContentLine) -> str:
    name = line.parameters.get("CN", "").strip()
    address = line.text.partition(":")[2] if line.text.lower().startswith("mailto:") else line.text
    return f"{name} <{address}>" if name and address and name != address else name or address
