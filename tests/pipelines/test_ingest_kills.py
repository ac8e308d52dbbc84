"""The same library must come out however often indexing was killed (SIGKILL, at random moments)."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

from rag.library_db import LibraryDb
from tests.pipelines.canonical_library import assert_chroma_in_step, dump
from tests.pipelines.killing import index_to_the_end, kill_in_the_middle, make_files

MANY = bool(os.environ.get("HOMEBODY_TEST_MANY_KILLS"))
"""50 kills over 300 files instead of 12 over 60; takes minutes."""
FILES, KILLS, KILLS_WITH_CHROMA = (300, 50, 10) if MANY else (60, 12, 2)
SEED = int(os.environ.get("HOMEBODY_TEST_SEED", "1"))

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")


@pytest.mark.timeout(1800 if MANY else 300)
def test_the_same_library_comes_out_however_often_indexing_was_killed(tmp_path: Path) -> None:
    folder, chance = tmp_path / "files", random.Random(SEED)
    make_files(folder, FILES, SEED)
    quiet, killed, chroma = tmp_path / "quiet.sqlite", tmp_path / "killed.sqlite", tmp_path / "chroma"
    events = index_to_the_end(quiet, folder, None)
    assert events.count("embedding") > KILLS
    # Few enough events a life that the last one still finds something to do.
    most_lines = max(3, len(events) // KILLS)
    lives = [kill_in_the_middle(killed, folder, None, chance, most_lines=most_lines) for _ in range(KILLS)]
    assert lives.count("IndexDone") <= KILLS // 3, "most kills came in the middle"
    with LibraryDb(quiet) as expected, LibraryDb(killed) as db:
        index_to_the_end(killed, folder, None)
        assert dump(db) == dump(expected)
        for _ in range(KILLS_WITH_CHROMA):
            kill_in_the_middle(killed, folder, chroma, chance, most_lines=8)
        index_to_the_end(killed, folder, chroma)
        assert dump(db) == dump(expected)
        assert_chroma_in_step(db, chroma)
