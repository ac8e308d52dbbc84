"""Numbers, dates, times and codes in a text, in a form in which two ways of writing the same are equal.

`1,250.00` is `1250`, `3 March 2024` is `2024-03-03`, `2:30 pm` is `14:30`, `twenty-five` is `25`, `15 percent` is
`15%`, `E 17` is `E17`. Pure; knows nothing of sources or answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal

from pipelines.units import UNITS, in_unit_of
from pipelines.words import fold

QuantityKind = Literal["number", "date", "time", "code"]
Day = tuple[int | None, int | None, int | None]
"""Year, month, day; None where the text does not say."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One of them, with every reading that its form allows."""

    kind: QuantityKind
    text: str
    start: int
    end: int
    values: frozenset[Decimal] = frozenset()
    """For a number; two when `1.250` may be either."""
    unit: str = ""
    """Canonical (`euro`, `percent`, `hour`); empty when there is none that we know."""
    days: frozenset[Day] = frozenset()
    """For a date; two when `03/04/2024` may be either."""
    minutes: frozenset[int] = frozenset()
    """For a time: minutes after midnight; two when `2:30` may be morning or afternoon."""
    reach: int = 0
    """Where the unit after it ends; `end` when there is none."""

    def says_same(self, source: Quantity) -> bool:
        """Whether a source that contains `source` contains this too. What a source leaves open is not contradicted
        by it: `March 2024` is in `2024-03-03`, but not the other way round."""
        if self.kind == "date":
            return source.kind == "date" and any(_within(mine, other) for mine in self.days for other in source.days)
        if self.kind == "time":
            return source.kind == "time" and bool(self.minutes & source.minutes)
        if self.kind == "code":
            return source.kind == "code" and squeezed(self.text) == squeezed(source.text)
        if source.kind == "date":
            # A year or a day of the month, said alone.
            return any(part in (day[0], day[2]) for day in source.days for part in self.values if not self.unit)
        if source.kind != "number":
            return False
        if not self.unit or not source.unit:
            return bool(self.values & source.values)
        mine = {in_unit_of(value, self.unit, source.unit) for value in self.values}
        return not mine.isdisjoint(source.values)


def _within(mine: Day, other: Day) -> bool:
    return all(part is None or part == theirs for part, theirs in zip(mine, other, strict=True))


def squeezed(code: str) -> str:
    """A code without what people put between its parts: `INV-2024 113` becomes `inv2024113`."""
    return re.sub(r"[^\w]|_", "", fold(code))


def find_quantities(text: str) -> list[Quantity]:
    """All of them in order of place; they never overlap. List marks and `[1]` are for the caller to leave out."""
    return list(_find(text))


def _find(text: str) -> Iterator[Quantity]:
    done = 0
    pattern = _ANY if _DIGIT.search(text) else _SPELLED_ONLY  # most sentences have no digit, and this is quick
    periods = {match.start(): match for match in _PERIOD.finditer(text)} if _RANGE.search(text) else {}
    for match in pattern.finditer(text):
        if match.start() < done:
            continue
        if period := periods.get(match.start()):
            yield from _ends_of_period(period)
            done = period.end()
            continue
        found = _read(match, text)
        if found is not None:
            done = found.end
            yield found


def _read(match: re.Match[str], text: str) -> Quantity | None:
    kind = match.lastgroup or ""
    whole, start, end = match[0], match.start(), match.end()
    if kind == "web":
        whole = whole.rstrip(".,;:!?)")
        return Quantity("code", whole, start, start + len(whole))
    if kind == "iso":
        year, month, day = (int(part) for part in re.split(r"[-/.]", whole))
        return _date(whole, start, end, [(year, month, day)])
    if kind == "numeric":
        first, second, year = (int(part) for part in re.split(r"[-/.]", whole))
        year += 2000 if year < 70 else 1900 if year < 100 else 0
        readings = [(year, second, first)]
        if "." not in whole:
            readings.append((year, first, second))
        return _date(whole, start, end, readings)
    if kind in ("daymonth", "monthday", "monthyear"):
        if re.search(r"\bmay\b", whole):  # `children under 12 may`: the month has a capital
            return _numeral(whole.split()[0], start, text) if kind == "daymonth" else None
        whole = whole.removesuffix(".")  # an abbreviation's, or the sentence's
        return _date(whole, start, start + len(whole), [_textual_day(whole)])
    if kind == "time":
        return _time(whole, start)
    if kind in ("code", "measured"):
        if measured := _GLUED.fullmatch(whole):
            ending = fold(measured[2])
            return _number(measured[1], whole, start, end, unit=UNITS.get(ending, ""), scale=_MAGNITUDES.get(ending, 1))
        whole = whole.rstrip("-./_")
        return Quantity("code", whole, start, start + len(whole))
    if kind == "spelled":
        return _spelled(whole, start, text)
    return _numeral(whole, start, text)


