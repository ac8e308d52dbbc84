"""What of a mail's text its sender wrote, and what is quoted from earlier mails.

In a thread every mail repeats the ones before it. Quoted text is kept, since it may be all there is of a mail,
but apart: without its marks and under a heading of its own, so that thirty copies of it are thirty times the
same passage, which a search shows once. A short quote that an answer follows stays where it is: the answer
means nothing without it.

Known: `>` marks at any depth, the line above them ("On Monday, Anna wrote:") in any language, and what Outlook
and phones put above a forwarded mail (From, Sent, To, Subject) in the languages of FROM_WORDS.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

MAX_INLINE_QUOTE_CHARS = 600
"""A longer quote stands apart even when an answer follows."""
MAX_SIGNATURE_CHARS = 400
"""A longer one is a disclaimer, the same in every mail."""
MAX_ATTRIBUTION_LINES = 3
MIN_SHARED_WORDS = 0.5
"""A text version with less than this share of the HTML's words does not say the same."""
MAX_ATTRIBUTION_CHARS = 300

_FROM_IN_LANGUAGES = "from von de da van från fra lähettäjä od от 发件人 差出人 kimden από"
FROM_WORDS = frozenset(_FROM_IN_LANGUAGES.split())
COLONS = (":", "\uff1a")
"""The second is the wide one of Chinese and Japanese."""
_WORD = re.compile(r"\w{2,}")
_MARKS = re.compile(r"(?:> ?)+")
_ESCAPED_FROM = re.compile(r"^>(>*From )", re.MULTILINE)
_FIELD = re.compile(r"\s{0,8}\*?([^\s:*][^:*\n]{0,24}?)\*?\s?[:\uff1a]\*?\s?(.*)")
_SEPARATOR = re.compile(r"\s*(?:[-_=*]{2,}.{0,60}?[-_=*]{2,}|[-_]{10,}|.{0,60}:)\s*")


@dataclass(frozen=True, slots=True)
class MailPassage:
    kind: Literal["own", "quoted", "signature"]
    text: str
    attribution: str = ""
    """Of a quote: the line that says whose it is, as it was written; may be empty."""


def unflow(text: str, *, delete_space: bool) -> str:
    """Join the lines of `format=flowed` text (RFC 3676) that were one line when it was written."""
    lines: list[str] = []
    open_depth: int | None = None
    for line in text.split("\n"):
        depth = len(line) - len(line.lstrip(">"))
        content = line[depth:].removeprefix(" ")
        if open_depth == depth and content != "-- ":
            lines[-1] += content
        else:
            lines.append(">" * depth + (" " if depth and content else "") + content)
        flows = content.endswith(" ") and content != "-- "
        if flows and delete_space:
            lines[-1] = lines[-1][:-1]
        open_depth = depth if flows else None
    return "\n".join(lines)


def best_version(plain: str, from_html: str) -> str:
    """Of a mail's text and what its HTML says: the text, unless it leaves most of that out."""
    if not plain.strip() or not from_html.strip():
        return from_html if from_html.strip() else plain
    wanted = {word.lower() for word in _WORD.findall(from_html)}
    given = {word.lower() for word in _WORD.findall(plain)}
    return plain if len(wanted & given) >= MIN_SHARED_WORDS * len(wanted) else from_html


def split_quotes(text: str) -> list[MailPassage]:
    """The passages of a mail's text in their order; none is empty."""
    text = _ESCAPED_FROM.sub(r"\1", text)
    own_lines, forwarded = _cut_at_forwarded(text.split("\n"))
    passages = _join_own(_passages_by_marks(own_lines))
    for lines in forwarded:
        head, rest = _forwarded_head(lines)
        inner = list(_passages_by_marks(rest))
        for index, passage in enumerate(inner):
            attribution = head if index == 0 or not passage.attribution else passage.attribution
            passages.append(MailPassage("quoted", passage.text, attribution))
    return passages


def _cut_at_forwarded(lines: list[str]) -> tuple[list[str], list[list[str]]]:
    """The lines before the first forwarded mail, and those of each one, from its separator on."""
    starts: list[int] = []
    index = 0
    while index < len(lines):
        length = _head_length(lines, index)
        if length:
            above = index - 1
            while above >= 0 and index - above <= 2 and not lines[above].strip():
                above -= 1
            separated = above >= 0 and index - above <= 2 and _SEPARATOR.fullmatch(lines[above]) is not None
            if length >= 3 or separated:
                starts.append(above if separated and (not starts or above > starts[-1]) else index)
            index += length
        index += 1
    if not starts:
        return lines, []
    return lines[: starts[0]], [lines[a:b] for a, b in itertools.pairwise([*starts, len(lines)])]


