"""Fill the places of a list of hits: nothing twice, room for more than one file, neighbours together.

Takes passages best first with their scores, whatever made the order. Knows nothing of queries or of the library.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rag.near_duplicates import Print
from rag.passages import Passage
from rag.readers.mail_blocks import QUOTED

JOINED_CHUNKS = 3
"""Neighbours that were both found, and the ones beside them, make one readable passage of at most so many."""
JOINED_CHARS = 2400


@dataclass(slots=True)
class Place:
    """One place of the list, while it is filled."""

    passage: Passage
    score: float
    order: int
    files: int
    """That say the same."""
    ordinals: list[int] = field(default_factory=list)
    """Of found neighbours, its own among them."""


def in_order(passages: Iterable[tuple[Passage, float]], *, join: bool = False) -> list[Place]:
    """A place for each, as they come; with `join`, one for a picture."""
    places: list[Place] = []
    for order, (passage, score) in enumerate(passages):
        if join and any(_is_of_picture(place, passage) and _share(place, passage) for place in places):
            continue
        places.append(Place(passage, score, order, passage.files, [passage.chunk.ordinal]))
    return places


def choose(
    candidates: Iterable[tuple[Passage, float]], k: int, per_document: int, *, join: bool = False
) -> list[Place]:
    """The best k of what was found, best first: nothing twice, and room for more than one file.

    Of passages that say the same the newest is shown; a mail, and not a reply that quotes it. What is over a file's
    share comes in only where there are too few others; then its score decides its place. With `join`, neighbours take
    one place, and so does what is said of a picture with the text on it.
    """
    chosen: list[Place] = []
    over_share: list[tuple[int, Passage, float]] = []
    taken: dict[int, int] = {}
    prints: list[tuple[Print, Place]] = []

    def take(order: int, passage: Passage, score: float) -> bool:
        """Whether the passage got a place of its own."""
        candidate = Print(passage.chunk.text)
        for at, (known, place) in enumerate(prints):
            if candidate.same_as(known) or (_is_quoted(passage) and candidate.is_within(known)):
                _add_same(place, passage)
                return False
            if _is_quoted(place.passage) and not _is_quoted(passage) and known.is_within(candidate):
                _add_same(place, passage)
                prints[at] = candidate, place
                return False
        if join and any(_share(place, passage) for place in chosen):
            return False
        place = Place(passage, score, order, passage.files, [passage.chunk.ordinal])
        chosen.append(place)
        prints.append((candidate, place))
        return True

    for order, (passage, score) in enumerate(candidates):
        content_id = passage.chunk.content_id
        if taken.get(content_id, 0) >= per_document:
            over_share.append((order, passage, score))
        elif take(order, passage, score):
            taken[content_id] = taken.get(content_id, 0) + 1
            if len(chosen) == k:
                break
    for order, passage, score in over_share:
        if len(chosen) == k:
            break
        take(order, passage, score)
    return sorted(chosen, key=lambda place: place.order)


def _add_same(place: Place, passage: Passage) -> None:
    if passage.chunk.content_id != place.passage.chunk.content_id:
        place.files += passage.files
    # A mail comes before the replies that quote it; of what is otherwise the same, the newest counts.
    if (not _is_quoted(passage), passage.dated_s) > (not _is_quoted(place.passage), place.passage.dated_s):
        place.passage, place.ordinals = passage, [passage.chunk.ordinal]


def _is_quoted(passage: Passage) -> bool:
    """It is the words of an earlier mail, as a reply quotes them."""
    return passage.chunk.heading_path[-1:] != () and passage.chunk.heading_path[-1].startswith(QUOTED)


def _share(place: Place, passage: Passage) -> bool:
    """Whether the passage now shares the place: it stands right beside the one that has it, or is of one picture with
    it."""
    own, other = place.passage.chunk, passage.chunk
    if own.content_id != other.content_id:
        return False
    of_picture = _is_of_picture(place, passage)
    if own.heading_path != other.heading_path and not of_picture:
        return False
    beside = other.ordinal in (min(place.ordinals) - 1, max(place.ordinals) + 1)
    if beside and len(place.ordinals) < JOINED_CHUNKS and len(own.text) + len(other.text) <= JOINED_CHARS:
        place.ordinals.append(other.ordinal)
        return True
    return of_picture


def _is_of_picture(place: Place, passage: Passage) -> bool:
    """Both are of one picture: of a file with several, of the same page. What is said of a file goes with its first."""
    own, other = place.passage.chunk, passage.chunk
    same_page = (own.locator.page or 1) == (other.locator.page or 1)
    return passage.kind == "image" and own.content_id == other.content_id and same_page
