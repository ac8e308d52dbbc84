"""Whether two passages say the same: copies with another blank, versions of a file, mails quoted in their answers.

Numbers and names tell passages apart that are otherwise alike. Pure; knows nothing of ranking.
"""

from __future__ import annotations

import re

SAME_WORDS = 0.9
"""Two passages that share this much of their words, and all numbers and names, say the same."""

_WORD = re.compile(r"\w+")
_QUOTED_LINE = re.compile(r"^[ \t]*(?:>[ \t]?)+", re.MULTILINE)
_ATTRIBUTION = re.compile(
    r"^\W*(?:On\b.{4,120}\bwrote|Am\b.{4,120}\bschrieb\b.{0,80}|Le\b.{4,120}\ba écrit|El\b.{4,120}\bescribió)\s*:\s*$"
    r"|^\W*-{3,}\s*(?:Original Message|Forwarded message|Ursprüngliche Nachricht)\s*-{3,}\s*$",
    re.MULTILINE,
)


class Print:
    """What of a text is compared to see whether it says the same as another."""

    __slots__ = ("particulars", "words")

    def __init__(self, text: str) -> None:
        if ">" in text or ":\n" in text or "---" in text:
            text = _ATTRIBUTION.sub("", _QUOTED_LINE.sub("", text))
        words = _WORD.findall(text)
        self.words = frozenset(word.casefold() for word in words)
        # Bills of two months are nearly the same text: a number or a name tells them apart.
        self.particulars = frozenset(word for word in words if word[0].isupper() or not word.isalpha())

    def same_as(self, other: Print) -> bool:
        if self.particulars != other.particulars:
            return False
        shared = len(self.words & other.words)
        return shared >= SAME_WORDS * len(self.words | other.words)
