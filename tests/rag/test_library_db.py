from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from rag.errors import LibraryDamaged, LibraryError, LibraryLocked, LibraryTooNew, StorageFull
from rag.library_db import LibraryDb
from rag.schema import MIGRATIONS
from tests.conftest import PROJECT_ROOT
from tests.rag.stored_library import assert_whole, record


def test_opening_makes_the_file_and_opening_again_keeps_it(tmp_path: Path) -> None:
    file = tmp_path / "library.sqlite"
    with LibraryDb(file) as db:
        db.write_meta("key", "value")
        assert db.connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    with LibraryDb(file) as db:
        assert db.read_meta("key") == "value"
        assert db.read_meta("other") is None


def test_a_transaction_is_all_or_nothing_and_nests(tmp_path: Path) -> None:
    with LibraryDb(tmp_path / "library.sqlite") as db:
        with suppress(ZeroDivisionError), db.transaction():
            db.write_meta("key", "value")
            raise ZeroDivisionError
        assert db.read_meta("key") is None
        with db.transaction():
            db.write_meta("key", "value")
        assert db.read_meta("key") == "value"


def test_every_thread_reads_while_one_writes(tmp_path: Path) -> None:
    with LibraryDb(tmp_path / "library.sqlite") as db:
        db.write_meta("key", "old")
        seen: list[str | None] = []
        with db.transaction():
            db.write_meta("key", "new")
            reader = threading.Thread(target=lambda: seen.append(db.read_meta("key")))
            reader.start()
            reader.join()
        assert seen == ["old"]


def test_read_only_neither_makes_nor_writes(tmp_path: Path) -> None:
    file = tmp_path / "library.sqlite"
    with pytest.raises(LibraryError, match="cannot be used"):
        LibraryDb(file, read_only=True)
    assert not file.exists()
    LibraryDb(file).close()
    with LibraryDb(file, read_only=True) as db, pytest.raises(LibraryError, match="cannot be used"):
        db.write_meta("key", "value")


def test_a_newer_library_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "library.sqlite"
    with LibraryDb(file) as db:
        db.connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(LibraryTooNew) as refused:
        LibraryDb(file)
    assert "update" in refused.value.hint


@pytest.mark.parametrize("content", [b"not a database " * 1000, None])
def test_what_is_no_library_is_refused_and_left_alone(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "library.sqlite"
    if content is None:
        with sqlite3.connect(file) as other:
            other.execute("PRAGMA user_version = 1")
        other.close()
    else:
        file.write_bytes(content)
    before = file.read_bytes()
    with pytest.raises(LibraryDamaged):
        LibraryDb(file)
    assert file.read_bytes() == before


def test_a_damaged_page_is_said_to_be_one(tmp_path: Path) -> None:
    file = tmp_path / "library.sqlite"
    with LibraryDb(file) as db:
        record(db, "/a.txt", [f"passage {n} " * 50 for n in range(50)])
    content = bytearray(file.read_bytes())
    content[4096 * 40 :] = b"\xff" * (len(content) - 4096 * 40)
    file.write_bytes(content)
    with pytest.raises(LibraryDamaged), LibraryDb(file) as db:
        db.query("SELECT sum(length(text)) FROM chunks")


def test_a_full_disk_leaves_the_old_state_whole(tmp_path: Path) -> None:
    with LibraryDb(tmp_path / "library.sqlite") as db:
        record(db, "/a.txt", ["the old text"])
        pages = db.connection.execute("PRAGMA page_count").fetchone()[0]
        db.connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StorageFull) as full:
            record(db, "/a.txt", ["another text " * 200 + str(n) for n in range(50)])
        assert "free some space" in full.value.hint
        assert db.connection.execute("SELECT text FROM chunks").fetchall() == [("the old text",)]
        assert_whole(db)
        db.connection.execute("PRAGMA max_page_count = 100000")
        record(db, "/a.txt", ["another text"])
        assert_whole(db)


WRITE_TILL_FULL = """
import resource, sys
from pathlib import Path
from rag.errors import StorageFull
from rag.library_db import LibraryDb
from tests.rag.stored_library import record
db = LibraryDb(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
n = 0
try:
    while True:
        record(db, f"/{n}.txt", [f"text {n} " * 100])
        n += 1
except StorageFull:
    print(n)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_write_that_the_system_refuses_is_a_full_disk(tmp_path: Path) -> None:
    file = tmp_path / "library.sqlite"
    finished = subprocess.run(
        [sys.executable, "-c", WRITE_TILL_FULL, str(file)], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    with LibraryDb(file) as db:
        assert db.connection.execute("SELECT count(*) FROM contents").fetchone()[0] == int(finished.stdout) > 0
        assert_whole(db)


def test_a_file_that_another_program_holds_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.library_db.BUSY_TIMEOUT_S", 0.05)
    file = tmp_path / "library.sqlite"
    with LibraryDb(file) as db:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LibraryLocked):
            db.write_meta("key", "value")
        other.close()
        db.write_meta("key", "value")


def test_a_closed_library_says_so(tmp_path: Path) -> None:
    db = LibraryDb(tmp_path / "library.sqlite")
    db.close()
    db.close()
    with pytest.raises(LibraryError, match="closed"):
        db.read_meta("key")
