"""RTF: headings by style, paragraphs, lists and table rows; notes, comments, headers and footers at the end.

`rag.readers.rtf_text` finds them; title, author and date are what the document states. What is no text (pictures,
embedded objects: hexadecimal digits or raw bytes) is cut out before. No locators: an RTF has no pages until it is
laid out, and its lines are not those of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from rag.readers.blocks import ONLY_PICTURES, or_empty
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.document_dates import unix_time
from rag.readers.flowing_text import HEADERS, FlowingText
from rag.readers.rtf_text import RtfText
from rag.records import Block

MAX_APART = 100_000
"""Notes, comments and lines of headers that are kept until the text is over."""

_RAW_BYTES = re.compile(rb"\\bin(\d{1,10}) ?")
_HEXADECIMAL = re.compile(rb"[0-9a-fA-F\s]{256,}")
_ORDER = ("Footnotes", "Comments", HEADERS)


def read_rtf(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises EmptyFile without words, TooLarge."""
    reading = Reading(iter(()))
    source = _without_data(file.stream.read()).decode("latin-1")
    reading.blocks = or_empty(
        _blocks(source, file.name, reading, limits), f"{file.name} has no words", hint=ONLY_PICTURES
    )
    return reading


def _blocks(source: str, name: str, reading: Reading, limits: ReadLimits) -> Iterator[Block]:
    flow = FlowingText(limits.max_text_chars, name)
    document = RtfText(source, flow)
    apart: dict[str, dict[str, None]] = {}
    """By their heading; each line once, since every section has its own header."""
    for piece in document.pieces():
        text = clean_text(piece.text).strip()
        if piece.apart:
            if sum(map(len, apart.values())) < MAX_APART:
                apart.setdefault(piece.apart, {})[text] = None
        elif piece.level is not None and piece.kind != "row":
            flow.begin(piece.level, text)
        else:
            flow.add(piece.kind, text)
        yield from flow.take()
    for heading in sorted(apart, key=_ORDER.index):
        flow.begin_part(heading)
        for text in apart[heading]:
            flow.add("paragraph", text)
    flow.end()
    yield from flow.take()
    reading.title = clean_title(document.stated.get("title", "")) or flow.first_heading
    reading.author = clean_title(document.stated.get("author", "") or document.stated.get("operator", ""))
    times = (_unix_time(document.times[kind]) for kind in ("revtim", "creatim") if kind in document.times)
    reading.written_at_s = next((time for time in times if time is not None), None)


def _without_data(content: bytes) -> bytes:
    kept: list[bytes] = []
    position = 0
    for found in _RAW_BYTES.finditer(content):
        if found.start() >= position:
            kept.append(content[position : found.start()])
            position = found.end() + int(found.group(1))
    kept.append(content[position:])
    return _HEXADECIMAL.sub(b" ", b"".join(kept))


def _unix_time(its: dict[str, int]) -> float | None:
    try:
        moment = datetime(
            its.get("yr", 0),
            its.get("mo", 1),
            its.get("dy", 1),
            its.get("hr", 0),
            its.get("min", 0),
            its.get("sec", 0),
            tzinfo=UTC,
        )
    except (ValueError, OverflowError):
        return None
    return unix_time(moment)
