"""One turn on the screen: the question, what goes on, the answer as it is written, its sources.

Told what to show by the chat screen's handlers; does no work and keeps nothing but what it shows.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import VerticalGroup
from textual.timer import Timer
from textual.widgets import Static
from textual.widgets.markdown import Markdown

from app.marks import without_marks
from app.messages import Failure
from app.present import ENDINGS, annotated_markdown, answer_figures, answer_verdict, copied_answer
from app.terminal_text import TerminalTextFilter, clean
from app.widgets.picture_row import PictureRow, pictures_named_in, pictures_of_sources
from app.widgets.source_row import ShowSource, SourceRow, Sources
from app.widgets.sourced_markdown import SOURCE_SCHEME
from app.widgets.streaming_markdown import StreamingMarkdown
from pipelines.turn import Answer, Citation

if TYPE_CHECKING:
    from pipelines.home import SavedTurn

SHOW_WAIT_AFTER_S = 2
"""From then on the seconds of a wait are counted aloud."""


class TurnView(VerticalGroup):
    """A turn that is being answered, or one from the library."""

    def __init__(self, key: int, question: str, saved: SavedTurn | None = None) -> None:
        """A turn about to be answered, or (`saved`) one that was."""
        super().__init__()
        self.key = key
        self.question = question
        self.pastes: tuple[str, ...] = ()
        self.text = saved.answer_text if saved else ""
        """The answer so far, as the model wrote it."""
        self.citations = _in_order(saved.citations) if saved else ()
        self._sentences = saved.sentences if saved else ()
        self._finish = saved.finish if saved else "failed"
        """How it ended, as `SavedTurn.finish` has it."""
        self._found_nothing = saved.found_nothing if saved else False
        self._model = saved.model if saved else ""
        self._timings = saved.timings if saved else None
        self._filter = TerminalTextFilter()
        self._phase = ""
        self._phase_began_s = 0.0
        self._clock: Timer | None = None
        self._is_saved = saved is not None
        self._question = Static(clean(question) or "(pasted text)", markup=False, classes="question")
        self._attached = PictureRow(pictures_named_in(question), classes="-attached")
        self._state = Static("", markup=False, classes="state")
        self._body = StreamingMarkdown(annotated_markdown(self.text, self._sentences))
        self._note = Static("", markup=False, classes="note")
        self._sources = VerticalGroup(*self._source_rows(), classes="sources")
        self._seen = PictureRow(pictures_of_sources(self.sources))
        self._figures = Static("", markup=False, classes="figures")

    def compose(self) -> ComposeResult:
        yield self._question
        yield self._attached
        yield self._state
        yield self._body
        yield self._note
        yield self._sources
        yield self._seen
        yield self._figures

    def on_mount(self) -> None:
        if self._is_saved:
            self._show_outcome()
        else:
            self._clock = self.set_interval(1.0, self._show_phase)

    def show_phase(self, phase: str) -> None:
        """What goes on before the first word."""
        if phase.split(" · ")[0] != self._phase.split(" · ")[0]:
            self._phase_began_s = time.monotonic()
        self._phase = phase
        self._show_phase()

    def _show_phase(self) -> None:
        if not self._phase:
            return
        waited_s = int(time.monotonic() - self._phase_began_s)
        seconds = f" · {waited_s} s" if waited_s >= SHOW_WAIT_AFTER_S else ""
        self._set(self._state, f"{self._phase}{seconds} …")

    async def add_text(self, delta: str) -> None:
        """A batch of the answer's words."""
        if not self.text:
            self._stop_clock()
            self.show_phase("")
            self._set(self._state, "")
        self.text += delta
        await self._body.append(without_marks(self._filter.feed(delta)))

    def add_notice(self, said: Failure) -> None:
        """Something the user should know about this answer."""
        before = str(self._note.content)
        self._set(self._note, "\n".join(part for part in (before, said.text, said.hint) if part))

    async def finish(self, answer: Answer) -> None:
        """The answer is whole: render it once more, with what the check found."""
        self._stop_clock()
        self._set(self._state, "")
        self.text = answer.text
        self._sentences = answer.sentences
        self._finish = answer.finish
        self._found_nothing = answer.found_nothing
        self._model = answer.model
        self._timings = answer.timings
        self.citations = _in_order(answer.citations)
        await self._body.finish(annotated_markdown(answer.text, answer.sentences))
        if not self.is_attached:
            return  # homebody is being left; the library has the answer
        await self._sources.mount_all(self._source_rows())
        await self._seen.add(pictures_of_sources(self.sources))
        self._show_outcome()

    def _show_outcome(self) -> None:
        """How it ended, what the check found, the sources, and the figures."""
        ending = ENDINGS.get(self._finish, "")
        if not self.text.strip() and not ending:
            ending = "The model had nothing to say."
        verdict = answer_verdict(self.text, self._sentences, found_nothing=self._found_nothing)
        parts = [str(self._note.content), f"— {ending}" if ending else "", verdict]
        self._set(self._note, "\n".join(part for part in parts if part))
        self._sources.display = bool(self.citations)
        if self._timings is not None:
            self._set(self._figures, answer_figures(self._model, self._timings))

    def _source_rows(self) -> list[SourceRow]:
        return [SourceRow(self.sources, index) for index in range(len(self.citations))]

    @property
    def sources(self) -> Sources:
        """What the answer cites, and which of its sentences stands on what."""
        return Sources(self.citations, self.text, tuple(self._sentences))

    async def fail(self, failure: Failure) -> None:
        """The turn came to nothing, or to half an answer."""
        self._stop_clock()
        self._set(self._state, "")
        if self.text:
            await self._body.finish(annotated_markdown(self.text, ()))
        self.add_class("-failed")
        self.add_notice(failure)

    def as_saved(self) -> SavedTurn:
        """What it shows, as a value to show it from again."""
        from pipelines.home import SavedTurn

        return SavedTurn(
            turn_id=0,
            question=self.question,
            answer_text=self.text,
            finish=self._finish,
            sentences=self._sentences,
            citations=self.citations,
            model=self._model,
            asked_at_s=0.0,
            found_nothing=self._found_nothing,
            timings=self._timings,
        )

    def copied(self) -> str:
        return copied_answer(self.text, self.citations)

    def on_markdown_link_clicked(self, event: Markdown.LinkClicked) -> None:
        """Only our own citation numbers can be clicked: see `sourced_markdown`."""
        event.stop()
        numbers = [each.n for each in self.citations]
        if event.href.startswith(SOURCE_SCHEME):
            n = int(event.href.removeprefix(SOURCE_SCHEME))
            if n in numbers:
                self.post_message(ShowSource(self.sources, numbers.index(n)))

    def _set(self, line: Static, text: str) -> None:
        line.update(text)
        line.display = bool(text)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.stop()
            self._clock = None


def _in_order(citations: Iterable[Citation]) -> tuple[Citation, ...]:
    return tuple(sorted(citations, key=lambda each: each.n))
