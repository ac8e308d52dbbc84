"""The help screen: a page of advice from `help.md`, and every key from the registry."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content, Span
from textual.widgets import Footer, Static

from app.keys import PLACE_TITLES, Place, all_shown_keys, bindings, of_place
from app.screens.home_screen import HomeScreen
from app.widgets.sourced_markdown import SourcedMarkdown
from app.widgets.status_bar import StatusBar

KEYS_WIDTH = 22
"""Cells for the keys, before what they do."""
HELP_FILE = Path(__file__).parent.parent / "help.md"


class HelpScreen(HomeScreen):
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("panel")]

    def compose(self) -> ComposeResult:
        status = StatusBar()
        status.title = "Help"
        yield status
        with VerticalScroll(classes="page"):
            yield SourcedMarkdown(HELP_FILE.read_text(encoding="utf-8"))
            for place in PLACE_TITLES:
                yield Static(keys_of(place), markup=False, classes="keys")
        yield Footer(show_command_palette=False)

    def action_close(self) -> None:
        self.app.pop_screen()


def keys_of(place: Place) -> Content:
    """A heading and a line for each key of a place."""
    rows = of_place(place)
    lines = [Content.styled(PLACE_TITLES[place], "bold $text-primary")]
    for each in rows:
        keys = all_shown_keys(each.keys).ljust(KEYS_WIDTH)
        lines.append(Content(keys + each.help, spans=[Span(0, len(keys), "bold")]))
    return Content("\n").join(lines)
