from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rag.embedder_change import (
    abandon_change,
    begin_change,
    change_under_way,
    finish_change,
    next_identity,
)
from rag.embedding_queue import NEXT_VECTORS, EmbeddingQueue
from rag.identity import EmbedderIdentity, stored_identity
from rag.library_db import LibraryDb
from rag.vectors import ExactVectors
from tests.fakes import CountableEmbedder
from tests.rag.stored_library import assert_whole, change_embedder, chunk_ids, embed_all, record

OLD = CountableEmbedder()
NEW = CountableEmbedder(dimension=64, model_id="new")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path / "library.sqlite") as opened:
        record(opened, "/cat.txt", ["the cat sleeps", "the dog barks"])
        record(opened, "/rent.txt", ["the rent is due"])
        embed_all(opened, OLD)
        yield opened
        assert_whole(opened)


def embed_next(db: LibraryDb, embedder: CountableEmbedder, *, at_most: int = 10**9) -> None:
    queue = EmbeddingQueue(db, NEXT_VECTORS)
    for batch in queue.batches(reading_goes_on=False, stop=threading.Event()):
        queue.store(batch.chunk_ids[:at_most], embedder.embed_passages(batch.texts[:at_most]))
        if at_most < 10**9:
            return


def vectors_of(db: LibraryDb) -> dict[int, bytes]:
    return dict(db.query("SELECT chunk_id, vector FROM vectors"))


def test_the_old_vectors_serve_until_all_new_ones_are_there(db: LibraryDb) -> None:
    before, search = vectors_of(db), ExactVectors(db)
    begin_change(db, NEW)
    embed_next(db, NEW, at_most=2)
    assert not finish_change(db), "one passage has no new vector yet"
    assert vectors_of(db) == before
    assert stored_identity(db) == EmbedderIdentity.of(OLD)
    assert change_under_way(db) is not None
    (hit, *_) = search.search(OLD.embed_query("cat"), limit=1)
    embed_next(db, NEW)
    assert finish_change(db)
    assert stored_identity(db) == EmbedderIdentity.of(NEW)
    assert change_under_way(db) is None
    np.testing.assert_allclose(
        np.frombuffer(vectors_of(db)[hit.chunk_id], "<f2"), NEW.embed_query("the cat sleeps"), atol=1e-3
    )
    assert [each.chunk_id for each in search.search(NEW.embed_query("cat"), limit=1)] == [hit.chunk_id]


def test_a_change_that_was_begun_goes_on_and_says_how_far_it_is(db: LibraryDb) -> None:
    begin_change(db, NEW)
    embed_next(db, NEW, at_most=2)
    begin_change(db, NEW)
    change = change_under_way(db)
    assert change is not None
    assert (change.to.model_id, change.embedded, change.passages) == ("new", 2, 3)


def test_a_third_embedder_begins_anew_and_the_old_one_ends_the_change(db: LibraryDb) -> None:
    begin_change(db, NEW)
    embed_next(db, NEW)
    begin_change(db, CountableEmbedder(dimension=32, model_id="third"))
    change = change_under_way(db)
    assert change is not None
    assert (change.to.model_id, change.embedded) == ("third", 0)
    assert abandon_change(db)
    assert not abandon_change(db)
    assert next_identity(db) is None
    assert not finish_change(db)


def test_a_file_read_meanwhile_needs_both_and_one_that_leaves_takes_both(db: LibraryDb) -> None:
    begin_change(db, NEW)
    embed_next(db, NEW)
    record(db, "/new.txt", ["a bird sings"])
    assert not finish_change(db)
    assert EmbeddingQueue(db).waiting() == EmbeddingQueue(db, NEXT_VECTORS).waiting() == 1
    embed_next(db, NEW)
    assert finish_change(db), "the old embedder need not have come to it"
    (new_id,) = chunk_ids(db, "/new.txt")
    assert new_id in vectors_of(db)
    assert EmbeddingQueue(db).waiting() == 0


def test_chroma_is_told_of_every_vector_and_of_nothing_else(db: LibraryDb) -> None:
    db.connection.execute("DELETE FROM chroma_pending")
    change_embedder(db, NEW)
    pending = dict(db.query("SELECT chunk_id, operation FROM chroma_pending"))
    assert pending == dict.fromkeys(vectors_of(db), "add")