# Dates and times


_MONTH_NAMES = (
    "january jan januar jänner janvier enero",
    "february feb februar février febrero",
    "march mar märz mars marzo",
    "april apr avril abril",
    "may mai mayo",
    "june jun juni juin junio",
    "july jul juli juillet julio",
    "august aug août agosto",
    "september sep sept septembre septiembre",
    "october oct oktober okt octobre octubre",
    "november nov novembre noviembre",
    "december dec dezember dez décembre diciembre",
)
MONTHS = {fold(name): number for number, names in enumerate(_MONTH_NAMES, 1) for name in names.split()}
WEEKDAYS = {
    name: number
    for number, names in enumerate(
        (
            "monday mon montag",
            "tuesday tue tues dienstag",
            "wednesday wed mittwoch",
            "thursday thu thurs donnerstag",
            "friday fri freitag",
            "saturday sat samstag sonnabend",
            "sunday sun sonntag",
        )
    )
    for name in names.split()
}
"""0 is Monday."""

_MONTH = r"(?:" + "|".join(sorted((n for names in _MONTH_NAMES for n in names.split()), key=len, reverse=True)) + r")"


def _textual_day(whole: str) -> Day:
    month = next(MONTHS[fold(word)] for word in re.findall(r"[^\W\d_]+", whole) if fold(word) in MONTHS)
    year: int | None = None
    day: int | None = None
    for digits in re.findall(r"\d+", whole):
        if len(digits) == 4:
            year = int(digits)
        else:
            day = int(digits)
    return (year, month, day)


def _date(whole: str, start: int, end: int, readings: Sequence[Day]) -> Quantity | None:
    possible = frozenset(day for day in readings if 1 <= (day[1] or 1) <= 12 and 1 <= (day[2] or 1) <= 31)
    return Quantity("date", whole, start, end, days=possible) if possible else None


def _ends_of_period(period: re.Match[str]) -> Iterator[Quantity]:
    """Both days of `16 to 20 September 2024` and of `September 16-20, 2024`, each with the month and the year."""
    month = MONTHS[fold(period["month"] or period["month_first"])]
    written = period["year"] or period["year_last"]
    year = int(written) if written else None
    for name in ("from", "to") if period["month"] else ("from_first", "to_first"):
        start, end = period.span(name)
        if name == "from_first":
            start = period.start()  # `September 16`
        if name == "to":
            end = period.end()  # `20 September 2024`
        if found := _date(period.string[start:end], start, end, [(year, month, int(period[name]))]):
            yield found


def _time(whole: str, start: int) -> Quantity | None:
    if whole.endswith("m.") and whole.count(".") == 1:
        whole = whole[:-1]  # the sentence's full stop
    hour, minute = (int(part) for part in [*re.findall(r"\d+", whole), "0"][:2])
    half = re.search(r"([ap])\.?\s?m\b", whole, re.IGNORECASE)
    if hour > 24 or minute > 59:
        return None
    if half:
        hours = {hour % 12 + (12 if half[1].lower() == "p" else 0)}
    elif 1 <= hour <= 12 and not whole.startswith("0"):
        hours = {hour, (hour + 12) % 24}
    else:
        hours = {hour}
    return Quantity("time", whole, start, start + len(whole), minutes=frozenset(each * 60 + minute for each in hours))


# Numbers


_CURRENCY_BEFORE = re.compile(r"(US\$|[€$£]|\b(?:EUR|USD|GBP|CHF))\s?$")
_UNIT_AFTER = re.compile(r"[\s-]?(%|°[CFcf]?|[€$£]|per cent\b|[^\W\d_]+)")
_MAGNITUDES = {
    "hundred": 100,
    "thousand": 1_000,
    "k": 1_000,
    "million": 1_000_000,
    "mio": 1_000_000,
    "mn": 1_000_000,
    "billion": 1_000_000_000,
    "bn": 1_000_000_000,
    "mrd": 1_000_000_000,
    "trillion": 1_000_000_000_000,
    "dozen": 12,
}
_MAGNITUDE_AFTER = re.compile(
    r"[\s-]?(hundred|thousand|million|mio|mn|billion|bn|mrd|trillion|dozen|k)\b(?:\.(?=\s[a-z€$£]))?", re.IGNORECASE
)
_SCALE_OF_RANGE = re.compile(
    r"\s?(?:to|and|or|bis|-|\u2013)\s?[€$£]?\d[\d.,]*[\s-]?(million|mio|mn|billion|bn|mrd|trillion)\b", re.IGNORECASE
)
"""`5.1 to 4.4 million`: both are millions."""


