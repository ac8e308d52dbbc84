"""One source under an answer: shown on one line, opened with Enter or a click."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Static

from app.present import source_row
from pipelines.turn import CheckedSentence, Citation


@dataclass(frozen=True, slots=True)
class Sources:
    """What is cited together, and the answer that it is cited in; hits of a search have none."""

    citations: tuple[Citation, ...]
    answer_text: str = ""
    sentences: tuple[CheckedSentence, ...] = ()
    looked_for: str = ""
    """The query, for hits of a search."""

    def claims(self, n: int) -> list[str]:
        """The sentences of the answer that rest on this citation, as the model wrote them."""
        return [self.answer_text[each.start : each.end] for each in self.sentences if n in each.citations]

    def quotes(self, cited: Citation) -> list[str]:
        """The stretches of the passage that say it: the exact ones where they are known. Of a hit there are none."""
        if self.looked_for:
            return []
        exact = [stretch.quote for each in self.sentences for stretch in each.evidence if stretch.n == cited.n]
        return list(dict.fromkeys(exact)) or [cited.quote]


class ShowSource(Message):
    """Open the source screen at `sources.citations[index]`."""

    def __init__(self, sources: Sources, index: int) -> None:
        super().__init__()
        self.sources = sources
        self.index = index


class SourceRow(Static, can_focus=True):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "show", "Open source"),
        Binding("escape", "screen.focus_composer", "Back", key_display="esc"),
    ]

    def __init__(self, sources: Sources, index: int) -> None:
        super().__init__(source_row(sources.citations[index]), markup=False)
        self._sources = sources
        self._index = index

    def action_show(self) -> None:
        self.post_message(ShowSource(self._sources, self._index))

    def on_click(self) -> None:
        self.action_show()
