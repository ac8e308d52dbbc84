r"""LaTeX: a block for each section, under its heading path, with the line it starts at.

Commands give way to the words in their arguments, formulas stay as they are written, `\cite{key}` and
`\ref{key}` keep their keys, listings stay whole. Comments and the preamble go, but title, author and date are
taken from it. Nothing is included from other files, no macro is defined or expanded. No line is added or
taken away, so lines count as in the file. pylatexenc is not used: it reads 25 to 60 KB a second, gives no
lines, recurses into braces, and fails with an IndexError on `\href`.
"""

from __future__ import annotations

import itertools
import re
import unicodedata

from rag.readers.clean_text import clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.document_dates import unix_time_of_iso
from rag.readers.plain_text import MAX_WHOLE_BYTES, read_text, whole_text
from rag.readers.sections import Heading, highest, section_blocks
from rag.records import Block, Locator

MAX_ARGUMENT_LINES = 12
"""A heading or title that is longer has lost its closing brace."""

_LEVELS = ("part", "chapter", "section", "subsection", "subsubsection", "paragraph", "subparagraph")
_HEADING = re.compile(rf"\\({'|'.join(_LEVELS)})\*?[ \t]*(?:\[[^\]\n]{{0,300}}\][ \t]*)?\{{")
_ABOUT = re.compile(r"\\(title|author|date)[ \t]*(?:\[[^\]\n]{0,300}\][ \t]*)?\{")
_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%.*")
_ENVIRONMENT = re.compile(r"\\(begin|end)\{(\w{1,40})\*?\}")
_VERBATIM = frozenset({"verbatim", "lstlisting", "minted", "alltt", "Verbatim", "comment"})
_MATHS = "equation align gather multline eqnarray displaymath math flalign alignat split array"
_FORMULAS = frozenset(_MATHS.split())

