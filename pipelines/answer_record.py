"""The record of one answer while it is written: saved at least once a second, by time and not by token.

A disk that takes no more ends the saving and is said; it does not end the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

from pipelines.conversation_pictures import ShownPicture
from pipelines.conversations import RunningTurn, SavedConversations, Sources
from pipelines.events import Notice
from pipelines.prompt import BuiltPrompt
from pipelines.turn import Answer, Turn
from rag.errors import LibraryError

SAVE_EVERY_S = 0.8
"""A token may take a fifth of a second: what a crash loses then still is at most a second."""


class AnswerRecord:
    """Collects the text and keeps the turn's row; keeps only the text where the turn is not to be saved."""

    def __init__(self, running: RunningTurn | None, conversation_id: int | None, *, clock: Callable[[], float]) -> None:
        self._running = running
        self.conversation_id = conversation_id
        self.turn_id = running.turn_id if running else None
        self._clock = clock
        self._saved_at_s = clock()
        self._pieces: list[str] = []
        self._sources = Sources()
        self._search_query = ""
        self._model = ""
        self._notices: list[Notice] = []
        self._ended = False

    @classmethod
    def begin(
        cls, conversations: SavedConversations, turn: Turn, question: str, *, clock: Callable[[], float]
    ) -> AnswerRecord:
        """Save the question, if the turn is to be saved and this home may write. Raises NoSuchConversation."""
        if not turn.save:
            return cls(None, turn.conversation_id, clock=clock)
        if conversations.read_only:
            unsaved = cls(None, turn.conversation_id, clock=clock)
            unsaved._notices.append(
                Notice(
                    "This conversation is not saved: another homebody has the library open.", "close it to save here"
                )
            )
            return unsaved
        try:
            running = conversations.begin(question, turn.conversation_id)
        except LibraryError as error:
            unsaved = cls(None, turn.conversation_id, clock=clock)
            unsaved._give_up(error)
            return unsaved
        return cls(running, running.conversation_id, clock=clock)

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def asks(self, prompt: BuiltPrompt, *, search_query: str, model: str) -> None:
        """Save what the model is about to read."""
        self._sources = Sources(prompt.new_passages, prompt.new_pictures)
        self._search_query, self._model = search_query, model
        if self._running is not None:
            try:
                self._running.asks(prompt.user_message, self._sources, search_query=search_query, model=model)
            except LibraryError as error:
                self._give_up(error)

    def add(self, delta: str) -> None:
        self._pieces.append(delta)
        if self._running is not None and self._clock() - self._saved_at_s >= SAVE_EVERY_S:
            try:
                self._running.has_said(self.text)
            except LibraryError as error:
                self._give_up(error)
            self._saved_at_s = self._clock()

    def found_on(self, pictures: Sequence[ShownPicture]) -> None:
        """What the program found on the pictures of this turn; saved with its end."""
        texts = {each.digest: each.text for each in pictures}
        known = (replace(each, text=texts.get(each.digest, each.text)) for each in self._sources.pictures)
        self._sources = replace(self._sources, pictures=tuple(known))

    def end(self, answer: Answer) -> None:
        """The turn ended as it should, or was stopped."""
        self._ended = True
        if self._running is not None:
            try:
                self._running.done(answer, self._sources, search_query=self._search_query)
            except LibraryError as error:
                self._give_up(error)

    def break_off(self, finish: Literal["stopped", "failed"], *, reason: str = "") -> None:
        """The turn ended otherwise; the text so far stays. Does nothing when it has ended before."""
        if self._ended:
            return
        self._ended = True
        if self._running is not None:
            try:
                self._running.broken_off(
                    self.text,
                    self._sources,
                    finish=finish,
                    search_query=self._search_query,
                    model=self._model,
                    reason=reason,
                )
            except LibraryError as error:
                self._give_up(error)

    def notices(self) -> Iterator[Notice]:
        """What there is to say about the saving, once."""
        notices, self._notices = self._notices, []
        yield from notices

    def _give_up(self, error: LibraryError) -> None:
        self._running = None
        self._notices.append(Notice(f"This answer is not saved: {error}", error.hint))
