"""The part of an answer that is still being written, drawn as plain wrapped lines.

Built for one thing: adding a few words ten times a second must cost next to nothing, because every percent of
a core that drawing takes is taken from the model. Only the rows that changed are drawn again, and the screen
is laid out again only when a row was added. Knows nothing of Markdown; its text must already be clean.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.content import Content
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget


class OpenBlock(Widget):
    """Plain lines that grow at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []
        self._rows: list[str] = []
        """The lines, wrapped to `_wrapped_width` cells."""
        self._first_row_of_last_line = 0
        self._wrapped_width = 0

    @property
    def text(self) -> str:
        return "\n".join(self._lines)

    def show(self, lines: Sequence[str], *, is_code: bool) -> None:
        """Show these lines instead of those before. Cheap when they continue them."""
        self.set_class(is_code, "-code")
        known = len(self._lines)
        continues = known > 0 and len(lines) >= known and list(lines[: known - 1]) == self._lines[:-1]
        height = len(self._rows)
        if continues:
            first_changed = self._first_row_of_last_line
            del self._rows[first_changed:]
            self._lines[known - 1 :] = lines[known - 1 :]
            self._wrap(self._lines[known - 1 :])
        else:
            first_changed = 0
            self._lines = list(lines)
            self._rows = []
            self._wrap(self._lines)
        if len(self._rows) != height:
            self.refresh(layout=True)
        else:
            self.refresh(Region(0, first_changed, self._wrapped_width, len(self._rows) - first_changed))

    def _wrap(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._first_row_of_last_line = len(self._rows)
            if self._wrapped_width <= 0 or len(line) * 2 <= self._wrapped_width:  # no cell is wider than 2
                self._rows.append(line.expandtabs(4))
            else:
                wrapped = Content(line.expandtabs(4)).wrap(self._wrapped_width)
                self._rows.extend(row.plain.rstrip() for row in wrapped)

    def get_content_width(self, container: Size, viewport: Size) -> int:  # noqa: ARG002
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        if width != self._wrapped_width:
            self._wrapped_width = width
            self._rows = []
            self._wrap(self._lines)
        return len(self._rows)

    def render_line(self, y: int) -> Strip:
        style = self.rich_style
        row = self._rows[y] if y < len(self._rows) else ""
        return Strip([Segment(row, style)]).adjust_cell_length(self.size.width, style)
