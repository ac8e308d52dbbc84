"""Where a source speaks against a sentence: a "not" too many or too few, an opposite, somebody else. Pure.

These are cheap signs, not logic: what they miss stays to the reader, who sees the quote.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.claims import Claim, Question
from pipelines.names import find_names
from pipelines.quantities import MONTHS, WEEKDAYS
from pipelines.quotes import Quote, is_inside
from pipelines.source_index import Clause, RowField, SourceIndex, SourceSentence, clauses_of, meaning
from pipelines.words import WORD, carries_meaning, fold, word_set

DENIAL_OVERLAP = 0.6
"""A clause speaks for or against one of the answer when it shares at least this much of its words."""
YES_OR_NO_OVERLAP = 0.6
"""The same for the question's words, when the answer is a bare yes or no."""

_CONTRASTS = [
    frozenset(pair.split("/"))
    for pair in word_set("""
        before/after more/less more/fewer above/below minimum/maximum first/last morning/evening early/late left/right
        north/south east/west older/younger higher/lower longer/shorter larger/smaller arrive/leave buy/sell hot/cold
        on/off upstairs/downstairs top/bottom inside/outside weekday/weekend always/sometimes earlier/later
        bought/sold summer/winter spring/autumn weekdays/weekends
    """)
]


def is_contradicted(claim: Claim, quotes: Sequence[Quote], index: SourceIndex) -> bool:
    """Whether the quotes speak against the claim."""
    cited = [s for s in index.sentences if any(is_inside(s, quote) for quote in quotes)]
    if not cited:
        return False
    mine = frozenset(map(fold, WORD.findall(claim.text)))
    theirs = frozenset(word for sentence in cited for word in sentence.words)
    for contrast in _CONTRASTS:
        if len(contrast & mine) == 1 and len(contrast & theirs) == 1 and contrast & mine != contrast & theirs:
            return True
    clauses = [clause for clause in clauses_of(claim.text) if len(clause.stems) >= 2]
    if any(_denied(clause, cited) for clause in clauses) or _says_it_of_another_row(claim, quotes[0], index):
        return True
    return _says_it_of_another(claim, index)


def _denied(claim: Clause, cited: Sequence[SourceSentence]) -> bool:
    """The clauses that say the same most fully say it with the other sign, or say of the rest that it is not so."""
    overlaps = [(len(claim.stems & each.stems) / len(claim.stems), each, s) for s in cited for each in s.clauses]
    best = max((overlap for overlap, _, _ in overlaps), default=0.0)
    if best < DENIAL_OVERLAP:
        return False
    nearest = [(each, s) for overlap, each, s in overlaps if overlap >= best - 1e-9]
    return all(each.negated != claim.negated or _excludes_rest(claim, each, s) for each, s in nearest)


def _excludes_rest(claim: Clause, nearest: Clause, sentence: SourceSentence) -> bool:
    """`kept on the server` where the source says `kept in the safe, not on the server`."""
    rest = frozenset(each for each in claim.stems - nearest.stems if not each.isdigit() and each not in _TIME_STEMS)
    return bool(rest) and any(other.negated != claim.negated and rest <= other.stems for other in sentence.clauses)


def _says_it_of_another(claim: Claim, index: SourceIndex) -> bool:
    """`Tomas objected because the hall is booked` where the source says that of Jens."""
    mine = frozenset().union(*_bearers(claim.text))
    deed = claim.stems - mine - claim.question.stems
    if not mine or len(deed) < 2:
        return False
    most = max((len(deed & s.stems) for s in index.sentences), default=0)
    if most < DENIAL_OVERLAP * len(deed):
        return False
    told = [s for s in index.sentences if len(deed & s.stems) == most]
    return all(not mine <= s.anchors and _names_another(s, index, claim) for s in told)


def _says_it_of_another_row(claim: Claim, main: Quote, index: SourceIndex) -> bool:
    """`The lamp is supplied by Sitzwerk` where the lamp's row has another supplier, and Sitzwerk stands in other rows.

    A claim that says what both rows have under the header is about both.
    """
    row = next((s for s in index.sentences if s.fields and is_inside(s, main)), None)
    if row is None:
        return False
    said = {field.header: field for field in row.fields}
    for other in index.sentences:
        if not other.fields or other.passage != row.passage or other is row:
            continue
        for field in other.fields:
            mine = said.get(field.header)
            if mine is None or _is_claimed(mine, field, claim):
                continue
            if (field.stems & claim.stems) - row.anchors or any(
                quantity.says_same(each) and not any(quantity.says_same(own) for own in row.quantities)
                for quantity in claim.quantities
                for each in field.quantities
            ):
                return True
    return False


def _is_claimed(field: RowField, other: RowField, claim: Claim) -> bool:
    """The claim says something that stands in this field and not in the other."""
    return bool((field.stems - other.stems) & claim.stems) or any(
        quantity.says_same(each) and not any(quantity.says_same(own) for own in other.quantities)
        for quantity in claim.quantities
        for each in field.quantities
    )


def _names_another(sentence: SourceSentence, index: SourceIndex, claim: Claim) -> bool:
    """The sentence names somebody of whom the claim says nothing."""
    text = index.sources[sentence.passage].text[sentence.start : sentence.end]
    return any(bearer.isdisjoint(claim.stems) for bearer in _bearers(text))


def _bearers(text: str) -> list[frozenset[str]]:
    """The names in a text that somebody or something bears; months, weekdays and single letters are none."""
    return [
        bearer
        for name in find_names(text)
        if (bearer := frozenset(meaning(word) for word in name.words if carries_meaning(word) and word not in _TIMES))
    ]


_TIMES = frozenset((*MONTHS, *WEEKDAYS))
_TIME_STEMS = frozenset(map(meaning, _TIMES))


def source_of_yes_or_no(*, yes: bool, question: Question, index: SourceIndex) -> SourceSentence | None:
    """The sentence of the sources that a bare "Yes." or "No." to the question stands on; None when none does."""
    negated = any(clause.negated for clause in clauses_of(question.text))
    best = YES_OR_NO_OVERLAP
    found: SourceSentence | None = None
    for sentence in index.sentences:
        for clause in sentence.clauses:
            overlap = len(clause.stems & question.stems) / max(1, len(question.stems))
            if overlap > best or (overlap == best and found is None):
                best = overlap
                found = sentence if (clause.negated == negated) == yes else None
    return found