def _head_length(lines: list[str], start: int) -> int:
    """How many fields (From, Sent, To, …) begin at this line; 0 unless the first is From."""
    first = _FIELD.match(_unmarked(lines[start]))
    if first is None or first[1].strip().lower() not in FROM_WORDS or not first[2].strip():
        return 0
    length = 1
    while start + length < len(lines) and length < 12 and _FIELD.match(_unmarked(lines[start + length])):
        length += 1
    return length if length >= 2 else 0


def _unmarked(line: str) -> str:
    return line[marks.end() :] if (marks := _MARKS.match(line)) else line


def _forwarded_head(lines: list[str]) -> tuple[str, list[str]]:
    """`From: …, Sent: …` of a forwarded mail, and its lines below the fields."""
    index = 0
    while index < len(lines) and not _head_length(lines, index):
        index += 1
    length = _head_length(lines, index) if index < len(lines) else 0
    fields = [" ".join(_unmarked(line).replace("*", "").split()) for line in lines[index : index + length]]
    return ", ".join(fields[:2]), lines[index + length :]


def _passages_by_marks(lines: list[str]) -> Iterator[MailPassage]:
    """Runs of lines of one depth of `>` marks. What introduces a quote goes with it."""
    runs: list[tuple[int, list[str]]] = []
    for line in lines:
        marks = _MARKS.match(line)
        depth = marks[0].count(">") if marks else 0
        content = line[marks.end() :] if marks else line
        if runs and (runs[-1][0] == depth or (not content.strip() and not marks)):
            runs[-1][1].append(content)
        else:
            runs.append((depth, [content]))
    attribution = ""
    for (depth, content_lines), following in itertools.zip_longest(runs, runs[1:]):
        mine, attribution = attribution, ""
        if following is not None and following[0] > depth:
            content_lines, attribution = _without_attribution(content_lines)
        text = "\n".join(content_lines).strip("\n")
        if text.strip():
            if depth:
                yield MailPassage("quoted", text, mine)
            else:
                yield from _own(text)


def _without_attribution(lines: list[str]) -> tuple[list[str], str]:
    """Take off the last lines if they introduce what follows: they end with a colon, a date is in them."""
    end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    if not end or len(lines) - end > 1 or not lines[end - 1].rstrip().endswith(COLONS):
        return lines, ""
    start = end - 1
    for candidate in range(end - 1, max(-1, end - 1 - MAX_ATTRIBUTION_LINES), -1):
        if not lines[candidate].strip():
            break
        if re.search(r"\d", re.sub(r"<[^<>]*>", "", lines[candidate])):
            start = candidate
            break
    attribution = " ".join(" ".join(lines[start:end]).split())
    if len(attribution) > MAX_ATTRIBUTION_CHARS:
        return lines, ""
    return lines[:start], attribution.rstrip("".join(COLONS)).strip()


def _own(text: str) -> Iterator[MailPassage]:
    """What stands below `-- ` is the signature."""
    own, mark, signature = ("\n" + text).rpartition("\n-- \n")
    if not mark:
        own, signature = text, ""
    if own.strip():
        yield MailPassage("own", own.strip("\n"))
    if signature.strip():
        yield MailPassage("signature", signature.strip("\n"))


def _join_own(passages: Iterator[MailPassage]) -> list[MailPassage]:
    """Put short quotes that are answered back between the answers, with their marks, and a short signature below."""
    found = list(passages)
    last_own = max((index for index, each in enumerate(found) if each.kind == "own"), default=-1)
    own: list[str] = []
    apart: list[MailPassage] = []
    joined: list[MailPassage] = []

    def end_own() -> None:
        if own:
            joined.append(MailPassage("own", "\n\n".join(own)))
            own.clear()
        joined.extend(apart)
        apart.clear()

    for index, passage in enumerate(found):
        if passage.kind == "own":
            if apart:
                end_own()
            own.append(passage.text)
        elif passage.kind == "signature" and len(passage.text) <= MAX_SIGNATURE_CHARS:
            own.append(f"-- \n{passage.text}")
        elif passage.kind == "quoted" and index < last_own and len(passage.text) <= MAX_INLINE_QUOTE_CHARS:
            above = f"{passage.attribution}:\n" if passage.attribution else ""
            own.append(above + "\n".join(f"> {line}" for line in passage.text.split("\n")))
        else:
            apart.append(passage)
    end_own()
    return joined
