"""The lines of calendars and address books (RFC 5545, RFC 6350): `NAME;PARAMETER=value:value`, folded and escaped.

One entry is held at a time; what is binary in it (photos, keys) is dropped while it is read. Takes what
programs really write: lines without a colon are left out, vCard 2.1's quoted-printable values are decoded.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rag.readers.clean_text import clean_text
from rag.readers.encoding import declared_codec

MAX_LINE_CHARS = 100_000
"""Of an unfolded line; a longer one is binary, or not meant for people."""
MAX_LINES = 5000
"""Of one entry; the rest of a longer one is left out."""

_NAME = re.compile(r"(?:[\w-]{1,60}\.)?([\w-]{1,60})((?:;(?:\"[^\"]*\"|[^\":;])*)*):")
_PARAMETER = re.compile(r";([\w-]{1,40})(?:=((?:\"[^\"]*\"|[^\":;])*))?")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_BINARY = frozenset({"PHOTO", "LOGO", "SOUND", "KEY", "ATTACH", "IMAGE"})


@dataclass(frozen=True, slots=True)
class ContentLine:
    name: str
    """In upper case, without a group before it."""
    parameters: dict[str, str]
    """By upper-case name; vCard 2.1's bare ones (`HOME`) have an empty value."""
    raw: str
    """The value as it stands: where parts are separated, they still are."""

    @property
    def text(self) -> str:
        return unescaped(self.raw)

    def parts(self, separator: str = ";") -> list[str]:
        """The value's parts, unescaped, empty ones too."""
        return [unescaped(part) for part in re.split(rf"(?<!\\){separator}", self.raw)]


@dataclass(slots=True)
class Entry:
    """A component (`VEVENT`, `VCARD`); those inside it (alarms) are left out."""

    kind: str
    line: int
    """Where it begins in the file, from 1."""
    lines: list[ContentLine] = field(default_factory=list)

    def all(self, name: str) -> list[ContentLine]:
        return [line for line in self.lines if line.name == name]

    def text(self, name: str) -> str:
        """Of the first line of that name; empty when there is none."""
        return next((line.text for line in self.lines if line.name == name), "")


def entries(pieces: Iterable[str], kinds: frozenset[str]) -> Iterator[Entry]:
    """The components of these kinds in the text that the pieces make (line ends are `\\n`).

    What stands outside of them comes as an entry of the kind around it (`VCALENDAR`), at the end.
    """
    outer = Entry("", 1)
    entry: Entry | None = None
    inside = 0
    for number, line in _unfolded(pieces):
        found = _parsed(line)
        if found is None:
            continue
        if found.name == "BEGIN":
            kind = found.raw.strip().upper()
            if entry is not None and (kind not in kinds or kind != entry.kind):
                inside += 1
                continue
            if entry is not None:
                yield entry  # it was never closed
            entry, inside = (Entry(kind, number), 0) if kind in kinds else (None, 0)
            outer.kind = outer.kind or kind
        elif found.name == "END":
            if inside:
                inside -= 1
            elif entry is not None:
                yield entry
                entry = None
        elif not inside and found.name not in _BINARY:
            target = entry if entry is not None else outer
            if len(target.lines) < MAX_LINES:
                target.lines.append(found)
    if entry is not None:
        yield entry
    if outer.lines:
        yield outer


def _unfolded(pieces: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Whole lines with the number that they begin at. Of one that is too long, the beginning."""
    held: list[str] = []
    held_chars = held_at = 0
    soft = False
    for number, line in enumerate(_lines(pieces), start=1):
        continues = line[:1] in (" ", "\t")
        if held and (continues or soft):
            if held_chars <= MAX_LINE_CHARS:
                held.append(line[1:] if continues and not soft else line)
                held_chars += len(line)
        else:
            if held:
                yield held_at, "".join(held)
            held, held_at, held_chars = [line], number, len(line)
        quoted_printable = "QUOTED-PRINTABLE" in held[0][:200].upper()
        soft = quoted_printable and line.endswith("=")
        if soft:
            held[-1] = held[-1][:-1]
    if held:
        yield held_at, "".join(held)


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    held = ""
    for piece in pieces:
        *whole, held = (held + piece).split("\n")
        yield from whole
        if len(held) > 10 * MAX_LINE_CHARS:
            held = held[:MAX_LINE_CHARS]
    yield held


def _parsed(line: str) -> ContentLine | None:
    head = _NAME.match(line[:MAX_LINE_CHARS])
    if head is None:
        return None
    parameters = {found[1].upper(): (found[2] or "").strip('"') for found in _PARAMETER.finditer(head[2])}
    raw = line[head.end() : MAX_LINE_CHARS]
    if "QUOTED-PRINTABLE" in parameters or parameters.get("ENCODING", "").upper() == "QUOTED-PRINTABLE":
        codec = declared_codec(parameters.get("CHARSET", "utf-8")) or "utf-8"
        raw = binascii.a2b_qp(raw.encode("utf-8", "replace")).decode(codec, "replace").replace("\r\n", "\n")
    return ContentLine(head[1].upper(), parameters, raw)


def unescaped(raw: str) -> str:
    return clean_text(_ESCAPE.sub(lambda found: "\n" if found[1] in "nN" else found[1], raw)).strip()
