"""HTML: what a reader of the page would read, by sections under their heading path.

The tokeniser is the standard library's; structure comes from start tags (a page that never closes its
paragraphs and list items reads the same). Left out: scripts, styles, templates, navigation, frames, form
choices, and what is marked as hidden. Nothing is fetched; a link gives its words, a picture its alternative
text. No locator: lines of the markup mean nothing to a person.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from html.parser import HTMLParser

from rag.errors import EmptyFile
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.encoding import find_encoding
from rag.records import Block
from rag.stretches import cut_stretches

_SKIPPED = frozenset(
    {"script", "style", "template", "noscript", "nav", "svg", "iframe", "object", "select", "datalist"}
)
_WITHOUT_END_TAG = "area base br col embed hr img input link meta param source track wbr"
_VOID = frozenset(_WITHOUT_END_TAG.split())
_CLOSED_BY_THE_NEXT = frozenset({"p", "li", "dt", "dd", "tr", "td", "th", "option"})
_OWN_PARAGRAPH = (
    "address article aside blockquote body caption center details dialog dd div dl dt fieldset figcaption figure"
    " footer form header hr html legend li main menu ol p pre section summary table tbody tfoot thead title tr"
    " ul h1 h2 h3 h4 h5 h6"
)
_PARAGRAPHS = frozenset(_OWN_PARAGRAPH.split())
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)
_DISPLAY_NONE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\n\f\r\u00a0]+")
_SPACE_RUN = re.compile(" {2,}")
_KEPT_SPACE = "\x01"
"""Stands for a space in preformatted text until the others are tidied; clean_text leaves none in the data."""
_MANY_NEWLINES = re.compile(r"\n{3,}")


def read_html(file: OpenedFile, _limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile for a page without words."""
    codec, note = _encoding(file)
    file.stream.seek(0)
    source = file.stream.read().decode(codec, "replace").replace("\0", "")
    page = _parse(source, frozenset())
    if page.skipping:
        # A <nav> that is never closed would hide the rest of the page: read it again and don't skip that.
        page = _parse(source, frozenset({page.skipping}))
    sections = list(page.sections())
    if not sections:
        raise EmptyFile(f"{file.name} has no words to show", hint="it may be drawn by a script, or hold only pictures")
    return Reading(iter(sections), clean_title(page.title) or page.first_heading, notes=[note] if note else [])


def _encoding(file: OpenedFile) -> tuple[str, str]:
    """Codec and note: byte order mark, then what the page declares, if that fits, then as for plain text."""
    head = file.stream.read(2048)
    declared = _DECLARED.search(head)
    if declared and not head.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            codec = codecs.lookup(declared[1].decode("ascii")).name
            file.stream.seek(0)
            file.stream.read().decode(codec)
        except (LookupError, UnicodeError):
            pass
        else:
            return codec, ""
    found = find_encoding(file.stream, file.name)
    return found.codec, found.note


def _parse(source: str, unskipped: frozenset[str]) -> _Page:
    page = _Page(_SKIPPED - unskipped, honour_hidden=not unskipped)
    page.feed(source)
    page.close()
    page.end_section()
    return page


