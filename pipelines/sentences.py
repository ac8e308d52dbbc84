"""Cut a text into sentences, as people count them in answers: list items, table rows and code blocks too.

Pure: a text in, spans out. Knows Markdown's block marks and the abbreviations of English and German.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipelines.rows import is_row
from pipelines.words import word_set

SentenceKind = Literal["prose", "heading", "header row", "row", "code"]


@dataclass(frozen=True, slots=True)
class Sentence:
    start: int
    end: int
    """Its span in the text, without list marks and white space around it."""
    kind: SentenceKind = "prose"


SHORT_LINE_CHARACTERS = 60
"""A line shorter than this that is followed by a capital or a digit was ended on purpose, not wrapped."""

_FENCE = re.compile(r"[ \t]*(```+|~~~+)")
_HEADING = re.compile(r"[ \t]*#{1,6}[ \t]+")
_LIST_MARK = re.compile(r"[ \t]*(?:[-*+•‣◦]|\(?\d{1,3}[.)]|[a-zA-Z][.)])[ \t]+")
_QUOTE_MARK = re.compile(r"[ \t]*(?:>[ \t]?)+")
_TABLE_RULE = re.compile(r"\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t]*:?-{2,}:?[ \t]*)*\|?$")
_RULE = re.compile(r"(?:[-*_=][ \t]*){3,}$")
_END = re.compile(r"(?:[.!?…]+[\"')\]*_»“”’]*(?:\s?\[\d+\])*(?=\s|$)|[。！？]+)")  # noqa: RUF001 - full-width marks
_LAST_WORD = re.compile(r"[\w.&-]*\.$")
_BARE_NUMBER = re.compile(r"\d{1,2}\.$")
_SINGLE_LETTERS = re.compile(r"(?:[^\W\d]\.)+$")

_ABBREVIATIONS = word_set("""
mr mrs ms dr prof st no nr vs etc e.g i.e eg ie approx ca cf fig figs vol pp p al inc ltd co corp dept est min max tel
jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun art sec para incl excl resp bzw z.b d.h
u.a str abs bspw ggf inkl zzgl nos hrs
""")
_ENDS_MOST_OFTEN = word_set("etc inc ltd co al a.m p.m hrs min")
"""Abbreviations that often end a sentence: they do when a capital follows."""


def split_sentences(text: str) -> list[Sentence]:
    """The sentences in order; white space, list marks, rules and fences between them belong to none."""
    return [sentence for block in _blocks(text) for sentence in _sentences_of(text, block)]


def _blocks(text: str) -> Iterator[Sentence]:
    """Stretches that no sentence crosses: paragraphs, list items, headings, table rows, code blocks."""
    lines = [(match.start(), match.end()) for match in re.finditer(r"[^\n]*\n?", text) if match.end() > match.start()]
    start: int | None = None  # of the paragraph or item being gathered
    end = 0
    index = 0
    while index < len(lines):
        line_start, line_end = lines[index]
        line = text[line_start:line_end].rstrip()
        index += 1
        special = _special(line, text, lines, index)
        if start is not None and (special or _begins_block(line) or _ended_on_purpose(text[start:end], line)):
            yield Sentence(start, end)
            start = None
        if fence := _FENCE.match(line):
            code_end = index
            while code_end < len(lines) and not text[slice(*lines[code_end])].lstrip().startswith(fence[1]):
                code_end += 1
            if code_end > index:
                yield Sentence(line_end, lines[code_end - 1][1], "code")
            index = code_end + 1
        elif special:
            mark = _HEADING.match(line)
            if special != "skip":
                yield Sentence(line_start + (mark.end() if mark else 0), line_start + len(line), special)
        elif line.strip():
            if start is None:
                start = line_start + _mark_length(line)
            end = line_start + len(line)
    if start is not None:
        yield Sentence(start, end)


def _special(
    line: str, text: str, lines: list[tuple[int, int]], following: int
) -> Literal["", "skip", "heading", "header row", "row"]:
    """What a line is that stands for itself; empty for a line of prose or of a list."""
    if _is_table_rule(line) or _RULE.match(line.strip()):
        return "skip"
    if _HEADING.match(line):
        return "heading"
    if line.lstrip().startswith("|") or line.count("|") >= 2 or is_row(line):
        next_line = text[slice(*lines[following])].rstrip() if following < len(lines) else ""
        return "header row" if _is_table_rule(next_line) else "row"
    return ""


def _is_table_rule(line: str) -> bool:
    return "|" in line and _TABLE_RULE.match(line.strip()) is not None


def _begins_block(line: str) -> bool:
    return not line.strip() or bool(_FENCE.match(line)) or bool(_LIST_MARK.match(line))


def _ended_on_purpose(gathered: str, next_line: str) -> bool:
    last_line = gathered.rpartition("\n")[2]
    begins = next_line.lstrip()[:1]
    return len(last_line) < SHORT_LINE_CHARACTERS and (begins.isupper() or begins.isdigit())


def _mark_length(line: str) -> int:
    done = 0
    for mark in (_QUOTE_MARK, _LIST_MARK):
        if match := mark.match(line, done):
            done = match.end()
    return done + len(line[done:]) - len(line[done:].lstrip())


def _sentences_of(text: str, block: Sentence) -> Iterator[Sentence]:
    if block.kind != "prose":
        yield from _trimmed(text, block.start, block.end, block.kind)
        return
    start = block.start
    for match in _END.finditer(text, block.start, block.end):
        if _is_end(text, start, match, block.end):
            yield from _trimmed(text, start, match.end(), "prose")
            start = match.end()
    yield from _trimmed(text, start, block.end, "prose")


def _is_end(text: str, start: int, match: re.Match[str], block_end: int) -> bool:
    following = text[match.end() : block_end].lstrip()
    if not following or match[0][0] not in ".…":
        return True
    begins = following.lstrip("\"'(*_“\u2018«[")[:1]
    if begins.islower():
        return False
    if match[0][0] == "…":
        return True
    before = text[start : match.start() + 1]
    word = _LAST_WORD.search(before)
    last = word[0].rstrip(".").lower() if word else ""
    if last in _ENDS_MOST_OFTEN:
        return begins.isupper()
    if last in _ABBREVIATIONS:
        return False
    if _SINGLE_LETTERS.fullmatch(word[0]) if word else False:
        return False  # J. Smith, U.S. Army
    # "am 3. Oktober": a day's number, not an end. "It costs 3. Then" ends: no month follows.
    return not (_BARE_NUMBER.search(before) and _MONTH_FOLLOWS.match(following))


_MONTH_FOLLOWS = re.compile(
    r"(?:Jan|Feb|Mar|Mär|Apr|Mai|May|Jun|Jul|Aug|Sep|O[ck]t|Nov|De[cz])[a-zé]*\b|(?:Quartal|Stock|Etage)\b"
)


def _trimmed(text: str, start: int, end: int, kind: SentenceKind) -> Iterator[Sentence]:
    inside = text[start:end]
    if inside.strip():
        start += len(inside) - len(inside.lstrip())
        yield Sentence(start, start + len(inside.strip()), kind)
