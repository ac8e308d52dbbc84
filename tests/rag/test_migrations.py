"""A library of the first released homebody opens and keeps everything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rag.conversation_store import ConversationStore
from rag.documents import Documents
from rag.embedding_queue import EmbeddingQueue
from rag.identity import stored_identity
from rag.keyword_index import KeywordIndex
from rag.library_db import LibraryDb
from rag.library_health import orphans
from rag.listing import count_library, list_documents, list_roots
from rag.passages import Passages
from rag.schema import MIGRATIONS
from rag.search import Search
from rag.vectors import ExactVectors, Vectors
from tests.rag.first_library import DIMENSION, TEXTS, make_first_library, rows_of_first_library
from tests.rag.stored_library import assert_whole


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "library.sqlite"
    make_first_library(made)
    return made


def test_every_row_of_it_is_kept(file: Path) -> None:
    before = rows_of_first_library(file)
    assert all(before.values()), "the made library has rows in each table"
    with LibraryDb(file) as db:
        assert db.query("PRAGMA user_version") == [(len(MIGRATIONS),)]
        assert_whole(db)
        assert orphans(db) == {}
    assert rows_of_first_library(file) == before


def test_it_is_searched_by_words_by_vectors_and_in_spellings_that_it_did_not_know(file: Path) -> None:
    with LibraryDb(file) as db:
        index = KeywordIndex(db)
        for question, place in (("1250", 0), ("Mueller Schluessel", 1), ("get_user_name", 2), ("build 4711", 2)):
            assert index.search(question, limit=1) == [place + 1], question
        assert index.named_contents("the lease") == [1]
        hits = ExactVectors(db).search(np.eye(DIMENSION, dtype=np.float32)[2], limit=1)
        assert [(hit.chunk_id, hit.cosine) for hit in hits] == [(2, 1.0)]
        found = Search(db, Vectors(db, None, exact_up_to=10), index, None).search("rent kind:markdown in:/notes")
        assert [(hit.chunk.text, hit.path, hit.others) for hit in found] == [(TEXTS[0], "/notes/copy.md", 1)]


def test_it_goes_on_where_it_was(file: Path) -> None:
    with LibraryDb(file) as db:
        assert EmbeddingQueue(db).waiting() == 1
        assert db.query("SELECT chunk_id, operation FROM chroma_pending") == [(2, "add")]
        assert len(Documents(db).read_files()) == 3
        assert Documents(db).unread_files()["/notes/bad.pdf"].reason == "damaged"
        assert list_roots(db) == ("/notes",)
        counts = count_library(db)
        assert (counts.documents, counts.failed, counts.chunks, counts.chunks_embedded) == (4, 1, 3, 2)
        assert {row.path for row in list_documents(db, only_failed=True)} == {"/notes/bad.pdf"}
        (turn,) = ConversationStore(db).turns(1)
        assert (turn.answer_text, turn.citations[0].quote) == ("It is 1,250 euros.", "1,250.00 euros")
        identity = stored_identity(db)
        assert identity is not None
        assert (identity.model_id, identity.dimension, identity.arithmetic) == ("an early embedder", DIMENSION, "")
        passage = Passages(db).by_id([1])[1]
        assert (passage.author, passage.written_at_s, passage.modified_at_s) == ("", None, 6e-9)


def test_it_may_be_left_by_a_crash_after_any_step(file: Path) -> None:
    before = rows_of_first_library(file)
    for version in range(1, len(MIGRATIONS)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("rag.library_db.MIGRATIONS", MIGRATIONS[:version])
            LibraryDb(file).close()
    with LibraryDb(file) as db:
        assert_whole(db)
    assert rows_of_first_library(file) == before


def test_one_that_only_reads_says_that_it_is_behind(file: Path) -> None:
    with LibraryDb(file, read_only=True) as db:
        assert db.behind
        assert db.query("PRAGMA user_version") == [(1,)]
    LibraryDb(file).close()
    with LibraryDb(file, read_only=True) as db:
        assert not db.behind
