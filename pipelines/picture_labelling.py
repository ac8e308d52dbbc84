"""Let the descriptions of the library's pictures say which of the user's own labels they show, by the list as it is.

A pass behind the one that gives pictures their vectors, from these vectors: when the list has changed, or a CLIP has
come, no picture is opened again, and only descriptions that change are stored and embedded anew. Knows no file.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

from models.errors import ModelError
from models.image_encoder import ZeroShotLabels
from pipelines.events import IndexEvent, Notice
from pipelines.foreground import Foreground
from pipelines.own_labels import OwnLabels, sure_of
from pipelines.picture_description import with_own_labels
from rag.image_vectors import ImageVectors
from rag.picture_labels import PictureLabels, PictureToLabel

AT_ONCE = 200
"""Pictures a transaction."""


class PictureLabelling:
    """Works for one library. One run at a time, by the process that holds the writer lock."""

    def __init__(self, pictures: PictureLabels, vectors: ImageVectors, own: OwnLabels, foreground: Foreground) -> None:
        self._pictures = pictures
        self._vectors = vectors
        self._own = own
        self._foreground = foreground

    def run(self, stop: Event) -> Iterator[IndexEvent]:
        """Nothing where every description says what it should. Raises StorageFull, LibraryDamaged."""
        known = self._vectors.identity()
        if self._own.names and (known is None or known.model_id != self._own.model_id):
            return  # nothing to tell by: what was said before stands
        by = self._own.identity(known.sha256 if known is not None else "")
        pictures = self._pictures.waiting(by, AT_ONCE)
        if not pictures:
            return
        labels: ZeroShotLabels | None = None
        if known is not None and by:
            try:
                labels = self._own.for_vectors_of(known.sha256)
            except ModelError as error:
                yield Notice(f"pictures keep the labels they have: {error}", error.hint)
                return
            if labels is None:
                return  # the CLIP is not the one that looked at them: so it looks again, and then they are labelled
        changed = 0
        while pictures and self._foreground.wait_until_free(stop):
            changed += self._pictures.store(((each, _described(each, labels)) for each in pictures), by)
            pictures = self._pictures.waiting(by, AT_ONCE)
        if changed:
            pictures_changed = "1 picture was" if changed == 1 else f"{changed:,} pictures were"
            yield Notice(f"{pictures_changed} described anew, by your own labels")


def _described(picture: PictureToLabel, labels: ZeroShotLabels | None) -> str:
    if labels is None or picture.vector is None:
        return with_own_labels(picture.description, ())
    return with_own_labels(picture.description, sure_of(labels.of(picture.vector)))
