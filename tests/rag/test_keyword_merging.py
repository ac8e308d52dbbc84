from __future__ import annotations

from pathlib import Path

from rag.keyword_index import KeywordIndex
from rag.keyword_merging import merge_parts
from rag.library_db import LibraryDb
from tests.rag.stored_library import assert_whole, record


def parts(db: LibraryDb) -> int:
    return int(db.query("SELECT count(DISTINCT segid) FROM chunk_words_idx")[0][0])


def steps(db: LibraryDb) -> int:
    return sum(1 for _ in merge_parts(db))


def fill(db: LibraryDb, first: int, files: int) -> None:
    for file in range(first, first + files):
        record(db, f"/{file}.txt", [f"boiler number{file} word{file * 10 + line}" for line in range(10)])


def test_a_scattered_index_becomes_one_part_and_finds_the_same(tmp_path: Path) -> None:
    with LibraryDb(tmp_path / "library.sqlite") as db:
        fill(db, 0, 11)
        index = KeywordIndex(db)
        before = index.search("boiler number7", limit=20)
        assert parts(db) > 1
        assert steps(db) > 0
        assert parts(db) == 1
        assert index.search("boiler number7", limit=20) == before
        assert_whole(db)


def test_one_that_is_together_is_left_alone(tmp_path: Path) -> None:
    with LibraryDb(tmp_path / "library.sqlite") as db:
        assert steps(db) == 0
        fill(db, 0, 40)
        list(merge_parts(db))
        assert steps(db) == 0


def test_a_little_that_is_new_is_not_worth_writing_everything(tmp_path: Path) -> None:
    with LibraryDb(tmp_path / "library.sqlite") as db:
        record(db, "/large.txt", [" ".join(f"word{line}x{place}" for place in range(120)) for line in range(60)])
        list(merge_parts(db))
        assert parts(db) == 1
        record(db, "/small.txt", ["a boiler"])
        assert parts(db) == 2
        assert steps(db) == 0


def test_what_was_broken_off_goes_on(tmp_path: Path) -> None:
    with LibraryDb(tmp_path / "library.sqlite") as db:
        fill(db, 0, 60)
        broken_off = merge_parts(db, pages_at_once=1)
        next(broken_off)
        broken_off.close()
        assert parts(db) > 1
        assert_whole(db)
        record(db, "/new.txt", ["a new boiler"])
        assert sum(1 for _ in merge_parts(db, pages_at_once=1)) > 1
        assert parts(db) <= 2
        assert steps(db) == 0
        index = KeywordIndex(db)
        assert len(index.search("boiler number59", limit=50)) == 50
        assert index.search("new", limit=5)
        assert_whole(db)
