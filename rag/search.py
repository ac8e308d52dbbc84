"""Answer "which passages of my files are about this?" from words, meaning and file names together.

Each of the three gives a ranking; reciprocal rank fusion joins them. Then what says the same twice is dropped
and no file may fill the list. Without an embedder, or before vectors exist, words alone answer.

Knows nothing of prompts or of answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from rag.fusion import reciprocal_rank_fusion
from rag.identity import check_identity
from rag.keyword_index import KeywordIndex
from rag.library_db import LibraryDb
from rag.passages import Passage, Passages
from rag.ports import TextEmbedder
from rag.records import Hit, Kind
from rag.vectors import VectorHit, Vectors

OVERFETCH = 4
FETCHED_AT_LEAST = 50
"""Passages asked of each ranking: enough for fusion to find what two of them agree on further down."""

WORDS_WEIGHT = 1.0
VECTORS_WEIGHT = 1.0
NAMES_WEIGHT = 1.0
PASSAGES_A_NAMED_FILE = 3

SAME_WORDS = 0.9
"""Two passages that share this much of their words, and all numbers and names, say the same."""

QUERY_CHARS = 2000
"""Of a long question the embedder is given its beginning and its end; it reads some 250 tokens."""


class Search:
    """Searches one library. Thread-safe as its parts are."""

    def __init__(
        self, db: LibraryDb, vectors: Vectors, keyword_index: KeywordIndex, embedder: TextEmbedder | None
    ) -> None:
        self._db = db
        self._vectors = vectors
        self._keyword_index = keyword_index
        self._embedder = embedder
        self._passages = Passages(db)

    def search(
        self, query: str, *, k: int = 10, kinds: frozenset[Kind] | None = None, per_document: int | None = None
    ) -> list[Hit]:
        """At most k passages, best first; none for a query without words.

        A file gives at most `per_document` of them (None: three, or a third of k where that is more) unless
        there are too few others. Raises EmbedderMismatch when the vectors are another embedder's.
        """
        if not query.strip() or k < 1:
            return []
        limit = max(OVERFETCH * k, FETCHED_AT_LEAST)
        words = self._keyword_index.search(query, limit=limit, kinds=kinds)
        near = self._near(query, limit, kinds)
        names = self._in_named_files(query, kinds)
        fused = reciprocal_rank_fusion(
            [words, [hit.chunk_id for hit in near], names], weights=[WORDS_WEIGHT, VECTORS_WEIGHT, NAMES_WEIGHT]
        )
        candidates = self._loaded(fused, at_once=2 * k)
        chosen = choose(candidates, k, per_document if per_document is not None else max(3, -(-k // 3)))
        words_rank = {chunk_id: rank for rank, chunk_id in enumerate(words, start=1)}
        vector_rank = {hit.chunk_id: rank for rank, hit in enumerate(near, start=1)}
        cosine = {hit.chunk_id: hit.cosine for hit in near}
        return [
            Hit(
                rank=rank,
                score=score,
                chunk=passage.chunk,
                path=passage.path,
                title=passage.title,
                kind=passage.kind,
                words_rank=words_rank.get(passage.chunk.chunk_id),
                vector_rank=vector_rank.get(passage.chunk.chunk_id),
                cosine=cosine.get(passage.chunk.chunk_id),
            )
            for rank, (passage, score) in enumerate(chosen, start=1)
        ]

    def _loaded(self, fused: Sequence[tuple[int, float]], *, at_once: int) -> Iterator[tuple[Passage, float]]:
        """The passages with their scores, read as they are asked for: mostly the first few are enough."""
        for start in range(0, len(fused), at_once):
            some = fused[start : start + at_once]
            passages = self._passages.by_id(chunk_id for chunk_id, _ in some)
            yield from ((passages[chunk_id], score) for chunk_id, score in some if chunk_id in passages)

    def _near(self, query: str, limit: int, kinds: frozenset[Kind] | None) -> list[VectorHit]:
        if self._embedder is None:
            return []
        check_identity(self._db, self._embedder)
        if self._vectors.empty:
            return []
        return self._vectors.search(self._embedder.embed_query(_shortened(query)), limit=limit, kinds=kinds)

    def _in_named_files(self, query: str, kinds: frozenset[Kind] | None) -> list[int]:
        """The best passages of the files that the query names: each file's best, then each one's second, …"""
        per_file = [
            self._keyword_index.search_in(content_id, query, limit=PASSAGES_A_NAMED_FILE)
            for content_id in self._keyword_index.named_contents(query, kinds=kinds)
        ]
        return [
            chunk_ids[place]
            for place in range(PASSAGES_A_NAMED_FILE)
            for chunk_ids in per_file
            if place < len(chunk_ids)
        ]


def _shortened(query: str) -> str:
    if len(query) <= QUERY_CHARS:
        return query
    half = QUERY_CHARS // 2
    return f"{query[:half]} {query[-half:]}"


def choose(candidates: Iterable[tuple[Passage, float]], k: int, per_document: int) -> list[tuple[Passage, float]]:
    """The best k of what was found, best first: nothing twice, and room for more than one file.

    What is over a file's share comes in only where there are too few others; then its score decides its place.
    """
    chosen: list[tuple[int, Passage, float]] = []
    over_share: list[tuple[int, Passage, float]] = []
    taken: dict[int, int] = {}
    prints: list[_Print] = []
    for place, (passage, score) in enumerate(candidates):
        content_id = passage.chunk.content_id
        if taken.get(content_id, 0) >= per_document:
            over_share.append((place, passage, score))
        elif _is_new(passage.chunk.text, prints):
            chosen.append((place, passage, score))
            taken[content_id] = taken.get(content_id, 0) + 1
            if len(chosen) == k:
                break
    for place, passage, score in over_share:
        if len(chosen) == k:
            break
        if _is_new(passage.chunk.text, prints):
            chosen.append((place, passage, score))
    return [(passage, score) for _, passage, score in sorted(chosen, key=lambda each: each[0])]


_WORD = re.compile(r"\w+")


class _Print:
    """What of a text is compared to see whether it says the same as another."""

    __slots__ = ("particulars", "words")

    def __init__(self, text: str) -> None:
        words = _WORD.findall(text)
        self.words = frozenset(word.casefold() for word in words)
        # Bills of two months are nearly the same text: a number or a name tells them apart.
        self.particulars = frozenset(word for word in words if word[0].isupper() or not word.isalpha())

    def same_as(self, other: _Print) -> bool:
        if self.particulars != other.particulars:
            return False
        shared = len(self.words & other.words)
        return shared >= SAME_WORDS * len(self.words | other.words)


def _is_new(text: str, prints: list[_Print]) -> bool:
    """Whether no earlier text says the same; the text is then remembered in `prints`."""
    candidate = _Print(text)
    if any(candidate.same_as(each) for each in prints):
        return False
    prints.append(candidate)
    return True
