"""Streamed Markdown: where blocks end, what the open one shows, what the marks become."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.content import Content

from app.marks import UNSUPPORTED_CLOSE, UNSUPPORTED_OPEN, citation, without_marks
from app.present import annotated_markdown
from app.widgets.markdown_blocks import MarkdownBlocks
from app.widgets.open_block import GROWS_BY_ROWS, OpenBlock
from app.widgets.sourced_markdown import SourcedMarkdown, draw_marks
from app.widgets.streaming_markdown import StreamingMarkdown
from pipelines.turn import CheckedSentence
from tests.app.fake_home import sentence

ANSWER = """\
# Harbours

The pier was built
in 1874.

- first
- second
  with more

  and a paragraph

  ```
  code in a list

  goes on
  ```
- third

1. one
2. two
Not a list any more? Lazy.

| a | b |
|---|---|
| 1 | 2 |

```python
def f():

    return 1
```
After the fence.
"""

BLOCKS = [
    "# Harbours",
    "The pier was built\nin 1874.",
    "- first\n- second\n  with more\n\n  and a paragraph\n\n  ```\n  code in a list\n\n  goes on\n  ```\n- third\n\n"
    "1. one\n2. two\nNot a list any more? Lazy.",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "```python\ndef f():\n\n    return 1\n```",
]


def test_blocks_close_where_no_later_text_can_change_them() -> None:
    blocks = MarkdownBlocks()
    assert blocks.feed(ANSWER) == BLOCKS
    assert blocks.open_lines == ("After the fence.",)


@given(st.lists(st.integers(1, 30), max_size=200))
@settings(max_examples=60, deadline=None)
def test_it_does_not_matter_where_the_stream_is_cut(sizes: list[int]) -> None:
    blocks = MarkdownBlocks()
    closed: list[str] = []
    position = 0
    for size in [*sizes, len(ANSWER)]:
        closed += blocks.feed(ANSWER[position : position + size])
        position += size
    assert closed == BLOCKS
    assert blocks.open_lines == ("After the fence.",)


@given(st.text(alphabet="ab -*#`~>|1.\n\r\t", max_size=200))
@settings(max_examples=150, deadline=None)
def test_no_line_is_lost_or_invented(text: str) -> None:
    blocks = MarkdownBlocks()
    closed = blocks.feed(text)
    is_code = blocks.open_is_code
    shown = "\n".join([*closed, *blocks.open_lines])
    expected = [line.rstrip("\r") for line in text.split("\n")]
    expected = [line.strip() for line in expected if line.strip()]
    got = [line.strip() for line in shown.split("\n") if line.strip()]
    assert len(got) in ({len(expected) - 1} if is_code else {len(expected)})  # a fence's first line is not shown
    assert "".join(got).replace("\r", "") in "".join(expected).replace("\r", "") or is_code


def test_an_open_fence_is_shown_as_code_without_its_first_line() -> None:
    blocks = MarkdownBlocks()
    blocks.feed("Text.\n\n```python\nprint(1)\npri")
    assert blocks.open_is_code
    assert blocks.open_lines == ("print(1)", "pri")
    assert blocks.feed("nt(2)\n```") == []
    assert blocks.feed("\n") == ["```python\nprint(1)\nprint(2)\n```"]
    assert not blocks.open_is_code


class OpenBlockHost(App[None]):
    CSS = "OpenBlock { width: 1fr; height: auto; }"

    def compose(self) -> ComposeResult:
        yield OpenBlock()


async def test_the_open_block_wraps_grows_in_steps_and_follows_the_width() -> None:
    app = OpenBlockHost()
    async with app.run_test(size=(20, 30)) as pilot:
        block = app.query_one(OpenBlock)
        words = "one two three four five six seven eight nine ten"
        for end in range(1, len(words) + 1):
            block.show([words[:end]], is_code=False)
        await pilot.pause()
        assert _drawn(block) == ["one two three four", "five six seven eight", "nine ten"]
        assert block.size.height == GROWS_BY_ROWS
        block.show([words, "日本語のとても長い一行です", "", "end"], is_code=False)
        await pilot.pause()
        assert _drawn(block)[3:] == ["日本語のとても長い一", "行です", "", "end"]
        assert block.size.height == 2 * GROWS_BY_ROWS
        await pilot.resize_terminal(60, 30)
        await pilot.pause()
        assert _drawn(block)[0] == words
        block.show(["x"], is_code=True)
        await pilot.pause()
        assert _drawn(block) == ["x"]
        assert block.has_class("-code")


def _drawn(block: OpenBlock) -> list[str]:
    rows = [block.render_line(y).text.rstrip() for y in range(block.size.height)]
    while rows and not rows[-1]:
        rows.pop()
    return rows


class StreamHost(App[None]):
    CSS = "OpenBlock { width: 1fr; height: auto; }"

    def compose(self) -> ComposeResult:
        yield StreamingMarkdown()


async def test_streaming_shows_all_text_and_ends_as_one_rendering() -> None:
    app = StreamHost()
    async with app.run_test(size=(80, 60)) as pilot:
        stream = app.query_one(StreamingMarkdown)
        for start in range(0, len(ANSWER), 9):
            await stream.append(ANSWER[start : start + 9])
        await pilot.pause()
        assert [each.source for each in app.query(SourcedMarkdown)] == BLOCKS
        assert app.query_one(OpenBlock).text == "After the fence."
        await stream.finish(ANSWER)
        await pilot.pause()
        assert [each.source for each in app.query(SourcedMarkdown)] == [ANSWER]
        assert not app.query(OpenBlock)


async def test_a_fence_that_never_closed_is_shown_in_the_end() -> None:
    app = StreamHost()
    async with app.run_test(size=(80, 20)) as pilot:
        stream = app.query_one(StreamingMarkdown)
        await stream.append("```python\nprint(1)")
        await stream.finish("```python\nprint(1)")
        await pilot.pause()
        drawn = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
        assert "print(1)" in drawn


def test_marks_become_numbers_and_looks() -> None:
    plain = f"{UNSUPPORTED_OPEN}It cost 900. (no source){UNSUPPORTED_CLOSE} Built in 1874. {citation(12)}"
    drawn = draw_marks(Content(plain))
    assert drawn.plain == "It cost 900. (no source) Built in 1874. [12]"
    styles = {str(span.style): drawn.plain[span.start : span.end] for span in drawn.spans}
    assert styles["$text-warning"] == "It cost 900. (no source)"
    assert styles["$text-accent"] == "[12]"
    assert draw_marks(Content("open " + UNSUPPORTED_OPEN + "to the end")).plain == "open to the end"
    assert draw_marks(Content("closed here" + UNSUPPORTED_CLOSE + " only")).plain == "closed here only"


def _annotated(text: str, *sentences: CheckedSentence) -> str:
    marked = annotated_markdown(text, sentences)
    for mark, sign in ((UNSUPPORTED_OPEN, "⟨"), (UNSUPPORTED_CLOSE, "⟩")):
        marked = marked.replace(mark, sign)
    return marked.replace("\ue000", "[").replace("\ue001", "]")


def test_citations_go_behind_their_sentence_and_unsupported_ones_are_enclosed() -> None:
    text = "Built in 1874. It cost 900 pounds.\n- It was *Telford*.\n"
    assert _annotated(
        text,
        sentence(text, "Built in 1874.", 1, 3),
        sentence(text, "It cost 900 pounds.", supported=False, terms=("900", "a*b")),
        sentence(text, "- It was *Telford*.\n", supported=False),
    ) == (
        "Built in 1874. [1][3] ⟨It cost 900 pounds. (not in your files: 900, a\\*b)⟩\n"
        "- ⟨It was *Telford*. (no source)⟩\n"
    )


def test_marks_never_land_inside_a_fence_or_break_a_table() -> None:
    text = "```\ncode 1874\n```\nafter\n\n| a | b 1874 |\n|---|---|\n| c | d |\n"
    assert _annotated(text, sentence(text, "code 1874", 1), sentence(text, "| a | b 1874 |", 2)) == (
        "```\ncode 1874\n```\n\n[1]\nafter\n\n| a | b 1874 [2] |\n|---|---|\n| c | d |\n"
    )
    open_fence = "```\ncode 1874"
    assert _annotated(open_fence, sentence(open_fence, "code 1874", 1)) == open_fence


def test_cleaning_moves_no_mark() -> None:
    text = "\x1b[31mRed\x1b[0m ink. \x1b]52;c;eA==\x07Next."
    end = text.index("ink.") + 4
    marked = _annotated(text, CheckedSentence(0, end, (1,), True))
    assert marked == "␛Red␛ ink. [1] ␛Next."
    assert without_marks("\ue000a\ue001\ue002\ue003") == "a"
    assert _annotated("\ue0001\ue001 says the file") == "1 says the file"
