"""Which model runs where, and why; what is missing, with the command that gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content, Span
from textual.widgets import Footer, Static

from app.keys import bindings
from app.messages import EnginesSeen, WorkFailed
from app.present import counted, failure_of, missing_weights
from app.screens.home_screen import HomeScreen
from app.terminal_text import clean, clean_line
from app.widgets.status_bar import StatusBar

if TYPE_CHECKING:
    from pipelines.home import Home

TASKS = {"chat": "Answering", "embed": "Finding by meaning"}
"""Tasks in words; others are shown by their name."""


class EnginesScreen(HomeScreen):
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("panel")]

    def compose(self) -> ComposeResult:
        status = StatusBar()
        status.title = "Engines"
        yield status
        with VerticalScroll(classes="page"):
            yield Static("Looking…", markup=False, id="engines-text")
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

    def on_engines_seen(self, event: EnginesSeen) -> None:
        event.stop()
        engines, library = event.engines, event.library
        loaded = "" if engines.chat_loaded else " (loads with the first question)"
        facts = [
            ("Chat model", (clean_line(engines.chat_model) + loaded) if engines.chat_model else "none installed"),
            ("Embedder", clean_line(library.embedder) or "none installed"),
            ("Vectors", clean_line(library.vector_store)),
            ("Library", f"{counted(library.documents, 'file')}, {counted(library.chunks, 'passage')}"),
        ]
        placed = [
            (TASKS.get(task, clean_line(task)), f"{clean_line(placement.device)}\n{clean(placement.reason)}")
            for task, placement in engines.placement.items()
        ]
        missing = [("Missing", f"{said.text}\n{said.hint}".strip()) for said in missing_weights(engines)]
        sections = [section for section in (facts, placed, missing) if section]
        width = max(len(name) for section in sections for name, _ in section) + 2
        blocks = [_facts(section, width) for section in sections]
        self.query_one("#engines-text", Static).update(Content("\n\n").join(blocks))

    def action_close(self) -> None:
        self.app.pop_screen()


def _facts(rows: list[tuple[str, str]], width: int) -> Content:
    lines: list[Content] = []
    for name, value in rows:
        first, *more = value.split("\n")
        plain = name.ljust(width) + first
        lines.append(Content(plain, spans=[Span(0, width, "$text-muted")]))
        lines += [Content(" " * width + line, spans=[Span(0, width + len(line), "$text-muted")]) for line in more]
    return Content("\n").join(lines)
