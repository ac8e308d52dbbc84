"""The passages of one document around a cited one: a window of it that grows where the reader scrolls.

Keeps a bounded number of passages mounted however long the document is; asks for more with `Wanted` and is given
them. Does no work and knows nothing of where they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from app.passage_content import CITED_STYLE, passage_content

if TYPE_CHECKING:
    from pipelines.home import Chunk

MOST_MOUNTED = 60
"""When there are more, those farthest from where the reader is are taken away."""
NEAR_EDGE_LINES = 4

Edge = Literal["before", "after"]


class PassageView(Static):
    """One passage."""

    def __init__(self, content: Content, chunk_id: int | None, *, cited: bool = False, why: bool = False) -> None:
        classes = "passage" + (" -cited" if cited else "") + (" -why" if why else "")
        super().__init__(content, markup=False, classes=classes)
        self.chunk_id = chunk_id
        """None for what is no passage: a heading, an explanation."""
        marks = [span.start for span in content.spans if span.style == CITED_STYLE]
        self.first_mark_share = min(marks, default=0) / max(1, len(content))
        """How far down in it what is cited begins."""


class PassageList(VerticalScroll):
    class Wanted(Message):
        """The reader is near an edge: what comes before or after this passage is wanted."""

        def __init__(self, edge: Edge, chunk_id: int) -> None:
            super().__init__()
            self.edge: Edge = edge
            self.chunk_id = chunk_id

    def __init__(self) -> None:
        super().__init__(id="passages")
        self._path = ""
        self._at_end: dict[Edge, bool] = {"before": True, "after": True}
        """Whether nothing more is to be had at this edge, or is on its way."""

    async def show(
        self,
        path: str,
        cited: Content,
        *,
        above: str = "",
        chunk_id: int | None = None,
        before: Sequence[Chunk] = (),
        after: Sequence[Chunk] = (),
    ) -> None:
        """Show a passage in its surroundings, and go to it. Without `chunk_id` nothing more can be asked for."""
        self._path = path
        await self.remove_children()
        marked = PassageView(cited, chunk_id, cited=True)
        head = [PassageView(Content(above), None, why=True)] if above else []
        await self.mount_all([*head, *map(self._passage, before), marked, *map(self._passage, after)])
        known = chunk_id is not None
        self._at_end = {"before": not (known and before), "after": not (known and after)}
        self.call_after_refresh(self._go_to, marked)

    def _go_to(self, marked: PassageView) -> None:
        """Bring what is cited to the middle: the passage, or in one that is taller than the screen the cited words."""
        if not marked.is_attached:
            return
        region = marked.virtual_region
        if region.height <= self.size.height:
            middle = region.y + region.height / 2
        else:
            middle = region.y + region.height * marked.first_mark_share
        self.scroll_to(y=max(0, middle - self.size.height / 2), animate=False, force=True)

    async def add(self, edge: Edge, chunks: Sequence[Chunk]) -> None:
        """What was asked for; none when the document has no more."""
        if not chunks:
            return
        passages = [self._passage(chunk) for chunk in chunks]
        shown = [each for each in self.query_children(PassageView) if each.chunk_id is not None]
        # What the reader sees stays where it is, whatever comes in or goes above it.
        anchor = shown[0] if edge == "before" else shown[-1]
        offset = anchor.virtual_region.y - self.scroll_y
        if edge == "after":
            await self.mount_all(passages)
            surplus = shown[: max(0, len(shown) + len(passages) - MOST_MOUNTED)]
        else:
            await self.mount_all(passages, before=anchor)
            surplus = shown[max(0, MOST_MOUNTED - len(passages)) :]
        if surplus:
            await self.remove_children(surplus)
            self._at_end["before" if edge == "after" else "after"] = False
        self.call_after_refresh(self._stay, edge, anchor, offset)

    def _stay(self, edge: Edge, anchor: PassageView, offset: float) -> None:
        if anchor.is_attached:
            self.scroll_to(y=anchor.virtual_region.y - offset, animate=False, force=True)
        self._at_end[edge] = False

    def _passage(self, chunk: Chunk) -> PassageView:
        return PassageView(passage_content(chunk, self._path), chunk.chunk_id)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value and new_value <= NEAR_EDGE_LINES:
            self._want("before")
        elif new_value > old_value and new_value >= self.max_scroll_y - NEAR_EDGE_LINES:
            self._want("after")

    def _want(self, edge: Edge) -> None:
        if self._at_end[edge]:
            return
        shown = [each.chunk_id for each in self.query_children(PassageView) if each.chunk_id is not None]
        if shown:
            self._at_end[edge] = True  # until the answer comes
            self.post_message(self.Wanted(edge, shown[0] if edge == "before" else shown[-1]))
