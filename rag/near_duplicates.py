"""Whether two passages say the same: copies with another blank, versions of a file, mails quoted in their answers.

Numbers and names tell passages apart that are otherwise alike. Pure; knows nothing of ranking.
"""

from __future__ import annotations

import re

SAME_PAIRS = 0.85
"""Two passages that share this much of their words, each with the next, and all numbers and names, say the same."""

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
    """What of a text is compared to see whether it says the same as another."""

    __slots__ = ("pairs", "particulars")

    def __init__(self, text: str) -> None:
        if ">" in text or ":\n" in text or "---" in text:
            text = _ATTRIBUTION.sub("", _QUOTED_LINE.sub("", text))
        words = _WORD.findall(text.casefold())
        # The order counts: "the blue key opens the old door" is not "the old key opens the blue door".
        self.pairs = frozenset(zip(words, words[1:] or words, strict=False))
        # Bills of two months are nearly the same text: a number or a name tells them apart.
        self.particulars = frozenset(
            word for word in _PERHAPS_PARTICULAR.findall(text) if word[0].isupper() or not word.isalpha()
        )

    def same_as(self, other: Print) -> bool:
        if self.particulars != other.particulars:
            return False
        fewer, more = sorted((len(self.pairs), len(other.pairs)))
        if fewer < SAME_PAIRS * more:
            return False
        shared = len(self.pairs & other.pairs)
        return shared >= SAME_PAIRS * (fewer + more - shared)
