"""How readers make blocks: of a text that stands at one place, and none at all told as an empty file."""

from __future__ import annotations

from collections.abc import Iterator

from rag.errors import EmptyFile
from rag.records import Block, Locator
from rag.stretches import cut_stretches

NOTHING_TO_FIND = "there is nothing in it to find"
ONLY_PICTURES = "it may hold only pictures"


def blocks_at(place: Locator, text: str, path: tuple[str, ...] = ()) -> Iterator[Block]:
    """A text of any length that has one place, as blocks of bounded length; none of white space."""
    for stretch in cut_stretches([text]):
        if stretch.strip():
            yield Block(stretch.strip("\n"), place, path)


def or_empty(blocks: Iterator[Block], message: str, hint: str = NOTHING_TO_FIND) -> Iterator[Block]:
    """The blocks; raises EmptyFile, at their end, when there were none. `message` names the file."""
    first = next(blocks, None)
    if first is None:
        raise EmptyFile(message, hint=hint)
    yield first
    yield from blocks