_ACCENTS = {
    "`": "\u0300", "'": "\u0301", "^": "\u0302", '"': "\u0308", "~": "\u0303", "=": "\u0304", ".": "\u0307",
    "u": "\u0306", "v": "\u030c", "H": "\u030b", "c": "\u0327", "k": "\u0328", "r": "\u030a", "d": "\u0323",
}  # fmt: skip
"""Commands to the combining marks of Unicode."""
_ACCENT = re.compile(r"\\(?:([`'^\"~=.])|([uvHckrd])(?![a-zA-Z]))[ \t]*(?:\{\\?([a-zA-Z])\}|\\?([a-zA-Z]))")
_LETTERS = {
    "ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "o": "ø", "O": "Ø", "aa": "å", "AA": "Å", "l": "ł",
    "L": "Ł", "i": "i", "j": "j", "dots": "…", "ldots": "…", "textendash": "\u2013", "textemdash": "\u2014", "S": "§",
    "euro": "€", "pounds": "£", "copyright": "©", "textbackslash": "\\", "LaTeX": "LaTeX", "TeX": "TeX",
    "quad": " ", "qquad": " ", "par": " ", "footnote": " ", "footnotetext": " ", "thanks": " ", "caption": " ",
    "newline": " ", "linebreak": " ", "hfill": " ", "and": " ", "textasciitilde": "~", "degree": "°",
}  # fmt: skip
_INLINE = re.compile(
    r"\\(?:verb|lstinline)\*?(?P<mark>[^\sa-zA-Z*{\[])(?P<verbatim>[^\n]{0,500}?)(?P=mark)"
    r"|(?P<formula>\$[^$\n]{1,2000}\$|\\\([^\n]{1,2000}?\\\))"
    r"|\\href\{(?P<url>[^{}\n]{0,2000})\}\{(?P<shown>[^{}\n]{0,500})\}"
    r"|\\(?P<key>[a-zA-Z]*cite[a-zA-Z]*|[a-zA-Z]*ref)\*?(?:\[[^\]\n]{0,200}\]){0,2}\{(?P<keys>[^{}\n]{0,500})\}"
    r"|\\(?:label|vspace|hspace|setlength|setcounter|bibliographystyle|pagestyle|thispagestyle|usepackage"
    r"|documentclass|addtocounter|definecolor|color|fontsize|selectlanguage|graphicspath|addcontentsline)"
    r"\*?(?:\[[^\]\n]{0,300}\])?(?:\{[^{}\n]{0,300}\}){0,3}"
    r"|(?P<environment>\\(?:begin|end)\{[^{}\n]{0,60}\}(?:\{[^{}\n]{0,200}\})?(?:\[(?P<option>[^\]\n]{0,200})\])?)"
    r"|(?P<item>\\item(?![a-zA-Z])[ \t]*(?:\[[^\]\n]{0,200}\])?[ \t]?)"
    r"|\\(?P<escaped>[%&$#_{}])|\\(?P<name>[a-zA-Z@]+)\*?(?:\[[^\]\n]{0,300}\])?[ \t]?|\\(?P<other>.)"
    r"|(?P<cell>(?<!\\)&)|(?P<brace>[{}])|(?P<tie>~)|(?P<dash>-{2,3})|(?P<quote>``|'')"
)
_SPACES = re.compile(r"(?<=\S)[ \t]{2,}")
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def read_latex(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile for nothing but white space."""
    if file.size_bytes > MAX_WHOLE_BYTES:
        return read_text(file, limits)
    text, notes = whole_text(file)
    lines, is_kept = _without_comments(text.split("\n"))
    about, about_line = _about(lines, is_kept)
    _blank_preamble(lines, is_kept)
    headings = _take_headings(lines, is_kept)
    lines = [line if is_kept[number] else readable_line(line) for number, line in enumerate(lines)]
    if not headings and not about and not any(line.strip() for line in lines):
        return read_text(file, limits)  # a preamble or a style: all it has are commands
    day = _ISO_DATE.search(about.get("date", ""))
    named = [about[each] for each in ("title", "author", "date") if about.get(each)]
    front = [Block("\n".join(named), Locator(line=about_line))] if named else []
    return Reading(
        itertools.chain(front, section_blocks(lines, headings)),
        about.get("title", "") or highest(headings),
        about.get("author", ""),
        unix_time_of_iso(day[0]) if day else None,
        notes=notes,
    )


def readable_line(line: str) -> str:
    """A line of LaTeX, with what its commands say instead of the commands."""
    if "\\" not in line and not any(mark in line for mark in "{}&~`'-"):
        return line
    words = _SPACES.sub(" ", _INLINE.sub(_words, _ACCENT.sub(_accented, line))).rstrip()
    return words if line[:1].isspace() else words.lstrip()


def _words(found: re.Match[str]) -> str:
    kind = found.lastgroup
    value = found[kind] if kind else ""
    if kind in ("formula", "escaped", "verbatim"):
        return value
    if kind == "shown":
        return f"{found['shown']} ({found['url']})"
    if kind == "keys":
        return f"[{value}]"
    if kind == "environment":
        value = found["option"] or ""
        return f"{value} " if "=" not in value and len(value) > 3 else _apart(found)
    if kind == "name":
        return _LETTERS.get(value, "")
    if kind == "item":
        return f"{_apart(found)}- {readable_line(value[5:].strip(' []'))} ".replace("-  ", "- ")
    if kind == "other":
        return " " if value == "\\" else ""
    if kind == "brace":
        return " " if value == "}" and found.string[found.end() : found.end() + 1] == "{" else ""
    return {"cell": "|", "tie": " ", "dash": "\u2013" if value == "--" else "\u2014", "quote": '"'}.get(kind or "", "")


def _apart(found: re.Match[str]) -> str:
    """A space, where what stands before would run into what comes."""
    before = found.string[found.start() - 1 : found.start()]
    return " " if before and not before.isspace() else ""


def _accented(found: re.Match[str]) -> str:
    letter = found[3] or found[4]
    return unicodedata.normalize("NFC", letter + _ACCENTS[found[1] or found[2]])


def _without_comments(lines: list[str]) -> tuple[list[str], list[bool]]:
    """The lines, and which of them stay as they are written: those of listings and of formulas."""
    is_kept: list[bool] = []
    cleaned: list[str] = []
    inside = ""
    for line in lines:
        if not inside:
            line = _COMMENT.sub(r"\1", line) if "%" in line else line
        begins = inside == ""
        for mark in _ENVIRONMENT.finditer(line):
            kind, name = mark[1], mark[2]
            if kind == "begin" and not inside and (name in _VERBATIM or name in _FORMULAS):
                inside = name
            elif kind == "end" and name == inside:
                inside = ""
        is_mark = begins != (inside == "")
        is_kept.append(inside != "" and not is_mark)
        cleaned.append("" if inside == "comment" else line)
    if inside and inside not in _FORMULAS:
        return cleaned, is_kept  # a listing that is never closed goes on to the end, as in LaTeX
    return cleaned, is_kept if not inside else [False] * len(lines)


def _about(lines: list[str], is_kept: list[bool]) -> tuple[dict[str, str], int]:
    """What the document says of itself, and the line on which it begins to, from 1."""
    about: dict[str, str] = {}
    line_of_first = 1
    for number, line in enumerate(lines):
        if is_kept[number] or "\\" not in line:
            continue
        for found in _ABOUT.finditer(line):
            argument = _argument(lines, number, found.end())
            if argument is not None:
                line_of_first = line_of_first if about else number + 1
                words = argument[0].replace("\\\\", ", ").replace("\\and", ", ")
                about.setdefault(found[1], clean_title(readable_line(words)).replace(" ,", ","))
    return about, line_of_first


def _blank_preamble(lines: list[str], is_kept: list[bool]) -> None:
    """What stands before `\\begin{document}` and after its end, where there is one."""
    begin = next((n for n, line in enumerate(lines) if "\\begin{document}" in line and not is_kept[n]), None)
    if begin is None:
        return
    end = next((n for n in range(len(lines) - 1, begin, -1) if "\\end{document}" in lines[n]), len(lines))
    lines[begin] = lines[begin].split("\\begin{document}", 1)[1]
    for number in (*range(begin), *range(end + 1, len(lines))):
        lines[number] = ""


def _take_headings(lines: list[str], is_kept: list[bool]) -> list[Heading]:
    """The headings; the line on which one ends keeps what else is on it."""
    headings: list[Heading] = []
    number = 0
    while number < len(lines):
        found = None if is_kept[number] or "\\" not in lines[number] else _HEADING.search(lines[number])
        argument = _argument(lines, number, found.end()) if found is not None else None
        if found is None or argument is None:
            number += 1
            continue
        written, last, after = argument
        words = clean_title(readable_line(written))
        lines[last] = lines[number][: found.start()] + lines[last][after:]
        if words:
            headings.append(Heading(number, last, 1 + _LEVELS.index(found[1]), words))
        number = last if found.start() == 0 else last + 1
    return headings


def _argument(lines: list[str], number: int, start: int) -> tuple[str, int, int] | None:
    """The text up to the brace that closes it, that brace's line, and the place behind it; None without one."""
    depth = 1
    parts: list[str] = []
    for last in range(number, min(len(lines), number + MAX_ARGUMENT_LINES)):
        line = lines[last]
        begin = start if last == number else 0
        for mark in re.finditer(r"\\.|[{}]", line[begin:]):
            depth += {"{": 1, "}": -1}.get(mark[0], 0)
            if depth == 0:
                parts.append(line[begin : begin + mark.start()])
                return " ".join(parts), last, begin + mark.end()
        parts.append(line[begin:])
    return None
