"""Turn a stream of token pieces into text, each piece once: complete characters, and strings that end the answer.

Knows nothing of engines. A piece is bytes: a token can end in the middle of a character, or be no valid UTF-8
at all.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TokenText:
    """Feed pieces, get text that is safe to show: no half characters, no beginning of a stop string."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = StopMatcher(stops)

    @property
    def stopped(self) -> bool:
        """A stop string was found; what was returned ends just before it."""
        return self._stops.matched

    def feed(self, piece: bytes) -> str:
        """The text that this piece completes; often empty. Invalid bytes become U+FFFD."""
        return self._stops.feed(self._decoder.decode(piece))

    def finish(self) -> str:
        """What was held back, when no more pieces come."""
        return self._stops.feed(self._decoder.decode(b"", final=True)) + self._stops.finish()


class StopMatcher:
    """Finds the first of several strings in a stream, holding back only what may be its beginning."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""
        self.matched = False

    def feed(self, text: str) -> str:
        """What can be shown; nothing more once a stop string was found."""
        if self.matched:
            return ""
        if not self._stops:
            return text
        text = self._held + text
        found = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.matched = True
            self._held = ""
            return text[: min(found)]
        held_chars = self._chars_that_may_begin_a_stop(text)
        self._held = text[len(text) - held_chars :]
        return text[: len(text) - held_chars]

    def finish(self) -> str:
        held, self._held = self._held, ""
        return held

    def _chars_that_may_begin_a_stop(self, text: str) -> int:
        for chars in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[-chars:]
            if any(stop.startswith(tail) for stop in self._stops):
                return chars
        return 0
