"""The part of an answer that is still being written, drawn as plain wrapped lines.

Built for one thing: adding a few words ten times a second must cost next to nothing, because every percent of
a core that drawing takes is taken from the model. Only the rows that changed are drawn again. Laying out the
screen is the dear part, so height is taken a few rows at a time: one layout for several lines, and a text that
moves up less often. Knows nothing of Markdown; its text must already be clean.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

GROWS_BY_ROWS = 4


class OpenBlock(Widget):
    """Plain lines that grow at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []
        self._rows: list[str] = []
        """The lines, wrapped to `_wrapped_width` cells."""
        self._first_row_of_last_line = 0
        self._wrapped_width = 0
        self._drawn_style: Style | None = None
        """Found once, not for every row; None after a change of theme or class."""

    @property
    def text(self) -> str:
        return "\n".join(self._lines)

    def show(self, lines: Sequence[str], *, is_code: bool) -> None:
        """Show these lines instead of those before. Cheap when they continue them."""
        if is_code != self.has_class("-code"):
            self.set_class(is_code, "-code")
        known = len(self._lines)
        continues = known > 0 and len(lines) >= known and list(lines[: known - 1]) == self._lines[:-1]
        height = self._height
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
        if self._height != height:
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
        return self._height

    @property
    def _height(self) -> int:
        """Rows taken on the screen: those there are, and up to `GROWS_BY_ROWS` - 1 to write on."""
        return -(-len(self._rows) // GROWS_BY_ROWS) * GROWS_BY_ROWS

    def notify_style_update(self) -> None:
        self._drawn_style = None
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        if (style := self._drawn_style) is None:
            style = self._drawn_style = self.rich_style
        row = self._rows[y] if y < len(self._rows) else ""
        return Strip([Segment(row, style)]).adjust_cell_length(self.size.width, style)
