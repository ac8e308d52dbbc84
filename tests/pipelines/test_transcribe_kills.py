"""The same lines must come out of a recording in whichever window its transcription was killed (SIGKILL)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from subprocess import Popen

import numpy as np
import pytest

from tests.pipelines.killing import start
from tests.rag.made_sound import RATE_HZ, tone, wav16

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")

SECONDS = 400
MODULE = "tests.pipelines.transcribing_process"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tone that grows louder, with silence every ten seconds."""
    samples = (tone(float(SECONDS)) * np.linspace(0.1, 1.0, SECONDS * RATE_HZ)).astype(np.float32)
    for second in range(9, SECONDS, 10):
        samples[second * RATE_HZ : (second + 1) * RATE_HZ] = 0
    path = tmp_path_factory.mktemp("sound") / "meeting.wav"
    path.write_bytes(wav16(samples))
    return path


@pytest.fixture(scope="module")
def undisturbed(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a run says that nothing kills, line by line."""
    return finished(start(MODULE, str(recording), str(tmp_path_factory.mktemp("whole"))))


def finished(process: Popen[str]) -> list[str]:
    said, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    return said.splitlines()


def killed_in(window: int, recording: Path, kept: Path) -> list[str]:
    """What a run said until it was killed in the middle of that window, which has said one of its two lines."""
    process = start(MODULE, str(recording), str(kept), str(window))
    assert process.stdout is not None
    said = [process.stdout.readline()]
    kept_lines = 2 * int(json.loads(said[0])["kept_s"] > 0)
    said += [process.stdout.readline() for _ in range(kept_lines + 2 * window - 1)]
    process.kill()
    process.communicate(timeout=60)
    return [line.rstrip("\n") for line in said]


def test_a_transcription_killed_in_its_first_window_begins_again(
    recording: Path, undisturbed: list[str], tmp_path: Path
) -> None:
    before = killed_in(1, recording, tmp_path)
    assert before[1:] == undisturbed[1:2]
    after = finished(start(MODULE, str(recording), str(tmp_path)))
    assert after == undisturbed


def test_killed_twice_it_goes_on_with_the_window_it_was_in_and_comes_to_its_end(
    recording: Path, undisturbed: list[str], tmp_path: Path
) -> None:
    windows = (len(undisturbed) - 2) // 2
    assert windows >= 3
    before = killed_in(2, recording, tmp_path)
    assert before[1:] == undisturbed[1:4]
    before = killed_in(2, recording, tmp_path)
    assert before[1:] == undisturbed[1:6]
    after = finished(start(MODULE, str(recording), str(tmp_path)))
    assert json.loads(after[0])["kept_s"] > 30
    assert after[1:] == undisturbed[1:]
