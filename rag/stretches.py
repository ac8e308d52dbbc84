"""Cut a long text into stretches of bounded length, at the best place near the end of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

STRETCH_CHARS = 32_000


def cut_stretches(pieces: Iterable[str]) -> Iterator[str]:
    """Join pieces and cut them again into stretches of at most STRETCH_CHARS; joined, they are the same text.

    A cut is after a blank line if there is one in the second half of the stretch, or else after a line, or
    else between words, or else anywhere.
    """
    held = ""
    for piece in pieces:
        held += piece
        start = 0
        while len(held) - start > STRETCH_CHARS:
            end = _best_cut(held, start, start + STRETCH_CHARS)
            yield held[start:end]
            start = end
        held = held[start:]
    if held:
        yield held


def _best_cut(text: str, start: int, end: int) -> int:
    earliest = start + (end - start) // 2
    for separator in ("\n\n", "\n", " "):
        found = text.rfind(separator, earliest, end)
        if found >= 0:
            return found + len(separator)
    return end
