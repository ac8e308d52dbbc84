"""A transcript as text, SRT and WebVTT, written sentence by sentence as it comes. Pure: values in, text out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

TranscriptFormat = Literal["txt", "srt", "vtt", "json"]

CUE_COLUMNS = 42
"""Of a subtitle's line; two lines are what a screen has room for."""
CUE_LINES = 2
_LEAST_CUE_S = 0.02


class Said(Protocol):
    """A word, or a sentence with its words."""

    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...
    @property
    def text(self) -> str: ...


class Sentence(Said, Protocol):
    @property
    def words(self) -> tuple[Said, ...]: ...


def clock(seconds: float, *, decimal: str) -> str:
    """`00:01:02,345` with a comma (SRT), `00:01:02.345` with a point (WebVTT)."""
    milliseconds = round(seconds * 1000)
    rest, milliseconds = divmod(milliseconds, 1000)
    rest, second = divmod(rest, 60)
    hour, minute = divmod(rest, 60)
    return f"{hour:02}:{minute:02}:{second:02}{decimal}{milliseconds:03}"


def cues(sentence: Sentence) -> Iterator[tuple[float, float, str]]:
    """A sentence as subtitles of at most two lines: start, end and text of each."""
    if len(sentence.text) <= CUE_COLUMNS or not sentence.words:
        yield sentence.start_s, max(sentence.end_s, sentence.start_s + _LEAST_CUE_S), sentence.text
        return
    words: list[Said] = []
    lines = [""]
    for word in sentence.words:
        joined = f"{lines[-1]} {word.text}".strip()
        if lines[-1] and len(joined) > CUE_COLUMNS:
            if len(lines) == CUE_LINES:
                yield _cue(words, lines)
                words, lines = [], [""]
            else:
                lines.append("")
            joined = word.text
        lines[-1] = joined
        words.append(word)
    yield _cue(words, lines)


def srt_cue(number: int, start_s: float, end_s: float, text: str) -> str:
    return f"{number}\n{clock(start_s, decimal=',')} --> {clock(end_s, decimal=',')}\n{_one_cue(text)}\n\n"


def vtt_cue(start_s: float, end_s: float, text: str) -> str:
    escaped = _one_cue(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{clock(start_s, decimal='.')} --> {clock(end_s, decimal='.')}\n{escaped}\n\n"


VTT_HEADER = "WEBVTT\n\n"


def _cue(words: list[Said], lines: list[str]) -> tuple[float, float, str]:
    start_s = words[0].start_s
    return start_s, max(words[-1].end_s, start_s + _LEAST_CUE_S), "\n".join(lines)


def _one_cue(text: str) -> str:
    """An empty line would end the cue, and an arrow would begin a time."""
    return "\n".join(line for line in text.splitlines() if line.strip()).replace("-->", "->")
