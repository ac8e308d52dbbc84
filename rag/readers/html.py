"""HTML: what a reader of the page would read, by sections under their heading path.

The tokeniser is the standard library's; structure comes from start tags (a page that never closes its
paragraphs and list items reads the same). Left out: scripts, styles, templates, navigation, frames, form
choices, and what is marked as hidden. Nothing is fetched; a link gives its words, a picture its alternative
text. A paragraph's locator is its line in the file. Author and date come from the page's `meta` elements.

Mails and books read their HTML here too: `html_as_text`, `page_sections`.
"""

from __future__ import annotations

import codecs
import contextlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from rag.errors import EmptyFile
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.document_dates import unix_time_of_iso
from rag.readers.encoding import declared_codec, find_encoding
from rag.readers.tolerant_parser import TolerantParser
from rag.records import Block, Locator
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
DECLARED_WITHIN_BYTES = 2048
_DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)
_DISPLAY_NONE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\n\f\r\u00a0]+")
_SPACE_RUN = re.compile(" {2,}")
_KEPT_SPACE = "\x01"
"""Stands for a space in preformatted text until the others are tidied; clean_text leaves none in the data."""
_ITEM = "\n- "
MAX_QUOTE_MARKS = 20
_AUTHOR_NAMES = ("author", "article:author", "dc.creator", "dcterms.creator", "citation_author", "parsely-author")
_DATE_NAMES = (
    "article:published_time",
    "datepublished",
    "date",
    "dc.date",
    "dcterms.created",
    "dcterms.date",
    "citation_publication_date",
    "article:modified_time",
    "dcterms.modified",
)
_MANY_NEWLINES = re.compile(r"\n{3,}")


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What a page says of itself."""

    title: str
    """Its `title`, or else its first heading."""
    author: str
    written_at_s: float | None


def read_html(file: OpenedFile, _limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile for a page without words."""
    source, note = decoded_page(file)
    facts, blocks = page_sections(source)
    if not blocks:
        raise EmptyFile(f"{file.name} has no words to show", hint="it may be drawn by a script, or hold only pictures")
    return Reading(iter(blocks), facts.title, facts.author, facts.written_at_s, notes=[note] if note else [])


def decoded_page(file: OpenedFile) -> tuple[str, str]:
    """The markup as text, and a note where its encoding was a guess. Raises DamagedFile.

    Its encoding is told by a byte order mark, or by what the page declares, if that fits, or else as for plain text.
    """
    content = file.stream.read()
    declared = _DECLARED.search(content, 0, DECLARED_WITHIN_BYTES)
    if declared and not content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        codec = declared_codec(declared[1].decode("ascii"))
        if codec is not None:
            with contextlib.suppress(UnicodeError):
                return content.decode(codec), ""
    found = find_encoding(file.stream, file.name)
    return content.decode(found.codec, "replace"), found.note


def page_sections(source: str, *, with_lines: bool = True) -> tuple[PageFacts, list[Block]]:
    """A page's paragraphs under their heading path; `with_lines`: with the line of the source they begin at."""
    page = _parsed(source, frozenset())
    if page.skipping:
        # A <nav> that is never closed would hide the rest of the page: read it again and don't skip that.
        page = _parsed(source, frozenset({page.skipping}))
    meta = page.meta
    author = next((meta[name] for name in _AUTHOR_NAMES if name in meta), "")
    dates = (unix_time_of_iso(meta[name]) for name in _DATE_NAMES if name in meta)
    written_at_s = next((date for date in dates if date is not None), None)
    return PageFacts(clean_title(page.title) or page.first_heading, author, written_at_s), list(
        page.sections(with_lines)
    )


def html_as_text(source: str) -> str:
    """The words of a mail's HTML as plain text: headings are paragraphs, quotes have `> ` before their lines."""
    page = _parsed(source, frozenset(), flat=True)
    if page.skipping:
        page = _parsed(source, frozenset({page.skipping}), flat=True)
    return page.flat_text()


