"""Other spellings of what a text says, so that a query in one of them finds it by words.

SQLite's tokenizer sees words between spaces and signs, and nothing else. What people write in several ways is
written here in one: both a passage (into the column `chunks.spellings`) and a query go through `other_spellings`,
and meet there. Numbers ("1,250.00" and "1250"), telephone and account numbers with and without their spaces,
compounds ("e-mail", "email"; "getUserName", "get_user_name"), letters that have two spellings ("Müller",
"Mueller"), forms of compatibility (a ligature in a PDF), and scripts without spaces, as pairs of letters.

Pure. Knows nothing of SQL; what it returns is cut into words by FTS5 like any other text. A change here asks for
a migration that fills the column again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

MAX_COMPOUND_CHARS = 40
MAX_COMPOUND_PARTS = 6
MAX_LETTER_DIGIT_PARTS = 3
"""`iPhone15` has two parts; a hash has many, which name nothing."""
LONG_NUMBER_DIGITS = range(7, 21)
"""Digits that make a number of a telephone, an account or a card, however they are grouped."""
LOCAL_NUMBER_DIGITS = 7
"""The end of a telephone number that is the same with and without the codes of country and place."""

_SPACES = " \u00a0\u2009\u202f"
_NUMBER = re.compile(rf"(?<![\w.,])\d+(?:[.,'\u2019{_SPACES}]\d+)+(?![\w]|[.,]\d)")
_GROUPED = re.compile(rf"(\d{{1,3}})([.,'\u2019{_SPACES}])(\d{{3}}(?:\2\d{{3}})*)(?:([.,])(\d+))?\Z")
_DECIMAL = re.compile(r"(\d+)[.,](\d+)\Z")
_LONG_NUMBER = re.compile(rf"(?<!\w)\+?\(?\d(?:[{_SPACES}()/.\-]{{0,3}}\d){{6,30}}(?!\w)")
_BETWEEN_SPACES = re.compile(f"[{_SPACES}]+")
_ACCOUNT = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?:[ \u00a0-]?[A-Z0-9]{4}){2,7}(?:[ \u00a0-]?[A-Z0-9]{1,3})?(?!\w)")
_COMPOUND = re.compile(r"(?<![^\W_])[^\W_]++(?:[-_\u2010\u2011][^\W_]++)+")
_VERSION = re.compile(r"(?<!\w)[vV](\d+(?:\.\d+)+)")
_SEAM = re.compile(r"(?<=[a-z])[A-Z]|(?<=[A-Z])[A-Z][a-z]|(?<=[A-Za-z])\d|(?<=\d)[A-Za-z]")
_WORD_REST = re.compile(r"[^\W_]*")
_SEAM_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_NOT_ASCII_WORD = re.compile(r"(?:[^\W_]|[\u0300-\u036f\u0591-\u05c7\u064b-\u065f])+")
# Chinese, Japanese, Korean, Thai, Lao, Burmese and Khmer: no spaces between words, or endings joined to them.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fff\u3005-\u3007\u3021-\u30ff\u3105-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff"
)
UNSPACED_RUN = re.compile(f"[{_UNSPACED}]+")

_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "oe", "å": "aa", "æ": "ae", "œ": "oe"})
_PLAIN = str.maketrans(
    {"ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "\u0131": "i", "ħ": "h"}
)


def other_spellings(text: str) -> list[str]:
    """Phrases (words with a space between) that stand for something in the text; each once, in the text's order."""
    found = dict.fromkeys(_of_signs_and_digits(text))
    if not text.isascii():
        found.update(dict.fromkeys(_of_letters(text)))
    return list(found)


def spellings_column(text: str, headings: str) -> str:
    """What is stored with a passage: its other spellings, and its scripts without spaces as pairs."""
    whole = f"{headings}\n{text}" if headings else text
    phrases = other_spellings(whole)
    if not whole.isascii():
        phrases += [f"{' '.join(pairs(run))} {run[-1]}" if len(run) > 1 else run for run in unspaced_runs(whole)]
    return " ".join(phrases)


def unspaced_runs(text: str) -> list[str]:
    """The stretches of the text in scripts without spaces, without marks above and below the letters."""
    if text.isascii():
        return []
    found = []
    for match in UNSPACED_RUN.finditer(text):
        run = "".join(each for each in unicodedata.normalize("NFKC", match[0]) if each.isalnum())
        if run:
            found.append(run)
    return found


def pairs(run: str) -> list[str]:
    """`東京都` as `東京 京都`; FTS5 finds them in this order as a phrase."""
    return [run[at : at + 2] for at in range(len(run) - 1)]


