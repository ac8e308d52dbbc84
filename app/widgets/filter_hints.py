"""A quiet line under a place to type a query: its filters in words, how one may go on, or what is wrong with it."""

from __future__ import annotations

from textual.content import Content, Span
from textual.widgets import Static

from app.terminal_text import clean_line

LABEL = "Filters: "
MOST_COMPLETIONS = 24


class FilterHints(Static):
    """Not there while there is nothing to say."""

    def __init__(self) -> None:
        super().__init__("", markup=False, classes="filter-hints")
        self.display = False

    def follow(self, typed: str, cursor: int | None = None) -> None:
        """Say what there is to say of a text with the cursor at this place."""
        if ":" not in typed and '"' not in typed and "-" not in typed:
            self.display = False  # most questions: nothing more is imported or looked at
            return
        from pipelines.query_hints import hints_for

        hints = hints_for(typed, cursor)
        pieces: list[Content] = []
        if hints.problem:
            pieces.append(Content.styled(clean_line(hints.problem), "$text-warning"))
        elif hints.active:
            shown = " · ".join(clean_line(each) for each in hints.active)
            pieces.append(Content(f"{LABEL}{shown}", spans=[Span(len(LABEL), len(LABEL) + len(shown), "$text-accent")]))
        if hints.completions:
            more = ", …" if len(hints.completions) > MOST_COMPLETIONS else ""
            offered = ", ".join(hints.completions[:MOST_COMPLETIONS]) + more
            pieces.append(Content.styled(f"tab: {offered}", "$text-muted"))
        self.update(Content("\n").join(pieces))
        self.display = bool(pieces)
