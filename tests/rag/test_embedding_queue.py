from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rag.contents import EMBED_GROUP_CHUNKS
from rag.embedding_queue import BATCH_PASSAGES, NEXT_VECTORS, WINDOW_PASSAGES, EmbeddingQueue, PassageBatch
from rag.identity import claim_identity
from rag.library_db import LibraryDb
from tests.fakes import CountableEmbedder
from tests.rag.stored_library import assert_whole, chunk_ids, embed_all, record


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path / "library.sqlite") as opened:
        claim_identity(opened, CountableEmbedder())
        yield opened
        assert_whole(opened)


def record_groups(db: LibraryDb, count: int) -> list[int]:
    """Files that fill a group each; returns their contents' ids."""
    return [
        record(db, f"/{number}.txt", [f"file {number} line {line}" for line in range(EMBED_GROUP_CHUNKS)]).content_id
        for number in range(count)
    ]


def drain(queue: EmbeddingQueue, embedder: CountableEmbedder) -> list[PassageBatch]:
    batches = []
    for batch in queue.batches(reading_goes_on=False, stop=threading.Event()):
        queue.store(batch.chunk_ids, embedder.embed_passages(batch.texts))
        batches.append(batch)
    return batches


def numbers(batches: list[PassageBatch]) -> list[str]:
    """The files that the batches' first passages are of, each once."""
    return list(dict.fromkeys(batch.texts[0].split()[1] for batch in batches))


def test_what_is_preferred_is_embedded_first_in_the_same_company(db: LibraryDb) -> None:
    contents = record_groups(db, 4)
    plain = list(EmbeddingQueue(db).batches(reading_goes_on=False, stop=threading.Event()))
    queue = EmbeddingQueue(db)
    queue.prefer([contents[2], contents[1]])
    batches = drain(queue, CountableEmbedder())
    assert numbers(batches) == ["2", "1", "0", "3"]
    assert sorted(batch.chunk_ids for batch in batches) == sorted(batch.chunk_ids for batch in plain)


def test_a_wish_that_comes_in_the_middle_is_heard_at_the_next_batch(db: LibraryDb) -> None:
    contents = record_groups(db, 3)
    assert EMBED_GROUP_CHUNKS >= 2 * BATCH_PASSAGES
    queue, embedder = EmbeddingQueue(db), CountableEmbedder()
    batches = []
    for batch in queue.batches(reading_goes_on=False, stop=threading.Event()):
        queue.store(batch.chunk_ids, embedder.embed_passages(batch.texts))
        batches.append(batch)
        if len(batches) == 1:
            queue.prefer([contents[2]])
    assert [batch.texts[0].split()[1] for batch in batches] == ["0", "2", "2", "0", "1", "1"]
    assert queue.waiting() == 0


def test_within_a_large_file_the_batches_of_the_preferred_come_first(db: LibraryDb) -> None:
    record(db, "/short.txt", [f"short {line}" for line in range(EMBED_GROUP_CHUNKS - 1)])
    long = record(db, "/long.txt", [f"long words that go on and on {line}" for line in range(200)])
    queue = EmbeddingQueue(db)
    queue.prefer([long.content_id, 10_000])  # one that is gone, too
    first = next(iter(queue.batches(reading_goes_on=False, stop=threading.Event())))
    assert any("long words" in text for text in first.texts)
    queue.prefer([])
    first = next(iter(queue.batches(reading_goes_on=False, stop=threading.Event())))
    assert all(text.startswith("short") for text in first.texts)


def test_the_last_group_waits_while_reading_goes_on_even_when_it_is_preferred(db: LibraryDb) -> None:
    contents = record_groups(db, 2)
    queue = EmbeddingQueue(db)
    queue.prefer([contents[1]])
    batches = list(queue.batches(reading_goes_on=True, stop=threading.Event()))
    assert numbers(batches) == ["0"]


def test_the_next_embedders_vectors_have_a_queue_of_their_own(db: LibraryDb) -> None:
    record_groups(db, 2)
    embed_all(db, CountableEmbedder())
    new = CountableEmbedder(dimension=32, model_id="new")
    queue = EmbeddingQueue(db, NEXT_VECTORS)
    assert queue.waiting() == 2 * EMBED_GROUP_CHUNKS
    first = next(iter(queue.batches(reading_goes_on=False, stop=threading.Event())))
    assert queue.store(first.chunk_ids[:40], new.embed_passages(first.texts[:40])) == 40
    again = next(iter(queue.batches(reading_goes_on=False, stop=threading.Event())))
    assert again == first, "a batch that was stored in part is embedded again, in the same company"
    drain(queue, new)
    assert queue.waiting() == 0
    assert EmbeddingQueue(db).waiting() == 0
    assert len(chunk_ids(db, "/0.txt")) == EMBED_GROUP_CHUNKS
    assert list(queue.batches(reading_goes_on=False, stop=threading.Event())) == []


def test_a_very_long_file_is_embedded_after_all_others(db: LibraryDb) -> None:
    record(db, "/table.csv", [f"file table row {row}" for row in range(WINDOW_PASSAGES + 1)])
    record_groups(db, 2)
    batches = drain(EmbeddingQueue(db), CountableEmbedder())
    assert numbers(batches) == ["0", "1", "table"]
    assert len(batches) == 2 * EMBED_GROUP_CHUNKS // BATCH_PASSAGES + WINDOW_PASSAGES // BATCH_PASSAGES + 1


class BusyLibrary(LibraryDb):
    """A file is stored right after the queue has looked for the last group."""

    reading = False

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
        rows = super().query(statement, parameters)
        if self.reading and "max(embed_group)" in statement:
            self.reading = False
            record(self, "/first.txt", ["the first passage of all"])
        return rows


def test_the_first_file_of_all_may_be_stored_while_the_queue_looks(tmp_path: Path) -> None:
    db = BusyLibrary(tmp_path / "busy.sqlite")
    with db:
        claim_identity(db, CountableEmbedder())
        db.reading = True
        assert list(EmbeddingQueue(db).batches(reading_goes_on=True, stop=threading.Event())) == []
        assert not db.reading
        drain(EmbeddingQueue(db), CountableEmbedder())
        assert_whole(db)
