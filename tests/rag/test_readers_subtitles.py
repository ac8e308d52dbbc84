from __future__ import annotations

import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import DamagedFile, EmptyFile
from rag.readers.contract import OpenedFile, ReadLimits
from rag.readers.subtitles import GATHERED_CHARS, read_subtitles
from rag.records import Locator

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Hello</i>
there.

2
00:00:03 --> broken
Nobody knows when.

3
00:01:05,000 --> 00:01:04,000
After a {\\an8}pause.
"""
VTT = """WEBVTT - a talk

NOTE nobody reads
this

STYLE
::cue { color: red }

opening
00:01.000 --> 00:02.000 align:start
<v Ada>Hello <c.loud>you</c> &amp; all

01:00:00.000 --> 01:00:01.250
Much later.
"""
SBV = "0:00:01.100,0:00:04.000\nHello there.\n\n0:00:05.100,0:00:06.000\nMore, later\n"
ASS = """[Script Info]
Title: A talk
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:01.00,0:00:02.50,Default,Ada,0,0,0,,{\\b1}Hello,\\Nyou
Comment: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,not said
Dialogue: broken
"""


def found(name: str, content: str | bytes) -> list[tuple[float | None, float | None, str]]:
    raw = content.encode() if isinstance(content, str) else content
    reading = read_subtitles(OpenedFile(f"/{name}", io.BytesIO(raw), len(raw), 0), ReadLimits())
    return [(block.locator.start_s, block.locator.end_s, block.text) for block in reading.blocks]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.srt", SRT, [(1.0, 2.5, "Hello there. Nobody knows when."), (65.0, 65.0, "After a pause.")]),
        ("a.vtt", VTT, [(1.0, 2.0, "Ada: Hello you & all"), (3600.0, 3601.25, "Much later.")]),
        ("a.sbv", SBV, [(1.1, 6.0, "Hello there. More, later")]),
        ("a.ass", ASS, [(1.0, 2.5, "Ada: Hello, you broken")]),
    ],
)
def test_what_is_said_stands_at_its_seconds(name: str, content: str, expected: list[tuple[float, float, str]]) -> None:
    assert found(name, content) == expected
    assert found(name, content.replace("\n", "\r\n").encode("utf-16")) == expected


def test_cues_are_gathered_into_sentences() -> None:
    cues = "".join(
        f"{n}\n00:00:{n:02},000 --> 00:00:{n:02},900\nwords number {n}{'.' if n % 3 else ''}\n\n" for n in range(60)
    )
    blocks = found("a.srt", cues)
    assert len(blocks) > 1
    assert all(text.endswith(".") and GATHERED_CHARS <= len(text) <= 2 * GATHERED_CHARS for _, _, text in blocks[:-1])
    assert [start for start, _, _ in blocks] == sorted(start or 0.0 for start, _, _ in blocks)
    assert sum(text.count("words number") for _, _, text in blocks) == 60


def test_a_line_that_is_shown_twice_is_read_once() -> None:
    times = "00:00:01,000 --> 00:00:02,000"
    assert found("a.srt", f"1\n{times}\nagain\n\n2\n{times}\nagain\n\n3\n{times}\nand on\n") == [
        (1.0, 2.0, "again and on")
    ]


def test_what_is_no_subtitle_is_said() -> None:
    with pytest.raises(EmptyFile, match=r"a\.srt holds no subtitles"):
        found("a.srt", "1\n00:00:01,000 --> 00:00:02,000\n\n")
    with pytest.raises(DamagedFile, match=r"a\.srt is not text"):
        found("a.srt", b"\0\1\2")


@pytest.mark.parametrize("name", ["a.srt", "a.vtt", "a.ass"])
@pytest.mark.parametrize(
    "piece", ["-->", "1\n", "word ", "00:00:01,000 --> 00:00:02,000\n", "<i>", "Dialogue: ", "{\\"]
)
def test_hostile_subtitles_end(name: str, piece: str) -> None:
    last = "\nDialogue: 0,0:00:01.00,0:00:02.00,x,,0,0,0,,last words\n" if name == "a.ass" else "\nlast words\n"
    assert "last words" in found(name, piece * (200_000 // len(piece)) + last)[-1][2]


@pytest.mark.parametrize(("name", "content"), [("a.srt", SRT), ("a.vtt", VTT), ("a.sbv", SBV), ("a.ass", ASS)])
def test_flipped_and_missing_bytes_are_read(name: str, content: str) -> None:
    rng = random.Random(3)
    for _ in range(60):
        damaged = bytearray(content.encode()[: rng.randrange(40, len(content))])
        for _ in range(4):
            damaged[rng.randrange(len(damaged))] = rng.randrange(32, 127)
        try:
            blocks = found(name, bytes(damaged))
        except EmptyFile:
            continue
        assert all(str(Locator(start_s=start, end_s=end)) and (end or 0) >= (start or 0) for start, end, _ in blocks)


@given(st.text(alphabet="0123456789:,.-> \n<>vab", max_size=200), st.sampled_from(["a.srt", "a.vtt", "a.ass"]))
@settings(max_examples=100, deadline=None)
def test_any_text_gives_times_in_order(source: str, name: str) -> None:
    try:
        blocks = found(name, source)
    except EmptyFile:
        return
    assert all(0 <= (start or 0) <= (end or 0) and text.strip() for start, end, text in blocks)
