"""The thread side of an answer: reads what is attached, iterates the pipeline, hands on what it says.

Never touches a widget. Words go on by time, not by token: at most `BATCHES_PER_S` messages a second, because
each one is drawn, and drawing takes from the cores that write the next word.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.messages import AnswerFailed, AnswerStep, AnswerText

if TYPE_CHECKING:
    from pipelines.home import Home
    from pipelines.turn import Attachment

BATCHES_PER_S = 6.0

Post = Callable[[AnswerText | AnswerStep | AnswerFailed], object]


@dataclass(frozen=True, slots=True)
class Asked:
    """One question as it left the composer."""

    turn_key: int
    question: str
    pastes: tuple[str, ...]
    conversation_id: int | None


class TextBatch:
    """Collects text until it is time to hand it on."""

    def __init__(self, *, per_s: float = BATCHES_PER_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = 1.0 / per_s
        self._clock = clock
        self._pieces: list[str] = []
        self._last_s = float("-inf")

    def add(self, text: str) -> str:
        """Take some text; returns all that is due, or nothing."""
        self._pieces.append(text)
        return self.take() if self._clock() - self._last_s >= self._interval_s else ""

    def take(self) -> str:
        """Everything collected so far."""
        text = "".join(self._pieces)
        self._pieces.clear()
        if text:
            self._last_s = self._clock()
        return text


def answer(home: Home, asked: Asked, stop: threading.Event, post: Post) -> None:
    """Answer one question; ends with AnswerStep(AnswerDone) or AnswerFailed. A stopped answer ends too."""
    from app.present import failure_of
    from pipelines.errors import EXPECTED_ERRORS
    from pipelines.events import PromptProgress, TextDelta
    from pipelines.turn import Turn

    key = asked.turn_key
    batch = TextBatch()
    try:
        attachments = tuple(_attachments(asked))
        turn = Turn(asked.question, conversation_id=asked.conversation_id, attachments=attachments)
        for event in home.answer(turn, stop):
            if isinstance(event, TextDelta):
                if text := batch.add(event.text):
                    post(AnswerText(key, text))
                continue
            if text := batch.take():
                post(AnswerText(key, text))
            post(AnswerStep(key, event, is_progress=isinstance(event, PromptProgress)))
    except EXPECTED_ERRORS as error:
        if text := batch.take():
            post(AnswerText(key, text))
        post(AnswerFailed(key, failure_of(error)))


def _attachments(asked: Asked) -> Iterator[Attachment]:
    """The files named with `@`, then the long pastes. Raises FileNotUsable."""
    from app.path_completion import mentioned_files
    from pipelines.attachments import read_attachment
    from pipelines.turn import Attachment

    for path in mentioned_files(asked.question):
        yield read_attachment(path)
    for number, text in enumerate(asked.pastes, start=1):
        yield Attachment(f"pasted text {number}" if len(asked.pastes) > 1 else "pasted text", text)
