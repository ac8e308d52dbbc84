"""How soon a change is found while homebody follows a large folder, and what moving many files costs.

    python scripts/bench_watch.py [--files 10000] [--edits 15] [--moved 5000]

In a tree of plain text files: one file after another is changed, and the time is taken from the end of its writing
until its new words are found (goal: median under a second; the notice of the system, the settling, the reading and
the storing are all in it). Then a folder is renamed, until every file in it has its new path, beside the renaming of
the same number of rows in a bare SQLite table. A human table; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipelines.events import IndexDone
from pipelines.followed_roots import FollowedRoots
from pipelines.watch import Watch
from rag.keyword_index import KeywordIndex
from rag.library_db import LibraryDb
from rag.reading import DocumentReader
from rag.roots import Roots
from rag.walk import View
from scripts.bench_index import ingest_of, make_files, no_embedder, whole

GOAL_S = 1.0
LOOK_EVERY_S = 0.005
GIVE_UP_S = 60.0


class Follower:
    """Follows in a thread, by words only: vectors come behind and are not what this is about."""

    def __init__(self, db: LibraryDb, reader: DocumentReader) -> None:
        roots = Roots(db)
        followed = FollowedRoots(roots, view=View, poll_s=3600.0)
        ingest = ingest_of(db, reader, whole, no_embedder)
        self._watch = Watch(ingest=ingest, roots=roots, followed=followed, view=View, poll_s=3600.0)
        self._stop = threading.Event()
        self.first_look = threading.Event()
        self._thread = threading.Thread(target=self._run, name="following")

    def start(self, root: Path) -> None:
        self._thread.start()
        self._watch.look_again([root])

    def _run(self) -> None:
        for event in self._watch.run(self._stop):
            if isinstance(event, IndexDone) and event.report.indexed:
                self.first_look.set()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


def seconds_until(condition: Callable[[], bool]) -> float:
    began_s = time.perf_counter()
    while not condition():
        if time.perf_counter() - began_s > GIVE_UP_S:
            raise RuntimeError(f"nothing within {GIVE_UP_S:.0f} s")
        time.sleep(LOOK_EVERY_S)
    return time.perf_counter() - began_s


def is_found(db: LibraryDb, word: str) -> bool:
    return bool(KeywordIndex(db).containing(word))


def measure_edits(db: LibraryDb, files: list[Path], edits: int) -> list[float]:
    chance = random.Random(2)
    taken = []
    for number in range(edits):
        word = f"zanzibar{number}x"
        file = chance.choice(files)
        file.write_text(f"{file.read_text()} {word}")
        taken.append(seconds_until(partial(is_found, db, word)))
    return taken


def measure_move(db: LibraryDb, folder: Path) -> float:
    moved = folder.with_name("moved")
    count = sum(file.is_file() for file in folder.rglob("*"))
    folder.rename(moved)
    query = "SELECT count(*) FROM documents WHERE path_text LIKE ? || '/%'"
    return seconds_until(lambda: db.query(query, (str(moved),)) == [(count,)])


def bare_renaming_s(paths: int) -> float:
    """The anchor: so many rows of a table with a unique path get another one, in one transaction."""
    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(Path(folder, "bare.sqlite"))) as connection:
        connection.execute("CREATE TABLE documents (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE)")
        connection.executemany(
            "INSERT INTO documents (path) VALUES (?)", ((f"/files/{number}",) for number in range(paths))
        )
        connection.commit()
        began_s = time.perf_counter()
        connection.executemany(
            "UPDATE documents SET path = ? WHERE path = ?",
            ((f"/moved/{number}", f"/files/{number}") for number in range(paths)),
        )
        connection.commit()
        return time.perf_counter() - began_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--edits", type=int, default=15)
    parser.add_argument("--moved", type=int, default=5_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        root = Path(made, "files")
        make_files(root / "kept", options.files - options.moved)
        make_files(root / "to move", options.moved)
        with LibraryDb(Path(made, "library.sqlite")) as db, DocumentReader() as reader:
            follower = Follower(db, reader)
            follower.start(root)
            follower.first_look.wait()
            try:
                edits = measure_edits(db, sorted((root / "kept").rglob("*.txt")), options.edits)
                move_s = measure_move(db, root / "to move")
            finally:
                follower.close()
    figures = {
        "files": options.files,
        "edit_to_found_median_s": statistics.median(edits),
        "edit_to_found_worst_s": max(edits),
        "files_moved": options.moved,
        "move_to_found_s": move_s,
        "bare_renaming_s": bare_renaming_s(options.moved),
    }
    for name, value in figures.items():
        print(f"{name:30} {value:12,.3f}")
    met = figures["edit_to_found_median_s"] < GOAL_S
    print(f"\ngoal: a change is found within {GOAL_S:g} s (median): {'met' if met else 'MISSED'}")
    print(json.dumps({"bench": "watch", **figures}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
