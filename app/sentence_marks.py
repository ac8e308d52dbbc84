"""Where, in an answer's Markdown, the marks of a sentence may stand without breaking the Markdown.

Pure: offsets in the model's text, unchanged. Inside a code fence nothing can be marked, so its marks go on a
line of their own behind it; in a table row they go before the closing bar of the cell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LEADING_MARKUP = re.compile(r"(?:\s+|[-*+]\s|\d{1,9}[.)]\s|#{1,6}\s|>\s?)*")
_FENCE = re.compile(r"^ {0,8}(`{3,}|~{3,})", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MarkPlace:
    offset: int
    before: str
    """What the mark needs in front of it: a space, or a paragraph's end."""
    can_enclose: bool
    """Whether an opening mark may stand at the sentence's beginning."""


def leading_markup_length(sentence: str) -> int:
    """How much of a sentence's beginning is block markup (a bullet, a number, a heading, a quote)."""
    matched = _LEADING_MARKUP.match(sentence)
    return matched.end() if matched else 0


def marked_position(text: str, start: int, end: int) -> MarkPlace | None:
    """The place for the marks of the sentence at `text[start:end]`; None in a fence that was never closed."""
    end = start + len(text[start:end].rstrip())
    for fence_start, fence_end in _fences(text):
        if fence_start < end and (fence_end is None or start < fence_end):
            if fence_end is None:
                return None
            return MarkPlace(max(end, fence_end), "\n\n", can_enclose=False)
    line_start = text.rfind("\n", 0, end) + 1
    line_end = text.find("\n", end)
    line = text[line_start : line_end if line_end >= 0 else len(text)]
    if line.lstrip().startswith("|"):
        row = text[line_start:end]
        return MarkPlace(line_start + len(row.rstrip(" |")), " ", can_enclose=False)
    return MarkPlace(end, " ", can_enclose=True)


def _fences(text: str) -> list[tuple[int, int | None]]:
    """Spans of the code fences, from the first backtick to the end of the closing line (None: not closed)."""
    spans: list[tuple[int, int | None]] = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence[1][0] == opened[1][0] and len(fence[1]) >= len(opened[1]):
            line_end = text.find("\n", fence.end())
            spans.append((opened.start(), line_end if line_end >= 0 else len(text)))
            opened = None
    if opened is not None:
        spans.append((opened.start(), None))
    return spans