def number_readings(written: str) -> list[str]:
    """What a number with separators may mean: digits, and `d` before its decimals. `1,250.00` is `1250`.

    One separator before three digits can be either ("1.250"): then both readings come.
    """
    readings = []
    if grouped := _GROUPED.match(written):
        first, separator, rest, point, decimals = grouped.groups()
        whole = first + re.sub(r"\D", "", rest)
        if point != separator:
            readings.append(_canonical(whole, decimals or ""))
    if decimal := _DECIMAL.match(written):
        readings.append(_canonical(decimal[1], decimal[2]))
    return readings


def _canonical(whole: str, decimals: str) -> str:
    whole, decimals = whole.lstrip("0") or "0", decimals.rstrip("0")
    return f"{whole}d{decimals}" if decimals else whole


def _of_signs_and_digits(text: str) -> Iterator[str]:
    if _has_digit(text):
        for match in _NUMBER.finditer(text):
            yield from number_readings(match[0])
        for match in _LONG_NUMBER.finditer(text):
            for written in (match[0], *_BETWEEN_SPACES.split(match[0])):
                yield from _long_number(written)
        for match in _ACCOUNT.finditer(text):
            yield re.sub(r"[^A-Z0-9]", "", match[0]).lower()
        for match in _VERSION.finditer(text):
            yield match[1].replace(".", " ")
    for match in _COMPOUND.finditer(text):
        parts = re.split(r"[-_\u2010\u2011]", match[0])
        if len(match[0]) <= MAX_COMPOUND_CHARS and len(parts) <= MAX_COMPOUND_PARTS and not match[0][0].isdigit():
            yield "".join(parts).lower()
    for word in _words_with_seams(text):
        yield from _at_seams(word)


def _words_with_seams(text: str) -> Iterator[str]:
    """Words with a capital or a digit inside: found by their seams, which are rarer than words."""
    end = 0
    for seam in _SEAM.finditer(text):
        if seam.start() >= end:
            start = seam.start()
            while start > end and text[start - 1].isalnum():
                start -= 1
            rest = _WORD_REST.match(text, seam.start())
            end = rest.end() if rest else seam.end()
            yield text[start:end]


def _has_digit(text: str) -> bool:
    return any(digit in text for digit in "0123456789") if text.isascii() else any(map(str.isdigit, text))


def _long_number(written: str) -> Iterator[str]:
    digits = "".join(each for each in written.replace("(0)", "") if each.isdigit())
    if len(digits) in LONG_NUMBER_DIGITS and digits != written:
        yield digits
    if written[0] in "+(0" and len(digits) in LONG_NUMBER_DIGITS:
        yield digits[-LOCAL_NUMBER_DIGITS:]


def _at_seams(word: str) -> Iterator[str]:
    if len(word) > MAX_COMPOUND_CHARS:
        return
    parts = _SEAM_PARTS.findall(word)
    digits = sum(1 for part in parts if part.isdigit())
    if 1 < len(parts) <= (MAX_LETTER_DIGIT_PARTS if digits else MAX_COMPOUND_PARTS):
        yield " ".join(parts).lower()


def _of_letters(text: str) -> Iterator[str]:
    for match in _NOT_ASCII_WORD.finditer(text):
        if not match[0].isascii():
            yield from _letters_of(match[0].lower())


@lru_cache(maxsize=20_000)
def _letters_of(word: str) -> tuple[str, ...]:
    if UNSPACED_RUN.search(word):
        return ()
    compatible = unicodedata.normalize("NFKC", word)
    plain = without_marks(compatible).translate(_PLAIN)
    spellings = dict.fromkeys((compatible, compatible.translate(_GERMAN), plain))
    already = tokenized(word)
    return tuple(each for each in spellings if tokenized(each) != already)


def without_marks(text: str) -> str:
    """Letters without accents and other marks, composed again: `é` as `e`, `й` as `и`; Korean stays as it is."""
    bare = "".join(each for each in unicodedata.normalize("NFKD", text) if unicodedata.category(each) != "Mn")
    return unicodedata.normalize("NFC", bare)


def tokenized(word: str) -> str:
    """About as FTS5's unicode61 with `remove_diacritics 2` has it: only Latin letters lose their accents."""
    bare = []
    for letter in unicodedata.normalize("NFC", word):
        apart = unicodedata.normalize("NFD", letter)
        bare.append(apart[0] if len(apart) > 1 and apart[0].isascii() else letter)
    return "".join(bare)


__all__ = [
    "UNSPACED_RUN",
    "number_readings",
    "other_spellings",
    "pairs",
    "spellings_column",
    "tokenized",
    "unspaced_runs",
    "without_marks",
]
