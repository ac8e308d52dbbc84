"""What one sentence of an answer claims: its words, numbers and names, weighed; or that it claims nothing.

Pure. Knows the sources only through their index, and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from pipelines.names import find_names
from pipelines.quantities import Quantity, find_quantities
from pipelines.sentences import Sentence
from pipelines.source_index import LIGHT, SourceIndex, SourceSentence, meaning, meanings
from pipelines.words import WORD, carries_meaning, fold, word_set

SUPPORTED_COVERAGE = 0.6
"""Share of a sentence's meaning, by weight, that the cited passages must contain."""
REPEATED_COVERAGE = 0.75
"""The same for a sentence that has only words of the question: then all of them count, and more is question."""
LIGHT_WEIGHT = 0.3
"""A word of the question counts this much: repeating the question supports nothing. A verb that only brings in a
number does too."""
MIN_SHARED_PREFIX = 5
"""Letters that two words must begin with together to pass as forms of one."""


_REPORTING = frozenset(map(meaning, word_set("mean indicate signify state mention refer describe specify accord")))
"""Words that introduce what is said, not what it is said of."""


class Question:
    """What the question itself brings in."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.stems = meanings(text) - _REPORTING
        self.words = frozenset(fold(word).removesuffix("'s") for word in WORD.findall(text))
        self.names = frozenset(word for name in find_names(text) if name.certain for word in name.words)
        """Words that are names for sure: what opens a sentence of the answer may be one of them."""
        self._quantities = find_quantities(text)

    def has_quantity(self, quantity: Quantity) -> bool:
        return any(quantity.says_same(mine) for mine in self._quantities)


# What a sentence is

_NOT_SAID = re.compile(
    r"""(?xi)
    \b(?:files?|passages?|texts?|documents?|sources?|context|information|notes|conversation|excerpts?)\b[^.?!]{0,40}?
      \b(?:do|does|did)(?:n['\u2019]t|\ not)\s+(?:\w+ly\s+)?
      (?:say|mention|specify|provide|contain|include|state|give|tell|have|list|indicate|cover|describe|show|explain)\b
    |\b(?:not|n['\u2019]t)\s+(?:\w+ly\s+)?(?:mentioned|specified|stated|indicated|provided|given|included|listed
      |available|found|contained|said|described)\b(?=[^.?!]*\b(?:passage|file|text|document|source|context
      |information|notes|conversation|excerpt)|[\s"'*]*[.!]?$)
    |\b(?:is|are|was|were)\s+(?:no|not\ any)\s+(?:information|mention|details?|record|indication|answer)\b
    |\bno\s+(?:information|mention|details?)\s+(?:about|on|of|regarding|is|was|provided|given|in)\b
    |\bi\s+(?:do\ not|don['\u2019]t|cannot|can['\u2019]t|could\ not|couldn['\u2019]t|was\ unable|am\ unable)
      \s+(?:to\s+)?(?:know|have|see|find|determine|answer|tell|provide)\b
    |\b(?:cannot|can['\u2019]t|could\ not)\ be\ (?:determined|answered|found)\b
    """
)
_SMALL_TALK = re.compile(
    r"""(?xi)^[\s"'*]*(?:
    (?:sure|hello|hi|hey|thanks|thank\ you|of\ course|certainly|great|ok|okay|alright|good\ (?:morning|evening|day)
      |absolutely|welcome|you['\u2019]re\ welcome|sorry|goodbye|bye)\b[^.?!:]{0,30}[.!:]*\s*$
    |i\ hope|let\ me\ know|feel\ free|if\ you\ (?:need|have|want|would)|please\ (?:let|provide|tell|ask|specify)
    |how\ (?:can|may)\ i|is\ there\ anything|i['\u2019]m\ (?:sorry|happy|glad|here|homebody)|i\ apologi[sz]e
    |i\ am\ (?:sorry|happy|glad|here|homebody|an?\ )|i\ (?:can|could|will|would)\ (?:help|assist|be|gladly|try|only)
    |here\ (?:is|are)\b[^.]*:?\s*$
    )"""
)
_YES_OR_NO = re.compile(r"(?i)^[\s\"'*]*(yes|no)[\s\"'*.!]*$")
_MARKS = re.compile(
    r"""(?xi)\[\d+\]|[*_`#]
    |(?:\b(?:according\ to|in|from)\s+)?[(\[]?\bpassages?\s+\d{1,2}\b(?:\s*(?:,|and|or|to|-)\s*\d{1,2}\b)*[)\]]?
    """
)
"""Of an answer's own making: models also name passages, by the numbers that these have in their prompt."""


SentenceRole = Literal["claim", "not said", "yes", "no", "nothing"]
"""not said: it says that the files do not say. yes, no: nothing but that. nothing: it claims nothing."""


def role_of(text: str, sentence: Sentence) -> SentenceRole:
    if _NOT_SAID.search(text):
        return "not said"
    if yes_or_no := _YES_OR_NO.match(text):
        return "yes" if yes_or_no[1].lower() == "yes" else "no"
    if sentence.kind in ("heading", "header row") or text.rstrip().endswith(("?", ":")) or _SMALL_TALK.match(text):
        return "nothing"
    return "claim"


def without_marks(text: str) -> str:
    """Citation numbers and Markdown's marks blanked, not cut, so that every place stays where it was."""
    return _MARKS.sub(lambda mark: " " * len(mark[0]), text)


class Claim:
    """What a sentence claims, weighed."""

    def __init__(self, text: str, quantities: Sequence[Quantity], index: SourceIndex, question: Question) -> None:
        self.text = text
        self.question = question
        inside = [(q.start, max(q.end, q.reach)) for q in quantities]
        words = [
            meaning(word[0])
            for word in WORD.finditer(text)
            if carries_meaning(word[0]) and not any(start <= word.start() < end for start, end in inside)
        ]
        self.stems = frozenset(known_form(each, index) for each in words if each not in _REPORTING)
        self.quantities = [q for q in quantities if not question.has_quantity(q)]
        """Those that the question did not bring in."""
        self.repeated_quantities = [q for q in quantities if question.has_quantity(q)]
        new = self.stems - question.stems
        self.repeats_question = not new and not self.quantities
        self.threshold = REPEATED_COVERAGE if self.repeats_question else SUPPORTED_COVERAGE
        light = question.stems | LIGHT if self.quantities else question.stems
        self.weights: dict[str, float] = {
            each: index.weight(each) * (LIGHT_WEIGHT if each in light and not self.repeats_question else 1.0)
            for each in self.stems
        }
        self._holding = {quantity_key(q): {id(each) for each in index.sentences_with(q)} for q in self.quantities}
        self.weights.update(dict.fromkeys(self._holding, 1.0))

    def found_in(self, sentence: SourceSentence) -> set[str]:
        """Which of the weighed things a source's sentence contains, or is about."""
        found = set(self.stems & sentence.anchors)
        found.update(key for key, holding in self._holding.items() if id(sentence) in holding)
        return found

    def weigh(self, things: Iterable[str]) -> float:
        return sum(self.weights[each] for each in things)


def quantity_key(quantity: Quantity) -> str:
    return f"\0{quantity.start}"  # no stem looks like this


def known_form(each: str, index: SourceIndex) -> str:
    """A stem, or the sources' stem that is most likely another form of it: `technic` for `technician`."""
    if each in index.vocabulary or len(each) < MIN_SHARED_PREFIX:
        return each
    related = [
        other
        for other in index.vocabulary
        if other[:MIN_SHARED_PREFIX] == each[:MIN_SHARED_PREFIX] and abs(len(other) - len(each)) <= 4
    ]
    return min(related, key=lambda other: (abs(len(other) - len(each)), other), default=each)


def foreign_terms(text: str, quantities: Sequence[Quantity], index: SourceIndex, question: Question) -> tuple[str, ...]:
    """Numbers and names that neither a source nor the question contains, in order of place."""
    foreign = [
        (quantity.start, quantity.text.strip())
        for quantity in quantities
        if not question.has_quantity(quantity) and not index.has_quantity(quantity)
    ]
    taken = [(quantity.start, quantity.end) for quantity in quantities]
    foreign += [
        (name.start, name.text)
        for name in find_names(text)
        if not any(start <= name.start < end for start, end in taken)
        and not all(word in question.words for word in name.words)
        and not index.has_name(name)
    ]
    return tuple(dict.fromkeys(term for _, term in sorted(foreign)))
