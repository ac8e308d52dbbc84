"""Lines and their headings in, blocks under heading paths out. Knows no markup.

Headings are not repeated in the blocks' text: they are the heading path. A heading with nothing below it is
a block of its own, so that no words are lost.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from rag.records import Block, Locator
from rag.stretches import cut_stretches

Syntax = Literal["prose", "markdown", "code"]


class Heading(NamedTuple):
    begin: int
    """Its first line, from 0."""
    end: int
    """The line after its last."""
    level: int
    """1 is the highest."""
    words: str


class Section(NamedTuple):
    """The lines between two headings."""

    begin: int
    end: int
    path: tuple[str, ...]


def sections(
    lines: Sequence[str], headings: Sequence[Heading], above: Sequence[Heading] = ()
) -> Iterator[Section | Block]:
    """Sections in order; a heading with nothing below it comes as a block (its line counted from 1).

    `above` are the headings that the first line stands under, outermost first.
    """
    path = [(each.level, each.words) for each in above]
    end_of_text = Heading(len(lines), len(lines), 0, "")
    for heading, following in itertools.pairwise([Heading(0, 0, 1 << 30, ""), *headings, end_of_text]):
        while path and path[-1][0] >= heading.level:
            path.pop()
        here = tuple(words for _, words in path)
        has_body = any(line.strip() for line in lines[heading.end : following.begin])
        if heading.words:
            if not has_body and following.level <= heading.level:
                yield Block(heading.words, Locator(line=1 + heading.begin), here)
            path.append((heading.level, heading.words))
            here = (*here, heading.words)
        if has_body:
            yield Section(heading.end, following.begin, here)


def line_blocks(
    lines: Sequence[str], begin: int, end: int, path: tuple[str, ...], syntax: Syntax, first_line: int = 1
) -> Iterator[Block]:
    """Blocks of the lines from `begin` to before `end`. `first_line` is the source line of `lines[0]`."""
    line = first_line + begin
    for stretch in cut_stretches(["\n".join(lines[begin:end])]):
        body = stretch.lstrip("\n")
        here = line + len(stretch) - len(body)
        line += stretch.count("\n")
        body = body.rstrip()
        if body.strip():
            yield Block(body, Locator(line=here), path, syntax)


def section_blocks(lines: Sequence[str], headings: Sequence[Heading], syntax: Syntax = "prose") -> Iterator[Block]:
    """All blocks of a document whose first line is line 1 of its file."""
    for each in sections(lines, headings):
        if isinstance(each, Block):
            yield each
        else:
            yield from line_blocks(lines, each.begin, each.end, each.path, syntax)


def headings_after(above: Sequence[Heading], headings: Sequence[Heading]) -> tuple[Heading, ...]:
    """Those that what comes next stands under, outermost first."""
    path = list(above)
    for heading in headings:
        while path and path[-1].level >= heading.level:
            path.pop()
        path.append(heading)
    return tuple(path)


def highest(headings: Sequence[Heading]) -> str:
    """The words of the first heading of the highest level: a document's name where it states none."""
    return min(headings, key=lambda each: each.level).words if headings else ""
