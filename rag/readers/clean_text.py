r"""What is changed in a text before it is indexed, so that words are found however they were written.

Line ends become `\n`. Characters that are not seen and only hide or reorder text are dropped: C0 and C1
controls, zero-width spaces, soft hyphens, bidi overrides and marks, Unicode tags, lone surrogates. Form
feeds and the exotic line separators become spaces, so that counting `\n` counts lines as an editor does.
Piles of combining marks are cut to MAX_MARKS. Printers' ligatures (the `fi` of a PDF, as one character) become
their letters. Last, NFC. ZWJ and ZWNJ stay: emoji and several scripts need them. Nothing else is changed: not
case, not quotes, not spaces.
"""

from __future__ import annotations

import re
import unicodedata

MAX_MARKS = 8
MAX_TITLE_CHARS = 200

_LINE_END = re.compile(r"\r\n?")
_AS_SPACE = re.compile("[\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
_DROPPED = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
_ASCII = {
    code: " " if _AS_SPACE.match(chr(code)) else None
    for code in range(128)
    if _AS_SPACE.match(chr(code)) or _DROPPED.match(chr(code))
}
_LIGATURE = re.compile("[\ufb00-\ufb06]")
_PILE = re.compile(f"([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]{{{MAX_MARKS}}})"
                   "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]+")  # fmt: skip


def clean_text(text: str) -> str:
    """The text as it is indexed; see the module's docstring. Idempotent."""
    if "\r" in text:
        text = _LINE_END.sub("\n", text)
    if text.isascii():
        return text.translate(_ASCII)  # 15 times as fast as the expressions
    text = _DROPPED.sub("", _AS_SPACE.sub(" ", text))
    text = _LIGATURE.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
    return unicodedata.normalize("NFC", _PILE.sub(r"\1", text))


def clean_title(text: str) -> str:
    """One line of at most MAX_TITLE_CHARS characters."""
    one_line = " ".join(clean_text(text).split())
    return one_line if len(one_line) <= MAX_TITLE_CHARS else one_line[: MAX_TITLE_CHARS - 1] + "…"
