"""PDF, page by page with pdfium: a block a page, or more where the document's outline names a place on it.

Text comes as pdfium orders it. Lines that were broken by the page's width are joined again, so that passages can be
cut at sentences; a word hyphenated at a line's end is whole, and so is a table's row. Fields that were filled in and
remarks follow their page's text; files attached to the document are files inside it. Pages without a text layer
(scans), or with fonts that do not tell their letters, are drawn where somebody looks at them, and named in the notes.
A file that pdfium refuses as damaged, cut off mostly, is given to qpdf, which rebuilds the table of its objects: the
pages that are whole are then read, and that is said.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.errors import DamagedFile, EmptyFile, EncryptedFile, ReadError, TooLarge
from rag.pdf_places import draw_page
from rag.pictures import Drawing
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.document_dates import unix_time_of_pdf
from rag.readers.pdf_attachments import attached_files
from rag.readers.pdf_remarks import page_remarks
from rag.records import Block, Locator
from rag.stretches import cut_stretches

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfTextPage

MAX_OUTLINE_ENTRIES = 5000
MAX_HEADING_LINES = 3
"""Over which an entry's words may run on their page."""
SAME_ROW_OVERLAP = 0.5
"""Of the lower of two characters' heights: they stand beside each other."""
COLUMN_GAP = "  "
"""Between two cells of a table's row."""
MIN_PART_CHARS = 80
"""Less than this before a heading is a page number or a running title: no part of its own."""
MIN_JUDGED_CHARS = 200
MAX_MEAN_WORD_CHARS = 25
"""Of a page in ASCII. Pages of code and of links stay below."""
MAX_SIGNS_SHARE = 0.3
"""Of characters that mean nothing outside their font."""
BLANK_SAMPLE = 997
"""Every so many bytes of a page's pixels are looked at first."""
FULL_LINE_SHARE = 0.7
"""A line this long, measured by the longest of its page, was broken by the page's width."""

_HYPHEN_AT_LINE_END = re.compile("[\x02\ufffe]\n?")
"""What pdfium puts where a word was hyphenated at a line's end."""
MAX_WORD_CHARS = 60
_LEADING_NUMBER = re.compile(
    r"^(?:(?:chapter|section|part|appendix)\s+)?(?:\d+|[A-Z]\b)(?:\.\d+)*[.):]?\s+", re.IGNORECASE
)
_NO_NAMES = frozenset({"untitled", "(untitled)", "anonymous", "(anonymous)", "unspecified", "(unspecified)"})
"""What programs write for a title or an author that nobody gave."""
_SPAN_BEGINS = re.compile(r"\d[-\u2013]$")
"""`2019-`, at a line's end."""
_STARTS_ITEM = re.compile(r"(?:[-*•◦▪‣–]|\(?\d{1,3}[.)]|\(?[a-z][.)]|\d{1,2}(?:\.\d{1,2})*\s+(?=[A-Z]))\s*")  # noqa: RUF001 (an en dash starts items)


MANY_PAGES = 20
"""From here on it is worth telling how far a document is."""


@dataclass(slots=True)
class _At:
    """The page that is being read."""

    index: int = 0