def _parsed(source: str, unskipped: frozenset[str], *, flat: bool = False) -> _Page:
    page = _Page(_SKIPPED - unskipped, honour_hidden=not unskipped, flat=flat)
    # As an editor counts lines.
    page.feed(source.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n"))
    page.close()
    page.end()
    return page


@dataclass(slots=True)
class _Paragraph:
    """Without parts it stands for the last heading of its path."""

    parts: list[str] = field(default_factory=list)
    has_words: bool = False
    line: int = 1
    path: tuple[str, ...] = ()
    quote_depth: int = 0


class _Page(TolerantParser):
    """Collects sections while it is fed."""

    def __init__(self, skipped: frozenset[str], *, honour_hidden: bool, flat: bool) -> None:
        """`flat`: headings are paragraphs like others, and quotes are marked."""
        super().__init__()
        self.title = ""
        self.meta: dict[str, str] = {}
        """What `meta` elements say, by their lower-case name; the first of each."""
        self.first_heading = ""
        self.skipping = ""
        """The tag that is being skipped; set at the end of the page only if it was never closed."""
        self._skip_depth = 0
        self._skipped = skipped
        self._honour_hidden = honour_hidden
        self._flat = flat
        self._paragraph = _Paragraph()
        """The one that is being collected."""
        self._found: list[_Paragraph] = []
        self._path: list[tuple[int, str]] = []
        self._heading_level = 0
        self._heading_line = 1
        self._heading_parts: list[str] = []
        self._quote_depth = 0
        self._in_title = False
        self._pre_depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.skipping:
            self._skip_start(tag)
            return
        if tag not in _VOID and (tag in self._skipped or (self._honour_hidden and _is_hidden(attrs))):
            self.skipping, self._skip_depth = tag, 1
            return
        if tag in _HEADINGS and not self._flat:
            self._break()
            self._heading_level, self._heading_line = _HEADINGS[tag], self.getpos()[0]
        elif tag == "title" and not self.title and not self._heading_level:
            self._in_title = True
        elif tag == "meta":
            self._take_meta(dict(attrs))
        elif tag in ("br", "tr"):
            self._add("\n", self.getpos()[0])
        elif tag in ("td", "th"):
            self._separate_cell()
        elif tag in _PARAGRAPHS:
            if self._heading_level and tag != "hr":
                self._end_heading()  # a heading that was never closed ends where the next paragraph starts
            if tag == "li":
                self._add(_ITEM, self.getpos()[0])
            else:
                self._break()
            self._pre_depth += tag == "pre"
            self._quote_depth += tag == "blockquote"
        elif tag == "img":
            alternative = next((value for name, value in attrs if name == "alt" and value), "")
            self._add(f" {_SPACES.sub(' ', clean_text(alternative))} ", self.getpos()[0])

    def _take_meta(self, attributes: dict[str, str | None]) -> None:
        content = clean_title(attributes.get("content") or "")
        for naming in ("name", "property", "itemprop"):
            if content and (name := (attributes.get(naming) or "").lower()):
                self.meta.setdefault(name, content)

    def _add(self, text: str, line: int) -> None:
        if self._heading_level:
            self._heading_parts.append(text)
            return
        paragraph = self._paragraph
        if not paragraph.has_words and not text.isspace():
            paragraph.has_words, paragraph.line = True, line
        paragraph.parts.append(text)

    def _break(self) -> None:
        """What comes is another paragraph; the first one of a list item begins beside its mark."""
        if self._heading_level:
            self._end_heading()
        paragraph = self._paragraph
        if paragraph.parts and paragraph.parts[-1] == _ITEM:
            return
        if paragraph.has_words:
            paragraph.path = tuple(words for _, words in self._path)
            paragraph.quote_depth = self._quote_depth
            self._found.append(paragraph)
        self._paragraph = _Paragraph()

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
        if tag in _HEADINGS and not self._flat:
            self._end_heading()
        elif tag == "title":
            self._in_title = False
        elif tag in _PARAGRAPHS and tag not in ("tr", "li"):
            self._break()
            if tag == "pre":
                self._pre_depth = max(0, self._pre_depth - 1)
            elif tag == "blockquote":
                self._quote_depth = max(0, self._quote_depth - 1)

    def handle_data(self, data: str) -> None:
        if self.skipping:
            return
        if self._in_title:
            self.title += data
            return
        line = self.getpos()[0] + data.count("\n", 0, len(data) - len(data.lstrip()))
        text = clean_text(data)
        self._add(text.replace(" ", _KEPT_SPACE) if self._pre_depth else _SPACES.sub(" ", text), line)

    def _separate_cell(self) -> None:
        if self._paragraph.has_words and not self._paragraph.parts[-1].endswith("\n"):
            self._add(" | ", self.getpos()[0])

    def _end_heading(self) -> None:
        if not self._heading_level:
            return
        level, self._heading_level = self._heading_level, 0
        words = clean_title("".join(self._heading_parts).replace(_KEPT_SPACE, " "))
        self._heading_parts = []
        if not words:
            return
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, words))
        self.first_heading = self.first_heading or words
        self._found.append(_Paragraph(line=self._heading_line, path=tuple(each for _, each in self._path)))

    def end(self) -> None:
        """The page is over."""
        self._break()
        self._quote_depth = 0

    def sections(self, with_lines: bool) -> Iterator[Block]:
        for paragraph, following in itertools.zip_longest(self._found, self._found[1:]):
            path = paragraph.path
            if not paragraph.parts:
                # A heading: if nothing follows below it, its words are all there is.
                below = following is not None and following.path[: len(path)] == path
                repeated = following is not None and not following.parts and following.path == path
                if not below or repeated:
                    yield Block(path[-1], Locator(line=paragraph.line if with_lines else None), path[:-1])
                continue
            line = paragraph.line
            for stretch in cut_stretches([_tidy("".join(paragraph.parts))]):
                if text := stretch.strip("\n"):
                    yield Block(text, Locator(line=line if with_lines else None), path)
                line += stretch.count("\n")

    def flat_text(self) -> str:
        paragraphs: list[str] = []
        for paragraph in self._found:
            lines = [line for line in _tidy("".join(paragraph.parts)).split("\n") if line.strip(" |")]
            marks = "> " * min(paragraph.quote_depth, MAX_QUOTE_MARKS)
            paragraphs.append("\n".join(marks + line for line in lines))
        return "\n\n".join(each for each in paragraphs if each)


def _is_hidden(attrs: list[tuple[str, str | None]]) -> bool:
    return any(name == "hidden" or (name == "style" and value and _DISPLAY_NONE.search(value)) for name, value in attrs)


def _tidy(text: str) -> str:
    lines = "\n".join(line.strip() for line in _SPACE_RUN.sub(" ", text).split("\n"))
    return _MANY_NEWLINES.sub("\n\n", lines).strip("\n").replace(_KEPT_SPACE, " ")
