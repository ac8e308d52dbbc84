"""Understand a question just enough to search for it: what to look for, and whether to look at all.

The rule, in three steps:

1. A question made only of function words and of words about the conversation ("thanks", "summarise that", "translate
   it into French", "who are you?") is talk: nothing is looked for, the model answers from the conversation.
2. A question that leans on the one before ("and how much was it?", "why?": no word of meaning of its own, an opening
   "and", or a pronoun in a short question) is looked for together with the words of the question before.
3. A passage fits when its vector is near the question's or when it contains enough of the question's words. Passages
   that do not fit are not shown to the model. When none fits, and the conversation does not speak of it either, the
   program itself answers that the files don't say.

The thresholds were chosen on 50 questions over eight notes with all-MiniLM-L6-v2 (int8): of 19 that the notes answer
the right passage always came first, with a cosine of 0.21 to 0.74; of 15 on other matters the nearest passage had 0.04
to 0.33. Showing a passage that does not help costs little, hiding the right one costs the answer: so the line is low.

Pure. Knows English function words; in other languages rule 2 and the words of rule 3 still work, rule 1 does not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from pipelines.conversations import PastTurn
from pipelines.names import find_names
from pipelines.quantities import Quantity, find_quantities
from pipelines.words import WORD, content_stems, fold, stem, word_set
from rag.errors import QueryNotUnderstood
from rag.query import ParsedQuery, parse_query
from rag.records import Hit

MIN_COSINE = 0.2
"""Nearness from which a passage is shown at all."""
MIN_SHARE_OF_BEST_COSINE = 0.45
"""A passage much further away than the nearest one is noise beside it."""
MIN_SHARE_OF_WORDS = 0.5
"""Of the question's words that carry meaning; a passage that contains this share fits whatever its vector."""
SHORT_QUESTION_WORDS = 3
"""In a longer one a pronoun mostly stands for something in the question itself."""
CARRIED_OVER_WORDS = 12
"""At most this many words of the question before are looked for again."""

TALK = word_set("""
hello hi hey hiya greetings thanks thank cheers bye goodbye welcome sorry ok okay great nice cool good fine perfect
morning evening afternoon night yes no sure right wow lol hmm
summarise summarize summary translate explain rephrase rewrite reword repeat shorten simplify expand elaborate
continue shorter longer simpler clearer briefly brief detail details detailed again last previous earlier first answer
answers answered reply response question questions message conversation chat mean meant write put make say tell word
words sentence sentences paragraph bullet bullets points point list table format joke help homebody assistant
english german french spanish italian dutch portuguese
""")
"""Words about the conversation itself; a question of nothing else is talk."""

_REFERS_BACK = word_set("""
it its that this these those they them their he him his she her hers one ones former latter same
""")
_OPENS_AS_FOLLOW_UP = re.compile(r"(?i)^\W*(and|but|so|then|what about|how about|or|also|why|how so|since when)\b")


@dataclass(frozen=True, slots=True)
class Need:
    """What a question needs from the library."""

    query: str
    """What to look for; empty when nothing is to be looked for."""
    stems: tuple[str, ...]
    """The stems of its words that carry meaning and are not talk."""
    leans_on_last: bool
    """It can only be understood with what was said before."""

    @property
    def is_talk(self) -> bool:
        return not self.query


def understand(question: str, history: Sequence[PastTurn]) -> Need:
    """`history` is the conversation so far, oldest first."""
    stems = subject_stems(question)
    words = {fold(word) for word in WORD.findall(question)}
    talks = bool(words & TALK)
    leans = bool(history) and (
        not stems
        or (len(stems) <= SHORT_QUESTION_WORDS and bool(words & _REFERS_BACK))
        or _OPENS_AS_FOLLOW_UP.match(question) is not None
    )
    if not stems and (talks or not history):
        return Need("", stems, leans_on_last=bool(history))
    if not leans:
        return Need(question, stems, leans_on_last=False)
    before = _subject_words(history[-1].search_query or history[-1].question)
    new = [word for word in before if stem(word) not in stems][:CARRIED_OVER_WORDS]
    return Need(f"{question} {' '.join(new)}".strip(), stems, leans_on_last=True)


def place_of_last(history: Sequence[PastTurn]) -> ParsedQuery:
    """The files that the conversation is about: those which its latest question with filters chose, as long as the
    questions since then lean on it."""
    for at in range(len(history) - 1, -1, -1):
        with suppress(QueryNotUnderstood):  # a folder that was there then, a word that is a filter only now
            if (asked := parse_query(history[at].question)).restricted:
                return ParsedQuery("", asked.filters, without=asked.without)
        if not understand(history[at].question, history[:at]).leans_on_last:
            break
    return ParsedQuery("")


def subject_stems(question: str) -> tuple[str, ...]:
    """The stems of the words that a question is about."""
    talk = {stem(word) for word in TALK}
    return tuple(each for each in content_stems(question) if each not in talk)


def _subject_words(text: str) -> list[str]:
    """As written, each once: the search has its own stemming."""
    about = set(subject_stems(text))
    return list(dict.fromkeys(word for word in WORD.findall(text) if stem(word) in about))


def fitting(hits: Sequence[Hit], query: str) -> list[Hit]:
    """Those of the hits that fit the query, the best first.

    What the query pins down (a code, a number, a name) comes first, for a slow machine reads only one or two
    passages; then the search's own order, its ties by vector.
    """
    stems = frozenset(subject_stems(query))
    nearest = max((hit.cosine for hit in hits if hit.cosine is not None), default=0.0)
    line = max(MIN_COSINE, MIN_SHARE_OF_BEST_COSINE * nearest)
    fit = [hit for hit in hits if _is_near(hit, line) or _share_of_words(hit, stems) >= MIN_SHARE_OF_WORDS]
    pins = find_quantities(query)
    named = {stem(word) for name in find_names(query) for word in name.words if name.certain}
    return sorted(fit, key=lambda hit: (-_pinned(hit, pins, named), -round(hit.score, 4), -(hit.cosine or 0.0)))


def _pinned(hit: Hit, pins: Sequence[Quantity], named: set[str]) -> int:
    """How many of the query's codes, numbers and names the passage contains."""
    found = find_quantities(hit.chunk.text) if pins else []
    words = frozenset(content_stems(hit.chunk.text)) if named else frozenset()
    return sum(1 for pin in pins if any(pin.says_same(other) for other in found)) + len(named & words)


def _is_near(hit: Hit, line: float) -> bool:
    return hit.cosine is not None and hit.cosine >= line


def _share_of_words(hit: Hit, stems: frozenset[str]) -> float:
    if not stems:
        return 0.0
    name = re.sub(r"[_\-./\\]+", " ", hit.path.replace("\\", "/").rsplit("/", 1)[-1])
    text = " ".join((hit.chunk.text, *hit.chunk.heading_path, hit.title, name))
    return len(stems & frozenset(content_stems(text))) / len(stems)


def conversation_speaks_of(stems: Sequence[str], history: Sequence[PastTurn]) -> bool:
    """Whether any of these words occurred in the conversation, its passages included."""
    looked_for = set(stems)
    return any(
        not looked_for.isdisjoint(content_stems(text))
        for turn in history
        for text in (turn.user_message, turn.answer_text)
    )
