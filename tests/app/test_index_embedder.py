"""`homebody index --embedder` as it is typed: the library gets an embedder, then another one, and keeps it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from app.exit_codes import ExitCode
from rag.identity import stored_identity
from rag.library_db import LibraryDb
from tests.conftest import PROJECT_ROOT
from tests.tiny_gguf_embedder import write_tiny_gguf_embedder


def homebody(home: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *map(str, arguments)],
        cwd=PROJECT_ROOT,
        env={**os.environ, "HOMEBODY_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def indexed(home: Path, *arguments: str | Path) -> dict[str, Any]:
    done = homebody(home, "index", *arguments, "--json")
    assert done.returncode == ExitCode.OK, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def embedder_of(home: Path) -> tuple[str, int]:
    """The library's, and how many passages have its vector."""
    with LibraryDb(home / "library.sqlite", read_only=True) as db:
        identity = stored_identity(db)
        ((vectors,),) = db.query("SELECT count(*) FROM vectors")
    return ("" if identity is None else identity.sha256), vectors


def test_an_embedder_can_be_chosen_and_changed_while_indexing(tmp_path: Path) -> None:
    home, notes = tmp_path / "home", tmp_path / "notes"
    notes.mkdir()
    for number in range(3):
        (notes / f"{number}.txt").write_text(f"The ferry number {number} leaves at nine.")
    one = write_tiny_gguf_embedder(tmp_path / "one.gguf", seed=1)
    other = write_tiny_gguf_embedder(tmp_path / "other.gguf", seed=2)

    assert indexed(home, notes, "--embedder", one)["indexed"] == 3
    first, vectors = embedder_of(home)
    assert first
    assert vectors == 3
    assert indexed(home, "--embedder", other)["unchanged"] == 3, "no file is read for it"
    second, vectors = embedder_of(home)
    assert second not in ("", first)
    assert vectors == 3
    assert indexed(home)["unchanged"] == 3
    assert embedder_of(home) == (second, 3), "it is chosen for good"


def test_an_embedder_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    refused = homebody(tmp_path / "home", "index", tmp_path, "--embedder", tmp_path / "none.gguf")
    assert refused.returncode in (ExitCode.FAILED, ExitCode.MISSING)
    assert "none.gguf" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "home" / "settings.toml").exists()
