"""Cut lines by the definitions in them: blocks under the names of what they define. Knows no language.

A definition that would fill a passage is under its own name, one with others inside it is cut between
those, and small ones that follow each other share a name, so that a passage holds several of them. What
stands between definitions is under what surrounds it. Every line that is not blank is in one block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rag.readers.clean_text import clean_title
from rag.readers.sections import Syntax, line_blocks
from rag.records import Block

GATHERED_CHARS = 700
"""Small definitions are taken together up to this length: about what a passage of 200 tokens holds of code."""
TINY_CHARS = 150
"""What is shorter goes with the large definition behind it: alone it would be a passage of a line or two."""
_CLOSES = re.compile(r"[\W_]*(?:end)?[\W_]*")
MAX_NAMES_CHARS = 60
"""More names than that tell nothing that the lines do not, and would push out what surrounds them."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A function, a class, a table of settings: lines with a name."""

    name: str
    """As a heading says it: `class Chat`, `def send`."""
    begin: int
    """Its first line, from 0, with the comment that belongs to it."""
    end: int
    """The line after its last."""
    inner: tuple[Definition, ...] = ()
    """Those inside it, in their order."""


@dataclass(slots=True)
class _Gathered:
    """Neighbouring pieces that share a heading."""

    begin: int
    end: int
    """The line after the last; `begin` where there is none yet."""
    names: list[str] = field(default_factory=list)
    chars: int = 0


def outline_blocks(
    lines: Sequence[str], definitions: Sequence[Definition], syntax: Syntax, above: tuple[str, ...] = ()
) -> Iterator[Block]:
    """Blocks of all lines, the first of which is line 1 of the file. All stand under the headings `above`."""
    yield from _blocks(lines, 0, len(lines), above, definitions, syntax)


def _blocks(
    lines: Sequence[str],
    begin: int,
    end: int,
    path: tuple[str, ...],
    definitions: Sequence[Definition],
    syntax: Syntax,
) -> Iterator[Block]:
    gathered = _Gathered(begin, begin)
    at = begin
    for definition in definitions:
        # Of two on one line the first has it; what would lie outside is cut off.
        first, last = max(definition.begin, at), min(definition.end, end)
        if first >= last:
            continue
        if definition is definitions[-1] and not _has_words(lines, last, end):
            last = end  # a bracket or an `end` alone says nothing
        if between := _chars(lines, at, first):
            if gathered.chars + between > GATHERED_CHARS:
                yield from _together(lines, gathered, path, syntax)
                gathered = _Gathered(at, at)
            gathered.end = first
            gathered.chars += between
        own = _chars(lines, first, last)
        if gathered.chars + own > GATHERED_CHARS:
            if own > GATHERED_CHARS and gathered.chars < TINY_CHARS:
                first = gathered.begin
            else:
                yield from _together(lines, gathered, path, syntax)
            gathered = _Gathered(first, first)
        if own > GATHERED_CHARS:
            name = clean_title(definition.name)
            yield from _blocks(lines, first, last, (*path, name), definition.inner, syntax)
            gathered = _Gathered(last, last)
        elif own:
            gathered.end = last
            gathered.names.append(definition.name)
            gathered.chars += own
        at = last
    if rest := _chars(lines, at, end):
        if gathered.chars + rest > GATHERED_CHARS:
            yield from _together(lines, gathered, path, syntax)
            gathered = _Gathered(at, at)
        gathered.end = end
    yield from _together(lines, gathered, path, syntax)


def _together(lines: Sequence[str], gathered: _Gathered, path: tuple[str, ...], syntax: Syntax) -> Iterator[Block]:
    if gathered.end <= gathered.begin:
        return
    names = ", ".join(gathered.names)
    shared = (*path, clean_title(names)) if names and len(names) <= MAX_NAMES_CHARS else path
    yield from line_blocks(lines, gathered.begin, gathered.end, shared, syntax)


def _chars(lines: Sequence[str], begin: int, end: int) -> int:
    """Characters without indentation and blank lines: 0 where nothing is to be read."""
    return sum(len(line.strip()) for line in lines[begin:end])


def _has_words(lines: Sequence[str], begin: int, end: int) -> bool:
    """Whether there is more than what closes a definition."""
    return not all(_CLOSES.fullmatch(line) for line in lines[begin:end])
