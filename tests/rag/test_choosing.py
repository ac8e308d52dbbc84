"""The places of a list: one for what belongs together."""

from __future__ import annotations

from rag.choosing import Place, choose, in_order
from rag.passages import Passage
from rag.records import Chunk, Kind, Locator

SAID = ("What the picture shows",)


def passage(
    path: str,
    ordinal: int,
    text: str,
    *,
    headings: tuple[str, ...] = (),
    page: int | None = None,
    kind: Kind = "image",
) -> Passage:
    content_id = ord(path[0])
    chunk = Chunk(100 * content_id + ordinal, content_id, ordinal, text, headings, Locator(page=page))
    return Passage(chunk, path, path, kind)


DESCRIPTION = passage("a.jpg", 0, "Photo a. Colours: mostly red. There is text on it.", headings=SAID)
TEXT = passage("a.jpg", 1, "Hardware store, total 12.90 EUR")
MORE_TEXT = passage("a.jpg", 2, "Thank you for coming, and come again")
FAR_TEXT = passage("a.jpg", 7, "Opening hours from eight to six")
OTHER = passage("b.txt", 0, "We went to the hardware store", kind="text")


def shown(places: list[Place]) -> list[tuple[str, int, list[int]]]:
    return [(each.passage.path, each.passage.chunk.ordinal, sorted(each.ordinals)) for each in places]


def test_what_is_said_of_a_picture_and_the_text_on_it_take_one_place_by_the_better_one() -> None:
    found = [(TEXT, 0.9), (OTHER, 0.8), (DESCRIPTION, 0.7), (MORE_TEXT, 0.6)]
    assert shown(choose(found, 5, 3, join=True)) == [("a.jpg", 1, [0, 1, 2]), ("b.txt", 0, [0])]
    assert shown(choose(found[::-1], 5, 3, join=True)) == [("a.jpg", 2, [1, 2]), ("b.txt", 0, [0])]
    assert len(choose(found, 5, 3)) == 4, "a model is given each passage for itself"


def test_of_a_long_text_on_a_picture_what_is_far_away_is_not_read_with_the_place() -> None:
    assert shown(choose([(TEXT, 0.9), (FAR_TEXT, 0.8)], 5, 3, join=True)) == [("a.jpg", 1, [1])]


def test_the_free_place_goes_to_the_next_file() -> None:
    found = [(TEXT, 0.9), (DESCRIPTION, 0.8), (OTHER, 0.7)]
    assert [path for path, _, _ in shown(choose(found, 2, 3, join=True))] == ["a.jpg", "b.txt"]


def test_each_page_of_a_file_with_several_pictures_has_its_place_the_first_with_what_is_said_of_all() -> None:
    pages = [passage("a.tif", 3 * page, f"Text of the page with number {page}", page=page) for page in (1, 2, 3)]
    description = passage("a.tif", 0, "Picture a. It has several pages. There is text on it.", headings=SAID)
    found = [(pages[1], 0.9), (description, 0.8), (pages[0], 0.7), (pages[2], 0.6)]
    assert [place.passage.chunk.ordinal for place in choose(found, 5, 9, join=True)] == [6, 0, 9]


def test_passages_of_a_text_under_other_headings_keep_their_places() -> None:
    first = passage("b.txt", 0, "The ferry leaves at nine", headings=("Summer",), kind="text")
    second = passage("b.txt", 1, "The ferry leaves at ten in the morning", headings=("Winter",), kind="text")
    assert len(choose([(first, 0.9), (second, 0.8)], 5, 3, join=True)) == 2


def test_in_a_given_order_a_picture_has_one_place_too() -> None:
    found = [(DESCRIPTION, 0.0), (TEXT, 0.0), (OTHER, 0.0)]
    assert shown(in_order(found, join=True)) == [("a.jpg", 0, [0, 1]), ("b.txt", 0, [0])]
    assert len(in_order(found)) == 3
