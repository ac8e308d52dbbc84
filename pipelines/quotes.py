"""Find the stretches of the sources that say what a sentence claims. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.claims import Claim, known_form
from pipelines.names import find_names
from pipelines.quantities import MONTHS, WEEKDAYS, Quantity
from pipelines.source_index import LIGHT, PRICE, SourceIndex, SourceSentence, meaning, meanings
from pipelines.words import WORD, carries_meaning

MIN_GAIN = 0.45
"""A further stretch of text is quoted only when it brings at least this much weight."""
MIN_QUESTION_SHARE = 0.5
"""Of the question's words that the claim repeats, the cited passages contain at least this share."""
FEW_THINGS = 3
"""Words, numbers and names in an answer that is no sentence of its own."""
MIN_RIVAL_WORDS = 2
MAX_QUOTES = 3
MAX_WINDOW = 3
"""Neighbouring sentences of a passage that may together support one of the answer."""


@dataclass(frozen=True, slots=True)
class Quote:
    passage: int
    start: int
    end: int


def best_quotes(claim: Claim, index: SourceIndex) -> tuple[list[Quote], float]:
    """The stretches that together contain most of the claim, best first, and the share that they contain."""
    total = claim.weigh(claim.weights)
    found = [claim.found_in(sentence) for sentence in index.sentences]
    covered: set[str] = set()
    quotes: list[Quote] = []
    while len(quotes) < MAX_QUOTES and total:
        gains = [claim.weigh(each - covered) for each in found]
        best = max(
            range(len(gains)),
            key=lambda n: (round(gains[n], 6), len(index.sentences[n].anchors & claim.question.stems), -n),
            default=None,
        )
        # A further quote must bring something that the question did not say, and belong to the matter.
        if best is None or gains[best] < (MIN_GAIN if quotes else 1e-9):
            break
        if quotes and not (found[best] & covered or index.sentences[best].anchors & claim.question.stems):
            break
        first, last = best, best
        covered |= found[best]
        for _ in range(MAX_WINDOW - 1):
            sides = [n for n in (first - 1, last + 1) if 0 <= n < len(found)]
            sides = [n for n in sides if index.sentences[n].passage == index.sentences[best].passage]
            side = max(sides, key=lambda n: claim.weigh(found[n] - covered), default=None)
            if side is None or claim.weigh(found[side] - covered) < MIN_GAIN:
                break
            covered |= found[side]
            first, last = min(first, side), max(last, side)
        quotes.append(Quote(index.sentences[best].passage, index.sentences[first].start, index.sentences[last].end))
    return quotes, claim.weigh(covered) / total if total else 0.0


def answers_question(claim: Claim, quotes: Sequence[Quote], index: SourceIndex) -> bool:
    """Whether the cited passages speak of what the question asks.

    "The treasurer was elected on the first Sunday" is not supported by tests that run on the first Sunday, and "E18
    means worn bearings" not by a passage without E18. Of what the claim repeats of the question the passages contain
    every number, every name (or their document does) and a share of the words; where a bare "Ruth" repeats nothing,
    at least one word. A file's name does not count here: it is on every one of its passages.
    """
    cited = {quote.passage for quote in quotes}
    for quantity in claim.repeated_quantities:
        if not any(s.passage in cited for s in index.sentences_with(quantity)):
            return False
    spoken_of = {each for s in index.sentences if s.passage in cited for each in s.stems | (s.anchors & PRICE)}
    spoken_of |= {each for number in cited for each in index.headings[number]}
    if not _names_are_known(claim, cited, index):
        return False
    asked = claim.question.stems
    if repeated := claim.stems & asked:
        if any(s.fields and is_inside(s, quotes[0]) for s in index.sentences):
            # A row has headers where a sentence has verbs: who `works` in Leipzig stands under `Office`.
            repeated &= index.vocabulary
            if not repeated:
                return True
        numbers = len(claim.repeated_quantities)  # all found, or we would not be here
        return len(repeated & spoken_of) + numbers >= MIN_QUESTION_SHARE * (len(repeated) + numbers)
    return len(asked) < 2 or len(claim.weights) > FEW_THINGS or not asked.isdisjoint(spoken_of)


