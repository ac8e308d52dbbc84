"""Answer "which passages of my files are about this?" from words, meaning and file names together.

Each of the three gives a ranking; reciprocal rank fusion joins them. What the query means as it stands (a code, a
number, a name) and few passages have goes first. Where a reranker is installed it has a voice in the order of the
best. Then what says the same twice is shown once, and no file may fill the list. Without an embedder, or before
vectors exist, words alone answer.

Knows nothing of prompts or of answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rag.choosing import JOINED_CHARS, JOINED_CHUNKS, Place, choose, in_order
from rag.exact_vectors import VectorHit
from rag.filters import newest_contents
from rag.fusion import reciprocal_rank_fusion
from rag.identity import check_identity
from rag.image_vectors import ImageVectors
from rag.keyword_index import FoundByWords, KeywordIndex
from rag.kind_balance import FIRST_PLACES, kind_meant, with_other_kinds, without_medium
from rag.library_db import LibraryDb
from rag.passages import Passage, Passages
from rag.ports import ImageEncoder, TextEmbedder
from rag.query import ParsedQuery, parse_query
from rag.query_terms import words_of
from rag.records import Chunk, Hit
from rag.reranking import Reranking, is_clear
from rag.scope import Scope, Scopes
from rag.vectors import Vectors

OVERFETCH = 4
FETCHED_AT_LEAST = 50
"""Passages asked of each ranking: enough for fusion to find what two of them agree on further down."""

WORDS_WEIGHT = 1.0
VECTORS_WEIGHT = 1.0
NAMES_WEIGHT = 1.0
IMAGES_WEIGHT = 1.5
"""A picture found by its looks alone comes before passages found by words or by vectors, behind those found by both."""
MOST_IMAGES_SHARE = 0.5
"""Of the places wanted: what only looks right must leave room for what says it."""
MOST_RESEMBLING = 100_000
"""Pictures put in order for a picture, where filters decide which of them count."""
PASSAGES_A_NAMED_FILE = 3

SPARE = 2
"""Passages read besides those wanted, for some say the same."""
QUERY_CHARS = 2000
"""Of a long question the embedder is given its beginning and its end; it reads some 250 tokens."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, and what the user should know of how."""

    hits: list[Hit]
    notes: tuple[str, ...] = ()
    """In a sentence each."""


