"""The sources of one answer, cut into sentences and made ready for comparing. Pure; built once a check."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise

from pipelines.names import Name, find_names
from pipelines.passages import Passage
from pipelines.quantities import MONTHS, WEEKDAYS, Quantity, find_quantities, squeezed
from pipelines.rows import Field, fields_of
from pipelines.sentences import split_sentences
from pipelines.words import NEGATIONS, WORD, carries_meaning, fold, stem, word_set


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of a sentence with its own yes or no."""

    stems: frozenset[str]
    negated: bool


@dataclass(frozen=True, slots=True)
class SourceSentence:
    passage: int
    """Its passage's place in the list of sources."""
    start: int
    end: int
    stems: frozenset[str]
    words: frozenset[str]
    """Folded, function words too."""
    clauses: tuple[Clause, ...]
    quantities: tuple[Quantity, ...]
    anchors: frozenset[str]
    """The stems that say what it is about: its own, its passage's headings and file name, and, when it begins with
    a pronoun, those of the sentence before. Those too that a sum of money or the head of a letter implies."""
    fields: tuple[RowField, ...] = ()
    """For a row of a table."""


@dataclass(frozen=True, slots=True)
class RowField:
    """One field of a row, ready for comparing."""

    header: str
    """Folded."""
    stems: frozenset[str]
    """Of its value."""
    quantities: tuple[Quantity, ...]


FEW_SENTENCES = 5
"""Among so few nothing can be called frequent."""

# Opposites: the second says "not" the first, so that `forbidden` agrees with `not allowed`.
_OPPOSITES = """
allow forbid prohibit ban disallow
include exclude
enable disable
accept reject decline refuse
support oppose object
require optional
increase decrease reduce fall drop shrink
open close shut
win lose
possible impossible
available unavailable
valid invalid
correct incorrect wrong
safe unsafe
lock unlock
paid unpaid
success fail failure
present absent excuse
agree disagree
"""
_SAME = {
    "permit": "allow",
    "mandatory": "require",
    "compulsory": "require",
    "obligatory": "require",
    "rise": "increase",
    "attend": "present",
}
_FLIPPED = {
    stem(other): stem(first)
    for first, *others in (line.split() for line in _OPPOSITES.strip().splitlines())
    for other in others
}
_CANONICAL = {stem(word): stem(canonical) for word, canonical in _SAME.items()}
_CLAUSE_BREAK = re.compile(
    r"[,;:()]|[\u2013\u2014]|(?=\bwithout\b)"
    r"|\b(?:but|and|or|however|although|though|while|whereas|unless|except|because|so)\b",
    re.IGNORECASE,
)
PRICE = frozenset(stem(word) for word in ("cost", "price", "amount"))
"""What a sentence says with a sum of money, in whatever words: `the gutters would be another 2,300 euros`."""
LIGHT = PRICE | frozenset(stem(word) for word in ("take", "last", "need", "contain"))
"""Verbs that only bring in a quantity: they are not what it is said of."""
_CURRENCIES = frozenset({"euro", "dollar", "pound", "franc", "cent"})
_IMPLIED_BY_LABEL = {
    "from": frozenset(stem(word) for word in ("write", "send", "come")),
    "to": frozenset(stem(word) for word in ("address", "receive")),
    "date": frozenset(stem(word) for word in ("write", "send")),
    "sent": frozenset(stem(word) for word in ("write", "send")),
}
"""The head of a letter or a mail says `From:` where a sentence says `wrote`."""
_LABEL = re.compile(r"\s*([^\W\d_]+(?: [^\W\d_]+){0,2}):\s")
_PRONOUNS = word_set("it they this these he she that those there its their his her both each one")


@lru_cache(maxsize=32_768)
def meaning(word: str) -> str:
    """The word's stem, or that of the word that it is the same as, or the opposite of (`clauses_of` knows which)."""
    each = stem(word)
    each = _CANONICAL.get(each, each)
    return _FLIPPED.get(each, each)


def meanings(text: str) -> frozenset[str]:
    """Those of the words that carry meaning."""
    return frozenset(meaning(word) for word in WORD.findall(text) if carries_meaning(word))


def clauses_of(text: str) -> tuple[Clause, ...]:
    """The parts of a sentence that mean something, with the parity of their negations."""
    found: list[Clause] = []
    label = ""
    if match := _LABEL.match(text):  # `Excused: Jens, Ruth` says it of both
        label, text = match[1], text[match.end() :]
    for part in _CLAUSE_BREAK.split(text):
        negated = lacks = False
        stems: set[str] = set()
        for word in (*WORD.findall(label), *WORD.findall(part)) if WORD.search(part) else ():
            if lacks and carries_meaning(word):  # what "without" denies is the next word, not the rest of the clause
                found.append(Clause(frozenset({meaning(word)}), negated=True))
                lacks = False
            elif fold(word) == "without":
                lacks = True
            elif fold(word) in NEGATIONS or fold(word).endswith("n't"):
                negated = not negated
            elif carries_meaning(word):
                plain = stem(word)
                negated ^= _CANONICAL.get(plain, plain) in _FLIPPED
                stems.add(meaning(word))
        if stems:
            found.append(Clause(frozenset(stems), negated))
    return tuple(found)


