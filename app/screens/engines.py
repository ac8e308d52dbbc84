"""Which model runs where, and why; what is missing, with the command that gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import HorizontalGroup, VerticalGroup, VerticalScroll
from textual.content import Content, Span
from textual.widget import Widget
from textual.widgets import Footer, Static

from app.keys import bindings
from app.messages import EnginesSeen, WorkFailed
from app.present import failure_of, missing_weights
from app.screens.home_screen import HomeScreen
from app.terminal_text import clean, clean_line
from app.widgets.status_bar import StatusBar
from app.wording import counted

if TYPE_CHECKING:
    from pipelines.home import Home, LibraryStatus

TASKS = {"chat": "Answering", "embed": "Finding by meaning"}
"""Tasks in words; others are shown by their name."""


class EnginesScreen(HomeScreen):
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("panel")]

    def compose(self) -> ComposeResult:
        status = StatusBar()
        status.title = "Engines"
        yield status
        with VerticalScroll(classes="page"):
            yield VerticalGroup(id="facts")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        if self.home is not None:
            self.look(self.home)

    @work(thread=True, exclusive=True, group="engines", exit_on_error=False)
    def look(self, home: Home) -> None:
        from pipelines.errors import EXPECTED_ERRORS

        try:
            self.post_message(EnginesSeen(home.engines(), home.library()))
        except EXPECTED_ERRORS as error:
            self.post_message(WorkFailed(failure_of(error)))

    async def on_engines_seen(self, event: EnginesSeen) -> None:
        event.stop()
        engines, library = event.engines, event.library
        loaded = "" if engines.chat_loaded else " (loads with the first question)"
        facts = [
            ("Chat model", (clean_line(engines.chat_model) + loaded) if engines.chat_model else "none installed"),
            ("Embedder", _embedder(library)),
            ("Vectors", clean_line(library.vector_store)),
            ("Library", f"{counted(library.documents, 'file')}, {counted(library.chunks, 'passage')}"),
        ]
        placed = [
            (TASKS.get(task, clean_line(task)), f"{clean_line(placement.device)}\n{clean(placement.reason)}")
            for task, placement in engines.placement.items()
        ]
        missing = [("Missing", f"{said.text}\n{said.hint}".strip()) for said in missing_weights(engines)]
        rows: list[Widget] = []
        for section in (facts, placed, missing):
            rows += [_fact(name, value) for name, value in section]
            if section:
                rows.append(Static(" "))
        page = self.query_one("#facts", VerticalGroup)
        await page.remove_children()
        await page.mount_all(rows)

    def action_close(self) -> None:
        self.app.pop_screen()


def _embedder(library: LibraryStatus) -> str:
    """The one in use, and how far the change to another one has come."""
    said = clean_line(library.embedder) or "none installed"
    if library.next_embedder:
        done = f"{library.chunks_reembedded:,} of {counted(library.chunks, 'passage')}"
        said += f"\nuntil {clean_line(library.next_embedder)} has come to all: {done}"
    return said


def _fact(name: str, value: str) -> Widget:
    """A name, and beside it what there is to say; all but the first line is said quietly."""
    first, _, more = value.partition("\n")
    plain = f"{first}\n{more}" if more else first
    said = Content(plain, spans=[Span(len(first), len(plain), "$text-muted")])
    return HorizontalGroup(
        Static(name, markup=False, classes="fact-name"), Static(said, markup=False, classes="fact-value")
    )