def _unit_key(word: str) -> str:
    return "percent" if word == "per cent" else fold(word)


def _numeral(whole: str, start: int, text: str) -> Quantity | None:
    digits = re.match(r"\d[\d.,'\u2019\u00a0\u202f ]*\d|\d", whole)
    assert digits is not None  # the pattern begins with a digit
    end = start + len(whole)
    if digits[0].count(".") > 1 and not re.fullmatch(r"\d{1,3}(?:\.\d{3})+(?:,\d+)?", digits[0]):
        return Quantity("code", whole, start, end)  # a version, a network address, a section
    if digits[0].count(",") > 1 and not re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", digits[0]):
        return Quantity("code", whole, start, end)  # a list without spaces
    if re.search(r"(?:st|nd|rd|th)$", whole):
        return _number(digits[0], whole, start, end, unit="")
    unit, reach = "", 0
    if before := _CURRENCY_BEFORE.search(text, max(0, start - 5), start):
        unit = UNITS[fold(before[1])]
    scale = 1
    if magnitude := _MAGNITUDE_AFTER.match(text, end):
        scale = _MAGNITUDES[magnitude[1].lower()]
        end = magnitude.end()
    elif ranged := _SCALE_OF_RANGE.match(text, end):
        scale = _MAGNITUDES[ranged[1].lower()]
    if not unit and (after := _UNIT_AFTER.match(text, end)) and (unit := UNITS.get(_unit_key(after[1]), "")):
        reach = after.end()
    return _number(digits[0], text[start:end], start, end, unit=unit, scale=scale, reach=reach)


def _number(
    digits: str, whole: str, start: int, end: int, *, unit: str, scale: int = 1, reach: int = 0
) -> Quantity | None:
    values = frozenset(value * scale for value in _readings(digits))
    return Quantity("number", whole, start, end, values=values, unit=unit, reach=reach or end) if values else None


def _readings(digits: str) -> Iterator[Decimal]:
    """What a numeral may mean: `1,250.00` only 1250, `1.250` 1.25 or (on the continent) 1250."""
    plain = re.sub(r"['\u2019\u00a0\u202f ]", "", digits)
    dots, commas = plain.count("."), plain.count(",")
    if dots and commas:
        decimal, thousands = (".", ",") if plain.rfind(".") > plain.rfind(",") else (",", ".")
        candidates = [plain.replace(thousands, "").replace(decimal, ".")]
    elif commas:
        grouped = re.fullmatch(r"[1-9]\d{0,2}(?:,\d{3})+", plain)
        candidates = [plain.replace(",", "")] if grouped else [plain.replace(",", ".")]
    elif dots > 1:
        candidates = [plain.replace(".", "")]
    elif dots:
        candidates = [plain]
        if re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", plain):
            candidates.append(plain.replace(".", ""))
    else:
        candidates = [plain]
    for candidate in candidates:
        try:
            yield Decimal(candidate).normalize()
        except InvalidOperation:
            continue


def _counted(words: str, first: int) -> dict[str, int]:
    return {word: value for value, word in enumerate(words.split(), first)}


_SMALL = _counted(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen",
    0,
)
_TENS = {
    word: value * 10 for word, value in _counted("twenty thirty forty fifty sixty seventy eighty ninety", 2).items()
}
_ORDINALS = _counted("third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth", 3)
_LARGE = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000, "dozen": 12}


def _spelled(whole: str, start: int, text: str) -> Quantity | None:
    words = re.findall(r"[a-z]+", whole.lower())
    half = Decimal("0.5") if words[-2:] == ["a", "half"] else 0
    total = current = 0
    for word in words:
        if word in _LARGE:
            current = max(current, 1) * _LARGE[word]
            if _LARGE[word] >= 1_000:
                total, current = total + current, 0
        elif word not in ("and", "a", "half"):
            current += _SMALL.get(word, 0) + _TENS.get(word, 0) + _ORDINALS.get(word, 0)
    end = start + len(whole)
    if words == ["one"]:
        return None  # nearly always a pronoun
    unit, reach = "", end
    if (after := _UNIT_AFTER.match(text, end)) and (unit := UNITS.get(_unit_key(after[1]), "")):
        reach = after.end()
    return Quantity(
        "number", whole, start, end, values=frozenset({total + current + Decimal(half)}), unit=unit, reach=reach
    )


