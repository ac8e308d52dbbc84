"""The line at the top: where one is on the left; what works and what answers on the right. Draws only."""

from __future__ import annotations

from textual.content import Content, Span
from textual.reactive import reactive
from textual.widget import Widget

GAP = 2


class StatusBar(Widget):
    title: reactive[str] = reactive("")
    """Of the conversation or the screen; clean."""
    activity: reactive[str] = reactive("")
    """What goes on in the background: indexing, loading."""
    engine: reactive[str] = reactive("")
    """Model and device."""

    def render(self) -> Content:
        width = max(self.size.width, 1)
        # "loading X" beside "X · CPU" says the name twice, and there is room for it once.
        model = self.engine.partition(" · ")[0]
        activity_text = self.activity.removesuffix(f" {model}") if model else self.activity
        right = "  ".join(part for part in (activity_text, self.engine) if part)
        name = "homebody"
        left = f"{name}  {self.title}" if self.title else name
        room = width - len(right) - GAP
        if room < len(name):  # a very narrow terminal keeps what moves
            return Content.styled(right or name, "$text-muted").truncate(width, ellipsis=True)
        shown = Content(left, spans=[Span(0, len(name), "bold $text-primary")]).truncate(room, ellipsis=True)
        padding = " " * (width - shown.cell_length - len(right))
        activity = Content.styled(activity_text, "$text-primary")
        separator = "  " if activity_text and self.engine else ""
        return Content("").join(
            [shown, Content(padding), activity, Content(separator + self.engine).stylize("$text-muted")]
        )
