"""No byte of untrusted text acts on the terminal, however the text is cut; what is taken away leaves a mark."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.terminal_text import (
    ESCAPE_MARK,
    MAX_STRING_CHARS,
    TerminalTextFilter,
    clean,
    clean_line,
    escape_json,
    is_forbidden,
)

EXPLICITLY_FORBIDDEN = [
    *map(chr, range(0x09)),
    *map(chr, range(0x0B, 0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
    "\u200b",
    "\u200e",
    "\u200f",
    "\u2060",
    "\ufeff",
    *map(chr, range(0xE0000, 0xE0080)),
    "\ud800",
    "\udcff",
]

HOSTILE = st.one_of(
    st.sampled_from(
        [
            "\x1b",
            "\x1b[",
            "\x1b[31m",
            "\x1b]",
            "\x1b]52;c;aGVsbG8=",
            "\x1b]8;;http://evil.example\x1b\\",
            "\x1b\\",
            "\x07",
            "\x1bP",
            "\x1b_",
            "\x1b^",
            "\x1bX",
            "\x9b",
            "\x9d",
            "\x9c",
            "\r",
            "\n",
            "\r\n",
            "\u202e",
            "\u200d",
            "\u200c",
            "👩",
            "ن",
            "\U000e0041",
            "a",
            "[",
            ";",
            " ",
        ]
    ),
    st.text(st.characters(exclude_categories=[]), max_size=4),
)


@given(st.lists(HOSTILE, max_size=24))
def test_nothing_forbidden_comes_out_and_cutting_changes_nothing(pieces: list[str]) -> None:
    terminal_filter = TerminalTextFilter()
    streamed = "".join(terminal_filter.feed(piece) for piece in pieces)
    whole = "".join(pieces)

    assert streamed == clean(whole)
    one_by_one = TerminalTextFilter()
    assert "".join(one_by_one.feed(char) for char in whole) == streamed
    assert not [char for char in streamed if is_forbidden(char)]
    assert clean(streamed) == streamed


@pytest.mark.parametrize("char", EXPLICITLY_FORBIDDEN, ids=lambda char: f"U+{ord(char):04X}")
def test_every_control_leaves_a_visible_mark(char: str) -> None:
    shown = clean(f"a{char}b")
    assert is_forbidden(char)
    assert char not in shown
    assert shown.startswith("a")
    assert shown.endswith("b")
    assert len(shown) == 3


@pytest.mark.parametrize(
    ("sequence", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "␛red␛"),
        ("\x1b[2J\x1b[Hgone", "␛␛gone"),
        ("\x1b]0;title\x07after", "␛after"),
        ("\x1b]52;c;aGVsbG8=\x1b\\after", "␛after"),
        ("\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", "␛link␛"),
        ("\x1bPq#0;2;0;0;0\x1b\\after", "␛after"),
        ("\x1b_payload\x1b\\after", "␛after"),
        ("\x1b^payload\x9cafter", "␛after"),
        ("\x1bXpayload\x07after", "␛after"),
        ("\x1bcreset", "␛creset"),
        ("\x1b(B", "␛(B"),
        ("\x1b]0;half\x1b[31mred", "␛␛red"),
        ("\x9b31mred", "�31mred"),
        ("\x9d0;title\x07after", "�0;title␇after"),
    ],
)
def test_a_sequence_becomes_one_mark(sequence: str, shown: str) -> None:
    assert clean(sequence) == shown


def test_an_unterminated_string_gives_the_rest_back_at_the_end_of_the_line() -> None:
    assert clean("before\x1b]0;never closed\nthe next line") == "before␛\nthe next line"


def test_an_unterminated_string_gives_the_rest_back_after_a_bounded_length() -> None:
    shown = clean("\x1bP" + "x" * (MAX_STRING_CHARS + 10) + " the rest")
    assert shown == ESCAPE_MARK + "x" * 10 + " the rest"


def test_line_ends_become_newlines_and_a_line_cannot_overwrite_itself() -> None:
    assert clean("one\r\ntwo\rthree\n\tfour") == "one\ntwo\nthree\n\tfour"
    terminal_filter = TerminalTextFilter()
    assert [terminal_filter.feed(piece) for piece in ("one\r", "\ntwo")] == ["one\n", "two"]


def test_joiners_stay_where_emoji_and_scripts_need_them() -> None:
    family = "👩\u200d👩\u200d👧"
    persian = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    assert clean(family) == family
    assert clean(persian) == persian
    assert clean("pass\u200dword") == "pass�word"
    assert clean("ن\u200d\u200d\u200c") == "ن\u200d��"


def test_clean_text_comes_back_as_it_is() -> None:
    text = "Zürich, 日本語, 👍🏽, a\tb\nc"
    assert clean(text) is text
    assert TerminalTextFilter().feed(text) is text


def test_a_name_stays_on_one_line() -> None:
    assert clean_line("in\nvoice\r\u202efdp.exe\t\x1b[2J") == "in␊voice␍�fdp.exe␉␛"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_escaped_json_is_safe_to_show_and_parses_to_the_same(text: str) -> None:
    document = escape_json(json.dumps({"text": text}, ensure_ascii=False))
    assert json.loads(document) == {"text": text}
    assert not [char for char in document if is_forbidden(char)]
