"""The conversation on the screen: turns in order, followed at the bottom while one is there.

Keeps a bounded number of turns mounted, so that a long conversation scrolls and answers as quickly as a new
one; older ones are shown on request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

if TYPE_CHECKING:
    from app.widgets.turn_view import TurnView
    from pipelines.home import SavedTurn

MOUNTED_TURNS = 12
"""So many of the latest turns are on the screen; as many more come with each request."""


class Transcript(VerticalScroll, can_focus=False):
    def __init__(self) -> None:
        super().__init__(id="transcript")
        self._welcome = Static("", markup=False, id="welcome")
        self._earlier_hint = Static("", markup=False, id="earlier")
        self._earlier: list[SavedTurn] = []
        """Turns of the conversation that are not mounted, oldest first."""
        self._next_key = 0

    def compose(self) -> ComposeResult:
        yield self._welcome
        yield self._earlier_hint

    def on_mount(self) -> None:
        self._earlier_hint.display = False
        self.anchor()

    @property
    def turns(self) -> list[TurnView]:
        from app.widgets.turn_view import TurnView

        return list(self.query_children(TurnView))

    def show_welcome(self, text: str) -> None:
        """What is shown while there is no turn."""
        self._welcome.update(text)

    async def add(self, question: str) -> TurnView:
        """A new turn at the bottom, about to be answered; the view goes to it."""
        turn = self._new(question)
        self._welcome.display = False
        await self.mount(turn)
        self.anchor()
        await self._set_aside_oldest()
        return turn

    def turn(self, key: int) -> TurnView | None:
        return next((turn for turn in self.turns if turn.key == key), None)

    async def take_out(self, turn: TurnView) -> None:
        await turn.remove()
        self._welcome.display = not self.turns

    async def load(self, turns: Sequence[SavedTurn]) -> None:
        """Show a conversation from the library instead of what is here."""
        await self.remove_children(self.turns)
        self._earlier = list(turns[:-MOUNTED_TURNS])
        self._welcome.display = not turns
        self._show_earlier_hint()
        await self.mount_all(self._new(saved.question, saved) for saved in turns[-MOUNTED_TURNS:])
        self.anchor()

    async def show_earlier(self) -> None:
        """Mount some more of the turns before the first one on the screen, and stay where the reader was."""
        batch, self._earlier = self._earlier[-MOUNTED_TURNS:], self._earlier[:-MOUNTED_TURNS]
        self._show_earlier_hint()
        before = self.turns[0] if self.turns else None
        self.release_anchor()
        await self.mount_all((self._new(saved.question, saved) for saved in batch), before=before)
        if before is not None:
            self.scroll_to_widget(before, animate=False, top=True)

    async def _set_aside_oldest(self) -> None:
        """Unmount the oldest turns of a conversation that has grown long meanwhile."""
        turns = self.turns
        if len(turns) < MOUNTED_TURNS * 2:
            return
        surplus = turns[:-MOUNTED_TURNS]
        self._earlier += [turn.as_saved() for turn in surplus]
        self._show_earlier_hint()
        await self.remove_children(surplus)

    def _new(self, question: str, saved: SavedTurn | None = None) -> TurnView:
        from app.widgets.turn_view import TurnView

        self._next_key += 1
        return TurnView(self._next_key, question, saved)

    def _show_earlier_hint(self) -> None:
        count = len(self._earlier)
        self._earlier_hint.display = count > 0
        self._earlier_hint.update(f"↑ {count} earlier turn{'s' if count != 1 else ''} · F5 shows more")
