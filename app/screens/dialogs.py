"""Small questions to the user: yes or no, one line of text, a path. Each answers through its result."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalGroup
from textual.suggester import Suggester
from textual.widgets import Input, Static

from app.path_completion import complete_path
from app.screens.home_screen import HomeModal
from app.terminal_text import clean_line


class CleanInput(Input):
    """An input that takes no control characters, whatever is pasted into it."""

    def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        if lines := event.text.splitlines():
            self.insert_text_at_cursor(clean_line(lines[0][:4096]))


class ConfirmDialog(HomeModal[bool]):
    """Ask before something that cannot be undone."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
    ]

    def __init__(self, question: str, consequence: str) -> None:
        super().__init__()
        self._question = question
        self._consequence = consequence

    def compose(self) -> ComposeResult:
        with VerticalGroup(classes="dialog"):
            yield Static(self._question, markup=False, classes="dialog-title")
            yield Static(self._consequence, markup=False)
            yield Static("y yes   n no", markup=False, classes="dialog-hint")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


class LineDialog(HomeModal[str | None]):
    """Ask for one line; None when the user thought better of it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(self, question: str, initial: str = "", *, hint: str = "enter saves   esc cancels") -> None:
        super().__init__()
        self._question = question
        self._initial = initial
        self._hint = hint

    def compose(self) -> ComposeResult:
        with VerticalGroup(classes="dialog"):
            yield Static(self._question, markup=False, classes="dialog-title")
            yield self.make_input(self._initial)
            yield Static(self._hint, markup=False, classes="dialog-hint")

    def make_input(self, initial: str) -> Input:
        return CleanInput(initial)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value.strip() or None)

    def action_cancel(self) -> None:
        self.dismiss(None)


class _PathSuggester(Suggester):
    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        completed = complete_path(value)
        return completed if completed != value else None


class _PathInput(CleanInput):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "cursor_right", "Complete", show=False, priority=True)]


class PathDialog(LineDialog):
    """Ask for a path, completing it as it is typed."""

    def __init__(self, question: str, initial: str) -> None:
        super().__init__(question, initial, hint="tab completes   enter adds   esc cancels")

    def make_input(self, initial: str) -> Input:
        return _PathInput(initial, suggester=_PathSuggester(), placeholder="/path/to/a/folder", select_on_focus=False)
