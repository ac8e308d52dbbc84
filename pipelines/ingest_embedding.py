"""The embedding half of an indexing run: which embedder, which passages next, and a change of the embedder.

A library that is to have another embedder is searched with the old vectors until the new ones are all there: files
read meanwhile get vectors of both. Knows no file and no user interface; whoever iterates sets the pace.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from models.errors import ModelError
from pipelines.events import IndexEvent, IndexProgress, Notice
from pipelines.foreground import Foreground
from pipelines.library_embedders import Embedders
from rag.embedder_change import abandon_change, begin_change, change_under_way, finish_change
from rag.embedding_queue import EmbeddingQueue, PassageBatch
from rag.identity import EmbedderIdentity, claim_identity, stored_identity
from rag.library_db import LibraryDb
from rag.ports import TextEmbedder

Meanwhile = Callable[[], Iterator[IndexEvent]]
"""What is to be told of besides: files that were read."""


@dataclass(slots=True)
class _Pace:
    """How fast one embedder is in this run."""

    embedded: int = 0
    work_s: float = 0.0

    @property
    def rate_per_s(self) -> float:
        return self.embedded / max(self.work_s, 1e-6)


class IngestEmbedding:
    """One run's. `choose` comes first; without it nothing is embedded."""

    def __init__(
        self,
        db: LibraryDb,
        embedders: Embedders,
        queue: EmbeddingQueue,
        next_queue: EmbeddingQueue,
        foreground: Foreground,
        stop: threading.Event,
    ) -> None:
        self._db = db
        self._embedders = embedders
        self._queue = queue
        self._next_queue = next_queue
        self._foreground = foreground
        self._stop = stop
        self._embedder: TextEmbedder | None = None
        self._next_embedder: TextEmbedder | None = None
        self._chosen = False
        self._to_embed = self._chunks = 0
        self._too_long = 0
        self._pace, self._next_pace = _Pace(), _Pace()

    def is_due(self) -> bool:
        """Whether there is something to embed, but for files that are still to be read."""
        waiting = self._queue.waiting()
        self._to_embed = self._pace.embedded + waiting
        return bool(waiting) or self._embedders.change_is_due

    def expect(self, chunks: int) -> None:
        """Passages were added."""
        self._to_embed += chunks
        self._chunks += chunks

    def choose(self, *, reembed: bool) -> Iterator[IndexEvent]:
        """Load the embedder, or both where the library is to get another one; nothing when that was done.

        `reembed` lets the library have the embedder at hand, whatever it had. Raises EmbedderMismatch where it has
        another one and nobody asked for a change.
        """
        if self._chosen:
            return
        self._chosen = True
        try:
            wanted = self._embedders.wanted(anew=reembed)
        except ModelError as error:
            yield from self._do_without(error)
            return
        stored = stored_identity(self._db)
        if stored is None or stored.made_by(EmbedderIdentity.of(wanted)):
            if abandon_change(self._db):
                yield Notice(f"{wanted.model_id} stays the library's embedder")
            claim_identity(self._db, wanted)
            self._embedder = wanted
        elif reembed or self._embedders.change_is_due:
            yield from self._begin_change(stored, wanted)
        else:
            claim_identity(self._db, wanted)  # says what differs

    def _do_without(self, error: ModelError) -> Iterator[IndexEvent]:
        """The embedder that the library should have cannot be used: its old one may still do."""
        try:
            self._embedder = self._embedders.serving()
        except ModelError:
            self._embedder = None
        if self._embedder is not None:
            claim_identity(self._db, self._embedder)
            yield Notice(f"{error}: the library keeps {self._embedder.model_id}", error.hint)
        else:
            yield Notice(f"only words are indexed, not meaning: {error}", error.hint)

    def _begin_change(self, stored: EmbedderIdentity, wanted: TextEmbedder) -> Iterator[IndexEvent]:
        begin_change(self._db, wanted)
        self._next_embedder = wanted
        said = f"changing from {stored.model_id} to {wanted.model_id}"
        try:
            serving = self._embedders.serving()
            if serving is not None and stored.made_by(EmbedderIdentity.of(serving)):
                self._embedder = serving
                yield Notice(f"{said}: searches use the old vectors until all new ones are there")
                return
            reason, hint = f"{stored.model_id} as it was is not here any more", ""
        except ModelError as error:
            reason, hint = str(error), error.hint
        yield Notice(f"{said}: until that is done passages are found by words only ({reason})", hint)

    @property
    def has_more(self) -> bool:
        """Whether passages of before wait for the next embedder."""
        return self._next_embedder is not None

    def embed(self, *, reading_goes_on: bool, meanwhile: Meanwhile) -> Iterator[IndexEvent]:
        """Embed what there is. While reading goes on, one batch for the next embedder at a time: what was read comes
        first."""
        if self._embedder is not None:
            for batch in self._queue.batches(reading_goes_on=reading_goes_on, stop=self._stop):
                yield from self._embed_batch(batch, meanwhile)
                if self._embedder is None:
                    break
        if self._next_embedder is not None:
            for batch in self._next_queue.batches(reading_goes_on=reading_goes_on, stop=self._stop):
                yield from self._embed_next_batch(batch, meanwhile)
                if reading_goes_on or not self.has_more:
                    break

    def _embed_batch(self, batch: PassageBatch, meanwhile: Meanwhile) -> Iterator[IndexEvent]:
        """Embed a batch, store its vectors as they come, and pass on what was read meanwhile."""
        assert self._embedder is not None
        try:
            for _ in self._stored(self._embedder, self._queue, batch, self._pace):
                done, rate = self._pace.embedded, self._pace.rate_per_s
                yield IndexProgress("embedding", done, self._to_embed, chunks=self._chunks, rate_per_s=rate)
                yield from meanwhile()
        except ModelError as error:
            self._embedder = None
            yield Notice(f"the rest is indexed by words only: {error}", error.hint)

    def _embed_next_batch(self, batch: PassageBatch, meanwhile: Meanwhile) -> Iterator[IndexEvent]:
        embedder = self._next_embedder
        assert embedder is not None
        self._too_long += sum(_is_too_long(text, embedder) for text in batch.texts)
        try:
            for _ in self._stored(embedder, self._next_queue, batch, self._next_pace):
                change = change_under_way(self._db)
                if change is not None:
                    rate = self._next_pace.rate_per_s
                    yield IndexProgress(
                        "re-embedding", change.embedded, change.passages, chunks=self._chunks, rate_per_s=rate
                    )
                yield from meanwhile()
        except ModelError as error:
            self._next_embedder = None
            yield Notice(f"{embedder.model_id} stopped, and the library keeps its embedder so far: {error}", error.hint)

    def _stored(
        self, embedder: TextEmbedder, queue: EmbeddingQueue, batch: PassageBatch, pace: _Pace
    ) -> Iterator[None]:
        """Embed and store, one group of passages a step. Ends early once `stop` is set."""
        if not self._foreground.wait_until_free(self._stop):
            return
        began_s = time.monotonic()
        for indices, vectors in embedder.iter_passages(batch.texts):
            pace.embedded += queue.store([batch.chunk_ids[index] for index in indices], vectors)
            pace.work_s += time.monotonic() - began_s
            yield
            if not self._foreground.wait_until_free(self._stop):
                return
            self._foreground.make_room(embedder)
            began_s = time.monotonic()

    def finish(self) -> Iterator[IndexEvent]:
        """Let the new embedder take the place of the old one, once it has come to every passage."""
        if self._next_embedder is None or self._stop.is_set():
            return
        old = stored_identity(self._db)
        if not finish_change(self._db):
            return
        yield Notice(f"{self._next_embedder.model_id} is the library's embedder now")
        if self._too_long:
            yield Notice(
                f"{self._too_long:,} passages are longer than it reads ({self._next_embedder.max_tokens} tokens): it "
                "knows their beginning only",
                "to cut them anew, take their folders out of the library and index them again",
            )
        if old is not None and old.model_id != self._next_embedder.model_id:
            self._embedders.let_go(old.model_id)
        self._embedder, self._next_embedder = self._next_embedder, None


def _is_too_long(text: str, embedder: TextEmbedder) -> bool:
    # A token has at least a character, and special tokens need room too.
    room = embedder.max_tokens - 2
    return len(text) > room and embedder.count_tokens(embedder.passage_prefix + text) > room


__all__ = ["IngestEmbedding"]