def _row_clauses(row: Sequence[Field]) -> tuple[Clause, ...]:
    """A row says what stands in it; and of all that, for each field that is a yes or a no, that or the contrary."""
    said = meanings(" ".join(f"{each.header} {each.value}" for each in row if each.truth is None))
    yes_or_no = [(meanings(each.header), each.truth) for each in row if each.truth is not None]
    return (Clause(said, negated=False), *(Clause(said | what, not truth) for what, truth in yes_or_no))


def _row_field(field: Field) -> RowField:
    return RowField(fold(field.header), meanings(field.value), tuple(find_quantities(field.value)))


class SourceIndex:
    """Everything the sources say, by sentence."""

    def __init__(self, sources: Sequence[Passage]) -> None:
        self.sources = sources
        self.sentences: list[SourceSentence] = []
        self.contexts = [_context(source) for source in sources]
        """What each source is about, as text: its headings, title and file name."""
        self.headings = [meanings(" ".join(source.heading_path)) for source in sources]
        for number, source in enumerate(sources):
            self._add(number, source)
        self.document_frequency = Counter(each for sentence in self.sentences for each in sentence.stems)
        self._context_quantities = [tuple(find_quantities(context)) for context in self.contexts]
        texts = [*(source.text for source in sources), *self.contexts]
        self._words: set[str] = set()
        self._uncapitalised: set[str] = set()
        self._neighbours: set[tuple[str, str]] = set()
        for written in map(WORD.findall, texts):
            self._uncapitalised.update(word for word in written if not word[0].isupper())
            folded = [fold(word).removesuffix("'s") for word in written]
            self._words.update(folded)
            self._neighbours.update(pairwise(folded))
            self._neighbours.update(zip(folded, folded[2:], strict=False))  # one word may stand between
        self.vocabulary = {meaning(word) for word in self._words}
        self._holding: dict[Quantity, list[SourceSentence]] = {}
        self._raw = fold("\n".join(texts))

    def _add(self, number: int, source: Passage) -> None:
        about = meanings(self.contexts[number])
        before: frozenset[str] = frozenset()
        for sentence in split_sentences(source.text):
            text = source.text[sentence.start : sentence.end]
            row = fields_of(text)
            quantities = tuple(find_quantities(text))
            label = _LABEL.match(text)
            said_by_label = _IMPLIED_BY_LABEL.get(fold(label[1]), frozenset()) if label else frozenset()
            priced = PRICE if any(each.unit in _CURRENCIES for each in quantities) else frozenset()
            words = WORD.findall(text)
            stems = meanings(text)
            refers_back = bool(words) and fold(words[0]) in _PRONOUNS
            self.sentences.append(
                SourceSentence(
                    passage=number,
                    start=sentence.start,
                    end=sentence.end,
                    stems=stems,
                    words=frozenset(map(fold, words)),
                    clauses=_row_clauses(row) if row else clauses_of(text),
                    quantities=quantities,
                    anchors=stems | about | priced | said_by_label | (before if refers_back else frozenset()),
                    fields=tuple(_row_field(each) for each in row),
                )
            )
            before = stems

    def weight(self, each: str) -> float:
        """How much finding this stem says: rare ones more. Between 0.5 and 1."""
        share = self.document_frequency[each] / (len(self.sentences) + FEW_SENTENCES)
        return 1.0 - 0.5 * share

    def sentences_with(self, quantity: Quantity) -> list[SourceSentence]:
        """Those that contain it, in whatever way it is written."""
        alike = replace(quantity, start=0, end=0, reach=0)
        if alike not in self._holding:
            self._holding[alike] = self._find_sentences_with(quantity)
        return self._holding[alike]

    def _find_sentences_with(self, quantity: Quantity) -> list[SourceSentence]:
        found = [s for s in self.sentences if any(quantity.says_same(other) for other in s.quantities)]
        if found or quantity.kind == "time":
            return found
        if quantity.kind == "date":
            return self._with_date_in_parts(quantity)
        pattern = _written_apart(quantity)
        if pattern is None:
            return []
        return [s for s in self.sentences if pattern.search(fold(self.sources[s.passage].text[s.start : s.end]))]

    def _with_date_in_parts(self, date: Quantity) -> list[SourceSentence]:
        """`3 March 2024` where the sentence says `3 March` and the passage, its headings or its name the year."""
        found: list[SourceSentence] = []
        for year, month, day in date.days:
            if year is None or (month is None and day is None):
                continue
            without_year = Quantity("date", date.text, 0, 0, days=frozenset({(None, month, day)}))
            for sentence in self.sentences:
                says_day = any(
                    other.kind == "date" and any(d[0] is None for d in other.days) and without_year.says_same(other)
                    for other in sentence.quantities
                )
                if says_day and self._passage_has_year(sentence.passage, year):
                    found.append(sentence)
        return found

    def _passage_has_year(self, passage: int, year: int) -> bool:
        alone = Quantity("number", str(year), 0, 0, values=frozenset({Decimal(year)}))
        inside = (q for s in self.sentences if s.passage == passage for q in s.quantities)
        return any(alone.says_same(other) for other in (*self._context_quantities[passage], *inside))

    def has_quantity(self, quantity: Quantity) -> bool:
        if self.sentences_with(quantity):
            return True
        if any(quantity.says_same(other) for context in self._context_quantities for other in context):
            return True
        pattern = _written_apart(quantity)
        return pattern is not None and bool(pattern.search(self._raw))

    def has_name(self, name: Name) -> bool:
        """All its words are in the sources; several that are written as names there too stand side by side."""
        words = [word for word in name.words if word not in _TITLES] or list(name.words)
        if not all(self._has_name_word(word) for word in words):
            return False
        if len(words) == 1 or any(self._is_ordinary(word) for word in words):
            return True
        return all(self._stand_together(one, other) for one, other in pairwise(words))

    def _is_ordinary(self, word: str) -> bool:
        """The sources write it without a capital, or only in another form."""
        return word in self._uncapitalised or word not in self._words

    def _stand_together(self, one: str, other: str) -> bool:
        """`Ruth Okafor` also as `Okafor, Ruth` or `Ruth E. Okafor`."""
        return (one, other) in self._neighbours or (other, one) in self._neighbours

    def _has_name_word(self, word: str) -> bool:
        if word in self._words or _among(word, self._words) or meaning(word) in self.vocabulary:
            return True
        if word in MONTHS and any(d[1] == MONTHS[word] for d in self._days()):
            return True
        if word in WEEKDAYS and any(_weekday(d) == WEEKDAYS[word] for d in self._days()):
            return True
        # WHO for World Health Organization
        return 2 <= len(word) <= 6 and word in self._initials()

    def _days(self) -> Iterable[tuple[int | None, int | None, int | None]]:
        for sentence in self.sentences:
            for quantity in sentence.quantities:
                yield from quantity.days

    def _initials(self) -> set[str]:
        return {"".join(word[0] for word in name.words) for source in self.sources for name in find_names(source.text)}


