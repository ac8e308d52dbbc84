"""Finding passages by their words: BM25 over SQLite's FTS5, kept in step by triggers (`schema.py`).

Words are joined by OR; BM25 decides what counts. What a question means as it stands (a code, a number, a name) and
few passages have is said apart, so that those can come first. Knows nothing of vectors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from rag.filters import NO_FILTERS, Filters, document_condition, folded, register_functions
from rag.library_db import LibraryDb
from rag.query_terms import (
    MAX_TERMS,
    STOP_WORDS,
    Term,
    any_of,
    match_expression,
    phrase_expression,
    question_terms,
    words_of,
)
from rag.scope import Scope
from rag.vocabulary import Vocabulary

TEXT_WEIGHT = 1.0
HEADINGS_WEIGHT = 1.0
SPELLINGS_WEIGHT = 1.0
_BM25 = f"bm25({TEXT_WEIGHT}, {HEADINGS_WEIGHT}, {SPELLINGS_WEIGHT})"

PASSAGES_VISITED = 2000
"""A question whose words occur in more passages is answered from those with its rarer words: BM25 costs some
microseconds for each passage, and the frequent words tell little. On Cranfield (fused nDCG@10 0.3405) nothing is lost
when 1,600 are visited, 0.003 when 400 are, 0.017 when 200 are."""
LEAST_SHARE = 0.01
"""Of the library; in a smaller scope all words are looked for everywhere."""
FEW_PASSAGES = 20
"""A term that more passages have is not rare."""
FEW_OF_A_SMALL_LIBRARY = 0.05
CORRECTED_WORDS = 6
"""Words of one question that are looked up for what they may stand for."""
SURE_OF_LETTERS = 6
"""A correction of a word of so many letters counts like the word itself."""

MAX_NAMED_FILES = 5
NAMES_LOOKED_AT = 200


@dataclass(frozen=True, slots=True)
class FoundByWords:
    """What the words of a question find."""

    ranked: list[int]
    """Chunk ids, best first."""
    decided: dict[int, float] = field(default_factory=dict)
    """Chunks that have something which the question means as it stands and few have: how much that tells."""
    misspelt: tuple[str, ...] = ()
    """Words that no passage has, and for which others were looked for."""


class KeywordIndex:
    """Passages and file names by words."""

    def __init__(self, db: LibraryDb) -> None:
        self._db = db
        self._vocabulary = Vocabulary(db)

    def search(self, question: str, *, limit: int, within: Scope | None = None) -> list[int]:
        """Ids of the chunks that have words of the question, best first; none for a question without words."""
        return self.find(question, limit=limit, within=within).ranked

    def find(self, question: str, *, limit: int, within: Scope | None = None) -> FoundByWords:
        """At most `limit` chunks, and those that rare terms decide for (they may be further down)."""
        terms = question_terms(question)
        if not terms:
            return FoundByWords([])
        counts = self._vocabulary.passages_with(term.word for term in terms if term.word)
        terms, misspelt = self._corrected(terms, counts)
        ranked = self._ranked(terms, counts, limit, within)
        decided = self._decided(terms, within)
        return FoundByWords(ranked, decided, misspelt)

    def _ranked(self, terms: Sequence[Term], counts: Mapping[str, int], limit: int, within: Scope | None) -> list[int]:
        terms = [term for term in terms if term.ranks]
        share = 1.0 if within is None else within.share
        rare, frequent = _split_by_frequency(terms, counts, PASSAGES_VISITED / max(share, LEAST_SHARE))
        if not frequent:
            return [chunk_id for chunk_id, _ in self._by_bm25(any_of(rare), limit, within)]
        # Passages with none of the rare words are not visited; the scores of the others are what they would be.
        best = dict(self._by_bm25(f"({any_of(rare)}) AND ({any_of(frequent)})", limit, within))
        for chunk_id, rank in self._by_bm25(any_of(rare), limit, within):
            best[chunk_id] = min(rank, best.get(chunk_id, 0.0))
        return sorted(best, key=lambda chunk_id: (best[chunk_id], chunk_id))[:limit]

    def _by_bm25(self, expression: str, limit: int, within: Scope | None) -> list[tuple[int, float]]:
        """Chunk ids with FTS5's rank, which is less for better ones; best first."""
        # BM25 is only computed for what passes. A function of Python's, or another table, would take twice as long.
        only, flags = ("", ()) if within is None else (" AND substr(?, rowid + 1, 1) = x'01'", (within.flags,))
        return self._db.query(
            f"SELECT rowid, rank FROM chunk_words WHERE chunk_words MATCH ? AND rank MATCH ?{only}"
            " ORDER BY rank, rowid LIMIT ?",
            (expression, _BM25, *flags, limit),
        )

    def _corrected(self, terms: Sequence[Term], counts: Mapping[str, int]) -> tuple[list[Term], tuple[str, ...]]:
        """With other words for those that no passage has, and which those are."""
        corrected = list(terms)
        misspelt: list[str] = []
        for term in [term for term in terms if term.word][:MAX_TERMS]:
            if len(misspelt) == CORRECTED_WORDS:
                break
            if counts[term.word] or self._having(term.expression, 1):
                continue
            if others := self._vocabulary.resembling(term.word):
                misspelt.append(term.word)
                decides = term.decides and len(term.word) >= SURE_OF_LETTERS
                corrected += [Term(expression, decides) for expression in others]
        return corrected, tuple(misspelt)

    def _decided(self, terms: Sequence[Term], within: Scope | None) -> dict[int, float]:
        """How much the rare terms tell for each chunk that has some: their letters, weighed by their rarity."""
        deciding = [term for term in terms if term.decides]
        if not deciding:
            return {}
        chunks = max(1, int(self._db.query("SELECT coalesce(max(chunk_id), 0) FROM chunks")[0][0]))
        few = min(FEW_PASSAGES, max(2, int(FEW_OF_A_SMALL_LIBRARY * chunks)))
        decided: dict[int, float] = {}
        for term in deciding:
            having = self._having(term.expression, few + 1)
            if len(having) > few:
                continue
            # The whole of an account's number tells more than its groups, however rare each is.
            letters = sum(map(str.isalnum, term.expression.replace(" AND ", "")))
            telling = letters * math.log((chunks + 1) / (len(having) or 1))
            for chunk_id in having if within is None else within.only(having):
                decided[chunk_id] = decided.get(chunk_id, 0.0) + telling
        return decided

    def _having(self, expression: str, limit: int) -> list[int]:
        rows = self._db.query("SELECT rowid FROM chunk_words WHERE chunk_words MATCH ? LIMIT ?", (expression, limit))
        return [row[0] for row in rows]

    def containing(self, phrase: str) -> list[int]:
        """Ids of all chunks that have these words in a row."""
        expression = phrase_expression(phrase)
        return self._having(expression, -1) if expression else []

    def named_contents(self, question: str, filters: Filters = NO_FILTERS) -> list[int]:
        """Content ids of the files that the question names and that pass, best match first, at most MAX_NAMED_FILES.

        A file is named when all words of its name (without the suffix) are in the question, or when some are
        and all telling words of the question are in its name and its folder's.
        """
        asked = set(words_of(folded(question))) - STOP_WORDS
        if not asked:
            return []
        passing, parameters = document_condition(filters)
        register_functions(self._db)
        rows = self._db.query(
            "SELECT documents.name_text, content_id FROM document_names"
            " JOIN documents ON document_id = document_names.rowid JOIN contents USING (content_id)"
            f" WHERE document_names MATCH ? AND {passing} ORDER BY rank, document_id LIMIT ?",
            (match_expression(sorted(asked)[:MAX_TERMS]), *parameters, NAMES_LOOKED_AT),
        )
        named = [content_id for name_text, content_id in rows if _names(asked, name_text)]
        return list(dict.fromkeys(named))[:MAX_NAMED_FILES]

    def search_in(self, content_id: int, question: str, *, limit: int) -> list[int]:
        """Ids of one content's chunks: those with words of the question, best first, then its first ones."""
        matching: list[int] = []
        if terms := question_terms(question):
            matching = [
                row[0]
                for row in self._db.query(
                    "SELECT rowid FROM chunk_words WHERE chunk_words MATCH ?"
                    " AND rowid IN (SELECT chunk_id FROM chunks WHERE content_id = ?) ORDER BY rank, rowid LIMIT ?",
                    (any_of(term.expression for term in terms if term.ranks), content_id, limit),
                )
            ]
        first = self._db.query(
            "SELECT chunk_id FROM chunks WHERE content_id = ? ORDER BY ordinal LIMIT ?", (content_id, limit)
        )
        return list(dict.fromkeys([*matching, *(row[0] for row in first)]))[:limit]


def _split_by_frequency(
    terms: Sequence[Term], counts: Mapping[str, int], most_passages: float
) -> tuple[list[str], list[str]]:
    """Expressions of phrases and of words that few passages have, and of the others; the rarest word is rare."""
    rare = [term.expression for term in terms if not term.word]
    frequent = []
    visited = 0
    for place, term in enumerate(sorted((term for term in terms if term.word), key=lambda term: counts[term.word])):
        visited += counts[term.word]
        if visited <= most_passages or place == 0:
            rare.append(term.expression)
        else:
            frequent.append(term.expression)
    return rare, frequent


def _names(asked: set[str], name_text: str) -> bool:
    stem = set(words_of(folded(PurePosixPath(name_text).stem))) - STOP_WORDS
    if not stem & asked:
        return False
    return stem <= asked or asked <= set(words_of(folded(name_text)))
