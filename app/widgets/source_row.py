"""One source under an answer: shown on one line, opened with Enter or a click."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Static

from app.present import source_row
from pipelines.turn import Citation


class ShowSource(Message):
    """Open the source screen at `citations[index]`."""

    def __init__(self, citations: tuple[Citation, ...], index: int) -> None:
        super().__init__()
        self.citations = citations
        self.index = index


class SourceRow(Static, can_focus=True):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "show", "Open source"),
        Binding("escape", "screen.focus_composer", "Back", key_display="esc"),
    ]

    def __init__(self, citations: tuple[Citation, ...], index: int) -> None:
        super().__init__(source_row(citations[index]), markup=False)
        self._citations = citations
        self._index = index

    def action_show(self) -> None:
        self.post_message(ShowSource(self._citations, self._index))

    def on_click(self) -> None:
        self.action_show()
