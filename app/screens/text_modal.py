"""A box over the screen with a title and some text. Shows what it is given, as it is."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from app.screens.home_screen import HomeModal


class TextModal(HomeModal[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q", "close", "Close", key_display="esc")]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog"):
            yield Static(self._title, markup=False, classes="dialog-title")
            yield Static(self._text, markup=False)
            yield Static("esc closes", markup=False, classes="dialog-hint")

    def action_close(self) -> None:
        self.dismiss(None)