def read_pdf(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises EncryptedFile, DamagedFile, EmptyFile (no pages), TooLarge (too many pages)."""
    document, repaired = open_pdf(file)
    page_count = len(document)
    if page_count > limits.max_pages:
        raise TooLarge(
            f"{file.name} has {page_count:,} pages, more than the limit of {limits.max_pages:,}",
            hint="raise library.max_pages in the settings, or split it",
        )
    # A PDF is what a document was on the day it was made; what changes it later are stamps and signatures.
    written_at_s = unix_time_of_pdf(document.get_metadata_value("CreationDate"))
    if written_at_s is None:
        written_at_s = unix_time_of_pdf(document.get_metadata_value("ModDate"))
    reading = Reading(
        iter(()),
        _stated(document, "Title"),
        _stated(document, "Author"),
        written_at_s,
        members=attached_files(document, file.name, limits),
    )
    if repaired:
        reading.notes.append("the file is damaged; what could be recovered of it was read")
    at = _At()
    if page_count >= MANY_PAGES:
        reading.through = lambda: at.index / page_count
    reading.blocks = _blocks(document, file.name, reading.notes, at, draws=limits.draws)
    return reading


def _stated(document: PdfDocument, key: str) -> str:
    value = clean_title(document.get_metadata_value(key))
    return "" if value.lower() in _NO_NAMES else value


def open_pdf(file: OpenedFile) -> tuple[PdfDocument, bool]:
    """The document, and whether it had to be repaired. Raises EncryptedFile, DamagedFile, EmptyFile (no pages)."""
    from pypdfium2 import PdfDocument, PdfiumError

    try:
        return _with_forms(PdfDocument(file.stream)), False
    except PdfiumError as error:
        refusal = _why_not_opened(file)
        content = _repaired(file) if isinstance(refusal, DamagedFile) else None
        if content is None:
            raise refusal from error
        try:
            return _with_forms(PdfDocument(content)), True
        except PdfiumError:
            raise refusal from error


def _with_forms(document: PdfDocument) -> PdfDocument:
    """Ready to tell and to draw what was filled in; as it is where the form is damaged."""
    from pypdfium2 import PdfiumError

    logging.getLogger("pypdfium2").setLevel(logging.ERROR)  # one warning for each form of the kind that it cannot show
    with contextlib.suppress(PdfiumError):
        document.init_forms()
    return document


def _why_not_opened(file: OpenedFile) -> ReadError:
    """Ask pdfium itself: pypdfium2 gives the last error for a file without pages too, which an earlier file left."""
    from pypdfium2 import raw

    file.stream.seek(0)
    content = file.stream.read()
    handle = raw.FPDF_LoadMemDocument64(content, len(content), None)
    if handle:
        raw.FPDF_CloseDocument(handle)
        return EmptyFile(f"{file.name} has no pages", hint="get it again from where it came")
    if raw.FPDF_GetLastError() in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY):
        return EncryptedFile(
            f"{file.name} is protected by a password", hint="save a copy without the password and index that"
        )
    return DamagedFile(
        f"{file.name} is not a whole PDF", hint="get it again from where it came; it may have been cut off"
    )


def _repaired(file: OpenedFile) -> bytes | None:
    """The file as qpdf rebuilds it from the objects that are whole; None where there is nothing to rebuild."""
    import pikepdf

    logging.getLogger("pikepdf").setLevel(logging.ERROR)  # one warning an object that is not whole
    file.stream.seek(0)
    rebuilt = io.BytesIO()
    try:
        with pikepdf.open(file.stream, suppress_warnings=True) as document:
            if not len(document.pages):
                return None
            document.save(rebuilt)
    except (pikepdf.PdfError, pikepdf.PasswordError, RuntimeError, ValueError):
        # RuntimeError and ValueError are what qpdf's own exceptions become where pikepdf has no class for them.
        return None
    return rebuilt.getvalue()


def _blocks(document: PdfDocument, name: str, notes: list[str], at: _At, *, draws: bool) -> Iterator[Block]:
    from pypdfium2 import PdfiumError

    outline = _outline(document)
    path: list[tuple[int, str]] = []
    without_text: list[int] = []
    damaged: list[int] = []
    drawn: list[int] = []
    unreadable: list[int] = []
    has_words_beside = False
    for index in range(len(document)):
        at.index = index
        try:
            text, fields, remarks = _page_words(document, index)
        except PdfiumError:
            damaged.append(index + 1)
            continue
        if not (is_legible := legible(text)):
            unreadable.append(index + 1)
        if not text.strip() or not is_legible:
            drawing = _drawing(document, index) if draws else None
            if drawing is not None:
                drawn.append(index + 1)
                yield Block("", drawing=drawing)
                text = ""
            elif is_legible:
                without_text.append(index + 1)
        for headings, part in _parts(text, outline[index], path):
            for stretch in cut_stretches([join_broken_lines(part)]):
                if stretch.strip():
                    yield Block(stretch.strip("\n"), Locator(page=index + 1), headings)
        for heading, beside in (("Form", "\n".join(fields)), ("Remarks", "\n\n".join(remarks))):
            for stretch in cut_stretches([beside]):
                has_words_beside = True
                yield Block(stretch.strip("\n"), Locator(page=index + 1), (*(each for _, each in path), heading))
    if len(without_text) + len(damaged) == len(document) and not has_words_beside:
        if damaged:
            raise DamagedFile(f"{name}: none of its pages can be read", hint="get it again from where it came")
        if draws:
            raise EmptyFile(f"{name} has nothing on any page", hint="there is nothing in it to find")
        raise ReadError(
            f"{name} has no text layer on any page: it is a scan, or pictures only",
            hint="add it to the library: the text on its pages is read there (OCR)",
        )
    if unreadable:
        notes.append(f"the fonts on {_pages(unreadable)} do not tell which letters they show")
    if drawn:
        notes.append(f"no text layer on {_pages(drawn)}: the text was read from the picture (OCR)")
    if without_text:
        notes.append(f"no text layer on {_pages(without_text)} (scanned?)")
    if damaged:
        notes.append(f"{_pages(damaged)} cannot be read")


def legible(text: str) -> bool:
    """Whether a page's text says what the page shows. Fonts without a map give numbers of glyphs, taken for letters:
    words without end, or signs that no alphabet has."""
    if len(text) < MIN_JUDGED_CHARS:
        return True
    words = text.split()
    signs = sum(unicodedata.category(character) in ("Co", "Cn") or character == "\ufffd" for character in text)
    endless = text.isascii() and len(text) > MAX_MEAN_WORD_CHARS * len(words)
    return not endless and signs < MAX_SIGNS_SHARE * len(text)


def _drawing(document: PdfDocument, index: int) -> Drawing | None:
    """A page without text as it looks; None where it is blank, or too long and thin to be drawn."""
    page = document[index]
    try:
        drawn = draw_page(page)
    except ValueError:
        return None
    finally:
        page.close()
    if len(set(drawn.rgb[::BLANK_SAMPLE])) == 1 and len(set(drawn.rgb)) == 1:
        return None
    units_per_px = drawn.width_pt / drawn.width_px
    return Drawing(drawn.width_px, drawn.height_px, drawn.rgb, index + 1, units_per_px)


def _page_words(document: PdfDocument, index: int) -> tuple[str, list[str], list[str]]:
    """A page's text, the fields filled in on it, and the remarks put on it."""
    page = document[index]
    try:
        textpage = page.get_textpage()
        try:
            raw = _with_whole_rows(textpage, textpage.get_text_range())
        finally:
            textpage.close()
        text = clean_text(_HYPHEN_AT_LINE_END.sub(_joint, raw.replace("\r\n", "\n")))
        return text, *page_remarks(document, page, text)
    finally:
        page.close()


def _with_whole_rows(textpage: PdfTextPage, text: str) -> str:
    """pdfium ends a line where a wide gap comes, as between a table's columns: such an end becomes a tab."""
    count = textpage.count_chars()
    if count != len(text):  # then its characters are not those of the text
        return text
    pieces: list[str] = []
    start = 0
    end = text.find("\r\n", 1)
    while 0 < end < count - 2:
        _, bottom, right, top = textpage.get_charbox(end - 1)
        next_left, next_bottom, _, next_top = textpage.get_charbox(end + 2)
        height = min(top - bottom, next_top - next_bottom)
        if next_left >= right and min(top, next_top) - max(bottom, next_bottom) > SAME_ROW_OVERLAP * height > 0:
            pieces += (text[start:end], "\t")
            start = end + 2
        end = text.find("\r\n", end + 2)
    return "".join([*pieces, text[start:]])


def _joint(mark: re.Match[str]) -> str:
    """Nothing where a word was broken; the hyphen where it joins words: `Smith-Jones`, `state-of-the-art`, `A-19`."""
    before = mark.string[max(0, mark.start() - MAX_WORD_CHARS) : mark.start()]
    word = before.split()[-1] if before.strip() and not before[-1].isspace() else ""
    after = mark.string[mark.end() : mark.end() + 1]
    return "-" if "-" in word or after.isdigit() or (after.isupper() and word[-1:].islower()) else ""


def join_broken_lines(text: str) -> str:
    """Undo the line breaks that the page's width made: paragraphs end up on one line each.

    A line that is nearly as long as the page's longest goes on in the next, unless that starts a list item;
    a shorter one goes on only where a small letter follows and it does not end a sentence.
    """
    lines = [line.strip() for line in text.split("\n")]
    lengths = sorted(len(line) for line in lines if line)
    if not lengths:
        return ""
    # Not the very longest: one line that runs into the margin must not make all others look short.
    full = FULL_LINE_SHARE * lengths[int(0.95 * (len(lengths) - 1))]
    joined: list[str] = []
    goes_on = False
    for line in lines:
        # A short line goes on where a small letter follows one that ends in a letter, not in a full stop.
        in_mid_sentence = bool(joined) and line[:1].islower() and joined[-1][-1:].isalpha()
        is_row = "\t" in line
        if not is_row and (in_mid_sentence or (goes_on and line and not _STARTS_ITEM.match(line))):
            between = "" if _SPAN_BEGINS.search(joined[-1]) and line[:1].isdigit() else " "
            joined[-1] = f"{joined[-1]}{between}{line}"
        else:
            joined.append(line.replace("\t", COLUMN_GAP))
        goes_on = not is_row and len(line) >= full and len(line) > 30
    return "\n".join(joined)


def _outline(document: PdfDocument) -> defaultdict[int, list[tuple[int, str]]]:
    """Level and words of the outline's entries, by page index, in order."""
    entries: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
    for count, bookmark in enumerate(document.get_toc()):
        if count >= MAX_OUTLINE_ENTRIES:
            break
        destination = bookmark.get_dest()
        page = destination.get_index() if destination is not None else None
        words = clean_title(bookmark.get_title())
        if page is not None and words:
            entries[page].append((bookmark.level, words))
    return entries


def _parts(
    text: str, entries: list[tuple[int, str]], path: list[tuple[int, str]]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Cut a page's text before lines that are words of the outline. `path` is carried from page to page.

    Outlines lie: an entry whose words are not a line of its page is not used.
    """
    start = searched = 0
    for level, words in entries:
        found = _find_line(text, words, searched)
        if found is None:
            continue
        begin, searched = found
        before = text[start:begin].strip("\n")
        if len(before) >= MIN_PART_CHARS:
            yield tuple(each for _, each in path), before
            start = begin
        while path and path[-1][0] >= level:
            path.pop()
        path.append((level, words))
    if rest := text[start:].strip("\n"):
        yield tuple(each for _, each in path), rest


def _find_line(text: str, words: str, start: int) -> tuple[int, int] | None:
    """Where the words stand on the page as one line, or as a few that follow each other; begin and end."""
    wanted = _comparable(words)
    if not wanted:
        return None
    lines = text[start:].split("\n")
    position = start
    for index, line in enumerate(lines):
        found, count = _comparable(line), 1
        while wanted.startswith(f"{found} ") and count < MAX_HEADING_LINES and index + count < len(lines):
            found = _comparable("\n".join(lines[index : index + count + 1]))
            count += 1
        if found == wanted:
            return position, position + sum(map(len, lines[index : index + count])) + count - 1
        position += len(line) + 1
    return None


def _comparable(words: str) -> str:
    return " ".join(_LEADING_NUMBER.sub("", words).casefold().split())


def _pages(numbers: list[int]) -> str:
    """`page 3`, `pages 1-4, 7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    text = ", ".join("-".join(str(each) for each in run) for run in runs)
    return f"page {text}" if len(numbers) == 1 else f"pages {text}"
