"""What is written is safe, fits its width, and needs neither colours nor a terminal."""

from __future__ import annotations

import io
import json

import pytest

from app.console import Console, Progress, Styled, bar, bold, wrapped
from app.terminal_text import is_forbidden

HOSTILE = "a\x1b[31mred\x1b]52;c;eA==\x07\u202e\x9b2J"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_parts_are_cleaned_and_styles_are_for_terminals_only() -> None:
    out, err = io.StringIO(), Terminal()
    console = Console(out, err, {})
    for stream in (console.out, console.err):
        stream.line(bold(HOSTILE), HOSTILE)
    assert out.getvalue() == "a␛red␛��2J" * 2 + "\n"
    assert err.getvalue() == "\x1b[1ma␛red␛��2J\x1b[0ma␛red␛��2J\n"


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_means_no_colour(environ: dict[str, str]) -> None:
    out = Terminal()
    Console(out, io.StringIO(), environ).out.line(Styled("plain", "red"))
    assert out.getvalue() == "plain\n"


def test_words_are_cleaned_across_chunks() -> None:
    out = io.StringIO()
    stream = Console(out, io.StringIO(), {}).out
    for chunk in ("before \x1b", "]52;c;", "eA==", "\x07 after"):
        stream.words(chunk)
    assert out.getvalue() == "before ␛ after"


def test_json_is_lossless_and_safe_to_show() -> None:
    out = io.StringIO()
    Console(out, io.StringIO(), {}).json({"path": HOSTILE, "title": "Zürich"})
    assert json.loads(out.getvalue()) == {"path": HOSTILE, "title": "Zürich"}
    assert "Zürich" in out.getvalue()
    assert not [char for char in out.getvalue() if is_forbidden(char)]


def test_messages_go_to_standard_error() -> None:
    out, err = io.StringIO(), io.StringIO()
    console = Console(out, err, {})
    console.say("reading", "it takes a while")
    console.complain("no weights", "homebody models pull")
    assert out.getvalue() == ""
    assert err.getvalue() == ("homebody: reading\n  it takes a while\nhomebody: no weights\n  homebody models pull\n")


def test_text_is_wrapped_by_columns_and_cut_with_a_mark() -> None:
    assert wrapped("one two three", 7 + 3) == ["one two", "three"]
    assert wrapped("word " * 100, 20, max_lines=2) == ["word word word word", "word word word word…"]
    from rich.cells import cell_len

    lines = wrapped("日本語の文章 " * 20, 30)
    assert len(lines) > 1
    assert all(cell_len(line) <= 30 for line in lines)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_progress_is_one_redrawn_line_on_a_terminal() -> None:
    err, clock = Terminal(), Clock()
    progress = Progress(Console(io.StringIO(), err, {}).err, clock=clock)
    for share in range(100):
        progress.show("reading", f"{share} % \x1b[2J{'x' * 200}")
        clock.now_s += 0.01
    progress.clear()
    drawn = err.getvalue().split("\r\x1b[K")
    assert 10 <= len(drawn) <= 13
    assert all(len(line) < 100 for line in drawn)
    assert drawn[-1] == ""
    assert "\n" not in err.getvalue()


def test_progress_elsewhere_is_a_plain_line_now_and_then() -> None:
    err, clock = io.StringIO(), Clock()
    progress = Progress(Console(io.StringIO(), err, {}).err, clock=clock)
    for second in range(25):
        progress.show("reading", f"reading {second}")
        clock.now_s += 1
    progress.show("embedding", "embedding 0")
    progress.clear()
    assert err.getvalue().splitlines() == ["reading 0", "reading 10", "reading 20", "embedding 0"]


def test_a_bar_has_a_width_whatever_it_is_given() -> None:
    assert bar(3, 4, columns=4) == "━━━╌  75 %"
    assert bar(0, 0, columns=4) == "╌╌╌╌   0 %"
    assert bar(9, 4, columns=4) == "━━━━ 100 %"
