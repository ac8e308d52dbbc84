"""What may not be read or written, and a disk that is full: named in one line, and nothing is lost."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rightless import run_rightless

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes of files")

INDEX_TWICE = """
import json, os, sys, threading
from pathlib import Path
from pipelines.events import FileFailed, IndexDone, IndexProgress
from tests.pipelines.kinds_process import open_counting_home

home = open_counting_home(Path(sys.argv[1]))
folder = Path(sys.argv[2])

def index(between=lambda: None):
    said, failed, told = [], [], False
    for event in home.index([folder], threading.Event()):
        if isinstance(event, IndexProgress) and event.phase == "reading" and not told:
            told = True
            between()
        if isinstance(event, IndexDone):
            report = event.report
    return {
        "indexed": report.indexed, "unchanged": report.unchanged, "removed": report.removed,
        "failed": [[each.path, each.reason, each.hint] for each in report.failed],
        "listed": sorted(Path(row.path).name for row in home.documents()),
        "found": sorted({Path(hit.path).name for hit in home.search("ferry", k=50).hits}),
    }

runs = []
"""


def indexed(program: str, tmp_path: Path, folder: Path) -> list[dict[str, Any]]:
    """What each run came to."""
    printed = run_rightless(INDEX_TWICE + program + "\nprint(json.dumps(runs))", tmp_path / "home", folder)
    runs: list[dict[str, Any]] = json.loads(printed.splitlines()[-1])
    return runs


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "files"
    for name in ("a.txt", "closed/b.txt", "closed/deep/c.txt", "open/d.txt"):
        file = made / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"The ferry of {name} leaves at nine.")
    yield made
    for each in (made, *made.rglob("*")):
        each.chmod(0o700)


def test_a_file_that_may_not_be_read_is_listed_and_read_once_it_may(tmp_path: Path, folder: Path) -> None:
    (folder / "a.txt").chmod(0)
    first, second, third = indexed(
        "runs.append(index()); runs.append(index()); (folder / 'a.txt').chmod(0o600); runs.append(index())",
        tmp_path,
        folder,
    )
    for run in (first, second):
        ((path, reason, hint),) = run["failed"]
        assert path.endswith("a.txt")
        assert "may not be read" in reason
        assert hint
        assert "a.txt" in run["listed"]
    assert (first["indexed"], second["unchanged"]) == (3, 3)
    assert (third["indexed"], third["failed"]) == (1, [])
    assert "a.txt" in third["found"]


def test_a_folder_that_may_no_longer_be_listed_keeps_its_files(tmp_path: Path, folder: Path) -> None:
    first, second, third = indexed(
        "runs.append(index()); (folder / 'closed').chmod(0); runs.append(index());"
        "(folder / 'closed').chmod(0o700); runs.append(index())",
        tmp_path,
        folder,
    )
    assert first["failed"] == []
    ((path, reason, hint),) = second["failed"]
    assert path.endswith("closed")
    assert "permission" in reason
    assert hint
    assert second["removed"] == 0
    assert second["found"] == first["found"] == ["a.txt", "b.txt", "c.txt", "d.txt"]
    assert (third["unchanged"], third["indexed"], third["removed"], third["failed"]) == (4, 0, 0, [])


def test_a_folder_that_is_closed_while_it_is_read_costs_its_files_and_no_others(tmp_path: Path, folder: Path) -> None:
    for number in range(40):
        (folder / "closed" / f"later {number:02}.txt").write_text(f"The ferry number {number} leaves.")
        (folder / "open" / f"after {number:02}.txt").write_text(f"The ferry after {number} leaves.")
    first, second = indexed(
        "runs.append(index(lambda: (folder / 'closed').chmod(0)));"
        "(folder / 'closed').chmod(0o700); runs.append(index())",
        tmp_path,
        folder,
    )
    assert all("closed" in path and "may not be read" in reason for path, reason, _ in first["failed"])
    assert first["removed"] == 0
    assert "after 39.txt" in first["listed"]
    assert len(first["listed"]) == 84
    assert second["failed"] == []
    assert (second["indexed"] + second["unchanged"], second["removed"]) == (84, 0)


OPEN = """
import sys, threading
from pathlib import Path
from pipelines.errors import EXPECTED_ERRORS
from tests.pipelines.kinds_process import open_counting_home

try:
    home = open_counting_home(Path(sys.argv[1]))
    for event in home.index([Path(sys.argv[2])], threading.Event()):
        pass
except EXPECTED_ERRORS as error:
    print(error, "|", error.hint)
else:
    print("written")
"""


def test_a_data_folder_that_may_only_be_read_is_named(tmp_path: Path, folder: Path) -> None:
    home = tmp_path / "home"
    assert run_rightless(OPEN, home, folder) == "written\n"
    before = {each.name: each.read_bytes() for each in home.iterdir() if each.is_file()}
    for each in (*home.rglob("*"), home):
        each.chmod(0o500 if each.is_dir() else 0o400)
    try:
        said = run_rightless(OPEN, home, folder)
        named, hint = said.splitlines()[0].split("|")
        assert str(home) in named
        assert hint.strip()
        assert "Traceback" not in said
    finally:
        for each in (home, *home.rglob("*")):
            each.chmod(0o700)
    assert {each.name: each.read_bytes() for each in home.iterdir() if each.is_file()} == before


FULL_DISK = """
import resource, signal, sys, threading
from pathlib import Path
from pipelines.errors import EXPECTED_ERRORS
from tests.pipelines.kinds_process import open_counting_home

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
home = open_counting_home(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    for event in home.index([Path(sys.argv[2])], threading.Event()):
        pass
except EXPECTED_ERRORS as error:
    print(type(error).__name__, "|", error, "|", error.hint)
else:
    print("written")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE")
def test_a_full_disk_ends_indexing_in_one_line_and_the_next_run_finishes(tmp_path: Path, folder: Path) -> None:
    for number in range(60):
        words = " ".join(f"word{number}x{each}" for each in range(900))
        (folder / "open" / f"long {number}.txt").write_text(f"The ferry. {words}")
    said = run_rightless(FULL_DISK, tmp_path / "home", folder, "1000000")
    name, reason, hint = said.splitlines()[-1].split(" | ")
    assert name == "StorageFull"
    assert "disk" in reason
    assert "free some space" in hint
    ((run),) = indexed("runs.append(index())", tmp_path, folder)
    assert run["failed"] == []
    assert run["indexed"] + run["unchanged"] == 64
    assert len(run["listed"]) == 64
