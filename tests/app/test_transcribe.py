"""`homebody transcribe`: formats, streaming, what is said beside it, and how it ends."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path

import pytest

from app.cli import run
from app.console import Console
from app.exit_codes import ExitCode
from app.invocation import Invocation
from app.transcript_formats import clock, cues, srt_cue, vtt_cue
from pipelines.errors import WeightsMissing
from pipelines.paths import HomePaths
from pipelines.transcribe import (
    RecordingOpened,
    SegmentHeard,
    SpeechSegment,
    TranscribeProgress,
    TranscriptDone,
)
from rag.sound import SoundFacts
from tests.app.fake_home import FakeHome
from tests.pipelines.speaking import sentence

FACTS = SoundFacts("/files/memo.m4a", b"\x01" * 32, 1000, 0, 60.0, "", "")
LONG = sentence(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen.", 5.0
)


def done(*, segments: int = 2, stopped: bool = False, notes: tuple[str, ...] = ()) -> TranscriptDone:
    return TranscriptDone(FACTS, "en", 60.0, segments, 0.25, notes, stopped)


@pytest.fixture
def home(tmp_path: Path) -> FakeHome:
    home = FakeHome(tmp_path)
    home.heard = [
        RecordingOpened(FACTS, 0.0),
        SegmentHeard(sentence("Buy bread \x1b[31mand milk.", 1.0)),
        TranscribeProgress(30.0, 60.0, 7.5),
        SegmentHeard(LONG),
        done(),
    ]
    return home


def transcribe(home: FakeHome, tmp_path: Path, *arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    invocation = Invocation(
        HomePaths(tmp_path), Console(out, err, {}), environ={}, opener=lambda *_args, **_options: home
    )
    status = run(["transcribe", "/files/memo.m4a", *arguments], invocation)
    return status, out.getvalue(), err.getvalue()


def test_text_is_a_sentence_a_line_and_clean(home: FakeHome, tmp_path: Path) -> None:
    status, out, err = transcribe(home, tmp_path)
    assert status == ExitCode.OK
    first, second = out.splitlines()
    assert "\x1b" not in first
    assert first.startswith("Buy bread ")
    assert second == LONG.text
    assert "50 %" in err
    assert "about 7.5 s left" in err or "about 8 s left" in err
    assert home.listened_to == [Path("/files/memo.m4a")]


@pytest.mark.parametrize("arguments", [("--json",), ("--format", "json")])
def test_json_is_the_contract(home: FakeHome, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    status, out, _ = transcribe(home, tmp_path, *arguments)
    told = json.loads(out)
    assert status == ExitCode.OK
    assert list(told) == ["path", "language", "duration_s", "segments", "real_time_factor"]
    assert (told["path"], told["language"], told["duration_s"]) == ("/files/memo.m4a", "en", 60.0)
    assert told["segments"][1] == {"start_s": 5.0, "end_s": 13.0, "text": LONG.text}
    assert told["real_time_factor"] == 0.25


def test_srt_and_vtt_are_numbered_timed_and_short(home: FakeHome, tmp_path: Path) -> None:
    _, srt, _ = transcribe(home, tmp_path, "--format", "srt")
    blocks = srt.strip().split("\n\n")
    assert [block.split("\n")[0] for block in blocks] == [str(n + 1) for n in range(len(blocks))]
    assert blocks[0].split("\n")[1] == "00:00:01,000 --> 00:00:03,000"
    assert len(blocks) >= 3
    assert all(len(line) <= 42 for block in blocks for line in block.split("\n")[2:])
    assert all(len(block.split("\n")) <= 4 for block in blocks)
    _, vtt, _ = transcribe(home, tmp_path, "--format", "vtt")
    assert vtt.startswith("WEBVTT\n\n00:00:01.000 --> 00:00:03.000\n")


def test_cues_of_one_sentence_are_in_order_and_have_all_its_words() -> None:
    made = list(cues(LONG))
    assert " ".join(text.replace("\n", " ") for _, _, text in made) == LONG.text
    assert (made[0][0], made[-1][1]) == (LONG.start_s, LONG.end_s)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(made))


def test_hostile_text_stays_inside_its_cue() -> None:
    said = SpeechSegment(3661.5, 3661.5, "a --> b\n\n99\n<script>&")
    (cue,) = cues(said)
    assert srt_cue(7, *cue) == "7\n01:01:01,500 --> 01:01:01,520\na -> b\n99\n<script>&\n\n"
    assert vtt_cue(*cue).endswith("a -&gt; b\n99\n&lt;script&gt;&amp;\n\n")
    assert clock(0, decimal=",") == "00:00:00,000"


def test_missing_weights_are_exit_status_3_with_the_command(home: FakeHome, tmp_path: Path) -> None:
    home.heard = [WeightsMissing("no speech model is installed", hint="run: homebody models pull --for speech")]
    status, out, err = transcribe(home, tmp_path)
    assert (status, out) == (ExitCode.MISSING, "")
    assert "homebody models pull --for speech" in err


def test_what_was_stopped_goes_on_later_and_silence_is_said(home: FakeHome, tmp_path: Path) -> None:
    home.heard = [RecordingOpened(FACTS, 42.0), done(segments=0, stopped=True)]
    status, out, err = transcribe(home, tmp_path, "--json")
    assert (status, out) == (ExitCode.INTERRUPTED, "")
    assert "going on at 42 s" in err
    assert "run it again" in err
    home.heard = [RecordingOpened(FACTS, 0.0), done(segments=0, notes=("it may have been cut off",))]
    status, out, err = transcribe(home, tmp_path)
    assert (status, out) == (ExitCode.OK, "")
    assert "nothing is said in memo.m4a" in err
    assert "cut off" in err


def test_json_and_subtitles_do_not_go_together(home: FakeHome, tmp_path: Path) -> None:
    assert transcribe(home, tmp_path, "--json", "--format", "srt")[0] == ExitCode.USAGE
    assert transcribe(home, tmp_path, "--format", "doc")[0] == ExitCode.USAGE
