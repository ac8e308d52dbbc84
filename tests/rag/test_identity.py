from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from rag.errors import EmbedderMismatch
from rag.identity import EmbedderIdentity, check_identity, claim_identity, stored_identity
from rag.library_db import LibraryDb
from tests.fakes import CountableEmbedder
from tests.rag.stored_library import assert_whole


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


def test_what_vectors_are_computed_in_belongs_to_the_identity(db: LibraryDb) -> None:
    class InIntegers(CountableEmbedder):
        arithmetic = "int8"

    claim_identity(db, CountableEmbedder())
    with pytest.raises(EmbedderMismatch, match="another version"):
        check_identity(db, InIntegers())


def test_a_library_of_before_that_was_noted_takes_either_and_keeps_its_name_in_chroma(db: LibraryDb) -> None:
    identity = EmbedderIdentity.of(CountableEmbedder())
    fields = asdict(identity)
    del fields["arithmetic"]
    db.write_meta("embedder", json.dumps(fields))
    check_identity(db, CountableEmbedder())
    stored = stored_identity(db)
    assert stored is not None
    assert stored.short_hash == hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]
    assert stored.short_hash != identity.short_hash


def test_identities_have_names_of_their_own() -> None:
    embedders = [CountableEmbedder(), CountableEmbedder(dimension=64), CountableEmbedder(model_id="another")]
    assert len({EmbedderIdentity.of(each).short_hash for each in embedders}) == 3
