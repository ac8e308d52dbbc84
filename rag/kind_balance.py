"""One list over every kind: texts, pictures and recordings, so that none of them drowns the others.

A library has many more passages of documents than of pictures and recordings, and a document says again and again
what it is about; a receipt or a spoken note says it once. So by ranks alone documents fill the list. Two things help,
and neither looks at scores that have no common scale (BM25, cosines of texts, cosines of pictures):

- A query that says what kind it looks for ("photo of the red bicycle", "where did she mention the budget") is also
  asked of that kind alone, and those ranks count as much as the others. Nothing is left out: "the photo" may be in a
  mail.
- Of each kind that is not among the first few, the best passage takes one of the last of these places, if it stands
  not far behind the very first: it has to be found by words and by vectors, or to be what a picture looks like.

Measured by `scripts/bench_mixed.py`. Pure; knows nothing of files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from rag.passages import Passage
from rag.query_terms import words_of
from rag.records import Kind

FIRST_PLACES = 5
"""What people look at before they ask again, and what an answer mostly rests on."""
PLACES_FOR_OTHERS = 2
"""Of these, for kinds that are not among the others."""
NOT_FAR_BEHIND = 0.85
"""Of the first one's fused score. Far above what one ranking alone can give beside a passage that two of them found."""
MOST_LOOKED_AT = 60
"""Passages among which the other kinds' best are looked for."""

_PICTURE_WORDS = (
    r"photo(?:s|graph|graphs|graphed)?|pictures?|images?|screen\s?shots?|snapshots?|selfies?|receipts?|drawings?"
    r"|fotos?|bilds?|bilder|bildschirmfotos?|zeichnung(?:en)?|quittung(?:en)?|kassenbons?"
    r"|captures? d\Wécran|imagen|imágenes|fotografías?|immagin[ei]"
)
_SOUND_WORDS = (
    r"voice|recordings?|audio|podcasts?|memos?|listen|dictated"
    r"|aufnahmen?|sprachnachricht(?:en)?|sprachnotiz(?:en)?|enregistrements?|grabaci(?:ón|ones)|registrazion[ei]"
)
_WHO = r"(?:i|you|he|she|it|we|they|who|someone|somebody|anyone|anybody)"
_SAYING = r"(?:say|says|said|mention|mentions|mentioned|talk|talks|talked|speak|speaks|spoke)"
_PICTURES = re.compile(rf"\b(?:{_PICTURE_WORDS})\b", re.IGNORECASE)
_SOUND = re.compile(
    rf"\b(?:{_SOUND_WORDS})\b|\b{_WHO}\s+{_SAYING}\b|\b(?:sagte|erwähnte|sprach)\s+(?:er|sie|ich)\b", re.IGNORECASE
)

_MEDIUM = re.compile(
    r"\b(?:photo(?:s|graph|graphs)?|pictures?|images?|fotos?|bilds?|bilder|imagen|immagin[ei])\b",
    re.IGNORECASE,
)


def kind_meant(text: str) -> Kind | None:
    """The kind that a query says it looks for; None where it says nothing, or more than one."""
    pictures, sound = _PICTURES.search(text) is not None, _SOUND.search(text) is not None
    if pictures == sound:
        return None
    return "image" if pictures else "audio"


def without_medium(text: str) -> str:
    """A query without the words that only say in what form to look for something: "photo of a cat" is about a cat.

    Descriptions of pictures begin with such words, some with this one and some with that: in a small library they are
    rare, and would decide as much as what the query is about. One that has nothing besides stays as it is.
    """
    rest = _MEDIUM.sub(" ", text)
    return rest if words_of(rest) else text


def with_other_kinds(candidates: Iterable[tuple[Passage, float]]) -> Iterator[tuple[Passage, float]]:
    """The same passages; of each kind that is not among the first few, its best one moved up to them.

    `candidates` have their scores and are in their order, best first; one that moves takes the score of its new
    place. They are taken only as far as needed.
    """
    rest = iter(candidates)
    near: list[tuple[Passage, float]] = []
    for passage, score in rest:
        if near and (score < NOT_FAR_BEHIND * near[0][1] or len(near) == MOST_LOOKED_AT):
            rest = chain([(passage, score)], rest)
            break
        near.append((passage, score))
    seen = {passage.kind for passage, _ in near[:FIRST_PLACES]}
    moving: list[int] = []
    for place, (passage, _) in enumerate(near[FIRST_PLACES:], start=FIRST_PLACES):
        if passage.kind not in seen and len(moving) < PLACES_FOR_OTHERS:
            seen.add(passage.kind)
            moving.append(place)
    if moving:
        staying = [each for place, each in enumerate(near) if place not in moving]
        free = FIRST_PLACES - len(moving)
        moved = [(near[place][0], near[free][1]) for place in moving]
        near = [*staying[:free], *moved, *staying[free:]]
    yield from chain(near, rest)
