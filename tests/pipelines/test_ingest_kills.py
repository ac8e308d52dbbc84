"""The same library must come out however often indexing was killed (SIGKILL, at random moments)."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

from rag.library_db import LibraryDb
from tests.pipelines.canonical_library import assert_chroma_in_step, dump
from tests.pipelines.killing import WORDS, index_to_the_end, kill_in_the_middle, make_files
from tests.rag.made_archives import zip_of, zip_with_encrypted

MANY = bool(os.environ.get("HOMEBODY_TEST_MANY_KILLS"))
"""50 kills over 300 files instead of 12 over 60; takes minutes."""
FILES, KILLS, KILLS_WITH_CHROMA = (300, 50, 10) if MANY else (60, 12, 2)
SEED = int(os.environ.get("HOMEBODY_TEST_SEED", "1"))

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")


def make_archives(folder: Path, seed: int) -> None:
    """Archives with copies of what is beside them, archives inside them, what cannot be read; and a long text."""
    chance = random.Random(seed)

    def text(words: int) -> str:
        return " ".join(chance.choices(WORDS, k=words)) + "."

    beside = [path.read_text() for path in sorted(folder.rglob("*.txt"))[:5]]
    for number in range(3):
        inner = zip_of({f"deep {each}.txt": text(60) for each in range(4)})
        own: dict[str, bytes | str] = {f"own {each}.txt": text(80) for each in range(6)}
        copies = {f"copy {each}.txt": copy for each, copy in enumerate(beside)}
        (folder / f"{number}.zip").write_bytes(
            zip_with_encrypted("secret.txt", {**own, "inner.zip": inner, **copies, "picture.psd": b"8BPS"})
        )
    (folder / "6" / "long.txt").write_text("\n\n".join(text(45) for _ in range(1200)))


@pytest.mark.timeout(1800 if MANY else 300)
def test_the_same_library_comes_out_however_often_indexing_was_killed(tmp_path: Path) -> None:
    folder, chance = tmp_path / "files", random.Random(SEED)
    make_files(folder, FILES, SEED)
    make_archives(folder, SEED)
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
