"""AsciiDoc: a block for each section, under its heading path, with the line it starts at.

Read by the language's rules for the header, section titles, delimited blocks and comments; inline markup is
left as it is written, a cross reference gives its words. No line is added or taken away. Nothing is included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag.readers.clean_text import clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.document_dates import unix_time_of_iso
from rag.readers.plain_text import MAX_WHOLE_BYTES, read_text, whole_text
from rag.readers.sections import Heading, highest, section_blocks

_TITLE = re.compile(r"(={1,6}|#{1,6})[ \t]+(\S.*)")
_DELIMITER = re.compile(r"(?:-{4,}|\.{4,}|\+{4,}|/{4,}|`{3,})\w*[ \t]*")
"""Of blocks in which nothing is a title: listing, literal, passthrough, comment, fenced code."""
_UNREAD_LINE = re.compile(r"//(?!/).*|\[\[[^\]]*\]\][ \t]*|\[#[^\]]*\][ \t]*")
_REFERENCE = re.compile(r"<<([^<>,\n]{1,300})(?:,([^<>\n]{1,300}))?>>")
_ATTRIBUTE = re.compile(r":([\w-]{1,60}):[ \t]+(\S.*)")
_AUTHOR_LINE = re.compile(r"([^\W\d_][\w.'-]*(?: [^\W\d_][\w.'-]*){0,3})(?:[ \t]*<[^<>]*>)?[ \t]*")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def read_asciidoc(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile for nothing but white space."""
    if file.size_bytes > MAX_WHOLE_BYTES:
        return read_text(file, limits)
    text, notes = whole_text(file)
    lines = text.split("\n")
    verbatim, comments = _delimited_lines(lines)
    headings = [
        Heading(number, number + 1, len(found[1]), words)
        for number, line in enumerate(lines)
        if line[:1] in ("=", "#") and number not in verbatim
        if (found := _TITLE.fullmatch(line)) and (words := clean_title(_REFERENCE.sub(_words, found[2])))
    ]
    author, written_at_s = _header(lines, headings)
    for number, line in enumerate(lines):
        if number in comments or (number not in verbatim and _UNREAD_LINE.fullmatch(line)):
            lines[number] = ""
        elif number not in verbatim and "<<" in line:
            lines[number] = _REFERENCE.sub(_words, line)
    return Reading(section_blocks(lines, headings), highest(headings), author, written_at_s, notes=notes)


def _delimited_lines(lines: list[str]) -> tuple[frozenset[int], frozenset[int]]:
    """The lines of blocks in which nothing is a title, and those of comments among them."""
    verbatim: set[int] = set()
    comments: set[int] = set()
    begun: tuple[int, str] | None = None
    for number, line in enumerate(lines):
        if not _DELIMITER.fullmatch(line):
            continue
        mark = line.rstrip()
        if begun is None:
            begun = number, "```" if mark.startswith("```") else mark
        elif mark == begun[1]:
            block = range(begun[0], number + 1)
            verbatim.update(block)
            if mark.startswith("//"):
                comments.update(block)
            begun = None
    return frozenset(verbatim), frozenset(comments)


def _header(lines: list[str], headings: list[Heading]) -> tuple[str, float | None]:
    """Author and date from the lines right below the document's title, up to the first blank one."""
    if not headings or headings[0].level != 1:
        return "", None
    header: list[str] = []
    for line in _until_blank(lines[headings[0].end : headings[0].end + 60]):
        header.append(line)
    attributes = {found[1].lower(): found[2] for line in header if (found := _ATTRIBUTE.fullmatch(line))}
    author = attributes.get("author", "")
    if not author and header and (named := _AUTHOR_LINE.fullmatch(header[0])):
        author = named[1]
    revision = header[1] if author and len(header) > 1 and not header[1].startswith(":") else ""
    day = _DATE.search(attributes.get("revdate") or attributes.get("date") or revision)
    return clean_title(author), unix_time_of_iso(day[0]) if day else None


def _until_blank(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if not line.strip():
            return
        yield line


def _words(reference: re.Match[str]) -> str:
    return (reference[2] or reference[1]).strip()
