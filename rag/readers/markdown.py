"""Markdown: a block for each section, under its heading path, with the line it starts at.

Headings are not repeated in the blocks' text: they are the heading path. markdown-it-py finds the headings
(CommonMark: fences, quotes and raw HTML included); inline markup is left as it is written, except what
only a program reads: `[[Page|shown]]` becomes `shown (Page)`, the mark of a callout its name. Front matter
gives title, author and date, and its words are the first block. A footnote stands under the headings of
the section that refers to it. No line is added or taken away: lines count as in the file.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag.readers.clean_text import clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.front_matter import find_front_matter
from rag.readers.plain_text import MAX_WHOLE_BYTES, read_text, whole_text
from rag.readers.sections import Heading, Section, highest, line_blocks, sections
from rag.records import Block, Locator

if TYPE_CHECKING:
    from markdown_it.token import Token


_INLINE_MARKS = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|[*_`]{1,3}(\S(?:.*?\S)?)[*_`]{1,3}")
_WIKI_LINK = re.compile(r"(`+)[^`]*\1|!?\[\[([^\[\]|\n]{1,300})(?:\|([^\[\]\n]{0,300}))?\]\]")
_ATTRIBUTES = re.compile(r"[ \t]*\{[ \t]*[#.][^{}]{0,200}\}[ \t]*$")
"""Behind a heading's words: `{#anchor .class}`, as pandoc and many others take it."""
_CALLOUT = re.compile(r"^([ \t]*(?:>[ \t]*)+)\[!([\w-]{1,40})\][+-]?[ \t]*", re.MULTILINE)
_NOTE = re.compile(r"^ {0,3}\[\^([^\]\s]{1,100})\]:")
_NOTE_MARK = re.compile(r"\[\^([^\]\s]{1,100})\](?!:)")


def read_markdown(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile for nothing but white space."""
    if file.size_bytes > MAX_WHOLE_BYTES:
        return read_text(file, limits)
    text, notes = whole_text(file)
    front = find_front_matter(text)
    body = text[front.length :]
    first_line = 1 + text.count("\n", 0, front.length)
    headings, code_lines = markdown_structure(body)
    lines = readable_lines(body.split("\n"), code_lines)
    blocks = list(_blocks(lines, headings, code_lines, first_line))
    if front.text.strip():
        blank = len(front.text) - len(front.text.lstrip("\n"))
        blocks.insert(0, Block(front.text.strip("\n"), Locator(line=2 + blank), (), "markdown"))
    return Reading(iter(blocks), front.title or highest(headings), front.author, front.written_at_s, notes=notes)


def without_inline_marks(words: str) -> str:
    """A heading's words: of a link what it shows, nothing of emphasis and code marks, on one line."""
    words = _WIKI_LINK.sub(_shown, _ATTRIBUTES.sub("", words))
    return clean_title(_INLINE_MARKS.sub(lambda m: m[1] or m[2] or "", words))


def markdown_structure(text: str) -> tuple[list[Heading], frozenset[int]]:
    """The document's headings, and the lines of its code blocks (from 0)."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark")
    parser.disable(["inline", "text_join"], ignoreInvalid=True)  # block structure is all that is asked
    tokens = parser.parse(text)
    code: set[int] = set()
    for token in tokens:
        if token.type in ("fence", "code_block") and token.map is not None:
            code.update(range(*token.map))
    return list(_headings(tokens)), frozenset(code)


def _headings(tokens: list[Token]) -> Iterator[Heading]:
    for opening, content in itertools.pairwise(tokens):
        # Level 0: a heading within a quote or a list belongs to that, not to the document.
        if opening.type != "heading_open" or opening.level != 0 or opening.map is None:
            continue
        if words := without_inline_marks(content.content):
            yield Heading(opening.map[0], opening.map[1], int(opening.tag[1]), words)


def readable_lines(lines: list[str], code_lines: frozenset[int]) -> list[str]:
    """The lines with what only a program reads replaced; those of code blocks as they are."""
    return [line if number in code_lines else _readable_line(line) for number, line in enumerate(lines)]


def _readable_line(line: str) -> str:
    if "[!" in line:
        line = _CALLOUT.sub(lambda m: f"{m[1]}{m[2].capitalize()}: ", line)
    return _WIKI_LINK.sub(_shown, line) if "[[" in line else line


def _shown(link: re.Match[str]) -> str:
    """What a wiki link shows, and the page it names where that is something else."""
    page, shown = (link[2] or "").strip(), (link[3] or "").strip()
    if not page:
        return link[0]  # code
    page = page.replace("#^", "#").replace("#", " > ").strip(" >")
    return f"{shown} ({page})" if shown and shown.lower() != page.lower() else shown or page


def _blocks(lines: list[str], headings: list[Heading], code_lines: frozenset[int], first_line: int) -> Iterator[Block]:
    found = list(sections(lines, headings))
    note_paths = _paths_of_notes(lines, found, code_lines)
    for each in found:
        if isinstance(each, Block):
            line = (each.locator.line or 1) + first_line - 1
            yield Block(each.text, Locator(line=line), each.heading_path, "markdown")
            continue
        begin, path = each.begin, each.path
        for number in range(each.begin, each.end):
            # A footnote begins a part of its own; the next paragraph that is not indented ends it.
            note = _NOTE.match(lines[number]) if number not in code_lines else None
            ends_note = path is not each.path and _is_paragraph_start(lines, number)
            if note or ends_note:
                yield from line_blocks(lines, begin, number, path, "markdown", first_line)
                begin, path = number, note_paths.get(note[1], each.path) if note else each.path
        yield from line_blocks(lines, begin, each.end, path, "markdown", first_line)


def _is_paragraph_start(lines: list[str], number: int) -> bool:
    return lines[number - 1].strip() == "" and lines[number][:1] not in ("", " ", "\t")


def _paths_of_notes(
    lines: list[str], found: list[Section | Block], code_lines: frozenset[int]
) -> dict[str, tuple[str, ...]]:
    """The heading path of the first section that refers to a footnote, by the footnote's name."""
    paths: dict[str, tuple[str, ...]] = {}
    for each in found:
        if isinstance(each, Block):
            continue
        for number in range(each.begin, each.end):
            if "[^" in lines[number] and number not in code_lines:
                for mark in _NOTE_MARK.findall(lines[number]):
                    paths.setdefault(mark, each.path)
    return paths