_SPELLED_WORD = "(?:" + "|".join([*_SMALL, *_TENS, *_ORDINALS]) + ")"
_SPELLED = (
    rf"\b(?:{_SPELLED_WORD}[ ]and[ ]a[ ]half\b|(?:{_SPELLED_WORD}|(?:a[ ])?(?:hundred|thousand|million|billion|dozen))"
    rf"(?:(?:[ -]|[ ]and[ ])(?:{_SPELLED_WORD}|hundred|thousand|million|billion|dozen))*\b)"
)
_RANGE = re.compile(r"\d(?:st|nd|rd|th|\.)?\s?(?:to|until|till|and|bis|-|\u2013)\s?\d")
_PERIOD = re.compile(
    rf"""
    (?<!\w)(?P<from>\d{{1,2}})(?:st|nd|rd|th|\.)?\s?(?:to|until|till|and|bis|-|\u2013)\s?
    (?P<to>\d{{1,2}})(?:st|nd|rd|th|\.)?[ ](?:of[ ])?(?P<month>{_MONTH})\b(?:,?[ ](?P<year>\d{{4}})\b)?
    |(?<!\w)(?P<month_first>{_MONTH})\.?[ ](?P<from_first>\d{{1,2}})(?:st|nd|rd|th)?\s?(?:to|until|till|and|-|\u2013)\s?
    (?P<to_first>\d{{1,2}})(?:st|nd|rd|th)?\b(?![.:]\d)(?:,?[ ](?P<year_last>\d{{4}})\b)?
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SPELLED_ONLY = re.compile(rf"(?P<spelled>{_SPELLED})", re.IGNORECASE)
_DIGIT = re.compile(r"\d")
_GLUED = re.compile(r"(\d+(?:[.,]\d+)?)([^\W\d_]{1,4})")

# Two branches, by what they begin with: most places in a text then fail at the first look. No repeated group may match
# one text in two ways, or a long word would take for ever.
_ANY = re.compile(
    rf"""
    (?=\d)(?:
        (?P<iso>(?<!\w)\d{{4}}[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])\b)
        |(?P<numeric>(?<![\w.,])\d{{1,2}}(?P<between>[./-])\d{{1,2}}(?P=between)(?:\d{{4}}|\d{{2}})\b(?![.,]\d))
        |(?P<daymonth>(?<!\w)\d{{1,2}}(?:st|nd|rd|th|\.)?[ ](?:of[ ])?{_MONTH}\b\.?(?:,?[ ]\d{{4}}\b)?)
        |(?P<time>(?<![\w:])(?:\d{{1,2}}:\d{{2}}(?![\d:])(?:\s?[ap]\.?m\b\.?)?|\d{{1,2}}(?:\.\d{{2}})?\s?[ap]\.?m\b\.?))
        |(?P<ordinal>(?<!\w)\d+(?:st|nd|rd|th)\b)
        |(?P<measured>(?<!\w)\d+(?:[.,]\d+)?[^\W\d_]\w*(?:[-/_]\w+)*)
        |(?P<numeral>(?<!\w)\d{{1,3}}(?:[ \u00a0\u202f'\u2019]\d{{3}})+(?:[.,]\d+)?(?!\w)|\d+(?:[.,]\d+)*)
    )
    |\b(?=[^\W\d_])(?:
        (?P<web>https?://\S+|www\.\S+|[\w.+-]{{1,64}}@[\w-]{{1,64}}\.[\w.-]+)
        |(?P<monthday>{_MONTH}\.?[ ]\d{{1,2}}(?:st|nd|rd|th)?\b(?![.,:]\d)(?:,?[ ]\d{{4}}\b)?)
        |(?P<monthyear>{_MONTH}\.?,?[ ]\d{{4}}\b)
        |(?P<code>[^\W\d_]+(?:[-./_][^\W\d_]+){{0,8}}[-./_]?\d\w*(?:[-./_]\w+)*)
        |(?P<spelled>{_SPELLED})
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
