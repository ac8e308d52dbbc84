"""The pictures named in what is being written, small, above the place to write: seen before they are sent.

Whether a name stands for a file is asked of the disk, which may be a slow one: a thread does that when the keys pause.
"""

from __future__ import annotations

from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, cast

from textual import work
from textual.containers import HorizontalGroup
from textual.message import Message
from textual.timer import Timer

if TYPE_CHECKING:
    from app.homebody_app import HomebodyApp
    from pipelines.page_picture import PicturePlace

LOOK_AFTER_S = 0.15
"""So long no key must have been pressed: half a path names nothing."""


class DraftPictures(HorizontalGroup):
    """Not there while no picture is named, where pictures are switched off, and on a screen that is too low."""

    class Named(Message):
        """A thread has looked for the files that a draft names."""

        def __init__(self, draft: str, pictures: tuple[tuple[str, PicturePlace], ...]) -> None:
            super().__init__()
            self.draft = draft
            self.pictures = pictures

    def __init__(self) -> None:
        super().__init__(id="draft-pictures")
        self._draft = ""
        self._shown: tuple[tuple[str, PicturePlace], ...] = ()
        self._waits: Timer | None = None

    async def follow(self, draft: str) -> None:
        """Show the pictures that this text names, instead of those that are shown."""
        self._draft = draft
        if self._waits is not None:
            self._waits.stop()
        app = cast("HomebodyApp", self.app)
        if "@" not in draft or app.home is None or app.picture_protocol == "off":
            await self._show(())
        else:
            self._waits = self.set_timer(LOOK_AFTER_S, partial(self.look_for, draft))

    @work(thread=True, exclusive=True, group="draft-pictures", exit_on_error=False)
    def look_for(self, draft: str) -> None:
        from app.widgets.picture_row import places_named_in

        self.post_message(self.Named(draft, tuple(places_named_in(draft))))

    async def on_draft_pictures_named(self, event: Named) -> None:
        event.stop()
        if event.draft == self._draft:
            await self._show(event.pictures)

    async def _show(self, pictures: tuple[tuple[str, PicturePlace], ...]) -> None:
        """Those in front that stay are left alone: they would vanish for a moment."""
        if not pictures and not self._shown:
            return
        from app.widgets.picture_row import MOST_PICTURES, CaptionedPicture

        pictures = pictures[:MOST_PICTURES]
        kept = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(pictures, self._shown, strict=False)))
        self._shown = pictures
        async with self.batch():
            for widget in self.children[kept:]:
                await widget.remove()
            await self.mount_all(CaptionedPicture(*each) for each in pictures[kept:])
        self.set_class(bool(pictures), "-any")
