"""The last gate before the terminal: no control character leaves in drawn text, whatever widget drew it.

Every screen cleans what it shows (`terminal_text.clean`). This stands behind them, at the one place through
which every drawn line passes, so that a forgotten `clean` is an ugly sign on the screen and not an escape.
"""

from __future__ import annotations

import re

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from app.terminal_text import UNPRINTABLE_MARK

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class ControlFilter(LineFilter):
    """Replaces C0, C1 and bidi controls in drawn text; what has none, which is everything, passes untouched."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002
        found = False
        for text, _, control in segments:
            if not control and not text.isprintable() and _CONTROLS.search(text):
                found = True
                break
        if not found:
            return segments
        return [
            segment if segment.control else Segment(_CONTROLS.sub(UNPRINTABLE_MARK, segment.text), segment.style)
            for segment in segments
        ]
