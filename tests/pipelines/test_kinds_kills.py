"""Every kind of file through the front door, killed again and again (SIGKILL): the same library comes out."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.paths import HomePaths
from rag.library_db import LibraryDb
from tests.pipelines.canonical_library import assert_chroma_in_step, dump
from tests.pipelines.killing import kill, start, to_the_end
from tests.pipelines.made_kinds import make_kinds
from tests.pipelines.test_ingest_kills import MANY, SEED

FILES, KILLS = (300, 50) if MANY else (34, 4)
PROCESS = "tests.pipelines.kinds_process"
TO_THE_END_S = 3600.0 if MANY else 240.0

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")


def everything_in(home_dir: Path) -> dict[str, Any]:
    """The library as plain values, pictures' vectors and chromadb among them. Checks that it is whole."""
    paths = HomePaths(home_dir)
    with LibraryDb(paths.library_file) as db:
        looks = db.query(
            "SELECT sha256, suffix, place, image_vectors.vector FROM image_vectors JOIN contents USING (content_id)"
        )
        assert_chroma_in_step(db, paths.chroma_dir)
        return dump(db) | {"looks": {(sha256, suffix, place): vector for sha256, suffix, place, vector in looks}}


@pytest.mark.timeout(7200 if MANY else 400)
def test_one_library_comes_out_of_every_kind_of_file_however_often_indexing_was_killed(tmp_path: Path) -> None:
    folder, chance = tmp_path / "files", random.Random(SEED)
    make_kinds(folder, FILES, SEED)
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    real = ["real"] if os.environ.get("HOMEBODY_TEST_REAL_OCR") else []
    events = to_the_end(start(PROCESS, str(quiet), str(folder), *real), timeout_s=TO_THE_END_S)
    most_lines = max(3, len(events) // KILLS)
    lives = [kill(start(PROCESS, str(killed), str(folder), *real), chance, most_lines=most_lines) for _ in range(KILLS)]
    assert lives.count("IndexDone") <= KILLS // 3, "most kills came in the middle"
    to_the_end(start(PROCESS, str(killed), str(folder), *real), timeout_s=TO_THE_END_S)
    expected = everything_in(quiet)
    assert {kind for kind, *_ in expected["contents"].values()} == {"text", "image", "audio"}
    assert everything_in(killed) == expected
    assert not list(HomePaths(killed).transcripts_dir.glob("*")), "what was heard is stored, and kept nowhere else"
