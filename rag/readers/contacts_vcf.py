"""Address books (vCard 2.1, 3.0, 4.0; .vcf): each contact a block under its name, with the line it begins at.

Names, addresses, numbers, dates and notes are read; photos and keys are not. Address books of any size are read
one contact at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

from rag.errors import EmptyFile
from rag.readers.blocks import NOTHING_TO_FIND, blocks_at
from rag.readers.clean_text import clean_title
from rag.readers.content_lines import ContentLine, Entry, entries
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.plain_text import decoded_text
from rag.records import Block, Locator

_LABELS = {
    "NICKNAME": "Nickname",
    "ORG": "Organization",
    "TITLE": "Title",
    "ROLE": "Role",
    "EMAIL": "Email",
    "TEL": "Phone",
    "ADR": "Address",
    "BDAY": "Birthday",
    "ANNIVERSARY": "Anniversary",
    "URL": "Web",
    "IMPP": "Chat",
    "RELATED": "Related",
    "CATEGORIES": "Categories",
    "NOTE": "Note",
}
_KIND_NAMES = frozenset({"home", "work", "cell", "mobile", "fax", "pager", "main", "other"})


def read_contacts(file: OpenedFile, _limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile for an address book without contacts."""
    pieces, notes = decoded_text(file)
    reading = Reading(iter(()), notes=notes)
    reading.blocks = _blocks(pieces, file.name, reading)
    return reading


def _blocks(pieces: Iterator[str], name: str, reading: Reading) -> Iterator[Block]:
    names: list[str] = []
    for entry in entries(pieces, frozenset({"VCARD"})):
        if entry.kind != "VCARD" or not (text := _contact_text(entry)):
            continue
        contact = clean_title(_name_of(entry))
        if len(names) < 2:
            names.append(contact)
        yield from blocks_at(Locator(line=entry.line), text, (contact,) if contact else ())
    if not names:
        raise EmptyFile(f"{name} has no contacts", hint=NOTHING_TO_FIND)
    if len(names) == 1:
        reading.title = names[0]


def _name_of(entry: Entry) -> str:
    if name := entry.text("FN"):
        return name
    structured = next(iter(entry.all("N")), None)
    if structured is not None:
        family, given, middle, prefix, suffix = [*structured.parts(), "", "", "", "", ""][:5]
        if name := " ".join(part for part in (prefix, given, middle, family, suffix) if part):
            return name
    return entry.text("ORG") or entry.text("EMAIL")


def _contact_text(entry: Entry) -> str:
    fields = [("Name", " ".join(_name_of(entry).split()))]
    for line in entry.lines:
        label = _LABELS.get(line.name)
        if label is not None and (value := _value(line)):
            kind = _kind(line)
            fields.append((f"{label} ({kind})" if kind else label, value))
    return "\n".join(f"{label}: {value}" for label, value in fields if value)


def _value(line: ContentLine) -> str:
    if line.name in ("ADR", "ORG"):
        return ", ".join(" ".join(part.split()) for part in line.parts() if part)
    if line.name == "CATEGORIES":
        return ", ".join(part for part in line.parts(",") if part)
    text = line.text.removeprefix("tel:").removeprefix("mailto:")
    return text if line.name == "NOTE" else " ".join(text.split())


def _kind(line: ContentLine) -> str:
    told = {part.lower() for part in line.parameters.get("TYPE", "").split(",")}
    told |= {name.lower() for name in line.parameters}
    return ", ".join(sorted(told & _KIND_NAMES))
