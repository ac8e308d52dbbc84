"""Pictures found by their looks: what stands out, what does not, and how it joins what was found by words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rag.image_vectors import ImageVectors
from rag.keyword_index import KeywordIndex
from rag.library_db import LibraryDb
from rag.search import Search
from rag.vectors import Vectors
from tests.rag.stored_library import record

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
DIMENSION = 64


class ColourEncoder:
    """Pictures of one colour and texts that name it share a direction; the rest is chance, always the same."""

    def __init__(self, model_id: str = "colours") -> None:
        self.model_id = model_id
        self.sha256 = hashlib.sha256(model_id.encode()).hexdigest()
        self.dimension = DIMENSION

    def encode_image(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        place = [list(colour) for colour in COLOURS.values()].index(rgb[0, 0].tolist())
        return _unit(np.eye(DIMENSION, dtype=np.float32)[place] + 0.3 * _chance(str(rgb.shape)))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self._of_text(text) for text in texts])

    def _of_text(self, text: str) -> NDArray[np.float32]:
        named = [place for place, colour in enumerate(COLOURS) if colour in text.split()]
        return _unit(np.eye(DIMENSION, dtype=np.float32)[named].sum(axis=0) + 0.3 * _chance(text))


def _chance(text: str) -> NDArray[np.float32]:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return _unit(np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32))


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return vector / np.float32(np.linalg.norm(vector))


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path / "library.sqlite") as opened:
        yield opened


@pytest.fixture
def images(db: LibraryDb) -> ImageVectors:
    return ImageVectors(db)


def add_picture(db: LibraryDb, path: str, description: str) -> int:
    return record(db, path, [description], kind="image").content_id


def plain(colour: str, width: int = 8) -> NDArray[np.uint8]:
    return np.full((8, width, 3), COLOURS[colour], np.uint8)


def fill(db: LibraryDb, images: ImageVectors, encoder: ColourEncoder, each: int = 10) -> dict[str, list[int]]:
    """So many pictures of each colour; their ids by colour."""
    images.claim(encoder)
    ids: dict[str, list[int]] = {colour: [] for colour in COLOURS}
    for number in range(each):
        for colour in COLOURS:
            content_id = add_picture(db, f"/{colour}{number}.png", f"IMG_{colour[0]}{number}")
            images.store(content_id, [encoder.encode_image(plain(colour, 8 + number))])
            ids[colour].append(content_id)
    return ids


def test_pictures_that_stand_out_are_found_and_no_others(db: LibraryDb, images: ImageVectors) -> None:
    encoder = ColourEncoder()
    ids = fill(db, images, encoder)
    hits = images.like_text("a red wall", encoder)
    assert {hit.content_id for hit in hits} == set(ids["red"])
    assert hits == sorted(hits, key=lambda hit: -hit.stands_out)


@pytest.mark.parametrize("question", ["how long is the notice period", "budget of the second quarter", "npm install"])
def test_a_question_about_no_picture_finds_none(db: LibraryDb, images: ImageVectors, question: str) -> None:
    encoder = ColourEncoder()
    fill(db, images, encoder)
    assert images.like_text(question, encoder) == []


def test_one_lone_picture_is_found_for_what_it_shows_only(db: LibraryDb, images: ImageVectors) -> None:
    encoder = ColourEncoder()
    images.claim(encoder)
    only = add_picture(db, "/wall.png", "wall")
    images.store(only, [encoder.encode_image(plain("red"))])
    assert [hit.content_id for hit in images.like_text("red", encoder)] == [only]
    assert images.like_text("blue", encoder) == []


def test_an_animation_is_found_by_its_best_frame_once(db: LibraryDb, images: ImageVectors) -> None:
    encoder = ColourEncoder()
    fill(db, images, encoder, each=5)
    moving = add_picture(db, "/moving.gif", "moving")
    images.store(moving, [encoder.encode_image(plain(colour, 40)) for colour in ("white", "red", "red")])
    assert [hit.content_id for hit in images.like_text("red", encoder)].count(moving) == 1


def test_a_picture_finds_those_that_look_like_it(db: LibraryDb, images: ImageVectors) -> None:
    encoder = ColourEncoder()
    ids = fill(db, images, encoder)
    hits = images.like_picture(encoder.encode_image(plain("blue", 99)), encoder, limit=10)
    assert {hit.content_id for hit in hits} == set(ids["blue"])


def test_another_encoder_drops_the_vectors_and_they_wait_again(db: LibraryDb, images: ImageVectors) -> None:
    encoder, other = ColourEncoder(), ColourEncoder("other")
    ids = fill(db, images, encoder, each=1)
    assert images.waiting() == []
    assert images.like_text("red", other) == []
    assert images.claim(other) == 4
    waiting = {each.content_id for each in images.waiting()}
    assert waiting == {each for some in ids.values() for each in some}
    assert images.claim(other) == 0


def test_a_picture_that_has_no_vector_is_not_asked_for_again(db: LibraryDb, images: ImageVectors) -> None:
    encoder = ColourEncoder()
    images.claim(encoder)
    broken = add_picture(db, "/broken.png", "broken")
    images.store(broken, [])
    assert images.waiting() == []
    assert images.empty
    assert images.like_text("red", encoder) == []


def test_vectors_go_with_their_picture_and_new_ones_are_seen(db: LibraryDb, images: ImageVectors) -> None:
    encoder = ColourEncoder()
    ids = fill(db, images, encoder, each=5)
    gone = ids["red"][0]
    assert gone in {hit.content_id for hit in images.like_text("red", encoder)}
    with db.transaction() as connection:
        connection.execute("UPDATE documents SET content_id = NULL, state = 'found' WHERE content_id = ?", (gone,))
        connection.execute("DELETE FROM contents WHERE content_id = ?", (gone,))
    assert {hit.content_id for hit in images.like_text("red", encoder)} == set(ids["red"][1:])


def search_of(db: LibraryDb, images: ImageVectors, encoder: ColourEncoder) -> Search:
    vectors = Vectors(db, None, exact_up_to=1000)
    return Search(db, vectors, KeywordIndex(db), None, images=images, image_encoder=encoder)


def test_a_picture_is_found_among_texts_by_what_it_shows(db: LibraryDb, images: ImageVectors) -> None:
    encoder = ColourEncoder()
    ids = fill(db, images, encoder, each=1)
    for number in range(20):
        record(db, f"/note{number}.txt", [f"photo albums and frames, part {number}"])
    hits = search_of(db, images, encoder).search("photo of something red", k=5)
    assert (hits[0].chunk.content_id, hits[0].kind) == (ids["red"][0], "image")
    assert [hit.kind for hit in hits[1:]] == ["text"] * 4


def test_pictures_that_look_like_one_are_found_nearest_first(db: LibraryDb, images: ImageVectors) -> None:
    encoder = ColourEncoder()
    ids = fill(db, images, encoder, each=3)
    record(db, "/red.txt", ["red is a colour"])
    search = search_of(db, images, encoder)
    red = encoder.encode_image(plain("red", 30))
    found = search.find("", k=4, like=red).hits
    assert {hit.chunk.content_id for hit in found[:3]} == set(ids["red"])
    assert [hit.kind for hit in found] == ["image"] * 4
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    assert found[0].score > 0.9
    inside = search.find("name:blue", k=10, like=red).hits
    assert {hit.chunk.content_id for hit in inside} == set(ids["blue"])
    assert search.find("kind:text", k=10, like=red).hits == []


def test_words_beside_a_picture_say_more_of_what_is_looked_for(db: LibraryDb, images: ImageVectors) -> None:
    encoder = ColourEncoder()
    ids = fill(db, images, encoder, each=2)
    red = encoder.encode_image(plain("red", 30))
    found = search_of(db, images, encoder).find("blue", k=4, like=red).hits
    assert {hit.chunk.content_id for hit in found} == {*ids["red"], *ids["blue"]}


def test_pictures_do_not_drown_texts(db: LibraryDb, images: ImageVectors) -> None:
    encoder = ColourEncoder()
    fill(db, images, encoder)
    for number in range(10):
        record(db, f"/red{number}.txt", [f"red is the colour of number {number}"])
    kinds = [hit.kind for hit in search_of(db, images, encoder).search("red", k=10)]
    assert kinds.count("image") == kinds.count("text") == 5
    only = search_of(db, images, encoder).search("red kind:image", k=10)
    assert [hit.kind for hit in only] == ["image"] * 10
