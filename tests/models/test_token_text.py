"""Tokens to text: complete characters only, and stop strings found wherever the tokens cut them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.token_text import StopMatcher, TokenText


def fed(pieces: list[bytes], stops: tuple[str, ...] = ()) -> tuple[str, bool]:
    text = TokenText(stops)
    shown = "".join(text.feed(piece) for piece in pieces) + text.finish()
    return shown, text.stopped


@given(st.text(), st.integers(min_value=1, max_value=4))
def test_characters_come_whole_however_the_bytes_are_cut(text: str, width: int) -> None:
    raw = text.encode()
    decoder = TokenText()
    deltas = [decoder.feed(raw[at : at + width]) for at in range(0, len(raw), width)]
    assert "".join(deltas) + decoder.finish() == text
    assert "�" not in "".join(deltas) or "�" in text


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([b"\xff", b"a"], "�a"),
        ([b"a", b"\xe2\x82"], "a�"),  # ends within a character
        ([b"\xe2", b"b"], "�b"),
        ([b"", b"", b"x"], "x"),
        ([], ""),
    ],
)
def test_invalid_utf8_becomes_replacement_characters(pieces: list[bytes], expected: str) -> None:
    assert fed(pieces) == (expected, False)


@pytest.mark.parametrize(
    ("pieces", "stops", "expected"),
    [
        ([b"one ST", b"OP two"], ("STOP",), ("one ", True)),
        ([b"S", b"T", b"O", b"P"], ("STOP",), ("", True)),
        ([b"one STOOP"], ("STOP",), ("one STOOP", False)),
        ([b"one ST"], ("STOP",), ("one ST", False)),  # held back, then given at the end
        ([b"aab"], ("ab",), ("a", True)),
        ([b"x<|im", b"_end|>y"], ("<|im_end|>", "</s>"), ("x", True)),
        ([b"b then a"], ("a", "b"), ("", True)),  # the first in the text, not in the list
        ([b"text"], ("",), ("text", False)),
        (["ab€".encode()[:4], "€x".encode()[2:]], ("€",), ("ab", True)),
    ],
)
def test_stop_strings(pieces: list[bytes], stops: tuple[str, ...], expected: tuple[str, bool]) -> None:
    assert fed(pieces, stops) == expected


@given(st.lists(st.text(alphabet="ab", max_size=4)), st.lists(st.text(alphabet="ab", min_size=1, max_size=3)))
def test_a_stream_stops_where_the_whole_text_would(pieces: list[str], stops: list[str]) -> None:
    whole = "".join(pieces)
    cuts = [whole.find(stop) for stop in stops if stop in whole]
    matcher = StopMatcher(stops)
    shown = "".join(matcher.feed(piece) for piece in pieces) + matcher.finish()
    # A stream knows less than the whole: it ends with the first stop string that is complete.
    if not cuts:
        assert shown == whole
        assert not matcher.matched
    else:
        assert matcher.matched
        assert whole.startswith(shown)
        assert not any(stop in shown for stop in stops)


def test_only_what_may_begin_a_stop_string_is_held_back() -> None:
    matcher = StopMatcher(["END"])
    assert matcher.feed("the EN") == "the "
    assert matcher.feed("TRY") == "ENTRY"
    assert matcher.feed(" E") == " "
    assert matcher.finish() == "E"