_TITLES = word_set("mr mrs ms miss dr prof herr frau sir madam doctor professor")
_NAME_ENDINGS = ("s", "n", "an", "ian", "ish", "ese", "y", "es", "er", "ns")


def _among(word: str, words: Iterable[str]) -> bool:
    """A name also in another form of it: `Germany` for `German`, `Romans` for `Roman`."""
    if word in words:
        return True
    if len(word) < 4:
        return False
    forms = {word + ending for ending in _NAME_ENDINGS}
    forms |= {word.removesuffix(ending) for ending in _NAME_ENDINGS if len(word.removesuffix(ending)) >= 4}
    return not forms.isdisjoint(words)


def _weekday(day: tuple[int | None, int | None, int | None]) -> int | None:
    try:
        return date(*day).weekday() if None not in day else None  # type: ignore[arg-type]  # no part is None
    except ValueError:
        return None


def _written_apart(quantity: Quantity) -> re.Pattern[str] | None:
    """A code or a long number whatever stands between its parts: `E17` also as `E 17` or `E-17`."""
    if quantity.kind == "code" and ("@" in quantity.text or "://" in quantity.text or "www." in quantity.text):
        return re.compile(re.escape(fold(quantity.text).rstrip("/")))
    core = squeezed(quantity.text)
    if quantity.kind == "number" and (len(core) < 5 or not core.isdigit()):
        return None
    if not core:
        return None
    return re.compile(r"(?<![^\W_])" + r"[\s\-./_()]*".join(map(re.escape, core)) + r"(?![^\W_])")


def _context(source: Passage) -> str:
    name = re.sub(r"[_\-.]+", " ", re.split(r"[/\\]", source.path)[-1].rpartition(".")[0] or source.path)
    return " . ".join(dict.fromkeys((*source.heading_path, source.title, name, re.split(r"[/\\]", source.path)[-1])))