class Search:
    """Searches one library. Thread-safe as its parts are."""

    def __init__(
        self,
        db: LibraryDb,
        vectors: Vectors,
        keyword_index: KeywordIndex,
        embedder: TextEmbedder | None,
        *,
        scopes: Scopes | None = None,
        reranking: Reranking | None = None,
        images: ImageVectors | None = None,
        image_encoder: ImageEncoder | None = None,
    ) -> None:
        self._db = db
        self._vectors = vectors
        self._keyword_index = keyword_index
        self._embedder = embedder
        self._scopes = scopes or Scopes(db)
        self._reranking = reranking
        self._images = images
        self._image_encoder = image_encoder
        self._passages = Passages(db)

    def search(
        self, query: ParsedQuery | str, *, k: int = 10, per_document: int | None = None, join: bool = False
    ) -> list[Hit]:
        """The hits of `find`."""
        return self.find(query, k=k, per_document=per_document, join=join).hits

    def find(
        self,
        query: ParsedQuery | str,
        *,
        k: int = 10,
        per_document: int | None = None,
        join: bool = False,
        like: NDArray[np.float32] | None = None,
    ) -> Found:
        """At most k passages, best first; none for a query without words, but for one of filters alone: that lists
        the newest documents.

        A file gives at most `per_document` of them (None: three, or a third of k where that is more) unless
        there are too few others. With `join`, neighbours that were both found take one place, and each hit has its
        passage with those beside it. `like` is the vector of a picture, shape (dimension,): then pictures are found
        that look like it, nearest first. Raises EmbedderMismatch when the vectors are another embedder's, and
        QueryNotUnderstood for a filter that makes no sense.
        """
        parsed = parse_query(query) if isinstance(query, str) else query
        notes: list[str] = []
        scope = self._scope(parsed, notes)
        if k < 1 or (scope is not None and not scope):
            return Found([], tuple(notes))
        if like is not None:
            return Found(self._resembling(like, parsed, scope, k, join), tuple(notes))
        if not words_of(parsed.text):
            return Found(self._newest(parsed, scope, k, join) if parsed.filters else [], tuple(notes))
        limit = max(OVERFETCH * k, FETCHED_AT_LEAST)
        meant = self._scope_of_kind_meant(parsed)
        words = self._keyword_index.find(parsed.text, limit=limit, within=scope)
        about = parsed.text if parsed.phrases or not kind_meant(parsed.text) else without_medium(parsed.text)
        if about != parsed.text and words.decided:
            words = replace(words, decided=self._keyword_index.find(about, limit=limit, within=scope).decided)
        if words.misspelt:
            unknown = ", ".join(f"“{word}”" for word in words.misspelt)
            notes.append(f"no file has {unknown}: similar words were looked for")
        near, near_of_kind = self._near(parsed.text, limit, scope, meant)
        pictures = self._looking_like(parsed, scope, k)
        rankings = [
            (words.ranked, WORDS_WEIGHT),
            ([hit.chunk_id for hit in near], VECTORS_WEIGHT),
            (self._in_named_files(parsed, scope), NAMES_WEIGHT),
            (pictures, IMAGES_WEIGHT),
        ]
        if meant is not None:
            of_kind = self._keyword_index.find(about, limit=limit, within=meant)
            rankings += [
                (of_kind.ranked, WORDS_WEIGHT),
                ([hit.chunk_id for hit in near_of_kind], VECTORS_WEIGHT),
                (meant.only(pictures), IMAGES_WEIGHT),
            ]
        fused = self._fused(words, rankings)
        candidates: Iterable[tuple[Passage, float]] = self._loaded(fused, parsed, at_once=k + SPARE)
        if self._wants_reranking(words, near):
            candidates = self._reranked(parsed, fused, at_once=k + SPARE)
        elif k >= FIRST_PLACES and self._has_other_kinds():
            candidates = with_other_kinds(candidates)
        places = choose(candidates, k, per_document if per_document is not None else max(3, -(-k // 3)), join=join)
        return Found(self._hits(places, words, near, join=join), tuple(notes))

    def _scope(self, parsed: ParsedQuery, notes: list[str]) -> Scope | None:
        """None where every passage may be found."""
        if not parsed.restricted and not parsed.phrases:
            return None
        scope = self._scopes.within(parsed.filters)
        if not scope:
            notes.append("no file passes the filters" if parsed.filters else "there is nothing to search yet")
            return scope
        for excluded in parsed.without:
            scope = scope.narrowed(self._keyword_index.containing(excluded), to_them=False)
        for phrase in parsed.phrases:
            with_it = scope.narrowed(self._keyword_index.containing(phrase), to_them=True)
            if with_it:
                scope = with_it
            else:
                notes.append(f"no passage has “{phrase}” word for word")
        return scope

    def _scope_of_kind_meant(self, parsed: ParsedQuery) -> Scope | None:
        """The passages of the kind that the query says it looks for; None where it says nothing, or a filter does."""
        kind = kind_meant(parsed.text)
        if kind is None or parsed.filters.kinds or parsed.filters.suffixes:
            return None
        of_kind = replace(parsed, filters=replace(parsed.filters, kinds=frozenset({kind})))
        return self._scope(of_kind, []) or None

    def _has_other_kinds(self) -> bool:
        """Besides texts: to look for them among what was found means to read more of it."""
        return bool(self._db.query("SELECT 1 FROM contents WHERE kind <> 'text' LIMIT 1"))

    def _fused(self, words: FoundByWords, rankings: Sequence[tuple[Sequence[int], float]]) -> list[tuple[int, float]]:
        """Chunk ids with their scores, best first. What rare terms tell counts more than any rank."""
        fused = reciprocal_rank_fusion([ranked for ranked, _ in rankings], weights=[weight for _, weight in rankings])
        if not words.decided:
            return fused
        scores = {**dict.fromkeys(words.decided, 0.0), **dict(fused)}
        most = max(words.decided.values())
        told = (
            (chunk_id, score + (1 + words.decided[chunk_id] / most if chunk_id in words.decided else 0.0))
            for chunk_id, score in scores.items()
        )
        return sorted(told, key=lambda item: (-item[1], item[0]))

    def _loaded(
        self, fused: Sequence[tuple[int, float]], parsed: ParsedQuery, *, at_once: int
    ) -> Iterator[tuple[Passage, float]]:
        """The passages with their scores, read as they are asked for: mostly the first few are enough."""
        for start in range(0, len(fused), at_once):
            some = fused[start : start + at_once]
            passages = self._passages.by_id((chunk_id for chunk_id, _ in some), filters=parsed.filters)
            yield from ((passages[chunk_id], score) for chunk_id, score in some if chunk_id in passages)

    def _wants_reranking(self, words: FoundByWords, near: Sequence[VectorHit]) -> bool:
        """Not where rare terms decide, nor where words and vectors are sure."""
        if self._reranking is None or words.decided:
            return False
        return not is_clear(words.ranked, [(hit.chunk_id, hit.cosine) for hit in near])

    def _reranked(
        self, parsed: ParsedQuery, fused: Sequence[tuple[int, float]], *, at_once: int
    ) -> Iterator[tuple[Passage, float]]:
        assert self._reranking is not None
        first = list(self._loaded(fused[: self._reranking.passages], parsed, at_once=self._reranking.passages))
        texts = ["\n".join((*passage.chunk.heading_path, passage.chunk.text)) for passage, _ in first]
        votes = self._reranking.votes(parsed.text, texts)
        votes += [0.0] * (len(first) - len(votes))
        voted = [(passage, score + vote) for (passage, score), vote in zip(first, votes, strict=True)]
        yield from sorted(voted, key=lambda item: -item[1])
        yield from self._loaded(fused[self._reranking.passages :], parsed, at_once=at_once)

    def _near(
        self, query: str, limit: int, scope: Scope | None, meant: Scope | None
    ) -> tuple[list[VectorHit], list[VectorHit]]:
        """By meaning: in the scope, and in that of the kind that is meant."""
        if self._embedder is None:
            return [], []
        # In one state of the library: its embedder and its vectors change together, while searches go on.
        with self._db.snapshot():
            check_identity(self._db, self._embedder)
            if self._vectors.empty:
                return [], []
            vector = self._embedder.embed_query(_shortened(query))
            near = self._vectors.search(vector, limit=limit, within=scope)
            return near, self._vectors.search(vector, limit=limit, within=meant) if meant is not None else []

    def _looking_like(self, parsed: ParsedQuery, scope: Scope | None, k: int) -> list[int]:
        """The first passages of the pictures that stand out for what the query says, best first."""
        if self._images is None or self._image_encoder is None:
            return []
        hits = self._images.like_text(_shortened(parsed.text), self._image_encoder)
        found = [chunk_id for hit in hits for chunk_id in self._passages.first_of([hit.content_id], passages=1)]
        found = found if scope is None else scope.only(found)
        only_pictures = parsed.filters.kinds == frozenset({"image"})
        return found if only_pictures else found[: max(1, int(k * MOST_IMAGES_SHARE))]

    def _resembling(
        self, vector: NDArray[np.float32], parsed: ParsedQuery, scope: Scope | None, k: int, join: bool
    ) -> list[Hit]:
        """The pictures nearest to one, each by its first passage, with its cosine as its score."""
        if self._images is None or self._image_encoder is None:
            return []
        limit = k if scope is None else MOST_RESEMBLING
        hits = self._images.like_picture(vector, self._image_encoder, text=_shortened(parsed.text), limit=limit)
        scored: list[tuple[int, float]] = []
        for hit in hits:
            firsts = self._passages.first_of([hit.content_id], passages=1)
            scored += [(chunk_id, hit.cosine) for chunk_id in (firsts if scope is None else scope.only(firsts))]
            if len(scored) == k:
                break
        return self._hits(
            in_order(self._loaded(scored, parsed, at_once=max(1, k)), join=join), FoundByWords([]), [], join=join
        )

    def _in_named_files(self, parsed: ParsedQuery, scope: Scope | None) -> list[int]:
        """The best passages of the files that the query names: each file's best, then each one's second, …"""
        per_file = [
            self._keyword_index.search_in(content_id, parsed.text, limit=PASSAGES_A_NAMED_FILE)
            for content_id in self._keyword_index.named_contents(parsed.text, parsed.filters)
        ]
        found = [
            chunk_ids[place]
            for place in range(PASSAGES_A_NAMED_FILE)
            for chunk_ids in per_file
            if place < len(chunk_ids)
        ]
        return found if scope is None else scope.only(found)

    def _newest(self, parsed: ParsedQuery, scope: Scope | None, k: int, join: bool) -> list[Hit]:
        """The first passages of the newest documents that pass the filters."""
        # With words that must not be there, some documents may have nothing left to show.
        contents = newest_contents(self._db, parsed.filters, limit=-1 if parsed.without else k)
        chunk_ids = self._passages.first_of(contents, passages=k, within=scope if parsed.without else None)
        loaded = self._loaded([(each, 0.0) for each in chunk_ids], parsed, at_once=max(1, k))
        return self._hits(in_order(loaded, join=join), FoundByWords([]), [], join=join)

    def _hits(
        self, places: Sequence[Place], words: FoundByWords, near: Sequence[VectorHit], *, join: bool
    ) -> list[Hit]:
        words_rank = {chunk_id: rank for rank, chunk_id in enumerate(words.ranked, start=1)}
        vector_rank = {hit.chunk_id: rank for rank, hit in enumerate(near, start=1)}
        cosine = {hit.chunk_id: hit.cosine for hit in near}
        return [
            Hit(
                rank=rank,
                score=place.score,
                chunk=place.passage.chunk,
                path=place.passage.path,
                title=place.passage.title,
                kind=place.passage.kind,
                words_rank=words_rank.get(place.passage.chunk.chunk_id),
                vector_rank=vector_rank.get(place.passage.chunk.chunk_id),
                cosine=cosine.get(place.passage.chunk.chunk_id),
                others=place.files - 1,
                joined=self._joined(place) if join else (),
            )
            for rank, place in enumerate(places, start=1)
        ]

    def _joined(self, place: Place) -> tuple[Chunk, ...]:
        """The found neighbours, and those beside them that stand under the same headings, while there is room."""
        own = place.passage.chunk
        first, last = min(place.ordinals), max(place.ordinals)
        around = {chunk.ordinal: chunk for chunk in self._passages.between(own.content_id, first - 1, last + 1)}
        around.setdefault(own.ordinal, own)
        room = JOINED_CHARS - sum(len(around[each].text) for each in range(first, last + 1) if each in around)
        for beside in (last + 1, first - 1):
            neighbour = around.get(beside)
            if neighbour is None or last - first + 1 >= JOINED_CHUNKS:
                continue
            if neighbour.heading_path == own.heading_path and len(neighbour.text) <= room:
                room -= len(neighbour.text)
                first, last = min(first, beside), max(last, beside)
        return tuple(around[each] for each in range(first, last + 1) if each in around)


def _shortened(query: str) -> str:
    if len(query) <= QUERY_CHARS:
        return query
    half = QUERY_CHARS // 2
    return f"{query[:half]} {query[-half:]}"
