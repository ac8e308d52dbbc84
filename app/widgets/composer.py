"""Where the question is written: several lines, its history, files named with @, long pastes set aside.

Knows nothing of answers; it says `Submitted`, and gets its text back when a turn came to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.message import Message
from textual.widgets import TextArea

from app.path_completion import complete_path, dropped_files, mention_of, open_mention
from app.query_completion import completion_of
from app.terminal_text import clean

if TYPE_CHECKING:
    from textual.document._document import Location

LONG_PASTE_CHARS = 20_000
"""A longer paste becomes an attachment: the editor would wrap and draw all of it at every key."""

NEWLINE_KEYS = frozenset({"shift+enter", "ctrl+j", "alt+enter", "ctrl+enter"})


class Composer(TextArea):
    """Enter sends; Shift+Enter or Ctrl+J starts a new line; Up and Down at the edges walk through the history."""

    class Submitted(Message):
        """The user sent this; `pastes` are the long texts pasted meanwhile."""

        def __init__(self, text: str, pastes: tuple[str, ...]) -> None:
            super().__init__()
            self.text = text
            self.pastes = pastes

    class PastesChanged(Message):
        def __init__(self, pastes: tuple[str, ...]) -> None:
            super().__init__()
            self.pastes = pastes

    HELP: ClassVar[str | None] = None

    def __init__(self) -> None:
        super().__init__(
            soft_wrap=True,
            show_line_numbers=False,
            tab_behavior="focus",
            compact=True,
            highlight_cursor_line=False,
            placeholder="Ask your files…   @ names a file",
            id="composer",
        )
        self._history: list[str] = []
        self._history_position: int | None = None
        """Index of the shown entry; None while the user's own draft is shown."""
        self._draft = ""
        self._pastes: list[str] = []
        self._dictated: tuple[Location, Location] | None = None
        """Where dictated words begin and end, while somebody dictates."""

    def remember(self, questions: list[str]) -> None:
        """Replace the history, oldest first."""
        self._history = [clean(question) for question in questions]
        self._history_position = None

    def give_back(self, text: str, pastes: tuple[str, ...] = ()) -> None:
        """Return a question that came to nothing, unless something new is being written already."""
        if not self.text.strip():
            self._show(clean(text))
            self._set_pastes([*pastes, *self._pastes])

    # --- dictation ---

    @property
    def is_dictating(self) -> bool:
        return self._dictated is not None

    def begin_dictation(self) -> None:
        """Words go where the cursor is, in place of what is selected; nothing else can be written meanwhile."""
        if self.selected_text:
            self.replace("", *self.selection, maintain_selection_offset=False)
        self._dictated = (self.cursor_location, self.cursor_location)
        self.read_only = True

    def show_dictated(self, text: str) -> None:
        """All that was said, in place of what was shown of it."""
        if self._dictated is None:
            return
        start, end = self._dictated
        before = self.get_text_range((0, 0), start)
        text = clean(text)
        if text and before and not before[-1].isspace():
            text = f" {text}"
        replaced = self.replace(text, start, end, maintain_selection_offset=False)
        self._dictated = (start, replaced.end_location)
        self.move_cursor(replaced.end_location)

    def end_dictation(self) -> None:
        self._dictated = None
        self.read_only = False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """TextArea takes edits back even while it is read only."""
        if self.is_dictating and action in ("undo", "redo"):
            return False
        return super().check_action(action, parameters)

    def submit(self) -> None:
        if self.is_dictating:
            return
        text = self.text.strip()
        if not text and not self._pastes:
            return
        pastes = tuple(self._pastes)
        self._history_position = None
        if text and (not self._history or self._history[-1] != text):
            self._history.append(text)
        self.clear()
        self._set_pastes([])
        self.post_message(self.Submitted(text, pastes))

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            self.submit()
        elif event.key == "ctrl+x" and self._pastes and not self.selected_text:
            self._set_pastes([])
        elif self.is_dictating:
            return  # TextArea's own handler writes nothing while it is read only
        elif event.key in NEWLINE_KEYS:
            self.insert("\n")
        elif event.key == "up" and self.navigator.is_first_wrapped_line(self.cursor_location):
            if not self._walk_history(-1):
                return
        elif event.key == "down" and self.navigator.is_last_wrapped_line(self.cursor_location):
            if not self._walk_history(1):
                return
        elif event.key == "tab":
            if not self._complete_mention() and not self._complete_filter():
                return
        else:
            return  # TextArea's own handler comes next
        event.stop()
        event.prevent_default()

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self._take_paste(event.text)

    def action_paste(self) -> None:
        self._take_paste(self.app.clipboard)

    def _take_paste(self, text: str) -> None:
        if len(text) > LONG_PASTE_CHARS:
            self._set_pastes([*self._pastes, text])
            return
        if self.is_dictating:
            return
        if files := dropped_files(text):
            text = " ".join(mention_of(path) for path in files) + " "
        self.replace(clean(text), *self.selection, maintain_selection_offset=False)

    def _set_pastes(self, pastes: list[str]) -> None:
        if pastes != self._pastes:
            self._pastes = pastes
            self.post_message(self.PastesChanged(tuple(pastes)))

    def _walk_history(self, step: int) -> bool:
        """Show an older or newer question; False when there is none that way."""
        if self._history_position is None:
            if step > 0 or not self._history:
                return False
            self._draft = self.text
            position = len(self._history) - 1
        else:
            position = self._history_position + step
        if position < 0:
            return True  # at the oldest: stay
        if position >= len(self._history):
            self._history_position = None
            self._show(self._draft)
            return True
        self._history_position = position
        self._show(self._history[position])
        return True

    def _complete_mention(self) -> bool:
        row, column = self.cursor_location
        fragment = open_mention(self.document.get_line(row)[:column])
        if fragment is None:
            return False
        completed = complete_path(fragment)
        if completed != fragment:
            start: Location = (row, column - len(fragment))
            self.replace(completed, start, (row, column), maintain_selection_offset=False)
        return True

    @property
    def text_before_cursor(self) -> str:
        return self.get_text_range((0, 0), self.cursor_location)

    def _complete_filter(self) -> bool:
        """`kind:p` goes on as far as is certain; False when the cursor stands at no filter."""
        row, column = self.cursor_location
        before = self.document.get_line(row)[:column]
        if (behind := completion_of(before)) is None:
            return False
        self.insert(behind)
        return True

    def _show(self, text: str) -> None:
        self.text = text
        self.move_cursor(self.document.end)
