"""Words with times, joined to sentences; and words that say the same over and over, told apart from speech."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from models.speech import SpeechSegment, Word

PAUSE_S = 1.5
"""A sentence ends here, whatever its punctuation."""
LONGEST_S = 20.0
"""A sentence without an end is cut at the next comma, and at twice this length anywhere."""
# Latin, then Chinese and Japanese (full width), Hindi and Arabic.
_ENDS = (".", "?", "!", "\u2026", "\u3002", "\uff1f", "\uff01", "\u0964", "\u061f")
_COMMAS = (",", ";", ":", "\uff0c", "\u3001", "\uff1b", "\u060c")
_CLOSERS = "\"'\u201d\u2019\u00bb)]}"

LOOP_REPEATS = 4
"""The same words so many times in a row: nobody says that."""
LOOP_MAX_WORDS = 12
LOOP_SHARE = 0.6
"""Of all words, that the repetitions make."""
LONGEST_WORD = 40
"""Letters. What is longer is a growl written out, or a text without spaces: there the letters may be the loop."""
_SPACELESS = ("\u3040", "\u9fff")
"""Scripts between these (Japanese, Chinese) join words without a space."""


def sentences_of(words: Iterable[Word]) -> Iterator[SpeechSegment]:
    """Cut at the ends of sentences, at pauses, and where one goes on for too long."""
    held: list[Word] = []
    for word in words:
        if held and word.start_s - held[-1].end_s > PAUSE_S:
            yield _segment(held)
            held = []
        held.append(word)
        spoken_s = word.end_s - held[0].start_s
        last = word.text.rstrip(_CLOSERS)
        if (
            (last.endswith(_ENDS) and not _is_abbreviation(last, held))
            or (spoken_s > LONGEST_S and last.endswith(_COMMAS))
            or spoken_s > 2 * LONGEST_S
        ):
            yield _segment(held)
            held = []
    if held:
        yield _segment(held)


def is_loop(words: Sequence[str]) -> bool:
    """Whether most of a text is a few words repeated, or most of a very long word a few letters."""
    plain = [word.strip(".,;:!?…\"'").casefold() for word in words]
    return _repeats(plain) or any(_repeats(word) for word in plain if len(word) > LONGEST_WORD)


def _repeats(items: Sequence[str]) -> bool:
    for length in range(1, min(LOOP_MAX_WORDS, len(items) // LOOP_REPEATS) + 1):
        run = longest = 0
        for index in range(length, len(items)):
            run = run + 1 if items[index] == items[index - length] else 0
            longest = max(longest, run)
        if longest >= (LOOP_REPEATS - 1) * length and longest + length >= LOOP_SHARE * len(items):
            return True
    return False


def _segment(words: Sequence[Word]) -> SpeechSegment:
    text = words[0].text
    for before, word in itertools.pairwise(words):
        joined = before.text[-1:] >= _SPACELESS[0] and word.text[:1] >= _SPACELESS[0]
        text += word.text if joined and word.text[:1] <= _SPACELESS[1] else f" {word.text}"
    return SpeechSegment(words[0].start_s, words[-1].end_s, text, tuple(words))


def _is_abbreviation(last: str, held: Sequence[Word]) -> bool:
    """`Mr.`, `U.S.`, `e.g.`: a point that ends no sentence. A number may end in one too, as in a list."""
    bare = last[:-1]
    if not last.endswith("."):
        return False
    return (len(bare) == 1 and bare.isupper() and len(held) > 1) or bare in _TITLES or "." in bare


_TITLES = frozenset({"Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Sr", "Jr", "vs", "No"})
