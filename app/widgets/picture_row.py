"""Small pictures side by side: what was attached to a question, or what an answer's sources look like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import HorizontalGroup, VerticalGroup
from textual.widgets import Static

from app.widgets.source_row import ShowSource
from app.widgets.thumbnail import Thumbnail

if TYPE_CHECKING:
    from app.homebody_app import HomebodyApp
    from app.widgets.source_row import Sources
    from pipelines.page_picture import PicturePlace

MOST_PICTURES = 6
"""In a row; the others are opened from their lines."""


class CaptionedPicture(VerticalGroup):
    def __init__(self, caption: str, place: PicturePlace, opens: tuple[Sources, int] | None = None) -> None:
        """`opens`: the source that a click opens."""
        super().__init__()
        self._caption = caption
        self._place = place
        self._opens = opens

    def compose(self) -> ComposeResult:
        yield Static(self._caption, markup=False, classes="caption")
        yield Thumbnail(self._place)

    def on_click(self) -> None:
        if self._opens is not None:
            self.post_message(ShowSource(*self._opens))


class PictureRow(HorizontalGroup):
    """Not there while there are no pictures."""

    def __init__(self, pictures: Sequence[CaptionedPicture] = (), *, classes: str = "") -> None:
        super().__init__(*pictures[:MOST_PICTURES], classes=classes)
        self._holds_any = bool(pictures)

    def on_mount(self) -> None:
        self._show_or_hide()

    async def add(self, pictures: Sequence[CaptionedPicture]) -> None:
        await self.mount_all(pictures[:MOST_PICTURES])
        self._holds_any = self._holds_any or bool(pictures)
        self._show_or_hide()

    def _show_or_hide(self) -> None:
        self.display = self._holds_any and cast("HomebodyApp", self.app).picture_protocol != "off"


def pictures_of_sources(sources: Sources) -> list[CaptionedPicture]:
    """One a picture that is cited, however often; of those that the answer does not stand on none."""
    from pipelines.page_picture import picture_place

    shown: dict[tuple[str, int | None], tuple[list[int], int, PicturePlace]] = {}
    for index, cited in enumerate(sources.citations):
        place = picture_place(cited.path, cited.kind, cited.locator) if cited.kind == "image" else None
        if place is not None and cited.supported:
            numbers, _, _ = shown.setdefault((place.path, place.page), ([], index, place))
            numbers.append(cited.n)
    return [
        CaptionedPicture("".join(f"[{n}]" for n in numbers), place, (sources, index))
        for numbers, index, place in shown.values()
    ]


def pictures_named_in(question: str) -> list[CaptionedPicture]:
    """The pictures that were attached to a question by naming them in it."""
    return [CaptionedPicture(*each) for each in places_named_in(question)]


def places_named_in(question: str) -> list[tuple[str, PicturePlace]]:
    """The pictures that a question names, each with its file's name as it may be shown. Looks at the disk."""
    from app.path_completion import mentioned_files

    if "@" not in question:
        return []
    from app.terminal_text import clean_line
    from pipelines.page_picture import place_of_file

    files = mentioned_files(question)
    placed = [(path, place_of_file(str(path))) for path in files]
    return [(clean_line(path.name), place) for path, place in placed if place is not None]
