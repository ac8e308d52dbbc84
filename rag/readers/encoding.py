"""In which encoding a text is written: byte order mark, UTF-8 if it is valid, otherwise an educated guess.

A text of any size is scanned in pieces. Bytes that are no text at all are refused.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import BinaryIO

from rag.errors import DamagedFile

SCAN_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 16
"""What the guess is made from, around the first byte that is not UTF-8."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")
MAX_CONTROL_SHARE = 0.02

_WHATWG_CODECS = (
    "cp1252 cp1250 cp1251 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 cp874 iso8859_2 iso8859_7 iso8859_15 koi8_r"
    " koi8_u mac_roman cp866 shift_jis euc_jp iso2022_jp gb18030 big5 euc_kr"
)
LEGACY_CODECS = tuple(_WHATWG_CODECS.split())
"""Those of the WHATWG Encoding Standard, as far as they are in use: a guess among all that Python knows finds
code pages of the 1980s in a short text."""

MAX_WESTERN_SHARE = 0.2
_NOT_WESTERN = re.compile(
    rb"[^\x00-\x7f\x80\x82\x84\x85\x8a\x8c\x8e\x91-\x97\x99\x9a\x9c\x9e-\xa1\xa3\xa7\xa9\xab\xae\xb0\xb4\xb7\xbb"
    rb"\xbf-\xd6\xd8-\xf6\xf8-\xff]"
)
"""Bytes that cp1252 has and that western texts do not: a text with few high bytes and none of these is cp1252."""
_NOT_TEXT_CODECS = frozenset({"punycode", "idna", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"})
_AS_WHATWG = {"ascii": "cp1252", "iso8859-1": "cp1252", "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949"}
"""What programs write under these names is mostly the larger set; the standard of browsers reads it so too."""
_NOT_TEXT_HINT = "leave it out with a line in .homebodyignore, or convert it to UTF-8 text"


@dataclass(frozen=True, slots=True)
class Encoding:
    codec: str
    note: str = ""
    """Set when it was a guess."""


def declared_codec(label: str) -> str | None:
    """Python's name of the codec for a charset, as a mail or a page declares it; None when it is no charset.

    Codecs that are not for text, or that take quadratic time, are none.
    """
    try:
        found = codecs.lookup(label.strip().strip("\"'"))
    except (LookupError, ValueError):
        return None
    if found.name in _NOT_TEXT_CODECS or not getattr(found, "_is_text_encoding", True):
        return None
    return _AS_WHATWG.get(found.name, found.name)


def find_encoding(stream: BinaryIO, name: str) -> Encoding:
    """Scan the whole stream from its start; it stands anywhere afterwards.

    Raises DamagedFile when the bytes are not text.
    """
    stream.seek(0)
    head = stream.read(SCAN_BYTES)
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return Encoding(codec)
    if (codec_without_mark := _utf16_without_mark(head)) is not None:
        return Encoding(codec_without_mark, f"read as {codec_without_mark}, a guess: there is no byte order mark")
    decoder = codecs.getincrementaldecoder("utf-8")()
    chunk, position = head, 0
    while True:
        if b"\0" in chunk:
            raise DamagedFile(f"{name} is not text: it contains NUL bytes", hint=_NOT_TEXT_HINT)
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            return _guess(stream, position - pending + error.start, name)
        if not chunk:
            if len(_CONTROLS.findall(head)) > MAX_CONTROL_SHARE * len(head):
                raise DamagedFile(f"{name} is not text: it is full of control characters", hint=_NOT_TEXT_HINT)
            return Encoding("utf-8")
        position += len(chunk)
        chunk = stream.read(SCAN_BYTES)


def is_wide_text(head: bytes) -> bool:
    """Whether bytes at a file's start that have NULs among them may be UTF-16 or UTF-32."""
    return any(head.startswith(mark) for mark, _ in _MARKS) or _utf16_without_mark(head) is not None


def _utf16_without_mark(head: bytes) -> str | None:
    """UTF-16 of mostly ASCII text has a NUL in every other byte, and nowhere else."""
    sample = head[: SAMPLE_BYTES & ~1]
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if len(sample) >= 8 and max(even, odd) > 0.8 * (len(sample) // 2) and min(even, odd) == 0:
        return "utf-16-le" if odd else "utf-16-be"
    return None


def _guess(stream: BinaryIO, offset: int, name: str) -> Encoding:
    from charset_normalizer import from_bytes

    stream.seek(max(0, offset - SAMPLE_BYTES // 4))
    sample = stream.read(SAMPLE_BYTES)
    if b"\0" in sample or len(_CONTROLS.findall(sample)) > MAX_CONTROL_SHARE * len(sample):
        raise DamagedFile(f"{name} is not text", hint=_NOT_TEXT_HINT)
    # A few bad bytes in UTF-8 are damage, not another encoding: decoded as one, every umlaut would be lost.
    decoded = sample.decode("utf-8", "replace")
    damaged, others = decoded.count("\ufffd"), sum(1 for character in decoded if character > "\x7f")
    if others - damaged > 4 * damaged:
        return Encoding("utf-8", "some bytes are not UTF-8; they are shown as \ufffd")
    if b"\r" in sample and b"\n" not in sample:  # line ends that only the old Mac wrote
        return Encoding("mac_roman", "read as mac_roman, a guess: it is not UTF-8")
    high = sum(1 for byte in sample if byte > 0x7F)
    if high < MAX_WESTERN_SHARE * len(sample) and not _NOT_WESTERN.search(sample):
        return Encoding("cp1252", "read as cp1252, a guess: it is not UTF-8")
    best = from_bytes(sample, cp_isolation=list(LEGACY_CODECS)).best()
    if best is None:
        raise DamagedFile(f"{name} is not text in any encoding known here", hint=_NOT_TEXT_HINT)
    return Encoding(best.encoding, f"read as {best.encoding}, a guess: it is not UTF-8")
