"""What an RTF says: its groups and control words in (Rich Text Format 1.9.1), paragraphs, rows and notes out.

Every byte that is no ASCII is decoded by the font that it stands in; characters may be given twice, once for old
programs, and are read once. Deleted text, field codes, marks of an index, and everything that a group marked as
optional may hold are passed over, unless it is known to hold words: text boxes, formulas, numbers of lists.
striprtf is not used: it decodes by the wrong font where one names no character set, and loses headings, text boxes,
comments, headers and footers.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from rag.readers.flowing_text import HEADERS

MAX_DEPTH = 500
"""Groups within groups; what is nested deeper belongs to the group at this depth."""
MAX_FONTS = 10_000
TOKENS_BETWEEN = 2_000
"""So many are read before what they gave is handed on."""

_TOKEN = re.compile(
    r"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})? ?|\\'(?P<byte>[0-9a-fA-F]{2})|\\(?P<symbol>[^a-zA-Z'])"
    r"|(?P<brace>[{}])|(?P<text>[^\\{}\r\n]+)|[\r\n]+|\\"
)
_CODE_PAGE_OF_CHARSET = {
    2: "cp1252", 77: "mac_roman", 78: "cp932", 79: "cp949", 80: "cp936", 81: "cp950", 82: "cp949", 83: "cp1255",
    84: "cp1256", 85: "cp1253", 86: "cp1254", 87: "cp874", 88: "cp1250", 89: "cp1251", 128: "cp932", 129: "cp949",
    130: "johab", 134: "cp936", 136: "cp950", 161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255",
    178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
"""Of the Mac's character sets (77 to 89) Python knows few; these are Windows' for the same scripts. A font of
another set (0: of the document's language, 1: any) has the document's code page."""
_CHARACTERS = {
    "tab": "\t", "line": "\n", "emdash": "\u2014", "endash": "\u2013", "bullet": "\u2022", "lquote": "\u2018",
    "rquote": "\u2019", "ldblquote": "\u201c", "rdblquote": "\u201d", "emspace": " ", "enspace": " ", "qmspace": " ",
}  # fmt: skip
_SYMBOLS = {"~": "\u00a0", "_": "-", "{": "{", "}": "}", "\\": "\\"}
_APART = {"footnote": "Footnotes", "annotation": "Comments"} | dict.fromkeys(
    ("header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf"), HEADERS
)
"""Groups whose words stand apart, and the heading they come under."""
_STATED = frozenset({"title", "author", "operator", "atnauthor"})
_WORDS_AGAIN = frozenset({"shptxt", "dptxbxtext", "result", "mr", "ud"})
"""Inside of what is passed over, these hold words that a reader of the page sees."""
_WITHOUT_WORDS = (
    "colortbl listtable listoverridetable revtbl rsidtbl generator xmlnstbl themedata colorschememapping datastore"
    " latentstyles filetbl pict objdata objclass objname object fldinst datafield formfield bkmkstart bkmkend xe tc"
    " rxe txe info shp shpinst shprslt sp do nonshppict ftnsep ftnsepc ftncn aftnsep aftnsepc aftncn atnid atndate"
    " atnref atnicn atnparent pn upr private1 docvar userprops template listpicture pgptbl nesttableprops"
    " nonesttables mmath mmathPict mailmerge wgrffmtfilter background"
)
_PASSED_OVER = frozenset(_WITHOUT_WORDS.split())
_STARRED_WORDS = frozenset({"moMath", "moMathPara", "annotation", "atnauthor", "shppict", "footnote"})
"""Marked as optional, and read."""
_TIME_PARTS = ("yr", "mo", "dy", "hr", "min", "sec")
_HEADING_NAME = re.compile(r"heading (\d)", re.IGNORECASE)

Purpose = Literal["words", "marker", "stated", "fonts", "styles", "time", "nothing", "dropped"]
"""Of a group. `nothing`: no words, but groups in it may have some; `dropped`: nor they."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A paragraph, an item of a list or a row of a table."""

    kind: Literal["paragraph", "item", "numbered", "row"]
    text: str
    level: int | None = None
    """Of a heading; a title's is 0."""
    apart: str = ""
    """The heading of what stands apart from the text, and is told at its end."""


class _Sink:
    """Where a paragraph's words gather: the text's, or those of a note."""

    def __init__(self, apart: str = "") -> None:
        self.apart = apart
        self.words: list[str] = []
        self.marker: list[str] = []
        self.cells: list[str] = []
        self.row: list[str] = []
        self.level: int | None = None
        self.in_table = False


@dataclass(slots=True)
class _Group:
    purpose: Purpose
    sink: _Sink
    name: str = ""
    """What is stated in it, or the time that it gives."""
    codec: str = ""
    skipped_characters: int = 1
    """After each character given by its number: the same for old programs."""
    is_deleted: bool = False
    is_starred: bool = False
    opens: bool = False
    """Its first word has not come, which says what it is for."""


class TakesText(Protocol):
    def count(self, text: str) -> None:
        """Of every piece of text as it comes. Raises TooLarge."""


@dataclass(slots=True)
class RtfText:
    """Reads one document. `stated` and `times` are complete when `pieces` is exhausted."""

    source: str
    """The file's bytes as latin-1: one character a byte."""
    counted: TakesText
    stated: dict[str, str] = field(default_factory=dict)
    times: dict[str, dict[str, int]] = field(default_factory=dict)
    """By `creatim`, `revtim`: what they say of `yr`, `mo`, `dy`, `hr`, `min`, `sec`."""
    _ready: list[Piece] = field(default_factory=list)
    _codec: str = "cp1252"
    _codecs: dict[int, str] = field(default_factory=dict)
    """By font."""
    _levels: dict[int, int] = field(default_factory=dict)
    """Of the styles that are headings."""
    _font: int = 0
    _style: int = 0
    _bytes: bytearray = field(default_factory=bytearray)
    _skip: int = 0

    def pieces(self) -> Iterator[Piece]:
        body = _Sink()
        group = _Group("words", body)
        open_groups: list[_Group] = []
        beyond = 0
        for number, token in enumerate(_TOKEN.finditer(self.source)):
            kind = token.lastgroup
            if kind == "byte":
                self._take_bytes(group, bytes((int(token["byte"], 16),)))
                continue
            if kind == "text":
                self._take_bytes(group, token["text"].encode("latin-1"))
                continue
            self._flush(group)
            if kind == "brace":
                self._skip = 0
                if token["brace"] == "{":
                    if len(open_groups) >= MAX_DEPTH:
                        beyond += 1
                        continue
                    open_groups.append(group)
                    group = replace(group, opens=True, is_starred=False)
                elif beyond:
                    beyond -= 1
                elif open_groups:
                    outer = open_groups.pop()
                    self._end(group, outer)
                    group = outer
                    if not open_groups:
                        break  # what follows is no part of the document
            elif kind == "symbol":
                self._take_symbol(group, token["symbol"])
            elif kind in ("word", "number"):
                self._take_word(group, token["word"], int(token["number"]) if token["number"] else None)
            if number % TOKENS_BETWEEN == 0:
                yield from self._taken()
        self._flush(group)
        self._end_row(body)
        self._end_paragraph(body)
        yield from self._taken()

    def _taken(self) -> list[Piece]:
        ready, self._ready = self._ready, []
        return ready

    def _end(self, group: _Group, outer: _Group) -> None:
        if group.sink is not outer.sink:
            self._end_row(group.sink)
            self._end_paragraph(group.sink)

    def _take_bytes(self, group: _Group, content: bytes) -> None:
        group.opens = False
        if self._skip:
            skipped = min(self._skip, len(content))
            self._skip -= skipped
            content = content[skipped:]
        self._bytes += content

    def _flush(self, group: _Group) -> None:
        if self._bytes:
            codec = self._codec if group.purpose in ("stated", "fonts", "styles") else group.codec or self._codec
            self._take_text(group, self._bytes.decode(codec, "replace"))
            self._bytes.clear()

    def _take_text(self, group: _Group, text: str) -> None:
        group.opens = False
        purpose = group.purpose
        if purpose == "words" and not group.is_deleted:
            self.counted.count(text)
            group.sink.words.append(text)
        elif purpose == "marker":
            group.sink.marker.append(text)
        elif purpose == "stated":
            self.stated[group.name] = (self.stated.get(group.name, "") + text)[:2_000]
        elif purpose == "styles" and (found := _HEADING_NAME.match(text.strip())) is not None:
            self._levels[self._style] = int(found[1])
        elif purpose == "styles" and text.strip().lower().rstrip(";") == "title":
            self._levels[self._style] = 0

    def _take_symbol(self, group: _Group, symbol: str) -> None:
        self._skip = 0
        if symbol == "*":
            group.is_starred = True
        elif symbol in "\r\n":
            self._end_paragraph(group.sink)
        elif symbol in _SYMBOLS:
            self._take_text(group, _SYMBOLS[symbol])

    def _take_word(self, group: _Group, word: str, number: int | None) -> None:
        if group.opens:
            group.opens = False
            self._begin(group, word)
        self._skip = 0
        if word in _CHARACTERS:
            self._take_text(group, _CHARACTERS[word])
        elif word == "u" and number is not None:
            self._take_text(group, chr(number % 0x10000))
            self._skip = group.skipped_characters
        elif word == "uc":
            group.skipped_characters = min(max(number if number is not None else 1, 0), 100)
        elif word == "f" and number is not None:
            self._font = number
            group.codec = self._codecs.get(number, "")
        elif word == "plain":
            group.codec, group.is_deleted = "", False
        elif word == "deleted":
            group.is_deleted = number != 0
        elif group.purpose in ("fonts", "styles", "time"):
            self._take_definition(group, word, number)
        elif group.purpose == "words":
            self._take_structure(group.sink, word, number)
        if word in ("ansicpg", "mac", "pc", "pca"):
            self._codec = _known_codec({"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}.get(word, f"cp{number}"))

    def _begin(self, group: _Group, word: str) -> None:
        """What a group is for, by its first word."""
        if group.purpose == "dropped":
            return
        if word in _APART:
            group.purpose, group.sink = "words", _Sink(_APART[word])
            author = self.stated.pop("atnauthor", "").strip() if word == "annotation" else ""
            group.sink.words.append(f"{author}: " if author else "")
        elif word in _STATED:
            group.purpose, group.name = "stated", word
            self.stated[word] = ""
        elif word in ("shptxt", "dptxbxtext"):
            group.purpose, group.sink = "words", _Sink(group.sink.apart)
        elif word in _WORDS_AGAIN:
            group.purpose = "words"
        elif word in ("listtext", "pntext"):
            group.purpose = "marker" if group.purpose == "words" else group.purpose
        elif word in ("fonttbl", "stylesheet"):
            group.purpose = "fonts" if word == "fonttbl" else "styles"
        elif word in ("creatim", "revtim"):
            group.purpose, group.name = "time", word
        elif word in ("shprslt", "nonshppict"):
            group.purpose = "dropped"  # the same for old programs
        elif word in _PASSED_OVER or (group.is_starred and word not in _STARRED_WORDS):
            if group.purpose not in ("fonts", "styles") or group.is_starred:
                group.purpose = "nothing"
        elif word.startswith("m") and word.endswith("Pr"):
            group.purpose = "nothing"

    def _take_definition(self, group: _Group, word: str, number: int | None) -> None:
        if group.purpose == "fonts" and word == "fcharset" and len(self._codecs) < MAX_FONTS:
            self._codecs[self._font] = _known_codec(_CODE_PAGE_OF_CHARSET.get(number or 0, ""), "")
        elif group.purpose == "styles" and word == "s":
            self._style = number or 0
        elif group.purpose == "styles" and word == "outlinelevel" and number is not None and 0 <= number < 9:
            self._levels[self._style] = number + 1
        elif group.purpose == "time" and word in _TIME_PARTS:
            self.times.setdefault(group.name, {})[word] = number or 0

    def _take_structure(self, sink: _Sink, word: str, number: int | None) -> None:
        if word in ("par", "sect", "page"):
            self._end_paragraph(sink)
        elif word == "pard":
            sink.level, sink.in_table = None, False
        elif word == "s":
            sink.level = self._levels.get(number or 0)
        elif word == "outlinelevel":
            sink.level = number + 1 if number is not None and 0 <= number < 9 else None
        elif word == "intbl":
            sink.in_table = True
        elif word in ("cell", "nestcell"):
            sink.cells.append("".join(sink.words))
            sink.row.append(" ".join(" ".join(sink.cells).split()))
            sink.words.clear()
            sink.cells.clear()
        elif word in ("row", "nestrow"):
            self._end_row(sink)

    def _end_row(self, sink: _Sink) -> None:
        cells, sink.row = sink.row, []
        if any(cells):
            self._ready.append(Piece("row", _whole(" | ".join(cells)), apart=sink.apart))

    def _end_paragraph(self, sink: _Sink) -> None:
        text, marker = "".join(sink.words), "".join(sink.marker).strip()
        sink.words.clear()
        sink.marker.clear()
        if sink.in_table:
            sink.cells.append(text)
        elif text.strip():
            is_numbered = any(map(str.isalnum, marker))
            kind: Literal["paragraph", "item", "numbered"] = "numbered" if is_numbered else "item"
            shown = f"{marker} {text.strip()}" if is_numbered else text
            self._ready.append(Piece(kind if marker else "paragraph", _whole(shown), sink.level, sink.apart))


def _whole(text: str) -> str:
    """RTF writes characters beyond 16 bits as two halves."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _known_codec(name: str, otherwise: str = "cp1252") -> str:
    name = {"cp65001": "utf-8", "cp10000": "mac_roman", "cp708": "iso8859-6"}.get(name, name)
    try:
        return codecs.lookup(name).name
    except LookupError:
        return otherwise
