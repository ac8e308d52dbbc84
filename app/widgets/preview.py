"""What the highlighted row of a list looks like, beside the list: a picture or a page, and a few words about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from app.widgets.thumbnail import Thumbnail

if TYPE_CHECKING:
    from pipelines.page_picture import PicturePlace


class Preview(Vertical):
    """Nothing is asked for while it is not on the screen: its picture comes when it is drawn."""

    def __init__(self) -> None:
        super().__init__()
        self._words = Static("", markup=False)
        self._thumbnail = Thumbnail()

    def compose(self) -> ComposeResult:
        yield self._words
        yield self._thumbnail

    def show(self, place: PicturePlace | None, words: Content) -> None:
        self._words.update(words)
        self._thumbnail.show(place)