def _names_are_known(claim: Claim, cited: set[int], index: SourceIndex) -> bool:
    """The names that the claim takes from the question stand somewhere in the documents that it cites."""
    taken = {
        meaning(word)
        for name in find_names(claim.text)
        if (name.certain or claim.question.names.issuperset(name.words))
        and all(word in claim.question.words for word in name.words)
        for word in name.words
        if carries_meaning(word) and word not in MONTHS and word not in WEEKDAYS
    }
    if not taken:
        return True
    paths = {index.sources[number].path for number in cited}
    known = {each for s in index.sentences if index.sources[s.passage].path in paths for each in s.anchors}
    return taken <= known


@dataclass(frozen=True, slots=True)
class Placed:
    quotes: tuple[Quote, ...]
    """Where the numbers stand, as far as the quotes do not contain them."""
    counted_things_match: bool
    """`250 calories` is not `250 g flour`: what is counted is there too."""


def place_quantities(claim: Claim, quotes: Sequence[Quote], index: SourceIndex) -> Placed | None:
    """Find each number where the source speaks of what the claim speaks of; None when one is only elsewhere.

    So the deposit's 950 does not support a rent of 950.
    """
    # `It took 2.5 hours` is said of nothing that could be looked for.
    matter = (claim.stems or claim.question.stems) - LIGHT
    more: list[Quote] = []
    things_match = True
    for quantity in claim.quantities:
        holding = index.sentences_with(quantity)
        fitting = [
            s
            for s in holding
            if (not matter or s.anchors & matter) and not _is_said_of_another_part(claim, quantity, s, index)
        ]
        if holding and not fitting:
            return None
        thing = _counted_thing(claim.text, quantity)
        if thing and holding and not any(known_form(thing, index) in s.anchors for s in fitting):
            things_match = False
        if fitting and not any(is_inside(s, quote) for s in fitting for quote in quotes):
            more.append(Quote(fitting[0].passage, fitting[0].start, fitting[0].end))
    return Placed(tuple(more), things_match)


_PART_BREAK = re.compile(r"[;,:]\s|\b(?:but|while|whereas|and)\b", re.IGNORECASE)


def _is_said_of_another_part(claim: Claim, quantity: Quantity, sentence: SourceSentence, index: SourceIndex) -> bool:
    """`The company had 19 employees` where the source says `had 312 employees, 19 more than a year before`.

    The part of the sentence that has the number has nothing of the matter, and one with another number of its unit has.
    """
    if sentence.fields:
        return False
    matter = meanings(_part_around(claim.text, quantity.start)) & claim.stems
    text = index.sources[sentence.passage].text[sentence.start : sentence.end]
    mine = [each for each in sentence.quantities if quantity.says_same(each)]
    if not mine or any(meanings(_part_around(text, each.start)) & matter for each in mine):
        return False
    rivals = [each for each in sentence.quantities if each not in mine and each.kind == "number"]
    units = {each.unit for each in mine}
    return any(
        len(meanings(_part_around(text, each.start)) & matter) >= MIN_RIVAL_WORDS
        for each in rivals
        if each.unit in units
    )


def _part_around(text: str, position: int) -> str:
    breaks = [match.span() for match in _PART_BREAK.finditer(text)]
    start = max((end for _, end in breaks if end <= position), default=0)
    end = min((begin for begin, _ in breaks if begin >= position), default=len(text))
    return text[start:end]


def _counted_thing(text: str, quantity: Quantity) -> str:
    """What stands right after a number that has no unit: `calories`; empty for none."""
    if quantity.kind != "number" or quantity.unit:
        return ""
    after = WORD.match(text, quantity.end + 1) if text[quantity.end : quantity.end + 1] in (" ", "-") else None
    return meaning(after[0]) if after and carries_meaning(after[0]) and after[0].islower() else ""


def is_inside(sentence: SourceSentence, quote: Quote) -> bool:
    return sentence.passage == quote.passage and quote.start <= sentence.start and sentence.end <= quote.end


def merged_quotes(quotes: Sequence[Quote]) -> list[Quote]:
    """Quotes of one passage that touch become one, in the place of the first."""
    merged: list[Quote] = []
    for quote in quotes:
        for at, other in enumerate(merged):
            if quote.passage == other.passage and quote.start <= other.end + 2 and other.start <= quote.end + 2:
                merged[at] = Quote(other.passage, min(quote.start, other.start), max(quote.end, other.end))
                break
        else:
            merged.append(quote)
    return merged


def contains(whole: Quote, part: Quote) -> bool:
    return whole.passage == part.passage and whole.start <= part.start and part.end <= whole.end
