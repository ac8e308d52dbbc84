"""An answer while it is written: finished blocks as Markdown, the open one as plain lines.

Textual's `Markdown.append` parses and lays out the open block again at every token, so a long list, table or
code fence costs quadratically; this costs one small redraw a batch of tokens, one rendering a finished block
and one full rendering at the end, which also settles what only the whole text can tell (references, loose
lists, citations). Its text must already be clean.
"""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalGroup

from app.widgets.markdown_blocks import MarkdownBlocks
from app.widgets.open_block import OpenBlock


class StreamingMarkdown(VerticalGroup):
    """Fed by time (a batch of tokens about six times a second), not by token."""

    def __init__(self, whole: str = "") -> None:
        """`whole` is text that is there already, as Markdown; nothing more is appended to it."""
        super().__init__()
        self._whole = whole
        self._blocks = MarkdownBlocks()
        self._open = OpenBlock()

    def compose(self) -> ComposeResult:
        if self._whole:
            from app.widgets.sourced_markdown import SourcedMarkdown

            yield SourcedMarkdown(self._whole)
        else:
            yield self._open

    async def append(self, delta: str) -> None:
        """Add a batch of text. Nothing happens once the widget is off the screen: homebody is being left."""
        if not self.is_attached:
            return
        if closed := self._blocks.feed(delta):
            from app.widgets.sourced_markdown import SourcedMarkdown

            await self.mount(SourcedMarkdown("\n\n".join(closed), classes="-part"), before=self._open)
        self._open.show(self._blocks.open_lines, is_code=self._blocks.open_is_code)

    async def finish(self, source: str) -> None:
        """Replace everything by one full rendering of `source`, without an empty frame in between."""
        if not self.is_attached:
            return
        from app.widgets.sourced_markdown import SourcedMarkdown

        with self.app.batch_update():
            streamed = list(self.children)
            await self.mount(SourcedMarkdown(source))
            await self.remove_children(streamed)
