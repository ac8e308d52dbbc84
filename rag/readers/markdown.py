"""Markdown: a block for each section, under its heading path, with the line it starts at.

Headings are not repeated in the blocks' text: they are the heading path. A heading with nothing below it is
a block of its own, so that no words are lost. Front matter gives the title and stays out of the text.
markdown-it-py finds the headings (CommonMark: fences, quotes and raw HTML included); inline markup is left
as it is written.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from rag.errors import EmptyFile
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.encoding import find_encoding
from rag.readers.plain_text import decoded_pieces, read_text
from rag.records import Block, Locator
from rag.stretches import cut_stretches

MAX_PARSED_BYTES = 8 << 20
"""Larger files are logs or dumps: they are read as plain text, in bounded memory."""

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_FRONT_TITLE = re.compile(r"^title:[ \t]*(.+)$", re.MULTILINE | re.IGNORECASE)
_INLINE_MARKS = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|[*_`]{1,3}(\S(?:.*?\S)?)[*_`]{1,3}")


class _Heading(NamedTuple):
    begin: int
    """Its first line, from 0."""
    end: int
    """The line after its last."""
    level: int
    words: str


def read_markdown(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile for nothing but white space."""
    if file.size_bytes > MAX_PARSED_BYTES:
        return read_text(file, limits)
    encoding = find_encoding(file.stream, file.name)
    text = clean_text("".join(decoded_pieces(file.stream, encoding.codec)))
    if not text.strip():
        raise EmptyFile(f"{file.name} holds nothing but white space", hint="there is nothing in it to find")
    front = _FRONT_MATTER.match(text)
    body_start = front.end() if front else 0
    title = ""
    if front and (named := _FRONT_TITLE.search(front[1])):
        title = clean_title(named[1].strip().strip("\"'"))
    body = text[body_start:]
    headings = _headings(body)
    blocks = list(_sections(body, headings, first_line=1 + text.count("\n", 0, body_start)))
    if not blocks:
        raise EmptyFile(f"{file.name} holds nothing but its front matter", hint="there is nothing in it to find")
    if not title and headings:
        title = min(headings, key=lambda each: each.level).words  # min takes the first of the highest level
    return Reading(iter(blocks), title, notes=[encoding.note] if encoding.note else [])


def _sections(text: str, headings: list[_Heading], first_line: int) -> Iterator[Block]:
    """Blocks between headings. `first_line` is the source line of the text's first."""
    lines = text.split("\n")
    path: list[tuple[int, str]] = []
    end_of_text = _Heading(len(lines), len(lines), 0, "")
    for heading, following in itertools.pairwise([_Heading(0, 0, 7, ""), *headings, end_of_text]):
        while path and path[-1][0] >= heading.level:
            path.pop()
        above = tuple(words for _, words in path)
        if heading.words:
            has_body = any(line.strip() for line in lines[heading.end : following.begin])
            if not has_body and following.level <= heading.level:
                # Nothing below it, not even a deeper heading: its own words are all there is.
                yield Block(heading.words, Locator(line=first_line + heading.begin), above, "markdown")
            path.append((heading.level, heading.words))
            above = (*above, heading.words)
        yield from _section(lines, heading.end, following.begin, above, first_line)


def _section(lines: list[str], start: int, end: int, path: tuple[str, ...], first_line: int) -> Iterator[Block]:
    line = first_line + start
    for stretch in cut_stretches(["\n".join(lines[start:end])]):
        body = stretch.lstrip("\n")
        here = line + len(stretch) - len(body)
        line += stretch.count("\n")
        body = body.rstrip()
        if body.strip():
            yield Block(body, Locator(line=here), path, "markdown")


def _headings(text: str) -> list[_Heading]:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark")
    parser.disable(["inline", "text_join"], ignoreInvalid=True)  # block structure is all that is asked
    tokens = parser.parse(text)
    found = []
    for opening, content in itertools.pairwise(tokens):
        # Level 0: a heading within a quote or a list belongs to that, not to the document.
        if opening.type == "heading_open" and opening.level == 0 and opening.map is not None:
            words = clean_title(_INLINE_MARKS.sub(lambda m: m[1] or m[2] or "", content.content))
            if words:
                found.append(_Heading(opening.map[0], opening.map[1], int(opening.tag[1]), words))
    return found
