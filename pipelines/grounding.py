"""Check an answer against its sources: which sentence is supported by which passage, and which by none.

The program decides, not the model: words (by stem, rare ones count more), numbers, dates, names and negations of
each sentence are looked for in the sources' sentences; vectors, where given, settle what words leave open. A
number or a name that no source contains is always marked. Pure: knows nothing of models, screens or storage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipelines.claims import Claim, Question, foreign_terms, role_of, without_marks
from pipelines.contradiction import is_contradicted, source_of_yes_or_no
from pipelines.passages import Passage
from pipelines.quantities import find_quantities
from pipelines.quotes import MAX_QUOTES, Quote, answers_question, best_quotes, contains, merged_quotes, place_quantities
from pipelines.sentences import Sentence, split_sentences
from pipelines.source_index import SourceIndex, meanings
from pipelines.turn import CheckedSentence, Citation, Evidence

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to unit-length vectors, shape (number of texts, dimension)."""

NEAREST_COVERAGE = 0.3
"""An unsupported sentence still shows the nearest passage when that contains at least this much of it."""
SETTLED_BY_VECTORS = 0.72
"""Cosine from which a sentence that words left open counts as a paraphrase of a passage's sentence."""
OPEN_COVERAGE = 0.2
"""Below this coverage by words, vectors are not asked."""
MAX_QUOTE_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    sentences: tuple[CheckedSentence, ...]
    citations: tuple[Citation, ...]
    grounded: bool
    """Every claim is supported by a source; true also of an answer that claims nothing."""
    found_nothing: bool
    """The answer says that the files do not say, and claims nothing else with support."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    sentence: Sentence
    supported: bool
    claims: bool = True
    says_nothing: bool = False
    """It says that the files do not say."""
    quotes: tuple[Quote, ...] = ()
    nearest: Quote | None = None
    terms: tuple[str, ...] = ()
    open: bool = False
    """Words found too little, but nothing that speaks against it: vectors may settle it."""


def check(
    answer_text: str, sources: Sequence[Passage], *, question: str = "", embed: Embed | None = None
) -> CheckedAnswer:
    """Align every sentence of the answer with the sources.

    `question` is what the user asked: its words count little, and its numbers and names are not inventions.
    `embed` is asked, once, for the sentences that words did not settle. Citations are numbered by first use; one
    whose `supported` is false is the nearest passage to a claim that has none.
    """
    index = SourceIndex(sources)
    asked = Question(question)
    verdicts = [_judge(answer_text, sentence, index, asked) for sentence in split_sentences(answer_text)]
    if embed is not None:
        verdicts = _settle(verdicts, answer_text, index, embed)
    return _number_citations(verdicts, sources)


def _judge(answer: str, sentence: Sentence, index: SourceIndex, question: Question) -> _Verdict:
    text = without_marks(answer[sentence.start : sentence.end])
    role = role_of(text, sentence)
    if role in ("yes", "no"):
        said = source_of_yes_or_no(yes=role == "yes", question=question, index=index)
        return _Verdict(sentence, said is not None, quotes=(Quote(said.passage, said.start, said.end),) if said else ())
    quantities = find_quantities(text)
    terms = foreign_terms(text, quantities, index, question)
    claim = Claim(text, quantities, index, question)
    if role != "claim" or not claim.weights:
        return _Verdict(sentence, not terms, claims=bool(terms), says_nothing=role == "not said", terms=terms)
    quotes, coverage = best_quotes(claim, index)
    nearest = quotes[0] if quotes and coverage >= NEAREST_COVERAGE else None
    if terms:
        return _Verdict(sentence, supported=False, nearest=nearest, terms=terms)
    placed = place_quantities(claim, quotes, index)
    if placed is None or is_contradicted(claim, quotes, index):
        return _Verdict(sentence, supported=False, nearest=nearest)
    if not placed.counted_things_match or not answers_question(claim, quotes, index):
        return _Verdict(sentence, supported=False, nearest=nearest)
    if coverage < claim.threshold:
        return _Verdict(sentence, supported=False, nearest=nearest, open=coverage >= OPEN_COVERAGE)
    return _Verdict(sentence, supported=True, quotes=tuple(merged_quotes([*quotes, *placed.quotes])[:MAX_QUOTES]))


# Vectors, second


def _settle(verdicts: Sequence[_Verdict], answer: str, index: SourceIndex, embed: Embed) -> list[_Verdict]:
    """Ask vectors, in one call, about the sentences that words left open."""
    texts: list[str] = []
    places: dict[str, int] = {}

    def place(text: str) -> int:
        if text not in places:
            places[text] = len(texts)
            texts.append(text)
        return places[text]

    asked: list[tuple[int, int, list[tuple[int, Quote]]]] = []
    for number, verdict in enumerate(verdicts):
        if not verdict.open:
            continue
        text = answer[verdict.sentence.start : verdict.sentence.end]
        mine = meanings(text)
        near = sorted(index.sentences, key=lambda s: -len(mine & s.anchors))[:MAX_QUOTES]
        quotes = [Quote(s.passage, s.start, s.end) for s in near]
        spans = [(place(index.sources[q.passage].text[q.start : q.end]), q) for q in quotes]
        asked.append((number, place(text), spans))
    settled = list(verdicts)
    if not texts:
        return settled
    vectors = embed(texts)
    for number, sentence_at, spans in asked:
        cosine, quote = max(
            ((float(vectors[sentence_at] @ vectors[at]), q) for at, q in spans), key=lambda pair: pair[0]
        )
        if cosine >= SETTLED_BY_VECTORS:
            settled[number] = replace(settled[number], supported=True, quotes=(quote,), nearest=None)
    return settled


# Citations


def _number_citations(verdicts: Sequence[_Verdict], sources: Sequence[Passage]) -> CheckedAnswer:
    cited = merged_quotes([quote for verdict in verdicts for quote in verdict.quotes])
    numbers: dict[tuple[Quote, bool], int] = {}
    sentences: list[CheckedSentence] = []
    for verdict in verdicts:
        evidence: list[Evidence] = []
        used: list[int] = []
        if verdict.supported:
            for quote in verdict.quotes:
                whole = next(each for each in cited if contains(each, quote))
                n = numbers.setdefault((whole, True), len(numbers) + 1)
                used.append(n)
                evidence.append(
                    Evidence(n, quote.start, quote.end, sources[quote.passage].text[quote.start : quote.end])
                )
        elif verdict.nearest and not any(contains(each, verdict.nearest) for each in cited):
            used.append(numbers.setdefault((verdict.nearest, False), len(numbers) + 1))
        sentences.append(
            CheckedSentence(
                verdict.sentence.start,
                verdict.sentence.end,
                tuple(dict.fromkeys(used)),
                verdict.supported,
                verdict.terms,
                tuple(evidence),
            )
        )
    nothing = any(verdict.says_nothing for verdict in verdicts)
    return CheckedAnswer(
        sentences=tuple(sentences),
        citations=tuple(_citation(n, quote, supported, sources) for (quote, supported), n in numbers.items()),
        grounded=all(verdict.supported for verdict in verdicts),
        found_nothing=nothing and not any(verdict.claims and verdict.supported for verdict in verdicts),
    )


def _citation(n: int, quote: Quote, supported: bool, sources: Sequence[Passage]) -> Citation:
    source = sources[quote.passage]
    text = source.text[quote.start : quote.end]
    if len(text) > MAX_QUOTE_CHARACTERS:
        text = text[:MAX_QUOTE_CHARACTERS].rpartition(" ")[0] or text[:MAX_QUOTE_CHARACTERS]
    locator = source.locator
    lines_before = source.text.count("\n", 0, quote.start)
    if locator.row is not None:
        locator = replace(locator, row=locator.row + lines_before)  # a row is a line
    elif locator.line is not None:
        locator = replace(locator, line=locator.line + lines_before)
    return Citation(n, source.chunk_id, source.path, source.kind, locator, text, supported)
