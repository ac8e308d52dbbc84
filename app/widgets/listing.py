"""A list with a preview of its highlighted row: beside it where there is room, otherwise below it when asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from app.widgets.preview import Preview

if TYPE_CHECKING:
    from app.homebody_app import HomebodyApp
    from pipelines.page_picture import PicturePlace

WIDE_COLUMNS = 100
"""From this width on there is room for a preview beside the list."""

Shown = tuple["PicturePlace | None", Content]
"""What can be seen of a row, and what is said about it."""


class Listing(Container):
    def __init__(self, list_id: str, shown: Callable[[int], Shown]) -> None:
        """`shown` is asked for one row at a time: the highlighted one."""
        super().__init__()
        self.options = OptionList(id=list_id, markup=False)
        self._preview = Preview()
        self._shown = shown
        self._wanted: bool | None = None
        """What the user chose; None before: then the width decides."""

    def compose(self) -> ComposeResult:
        yield self.options
        yield self._preview

    def set_rows(self, rows: Sequence[Content], highlighted: int = 0) -> None:
        self.options.clear_options()
        self.options.add_options([Option(row) for row in rows])
        self.options.highlighted = min(highlighted, len(rows) - 1) if rows else None
        self._arrange()

    def toggle_preview(self) -> None:
        self._wanted = not self._preview.display
        self._arrange()

    def on_resize(self) -> None:
        self._arrange()

    @on(OptionList.OptionHighlighted)
    def _follow(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self._arrange()

    def _arrange(self) -> None:
        is_wide = self.size.width >= WIDE_COLUMNS
        row = self.options.highlighted
        is_off = cast("HomebodyApp", self.app).picture_protocol == "off"
        wanted = is_wide if self._wanted is None else self._wanted
        self.set_class(is_wide, "-wide")
        was_shown, self._preview.display = self._preview.display, wanted and row is not None and not is_off
        if self._preview.display != was_shown:
            self.call_after_refresh(self.options.scroll_to_highlight)  # there is more or less room for it now
        if self._preview.display and row is not None:
            self._preview.show(*self._shown(row))
