"""RTF, through striprtf: its paragraphs and table rows as text, with the title, author and date that it states.

striprtf takes the whole text at once and looks at every character, so what is no text (pictures, embedded
objects: hexadecimal digits or raw bytes) is cut out before. No locators: an RTF has no pages until it is laid
out, and its lines are not those of the text.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from rag.errors import DamagedFile, EmptyFile, TooLarge
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.contract import OpenedFile, Reading, ReadLimits
from rag.readers.document_dates import unix_time
from rag.records import Block
from rag.stretches import cut_stretches

INFO_CHARS = 1 << 16
"""The document's properties stand at its beginning."""

_RAW_BYTES = re.compile(rb"\\bin(\d{1,10}) ?")
_HEXADECIMAL = re.compile(rb"[0-9a-fA-F\s]{256,}")
_CODE_PAGE = re.compile(rb"\\ansicpg(\d{1,5})")
_IMPOSSIBLE_CHARACTER = re.compile(r"\\u-?\d{6,10}(?!\d) ?|\\uc(?![\da-z]) ?")
_CHARACTER_SET = re.compile(r"\\fcharset(7[89]|8[0-8])(?!\d)")
_MAC_CHARACTER_SETS = {
    "78": "128", "79": "136", "80": "129", "81": "178", "82": "177", "83": "161", "84": "204", "85": "134",
    "86": "238", "87": "222", "88": "238",
}  # fmt: skip
"""Of the Mac's character sets, Python knows few; these are Windows' for the same scripts."""
_FOOTNOTE = re.compile(r"\{(?:\\\*)?\\footnote(?![a-z])")
_INFO = re.compile(r"\{\\(title|author|operator) ((?:[^{}\\]|\\.|\{[^{}]*\})*)\}", re.DOTALL)
_TIME = re.compile(r"\{\\(creatim|revtim)((?:\\(?:yr|mo|dy|hr|min|sec)\d{1,4})+)")
_TIME_PART = re.compile(r"\\(yr|mo|dy|hr|min|sec)(\d{1,4})")


def read_rtf(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile for what is no RTF, EmptyFile without words, TooLarge."""
    content = _without_data(file.stream.read())
    text = content.decode(_codec(content), "replace")
    if len(text) > limits.max_text_chars:
        raise TooLarge(f"{file.name} holds more text than is read of one file", hint="split it")
    # RTF takes line ends for nothing. striprtf looks for links line by line, at a cost that grows with its square.
    text = text.replace("{\\field", "\n{\\field")
    text = _FOOTNOTE.sub("{ Note: ", text)
    text = _IMPOSSIBLE_CHARACTER.sub("", text)
    text = _CHARACTER_SET.sub(lambda found: f"\\fcharset{_MAC_CHARACTER_SETS[found.group(1)]}", text)
    head = text[:INFO_CHARS]
    stated = {kind: clean_title(_plain(words, file.name)) for kind, words in _INFO.findall(head)}
    written = {kind: _unix_time(parts) for kind, parts in _TIME.findall(head)}
    return Reading(
        _blocks(_plain(text, file.name), file.name),
        stated.get("title", ""),
        stated.get("author", "") or stated.get("operator", ""),
        written.get("revtim") or written.get("creatim"),
    )


def _blocks(text: str, name: str) -> Iterator[Block]:
    found_any = False
    for stretch in cut_stretches([clean_text(text)]):
        if body := stretch.strip():
            found_any = True
            yield Block(body)
    if not found_any:
        raise EmptyFile(f"{name} has no words", hint="it may hold only pictures")


def _without_data(content: bytes) -> bytes:
    kept: list[bytes] = []
    position = 0
    for found in _RAW_BYTES.finditer(content):
        if found.start() >= position:
            kept.append(content[position : found.start()])
            position = found.end() + int(found.group(1))
    kept.append(content[position:])
    return _HEXADECIMAL.sub(b" ", b"".join(kept))


def _codec(content: bytes) -> str:
    found = _CODE_PAGE.search(content, 0, 1000)
    codec = f"cp{found.group(1).decode('ascii')}" if found else "cp1252"
    try:
        codecs.lookup(codec)
    except LookupError:
        return "cp1252"
    return codec


def _plain(rtf: str, name: str) -> str:
    from striprtf.striprtf import rtf_to_text

    try:
        text = rtf_to_text(rtf, errors="replace")
    except (ValueError, TypeError, IndexError, LookupError, OverflowError) as error:
        # What striprtf lets through for control words without their number, or with an impossible one.
        raise DamagedFile(
            f"{name} is not whole RTF ({clean_title(str(error))})",
            hint="get it again from where it came, or save it as .docx and index that",
        ) from error
    # RTF writes characters beyond 16 bits as two halves.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _unix_time(parts: str) -> float | None:
    its = {name: int(number) for name, number in _TIME_PART.findall(parts)}
    try:
        moment = datetime(
            its.get("yr", 0),
            its.get("mo", 1),
            its.get("dy", 1),
            its.get("hr", 0),
            its.get("min", 0),
            its.get("sec", 0),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return unix_time(moment)
