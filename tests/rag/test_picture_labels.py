"""Descriptions that change with a user's labels: what is due, what is stored, and what stays as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rag.documents import Documents
from rag.embedding_queue import EmbeddingQueue
from rag.image_vectors import ImageVectors
from rag.keyword_index import KeywordIndex
from rag.library_db import LibraryDb
from rag.picture_labels import PictureLabels
from rag.records import ChunkDraft, DocumentFacts, Locator
from tests.fakes import CountableEmbedder, count_words
from tests.rag.stored_library import assert_whole, embed_all, found, record

HEADING = "What the picture shows"
TEXTS = ("Picture form. There is text on it.", "Total 12.50", "Thank you")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path / "library.sqlite") as opened:
        yield opened


@pytest.fixture
def labels(db: LibraryDb) -> PictureLabels:
    return PictureLabels(db, HEADING, count_words)


def record_picture(db: LibraryDb, path: str = "/form.png") -> int:
    start, chunks = 0, []
    for ordinal, text in enumerate(TEXTS):
        heading = () if ordinal else (HEADING,)
        end = start + len(text)
        chunks.append(ChunkDraft(ordinal, text, heading, Locator(page=ordinal or None), start, end, count_words(text)))
        start = end + 2
    facts = DocumentFacts(Path(path).name, "image", "pictures 1")
    return Documents(db).record(found(path), path.encode().ljust(32, b"."), facts, chunks).content_id


def spans(db: LibraryDb) -> list[tuple[str, int, int, int]]:
    return db.query("SELECT text, start_char, end_char, token_count FROM chunks ORDER BY ordinal")


def test_a_changed_description_takes_the_place_of_the_old_one(db: LibraryDb, labels: PictureLabels) -> None:
    content_id = record_picture(db)
    embed_all(db, CountableEmbedder())
    before = spans(db)
    assert labels.waiting("list 1", 10) == [], "without a vector there is nothing to compare"
    ImageVectors(db).store(content_id, [np.array([0.6, 0.8], np.float32), np.array([1, 0], np.float32)])
    (picture,) = labels.waiting("list 1", 10)
    assert picture.description == TEXTS[0]
    assert picture.vector is not None
    assert np.allclose(picture.vector, [0.6, 0.8], atol=1e-3)

    said = f"{TEXTS[0]} It may be an invoice."
    assert labels.store([(picture, said)], "list 1") == 1
    assert labels.waiting("list 1", 10) == []
    longer = len(said) - len(TEXTS[0])
    assert spans(db) == [
        (said, 0, len(said), count_words(said)),
        *((text, start + longer, end + longer, tokens) for text, start, end, tokens in before[1:]),
    ]
    assert KeywordIndex(db).search("invoice", limit=5) == [4], "a new passage, so that nobody takes it for the old one"
    assert EmbeddingQueue(db).waiting() == 1
    assert_whole(db)
    embed_all(db, CountableEmbedder())
    assert_whole(db)

    (picture,) = labels.waiting("", 10)
    assert labels.store([(picture, TEXTS[0])], "") == 1
    assert spans(db) == before
    assert_whole(db)


def test_a_description_that_stays_costs_nothing(db: LibraryDb, labels: PictureLabels) -> None:
    content_id = record_picture(db)
    record(db, "/note.txt", ["no picture"])
    embed_all(db, CountableEmbedder())
    ImageVectors(db).store(content_id, [np.array([1, 0], np.float32)])
    (picture,) = labels.waiting("list 1", 10)
    assert labels.store([(picture, picture.description)], "list 1") == 0
    assert labels.waiting("list 1", 10) == []
    assert EmbeddingQueue(db).waiting() == 0


def test_pictures_that_cannot_be_drawn_and_those_that_are_gone_are_passed_over(
    db: LibraryDb, labels: PictureLabels
) -> None:
    vectors = ImageVectors(db)
    vectors.store(record_picture(db, "/damaged.png"), [])
    vectors.store(record_picture(db, "/gone.png"), [np.array([1, 0], np.float32)])
    (picture,) = labels.waiting("list 1", 10)
    Documents(db).remove(["/gone.png"])
    assert labels.store([(picture, "something else")], "list 1") == 0
    assert labels.waiting("list 1", 10) == []
    assert_whole(db)
