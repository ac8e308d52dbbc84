"""What of a question is looked for by words: words, phrases, numbers and codes, each as an FTS5 expression.

A question is free text. What people type (quotes, operators, brackets) never reaches FTS5's query language: the
question is cut into words here, and every one is quoted. Knows nothing of what the library contains.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rag.spellings import UNSPACED_RUN, other_spellings, pairs, unspaced_runs

MAX_TERMS = 48
"""Of a very long question. FTS5 visits every passage that has any of them."""
SHORT_QUESTION_WORDS = 3
"""In so short a question every word is meant as it stands."""
TOGETHER_WORDS = 5
"""Where few passages have all words of a question of so many, those are meant."""
LONGEST_UNSPACED_NAME = 8
"""Letters of a script without spaces that are looked for as one: more are a sentence."""

_STOP_WORDS = (
    "a about above after again all also am an and any are as at be because been before being below between both but"
    " by can could did do does doing down during each every few for from further had has have having he her here hers"
    " him his how i if in into is it its itself just let me more most my myself no nor not now of off on once only or"
    " other our ours out over own please same she should so some such tell than that the their theirs them then there"
    " these they this those through to too under until up us very was we were what when where which while who whom why"
    " will with would you your yours"
    " s t d ll m re ve"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that ask rather than name. Left out of a question unless it has no others."""

# As FTS5's unicode61 sees text: letters, digits, combining marks and private use; all else separates.
_TERM = re.compile(r"[^\W_]+(?:[\u0300-\u036f]+[^\W_]*)*")
_COMPOUND = re.compile(r"(?<![^\W_])[^\W_]++(?:[-_./:@+#'\u2010\u2011\u2019]+[^\W_]++)+")
_QUOTED = re.compile(r'["“”«»„]([^"“”«»„]{2,200})["“”«»„]')
_CODE_SIGN = re.compile(r"[_@/:#+]|(?<=\w)\.(?=\w)")
_SENTENCE_START = re.compile(r"(?:\A|[.!?:]\s+|\n)\W*\Z")
_SCRIPTS = re.compile(
    "[\u2e80-\u2fff\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
    "|[\u30a0-\u30ff\u31f0-\u31ff]+|[\uac00-\ud7ff]+|[\u0e00-\u0eff]+|[\u1000-\u109f]+|[\u1780-\u17ff]+"
)


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that a question looks for."""

    expression: str
    """For FTS5."""
    decides: bool = False
    """It is meant as it stands (a code, a number, a name, a quoted phrase): where few passages have it, those
    come first."""
    word: str = ""
    """The word, where it is one: it may be misspelt."""
    ranks: bool = True
    """False for what only decides: its words rank by themselves."""


def words_of(text: str) -> list[str]:
    """The words of a text, lower case, in order."""
    return [word.lower() for word in _TERM.findall(unicodedata.normalize("NFC", text))]


def question_terms(question: str) -> list[Term]:
    """What the question looks for, each once; none for a question without words. Some MAX_TERMS at most.

    `INV-2024/17`, `foo_bar` and `"two words"` are looked for as they stand besides their parts, so that the
    passage with all of it in order comes first; and in their other spellings.
    """
    question = unicodedata.normalize("NFC", question)
    terms: dict[str, Term] = {}

    def add(words: Sequence[str], *, decides: bool, word: str = "") -> None:
        if words and (expression := quoted(words)) not in terms:
            terms[expression] = Term(expression, decides, word)

    words = list(dict.fromkeys(words_of(question)))
    telling = [word for word in words if word not in STOP_WORDS] or words
    short = len(telling) <= SHORT_QUESTION_WORDS
    for match in _QUOTED.finditer(question):
        if len(phrase := words_of(match[1])) > 1:
            add(phrase, decides=True)
    for match in _COMPOUND.finditer(question):
        add(words_of(match[0]), decides=short or _is_code(match[0]))
    for spelling in other_spellings(question):
        add(spelling.split(), decides=short or sum(map(str.isdigit, spelling)) > 2)
    if short:
        for first, second in pairwise(telling):
            add([first + second], decides=True)
    for run in unspaced_runs(question):
        for term in _unspaced_terms(run):
            terms.setdefault(term.expression, term)
    room = MAX_TERMS - len(kept := list(terms.values())[: MAX_TERMS // 2])
    if len(telling) > room:
        # Long words and those with digits in them tell more; there is no time to ask the index about all of them.
        telling = sorted(telling, key=lambda word: (not any(c.isdigit() for c in word), -len(word)))[:room]
    names = _names(question)
    kept += [
        Term(quoted([word]), short or word in names or _is_code(word), word)
        for word in telling
        if quoted([word]) not in terms
    ]
    if 1 < len(telling) <= TOGETHER_WORDS:
        kept.append(Term(" AND ".join(quoted([word]) for word in telling), decides=True, ranks=False))
    return kept


def quoted(words: Iterable[str]) -> str:
    """These words in a row, for FTS5: quoted, so that none can be read as an operator."""
    return '"' + " ".join(words).replace('"', '""') + '"'


def any_of(expressions: Iterable[str]) -> str:
    return " OR ".join(expressions)


def match_expression(phrases: Iterable[str]) -> str:
    """An FTS5 query: any of these phrases."""
    return any_of(quoted([phrase]) for phrase in phrases)


def phrase_expression(phrase: str) -> str:
    """These words in this order, for FTS5; empty for a phrase without words. In scripts without spaces: its letters."""
    runs = unspaced_runs(phrase)
    if not runs:
        words = words_of(phrase)
        return quoted(words) if words else ""
    spaced = words_of(UNSPACED_RUN.sub(" ", phrase))
    parts = [quoted(pairs(run)) if len(run) > 1 else f"{quoted([run])} *" for run in runs]
    return " AND ".join([*parts, *([quoted(spaced)] if spaced else [])])


def _unspaced_terms(run: str) -> Iterable[Term]:
    """Names and nouns as they stand, and the pairs of letters that a sentence is made of."""
    if len(run) == 1:
        yield Term(f"{quoted([run])} *", decides=True)
        return
    for stretch in dict.fromkeys([run, *_SCRIPTS.findall(run)]):
        if 1 < len(stretch) <= LONGEST_UNSPACED_NAME:
            yield Term(quoted(pairs(stretch)), decides=True)
    for pair in pairs(run)[:MAX_TERMS]:
        yield Term(quoted([pair]))


def _is_code(text: str) -> bool:
    """Something that is looked for letter by letter: a number of three digits, a path, an address, an identifier."""
    digits = sum(map(str.isdigit, text))
    return digits > 2 or (digits > 0 and len(text) > 3) or _CODE_SIGN.search(text) is not None


def _names(question: str) -> set[str]:
    """Words with a capital that no sentence begins with, lower case; none where all words have one."""
    names = set()
    has_small = False
    for match in _TERM.finditer(question):
        if not match[0][0].isupper():
            has_small = has_small or match[0][0].islower()
        elif not _SENTENCE_START.search(question, max(0, match.start() - 8), match.start()):
            names.add(match[0].lower())
    return names if has_small else set()


__all__ = [
    "MAX_TERMS",
    "STOP_WORDS",
    "Term",
    "any_of",
    "match_expression",
    "phrase_expression",
    "question_terms",
    "quoted",
    "words_of",
]
