"""What is said where listening is not possible: the extra is missing, PortAudio is, there is no microphone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT_ROOT

LISTEN = """
import sys
from models.errors import DeviceUnavailable
from models.microphone import SystemMicrophone
try:
    with SystemMicrophone().open():
        print("it listens")
except DeviceUnavailable as error:
    print(error)
    print(error.hint)
"""


def listened(path: Path, module: str) -> list[str]:
    """What a fresh process says that finds `module` as sounddevice."""
    (path / "sounddevice.py").write_text(module)
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(path)!r})\n{LISTEN}"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return run.stdout.splitlines()


def test_a_missing_extra_is_said_with_the_command_that_installs_it(tmp_path: Path) -> None:
    missing = "raise ModuleNotFoundError(\"No module named 'sounddevice'\", name='sounddevice')\n"
    said, hint = listened(tmp_path, missing)
    assert said == "dictation is not installed"
    assert "pip install --editable '.[voice]'" in hint


def test_a_missing_portaudio_is_said_with_what_installs_it(tmp_path: Path) -> None:
    said, hint = listened(tmp_path, "raise OSError('PortAudio library not found')\n")
    assert said == "PortAudio, which listens to microphones, is not on this machine"
    assert ("libportaudio2" if sys.platform == "linux" else ".[voice]") in hint


@pytest.mark.parametrize("error", ["PortAudioError('Error querying device -1')", "ValueError('no input device')"])
def test_no_microphone_is_said_and_what_to_do(tmp_path: Path, error: str) -> None:
    module = f"class PortAudioError(Exception): ...\n\n\ndef query_devices(kind):\n    raise {error}\n"
    said, hint = listened(tmp_path, module)
    assert said == "there is no microphone"
    assert "plug one in" in hint


def test_a_microphone_that_refuses_gives_its_reason(tmp_path: Path) -> None:
    module = (
        "class PortAudioError(Exception): ...\n\n\n"
        "def query_devices(kind):\n    return {'default_samplerate': 48000.0}\n\n\n"
        "def InputStream(**settings):\n    raise PortAudioError('Device unavailable', -9985)\n"
    )
    said, hint = listened(tmp_path, module)
    assert said == "the microphone cannot be used (Device unavailable)"
    assert "system's settings" in hint
