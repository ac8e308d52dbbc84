"""A library that remembers its last look ends as one that compares every file each time."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.events import IndexDone, IndexReport
from rag.last_looks import FilesFound, LastLook, LastLooks, look_key
from rag.library_db import LibraryDb
from rag.reading import DocumentReader
from rag.roots import Roots
from tests.fakes import CountableEmbedder
from tests.pipelines.canonical_library import dump, ingest_of, never
from tests.rag.made_archives import zip_of, zip_with_encrypted

STEPS = 30
WORDS = ("ferry", "island", "harbour", "road", "bread")


@pytest.fixture
def reader() -> Iterator[DocumentReader]:
    with DocumentReader() as opened:
        yield opened


def run(db: LibraryDb, reader: DocumentReader, folder: Path) -> IndexReport:
    *_, last = ingest_of(db, reader, CountableEmbedder()).run([folder], never())
    assert isinstance(last, IndexDone)
    return last.report


def forget_looks(db: LibraryDb) -> None:
    with db.transaction() as connection:
        connection.execute("DELETE FROM last_looks")


def remembers(db: LibraryDb) -> bool:
    return bool(db.query("SELECT 1 FROM last_looks WHERE found <> x''"))


def said(report: IndexReport) -> tuple[object, ...]:
    return report.indexed, report.unchanged, report.removed, report.chunks, sorted(each.path for each in report.failed)


def change(folder: Path, dbs: tuple[LibraryDb, ...], chance: random.Random) -> None:
    """One of the things that happen to files, or nothing."""
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    file = chance.choice(files) if files else folder / "first.txt"
    match chance.randrange(10):
        case 0 | 1:
            sub = folder / chance.choice(("a", "b/c"))
            sub.mkdir(parents=True, exist_ok=True)
            (sub / f"{chance.randrange(100)}.txt").write_text(" ".join(chance.choices(WORDS, k=9)))
        case 2:
            file.unlink(missing_ok=True)
        case 3 if files:
            file.write_bytes(file.read_bytes()[::-1])  # as long as before
        case 4 if files:
            os.utime(file, ns=(1, chance.randrange(10**18)))
        case 5 if files:
            file.rename(file.with_name(f"moved {chance.randrange(100)}{file.suffix}"))
        case 6:
            (folder / f"{chance.randrange(5)}.zip").write_bytes(
                zip_with_encrypted("secret.txt", {f"{each}.txt": f"{each} {chance.random()}" for each in WORDS})
            )
        case 7:
            (folder / f"{chance.randrange(5)}.zip").write_bytes(zip_of({"a.txt": "x"})[:-5])
        case 8 if files:
            for db in dbs:
                Roots(db).forget(file)
        case _:
            pass


@pytest.mark.parametrize("seed", range(3))
def test_what_is_remembered_changes_no_outcome(tmp_path: Path, reader: DocumentReader, seed: int) -> None:
    chance, folder = random.Random(seed), tmp_path / "files"
    folder.mkdir()
    remembered = 0
    with LibraryDb(tmp_path / "fresh.sqlite") as fresh, LibraryDb(tmp_path / "remembering.sqlite") as remembering:
        for _ in range(STEPS):
            change(folder, (fresh, remembering), chance)
            for _ in range(chance.randrange(1, 4)):
                forget_looks(fresh)
                remembered += remembers(remembering)
                assert said(run(remembering, reader, folder)) == said(run(fresh, reader, folder))
        assert dump(remembering) == dump(fresh)
    assert remembered > STEPS // 3, "mostly something was remembered"


def test_files_that_cannot_be_read_are_told_again_each_time(tmp_path: Path, reader: DocumentReader) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.txt").write_text("The ferry leaves at nine.")
    (folder / "broken.zip").write_bytes(zip_of({"a.txt": "x"})[:-5])
    with LibraryDb(tmp_path / "library.sqlite") as db:
        first, second, third = (run(db, reader, folder) for _ in range(3))
        assert remembers(db)
    assert first.failed == second.failed == third.failed
    assert len(third.failed) == 1
    assert (third.indexed, third.unchanged) == (0, 1)


def test_a_look_is_not_kept_when_a_document_changed_meanwhile(tmp_path: Path, reader: DocumentReader) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.txt").write_text("The ferry leaves at nine.")
    with LibraryDb(tmp_path / "library.sqlite") as db:
        run(db, reader, folder)
        looks, key, look = LastLooks(db), look_key(["/files"], [], []), LastLook(FilesFound().digest, 1, ())
        looks.begin(key)
        assert looks.of(key) is None
        looks.keep(key, look)
        assert looks.of(key) == look
        looks.begin(key)
        Roots(db).forget(folder / "a.txt")
        looks.keep(key, look)
        assert looks.of(key) is None


def test_equal_files_have_equal_hashes_whichever_objects_they_are() -> None:
    path = "/files/caf\udce9.txt"
    one, other, changed = FilesFound(), FilesFound(), FilesFound()
    one.add([(path, 1, 2), (path, 1, 2)])
    other.add([("".join(path), 1, 2), ("/files/caf" + "\udce9.txt", 1, 2)])
    changed.add([(path, 1, 2), (path, 1, 3)])
    assert one.digest == other.digest != changed.digest
