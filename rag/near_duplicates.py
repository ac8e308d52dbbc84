"""Whether two passages say the same: copies with another blank, versions of a file, mails quoted in their answers.

Numbers and names tell passages apart that are otherwise alike. Pure; knows nothing of ranking.
"""

from __future__ import annotations

import re
from functools import cached_property

SAME_PAIRS = 0.85
"""Two passages that share this much of their words, each with the next, and all numbers and names, say the same."""

SHARED_AT_A_GLANCE = 0.5
"""Of what stands between blanks, in the shorter one."""

_WORD = re.compile(r"\w+")
_PERHAPS_PARTICULAR = re.compile(r"\b(?:[^\Wa-z]\w*|[a-z]+[^\Wa-z]\w*)")
"""All words but those of small letters from a to z: finds the few that matter without a look at each word."""
_QUOTED_LINE = re.compile(r"^[ \t]*(?:>[ \t]?)+", re.MULTILINE)
_ATTRIBUTION = re.compile(
    r"^\W*(?:On\b.{4,120}\bwrote|Am\b.{4,120}\bschrieb\b.{0,80}|Le\b.{4,120}\ba écrit|El\b.{4,120}\bescribió)\s*:\s*$"
    r"|^\W*-{3,}\s*(?:Original Message|Forwarded message|Ursprüngliche Nachricht)\s*-{3,}\s*$",
    re.MULTILINE,
)


class Print:
    """What of a text is compared to see whether it says the same as another. Most are told apart at a glance."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._glance = frozenset(text.split())

    def same_as(self, other: Print) -> bool:
        fewer = min(len(self._glance), len(other._glance))
        if len(self._glance & other._glance) < SHARED_AT_A_GLANCE * fewer:
            return False
        if self._particulars != other._particulars:
            return False
        fewer, more = sorted((len(self._pairs), len(other._pairs)))
        if fewer < SAME_PAIRS * more:
            return False
        shared = len(self._pairs & other._pairs)
        return shared >= SAME_PAIRS * (fewer + more - shared)

    def is_within(self, other: Print) -> bool:
        """Whether the other says all of it: a quoted mail, in the mail itself with its head."""
        if len(self._glance & other._glance) < SHARED_AT_A_GLANCE * len(self._glance):
            return False
        if not self._particulars <= other._particulars:
            return False
        return len(self._pairs & other._pairs) >= SAME_PAIRS * len(self._pairs)

    @cached_property
    def _own_text(self) -> str:
        """Without the marks and the heads of quoted mails."""
        if ">" in self._text or ":\n" in self._text or "---" in self._text:
            return _ATTRIBUTION.sub("", _QUOTED_LINE.sub("", self._text))
        return self._text

    @cached_property
    def _pairs(self) -> frozenset[tuple[str, str]]:
        """The order counts: "the blue key opens the old door" is not "the old key opens the blue door"."""
        words = _WORD.findall(self._own_text.casefold())
        return frozenset(zip(words, words[1:] or words, strict=False))

    @cached_property
    def _particulars(self) -> frozenset[str]:
        """Bills of two months are nearly the same text: a number or a name tells them apart."""
        words = _PERHAPS_PARTICULAR.findall(self._own_text)
        return frozenset(word for word in words if word[0].isupper() or not word.isalpha())
