from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.embedding_queue import EmbeddingQueue
from rag.errors import EmbedderMismatch
from rag.identity import EmbedderIdentity, adopt_embedder, check_identity, claim_identity, stored_identity
from rag.library_db import LibraryDb
from rag.listing import count_library
from tests.fakes import CountableEmbedder
from tests.rag.stored_library import assert_whole, embed_all, record


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path / "library.sqlite") as opened:
        yield opened
        assert_whole(opened)


def test_the_first_embedder_claims_the_library(db: LibraryDb) -> None:
    embedder = CountableEmbedder()
    assert stored_identity(db) is None
    check_identity(db, embedder)
    claim_identity(db, embedder)
    assert stored_identity(db) == EmbedderIdentity.of(embedder)
    check_identity(db, embedder)


@pytest.mark.parametrize("other", [CountableEmbedder(dimension=64), CountableEmbedder(model_id="another")])
def test_another_embedder_is_refused_with_the_command_that_reembeds(db: LibraryDb, other: CountableEmbedder) -> None:
    claim_identity(db, CountableEmbedder())
    for attempt in (check_identity, claim_identity):
        with pytest.raises(EmbedderMismatch, match="countable") as refused:
            attempt(db, other)
        assert "homebody index --reembed" in refused.value.hint
    assert stored_identity(db) == EmbedderIdentity.of(CountableEmbedder())


def test_adopting_keeps_passages_and_drops_vectors(db: LibraryDb) -> None:
    record(db, "/a.txt", ["one", "two"])
    embed_all(db, CountableEmbedder())
    other = CountableEmbedder(dimension=64)
    assert adopt_embedder(db, other)
    counts = count_library(db)
    assert (counts.chunks, counts.chunks_embedded, counts.chroma_pending) == (2, 0, 0)
    assert EmbeddingQueue(db).waiting() == 2
    embed_all(db, other)
    assert not adopt_embedder(db, other)
    assert count_library(db).chunks_embedded == 2


def test_identities_have_names_of_their_own() -> None:
    embedders = [CountableEmbedder(), CountableEmbedder(dimension=64), CountableEmbedder(model_id="another")]
    assert len({EmbedderIdentity.of(each).short_hash for each in embedders}) == 3
