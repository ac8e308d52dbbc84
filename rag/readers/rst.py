"""reStructuredText: a block for each section, under its heading path, with the line it starts at.

Sections are found by the rules of the reStructuredText specification ("Sections"): a line of text over, or
between, lines of punctuation; levels in the order in which the styles first appear. Everything else stays as
it is written, line for line, but for what only a program reads: comments and link targets go, a role and a
link give their words, an admonition its name. docutils is not used: it gives no line to most of what it finds, puts an
error message in place of each directive that it does not know (Sphinx has dozens), and takes 45 times as long
(4.6 s for 370 KB). Nothing is included from other files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag.readers.clean_text import clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.document_dates import unix_time_of_iso
from rag.readers.plain_text import MAX_WHOLE_BYTES, read_text, whole_text
from rag.readers.sections import Heading, highest, section_blocks

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{1,}[ \t]*")
_EXPLICIT = re.compile(r"\.\.(?:[ \t]+|$)")
_KEPT_EXPLICIT = re.compile(r"\.\.[ \t]+(?:\[[^\]]+\]|\|[^|]+\|[ \t]+\S+::|[\w:+.-]+::|__[ \t]|_[^:]*:[ \t]*\S)")
_ADMONITION = re.compile(
    r"^([ \t]*)\.\.[ \t]+(attention|caution|danger|error|hint|important|note|tip|warning|seealso)::[ \t]*",
    re.IGNORECASE,
)
_ROLE = re.compile(
    r":[\w:+.-]{1,60}:`[~!]?([^`<]{0,300}?)(?:[ \t]?<([^`>]{0,500})>)?`"
    r"|`([^`<]{1,300}?)[ \t]?<([^`>]{0,500})>`__?(?!\w)"
)
_FIELD = re.compile(r"^:(\w[\w ]{0,30}):[ \t]+(\S.*)$")
DOCINFO_LINES = 60
"""Where author and date are looked for."""


def read_rst(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile for nothing but white space."""
    if file.size_bytes > MAX_WHOLE_BYTES:
        return read_text(file, limits)
    text, notes = whole_text(file)
    lines = text.split("\n")
    headings = list(_headings(lines))
    fields = {found[1].lower(): found[2] for line in lines[:DOCINFO_LINES] if (found := _FIELD.match(line))}
    author = clean_title(fields.get("author") or fields.get("authors") or "")
    written_at_s = unix_time_of_iso(fields.get("date", ""))
    blocks = section_blocks(_readable(lines), headings)
    return Reading(blocks, highest(headings), author, written_at_s, notes=notes)


def _headings(lines: list[str]) -> Iterator[Heading]:
    styles: list[tuple[str, bool]] = []
    number = 0
    while number < len(lines):
        heading = _heading_at(lines, number)
        if heading is None:
            number += 1
            continue
        end, written, character = heading
        style = (character, end - number == 3)
        if style not in styles:
            styles.append(style)
        if words := clean_title(_ROLE.sub(_words_of_link, written)):
            yield Heading(number, end, 1 + styles.index(style), words)
        number = end


def _heading_at(lines: list[str], number: int) -> tuple[int, str, str] | None:
    """The line after the heading that begins here, its words, and the character of its style."""
    line = lines[number]
    if not line.strip() or (number and lines[number - 1].strip()):
        return None
    over = _ADORNMENT.fullmatch(line)
    if over is not None:
        if number + 2 >= len(lines):
            return None
        words, under = lines[number + 1], lines[number + 2]
        if under.rstrip() == line.rstrip() and words.strip() and not _ADORNMENT.fullmatch(words):
            return number + 3, words, over[1]
        return None
    if line[0] in " \t" or number + 1 >= len(lines):
        return None
    under_line = lines[number + 1].rstrip()
    adornment = _ADORNMENT.fullmatch(under_line)
    # docutils takes a line that is too short for one, if it has four characters or more.
    if adornment is None or len(under_line) < min(4, len(line.rstrip())):
        return None
    return number + 2, line, adornment[1]


def _readable(lines: list[str]) -> list[str]:
    """The lines with comments and targets blanked and links as their words."""
    readable: list[str] = []
    comment_indent: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if comment_indent is not None and line.strip():
            comment_indent = comment_indent if indent > comment_indent else None
        if comment_indent is None and _EXPLICIT.match(line, indent) and not _KEPT_EXPLICIT.match(line, indent):
            comment_indent = indent
        if comment_indent is not None:
            readable.append("")
            continue
        if "::" in line:
            line = _ADMONITION.sub(lambda m: f"{m[1]}{m[2].capitalize()}: ", line).rstrip()
        readable.append(_ROLE.sub(_words_of_link, line) if "`" in line else line)
    return readable


def _words_of_link(found: re.Match[str]) -> str:
    return (found[1] or found[2] or found[3] or found[4] or "").strip()
