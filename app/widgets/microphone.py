"""The line above the composer while it listens: how loud it is, how long, and how to end it; and what a key means.

Knows nothing of microphones.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from textual.content import Content, Span
from textual.widgets import Static

from app.keys import shown_key

REPEAT_S = 0.75
"""Terminals tell no release of a key. A key that is held is told again and again, for the first time after half a
second; so a press within this is the same one, and without one for so long it was released."""
BARS = " ▁▂▃▄▅▆▇█"
SHOWN_LEVELS = 12


class HeldKey:
    """One key that starts and ends something: press it twice, or hold it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pressed_at_s: float | None = None
        self._is_held = False

    def press(self, *, is_running: bool) -> Literal["start", "stop", "hold"]:
        now_s, before_s = self._clock(), self._pressed_at_s
        self._pressed_at_s = now_s
        if not is_running:
            self._is_held = False
            return "start"
        if before_s is not None and now_s - before_s < REPEAT_S:
            self._is_held = True
            return "hold"
        return "stop"

    @property
    def was_released(self) -> bool:
        """It was held, and is not any more."""
        return self._is_held and self._pressed_at_s is not None and self._clock() - self._pressed_at_s >= REPEAT_S


class MicrophoneLine(Static):
    """Not there while nobody dictates."""

    def __init__(self) -> None:
        super().__init__("", markup=False, id="microphone")
        self.display = False
        self._levels: list[float] = []

    def begin(self) -> None:
        self._levels = []
        self.display = True
        self.update(Content.styled("Opening the microphone…", "$text-muted"))

    def hear(self, level: float, seconds: float) -> None:
        """`level` is 0 to 1."""
        self._levels = [*self._levels, level][-SHOWN_LEVELS:]
        bars = "".join(BARS[round(each * (len(BARS) - 1))] for each in self._levels).rjust(SHOWN_LEVELS)
        minutes, rest = divmod(int(seconds), 60)
        shown = f"● {bars} {minutes}:{rest:02}"
        hint = f"  {shown_key('f6')} ends it, or let go of it · esc too"
        self.update(
            Content(
                shown + hint,
                spans=[
                    Span(0, 1, "$text-error"),
                    Span(2, 2 + SHOWN_LEVELS, "$text-accent"),
                    Span(len(shown), len(shown) + len(hint), "$text-muted"),
                ],
            )
        )

    def finish(self) -> None:
        """The last words are being understood."""
        self.update(Content.styled("Writing down the last words…", "$text-muted"))

    def end(self) -> None:
        self.display = False