class _Page(HTMLParser):
    """Collects sections while it is fed."""

    def __init__(self, skipped: frozenset[str], *, honour_hidden: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.first_heading = ""
        self.skipping = ""
        """The tag that is being skipped; set at the end of the page only if it was never closed."""
        self._skip_depth = 0
        self._skipped = skipped
        self._honour_hidden = honour_hidden
        self._parts: list[str] = []
        self._sections: list[tuple[tuple[str, ...], str]] = []
        self._path: list[tuple[int, str]] = []
        self._heading_level = 0
        self._in_title = False
        self._pre_depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.skipping:
            self._skip_start(tag)
            return
        if tag not in _VOID and (tag in self._skipped or (self._honour_hidden and _is_hidden(attrs))):
            self.skipping, self._skip_depth = tag, 1
            return
        if tag in _HEADINGS:
            self.end_section()
            self._heading_level = _HEADINGS[tag]
        elif tag == "title" and not self.title and not self._heading_level:
            self._in_title = True
        elif tag == "br":
            self._parts.append("\n")
        elif tag in ("td", "th"):
            self._separate_cell()
        elif tag == "tr":
            self._parts.append("\n")
        elif tag in _PARAGRAPHS:
            if self._heading_level and tag != "hr":
                self._end_heading()  # a heading that was never closed ends where the next paragraph starts
            self._parts.append("\n- " if tag == "li" else "\n\n")
            self._pre_depth += tag == "pre"
        elif tag == "img":
            alternative = next((value for name, value in attrs if name == "alt" and value), "")
            self._parts.append(f" {_SPACES.sub(' ', clean_text(alternative))} ")

    def _skip_start(self, tag: str) -> None:
        if tag == self.skipping:
            if tag in _CLOSED_BY_THE_NEXT:
                self.skipping = ""
                self.handle_starttag(tag, [])
            else:
                self._skip_depth += 1

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # `<div/>` opens a div in HTML; only in void elements and in foreign content does the slash close.
        if tag not in self._skipped:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self.skipping:
            if tag == self.skipping:
                self._skip_depth -= 1
                if self._skip_depth == 0:
                    self.skipping = ""
            return
        if tag in _HEADINGS:
            self._end_heading()
        elif tag == "title":
            self._in_title = False
        elif tag == "pre":
            self._pre_depth = max(0, self._pre_depth - 1)
            self._parts.append("\n\n")
        elif tag in _PARAGRAPHS and tag not in ("tr", "li"):
            self._parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if self.skipping:
            return
        if self._in_title:
            self.title += data
        elif self._pre_depth:
            self._parts.append(clean_text(data).replace(" ", _KEPT_SPACE))
        else:
            self._parts.append(_SPACES.sub(" ", clean_text(data)))

    def parse_html_declaration(self, i: int) -> int:
        # The standard library stops at `<![anything`; to a browser that is a comment.
        if self.rawdata.startswith("<![", i) and not self.rawdata.startswith("<![CDATA[", i):
            return self.parse_bogus_comment(i)
        return super().parse_html_declaration(i)

    def _separate_cell(self) -> None:
        if self._parts and not self._parts[-1].endswith("\n"):
            self._parts.append(" | ")

    def _end_heading(self) -> None:
        if not self._heading_level:
            return
        level, self._heading_level = self._heading_level, 0
        words = clean_title("".join(self._parts).replace(_KEPT_SPACE, " "))
        self._parts = []
        if not words:
            return
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, words))
        self.first_heading = self.first_heading or words
        # An empty section keeps a heading's place: if nothing follows below it, its words are the section.
        self._sections.append((tuple(each for _, each in self._path), ""))

    def end_section(self) -> None:
        self._end_heading()
        text = _tidy("".join(self._parts))
        self._parts = []
        if text:
            self._sections.append((tuple(each for _, each in self._path), text))

    def sections(self) -> Iterator[Block]:
        for index, (path, text) in enumerate(self._sections):
            if text:
                for stretch in cut_stretches([text]):
                    if stretch.strip():
                        yield Block(stretch.strip("\n"), heading_path=path)
                continue
            following = self._sections[index + 1][0] if index + 1 < len(self._sections) else ()
            if following[: len(path)] != path:
                yield Block(path[-1], heading_path=path[:-1])


def _is_hidden(attrs: list[tuple[str, str | None]]) -> bool:
    return any(name == "hidden" or (name == "style" and value and _DISPLAY_NONE.search(value)) for name, value in attrs)


def _tidy(text: str) -> str:
    lines = "\n".join(line.strip() for line in _SPACE_RUN.sub(" ", text).split("\n"))
    return _MANY_NEWLINES.sub("\n\n", lines).strip("\n").replace(_KEPT_SPACE, " ")
