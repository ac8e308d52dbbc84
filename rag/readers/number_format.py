"""A spreadsheet's number as a person sees it in its cell: Excel's number formats (ECMA-376 part 1, 18.8.31).

Percent, currency, decimals, thousands, leading zeros, units and the signs of negative numbers follow the
format. Dates and times are written as ISO 8601 has them, whatever order the format gives them, so that one
way of asking finds all. Fractions and conditions are not followed: those numbers come out plain.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

ShowNumber = Callable[[float], str]

MAX_CODE_CHARS = 255
MAX_DECIMALS = 30
MAX_KNOWN = 4_096

BUILT_IN_FORMATS = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 5: '"$"#,##0', 6: '"$"#,##0', 7: '"$"#,##0.00', 8: '"$"#,##0.00',
    9: "0%", 10: "0.00%", 11: "0.00E+00", 37: "#,##0;(#,##0)", 38: "#,##0;(#,##0)", 39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;(#,##0.00)", 41: "#,##0", 42: '"$"#,##0', 43: "#,##0.00", 44: '"$"#,##0.00', 45: "mm:ss",
    46: "[h]:mm:ss", 47: "mm:ss.0", 48: "##0.0E+0",
    **dict.fromkeys((14, 15, 16, 17, *range(27, 32), 36, *range(50, 59)), "yyyy-mm-dd"),
    **dict.fromkeys((18, 19, 20, 21, *range(32, 36)), "hh:mm"),
    22: "yyyy-mm-dd hh:mm",
}  # fmt: skip
"""By id; all others are General. 27 to 36 and 50 to 58 are East Asian dates and times."""

_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"?'
    r"|\\(?P<escaped>.)"
    r"|_.|\*."  # space as wide as a character, and a character that fills the cell
    r"|\[\$(?P<currency>[^\]-]*)[^\]]*\]"
    r"|(?P<elapsed>\[(?:h+|m+|s+)\])"
    r"|\[[^\]]*\]"  # colours and conditions
    r"|(?P<noon>AM/PM|A/P)"
    r"|(?P<general>General)"
    r"|(?P<exponent>E[+-])"
    r"|(?P<date>[ymdhse]+)"
    r"|(?P<digit>[0#?])"
    r"|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
_SECTION_END = re.compile(r'"[^"]*"?|\\.|\[[^\]]*\]|(;)', re.DOTALL)
_EPOCH_1900 = datetime(1899, 12, 30)
_EPOCH_1904 = datetime(1904, 1, 1)
_LAST_SERIAL = 2_958_466
"""The day after 9999-12-31."""
_FIRST_TRUE_SERIAL = 61
"""1900-03-01: Excel believes that there was a 29 February 1900."""


def show_general(value: float) -> str:
    """15 significant digits, as Excel computes with."""
    if abs(value) < 1e15 and value == int(value):
        return str(int(value))
    return format(value, ".15g")


def number_format(code: str, *, epoch_1904: bool = False) -> ShowNumber:
    """What shows numbers as the format does. Any code gives one; what cannot be followed shows them plain."""
    sections = [_Section(part, epoch_1904) for part in _split_sections(code[:MAX_CODE_CHARS])]
    positive = sections[0]
    negative = sections[1] if len(sections) > 1 else None
    zero = sections[2] if len(sections) > 2 else positive

    known: dict[float, str] = {}

    def show(value: float) -> str:
        if (shown := known.get(value)) is not None:  # dates and shares repeat
            return shown
        if len(known) >= MAX_KNOWN:
            known.clear()
        shown = known[value] = show_anew(value)
        return shown

    def show_anew(value: float) -> str:
        if not abs(value) < 1e300:  # infinities and what is no number as well
            return str(value)
        try:
            if value < 0 and not positive.is_date:
                shown = negative.show(-value) if negative else f"-{positive.show(-value)}"
            else:
                shown = zero.show(value) if value == 0 else positive.show(value)
        except (InvalidOperation, OverflowError):
            return show_general(value)
        return shown if shown.strip("- ") or value == 0 else show_general(value)

    return show


def _split_sections(code: str) -> list[str]:
    parts: list[str] = []
    start = 0
    for found in _SECTION_END.finditer(code):
        if found.group(1):
            parts.append(code[start : found.start()])
            start = found.end()
    return [*parts, code[start:]][:4]


class _Section:
    """One of the up to four parts of a format: for positive numbers, negative ones, zero, and text."""

    def __init__(self, code: str, epoch_1904: bool) -> None:
        self._epoch = _EPOCH_1904 if epoch_1904 else _EPOCH_1900
        self._before: list[str] = []
        """Literals and placeholders up to the decimal point; a placeholder is one of 0, # and ?, after a NUL."""
        self._after: list[str] = []
        self._decimals = self._needed_decimals = 0
        self._percents = self._scale = 0
        self._grouped = self._exponent = self._plain = False
        self._date_letters = ""
        self._elapsed = ""
        self._read(code)
        self.is_date = bool(self._date_letters or self._elapsed)

    def _read(self, code: str) -> None:
        has_digits = in_decimals = False
        commas = 0
        for found in _TOKEN.finditer(code):
            kind, text = found.lastgroup, found.group()
            if kind in ("quoted", "escaped", "currency"):
                self._literal(found.group(kind), in_decimals)
            elif kind == "digit":
                if commas and has_digits and not in_decimals:
                    self._grouped = True
                commas = 0
                has_digits = True
                if self._exponent:
                    continue
                if in_decimals:
                    self._decimals += 1
                    if text == "0":
                        self._needed_decimals = self._decimals
                else:
                    self._before.append(f"\0{text}")
            elif kind == "elapsed":
                self._elapsed = self._elapsed or text[1].lower()
            elif kind == "date":
                self._date_letters += text.lower()
            elif kind == "noon":
                self._date_letters += "h"
            elif kind == "general":
                self._plain = True
            elif kind == "exponent":
                self._exponent = True
            elif text == "." and not in_decimals and (has_digits or code[found.end() : found.end() + 1] in set("0#?")):
                in_decimals = True
            elif text == "," and has_digits:
                commas += 1
            elif text == "/" and has_digits:
                self._plain = True  # a fraction
            elif kind == "other" and text not in "@":
                self._percents += text == "%"
                self._literal(text, in_decimals)
        self._scale = commas
        self._decimals = min(self._decimals, MAX_DECIMALS)
        self._needed_decimals = min(self._needed_decimals, MAX_DECIMALS)
        trailing: list[str] = []
        while has_digits and not in_decimals and self._before and not self._before[-1].startswith("\0"):
            trailing.append(self._before.pop())
        self._after = [*reversed(trailing), *self._after]
        if not has_digits and not self._before and not self._after:
            self._plain = True

    def _literal(self, text: str | None, in_decimals: bool) -> None:
        if text:
            (self._after if in_decimals else self._before).append(text.replace("\0", ""))

    def show(self, value: float) -> str:
        if self.is_date:
            return self._show_time(value)
        if self._plain:
            return f"{self._literals_before()}{show_general(value)}{''.join(self._after)}"
        if not any(each.startswith("\0") for each in self._before) and not self._decimals:
            return "".join(self._before)  # words instead of the number
        number = Decimal(repr(value)) * 100**self._percents
        if self._scale:
            number /= Decimal(1000) ** self._scale
        if self._exponent:
            return f"{self._literals_before()}{number:.{self._decimals}E}{''.join(self._after)}"
        rounded = format(number.quantize(Decimal(1).scaleb(-self._decimals), ROUND_HALF_UP), "f")
        whole, _, fraction = rounded.partition(".")
        while len(fraction) > self._needed_decimals and fraction.endswith("0"):
            fraction = fraction[:-1]
        return f"{self._filled(whole)}{'.' if fraction else ''}{fraction}{''.join(self._after)}"

    def _literals_before(self) -> str:
        return "".join(each for each in self._before if not each.startswith("\0"))

    def _filled(self, whole: str) -> str:
        """The placeholders before the point, filled with digits from the right."""
        digits = list("" if whole == "0" else whole)
        shown: list[str] = []
        first = next((index for index, each in enumerate(self._before) if each.startswith("\0")), len(self._before))
        grouped = 0
        for index in range(len(self._before) - 1, -1, -1):
            each = self._before[index]
            if not each.startswith("\0"):
                shown.append(each)
                continue
            # All digits that are left stand where the first placeholder is.
            for _ in range(max(1, len(digits)) if index == first else 1):
                if not digits and each != "\x000":
                    break
                if self._grouped and grouped and grouped % 3 == 0:
                    shown.append(",")
                shown.append(digits.pop() if digits else "0")
                grouped += 1
        if first == len(self._before):  # ".00"
            shown.extend(reversed(digits))
        return "".join(reversed(shown))

    def _show_time(self, value: float) -> str:
        if self._elapsed:
            seconds = round(value * 86_400)
            sign = "-" if seconds < 0 else ""
            minutes, second = divmod(abs(seconds), 60)
            hours, minute = divmod(minutes, 60)
            return f"{sign}{hours}:{minute:02}" + (f":{second:02}" if second or self._elapsed != "h" else "")
        if not 0 <= value < _LAST_SERIAL:
            return show_general(value)
        epoch = self._epoch
        if epoch is _EPOCH_1900 and 1 <= value < _FIRST_TRUE_SERIAL:
            epoch += timedelta(days=1)
        moment = epoch + timedelta(seconds=round(value * 86_400))
        letters = self._date_letters
        time = f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"
        if "y" not in letters and "d" not in letters and ("h" in letters or "s" in letters):
            return time
        date = f"{moment:%Y-%m-%d}"
        if "y" in letters and "d" not in letters and "h" not in letters:
            return date[:7] if "m" in letters else date[:4]
        return f"{date} {time}" if "h" in letters or (moment.hour or moment.minute or moment.second) else date
