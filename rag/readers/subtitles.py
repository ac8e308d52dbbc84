"""Subtitles (SubRip, WebVTT, SBV, SubStation Alpha): what is said, with the seconds at which it is.

Cues are gathered into blocks of a few sentences: a cue alone is half a sentence. Read line by line, any size
in bounded memory. A cue whose times are broken keeps its words and gets the time of the one before it.
pysubs2 is not used: it puts a cue with a broken time into the text of the one before, gives broken
SubStation lines ten seconds of nothing, leaves out WebVTT's speakers, and holds the whole file.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rag.errors import EmptyFile
from rag.readers.clean_text import clean_text
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.plain_text import decoded_text
from rag.records import Block, Locator
from rag.stretches import STRETCH_CHARS, cut_stretches

GATHERED_CHARS = 500
"""A block ends with the sentence after this many characters, or with the cue at twice as many."""
PAUSE_S = 20.0
"""Something else begins after a pause of this length."""
MAX_HOURS = 1_000

_CLOCK = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"\s*{_CLOCK}\s*(?:-->|,)\s*{_CLOCK}(?:\s.*)?", re.DOTALL)
_BROKEN_TIMES = re.compile(r"[^\n]{0,40}-->[^\n]{0,200}")
_SPEAKER = re.compile(r"<v(?:\.[^ >]*)?[ \t]+([^<>]{1,80})>")
_TAG = re.compile(r"</?[a-zA-Z0-9][^<>\n]{0,100}>|\{\\[^{}\n]{0,200}\}")
_SENTENCE_END = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"')\]]*$")
_HEADER = re.compile(r"(?:WEBVTT|NOTE|STYLE|REGION)(?:[ \t]|$)")


class _Cue(NamedTuple):
    start_s: float
    end_s: float
    text: str


def read_subtitles(file: OpenedFile, _limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile where nothing is said."""
    pieces, notes = decoded_text(file)
    lines = _lines(pieces)
    cues = _substation_cues(lines) if file.extension in ("ass", "ssa") else _cues(lines)
    return Reading(_blocks(cues, file.name), notes=notes)


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    """Cleaned and without line ends; one of more than STRETCH_CHARS comes in parts."""
    held = ""
    for piece in pieces:
        *whole, held = (held + clean_text(piece)).split("\n")
        for line in whole:
            yield from cut_stretches([line]) if line else [line]
        while len(held) > STRETCH_CHARS:
            yield held[:STRETCH_CHARS]
            held = held[STRETCH_CHARS:]
    yield held


def _cues(lines: Iterable[str]) -> Iterator[_Cue]:
    """Of SubRip, WebVTT and SBV: a line of times, then text up to a blank line."""
    start_s = end_s = 0.0
    words: list[str] = []
    has_times = is_skipped = False  # the paragraph has a line of times; it is a header or a note
    for line in lines:
        times = _TIMES.fullmatch(line) if "-->" in line or "," in line else None
        if times is not None or ("-->" in line and _BROKEN_TIMES.fullmatch(line)):
            # The line before is this cue's number or name, unless it is the last of a cue's text.
            if words and (words[-1].strip().isdigit() or (len(words) == 1 and not has_times)):
                words.pop()
            if words:
                yield _Cue(start_s, end_s, _said(words))
            words, has_times, is_skipped = [], True, False
            if times is not None:
                start_s, end_s = _span(times)
        elif not line.strip():
            if words:
                yield _Cue(start_s, end_s, _said(words))
            words, has_times, is_skipped = [], False, False
        elif not has_times and not words and _HEADER.match(line):
            is_skipped = True
        elif not is_skipped:
            words.append(line)
    if words:
        yield _Cue(start_s, end_s, _said(words))


def _substation_cues(lines: Iterable[str]) -> Iterator[_Cue]:
    """Of SubStation Alpha: `Dialogue:` lines, whose fields a `Format:` line names; the text is the last."""
    names = ["layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text"]
    in_events = False
    start_s = end_s = 0.0
    for line in lines:
        if line.startswith("["):
            in_events = line.strip().lower() == "[events]"
        elif in_events and line.startswith("Format:"):
            named = [name.strip().lower() for name in line.removeprefix("Format:").split(",")]
            names = named if "text" in named else names
        elif line.startswith("Dialogue:"):
            values = line.removeprefix("Dialogue:").split(",", len(names) - 1)
            fields = dict(zip(names, values, strict=False))
            times = _TIMES.fullmatch(f"{fields.get('start', '')},{fields.get('end', '')}")
            if times is not None:
                start_s, end_s = _span(times)
            words = fields.get("text", values[-1]).replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
            speaker = fields.get("name", "").strip()
            yield _Cue(start_s, end_s, _said([f"{speaker}: {words}" if speaker else words]))


def _span(times: re.Match[str]) -> tuple[float, float]:
    """In seconds. A cue that ends before it begins ends where it begins."""
    start_s, end_s = _seconds(*times.groups("0")[:4]), _seconds(*times.groups("0")[4:])
    return start_s, max(start_s, end_s)


def _seconds(hours: str, minutes: str, seconds: str, fraction: str) -> float:
    whole = min(int(hours), MAX_HOURS) * 3600 + int(minutes) * 60 + int(seconds)
    return whole + float(f"0.{fraction}")


def _said(lines: list[str]) -> str:
    text = _SPEAKER.sub(r"\1: ", " ".join(lines))
    return " ".join(clean_text(html.unescape(_TAG.sub("", text))).split())


def _blocks(cues: Iterator[_Cue], name: str) -> Iterator[Block]:
    gathered: list[_Cue] = []
    chars = 0
    found_any = False
    for cue in cues:
        if not cue.text or (gathered and cue.text == gathered[-1].text):
            continue  # captions made by a machine show each line twice
        if gathered and (_is_full(gathered[-1], chars) or abs(cue.start_s - gathered[-1].end_s) > PAUSE_S):
            yield from _together(gathered)
            gathered, chars = [], 0
        gathered.append(cue)
        chars += len(cue.text)
        found_any = True
    if not found_any:
        raise EmptyFile(f"{name} holds no subtitles", hint="there is nothing in it to find")
    yield from _together(gathered)


def _is_full(last: _Cue, chars: int) -> bool:
    return chars >= 2 * GATHERED_CHARS or (chars >= GATHERED_CHARS and _SENTENCE_END.search(last.text) is not None)


def _together(cues: list[_Cue]) -> Iterator[Block]:
    text = " ".join(cue.text for cue in cues)
    place = Locator(start_s=cues[0].start_s, end_s=max(cue.end_s for cue in cues))
    for stretch in cut_stretches([text]):
        yield Block(stretch.strip(), place)
