from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from rag.documents import Documents
from rag.filters import Filters, contents_within, newest_contents
from rag.keyword_index import KeywordIndex
from rag.library_db import LibraryDb
from rag.query import parse_query
from rag.records import Block, ChunkDraft, Locator, ReadDocument
from rag.scope import Scopes
from rag.walk import FoundFile
from tests.rag.stored_library import chunk_ids, record


def timestamp(year: int, month: int = 1, day: int = 1, hour: int = 0) -> float:
    return datetime(year, month, day, hour).timestamp()


def write(
    db: LibraryDb,
    path: str,
    text: str,
    *,
    author: str = "",
    written_at_s: float | None = None,
    modified_at_s: float = 0,
) -> int:
    document = ReadDocument("", "text", (Block(text),), "test 1", author=author, written_at_s=written_at_s)
    drafts = [ChunkDraft(0, text, (), Locator(), 0, len(text), len(text.split()))]
    file = FoundFile(path, len(text), int(modified_at_s * 1e9))
    return Documents(db).record(file, text.encode().ljust(32, b"."), document, drafts).content_id


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path_factory.mktemp("filters") / "library.sqlite") as opened:
        write(opened, "/home/me/notes/boiler.md", "a", modified_at_s=timestamp(2024, 5, 1))
        write(opened, "/home/me/notes/alt/Übersicht.md", "b", author="Anna Bérg", modified_at_s=timestamp(2025, 1, 1))
        write(opened, "/home/me/notes2/plan.PDF", "c", author="Anna Smith", written_at_s=timestamp(2023, 2, 3, 12))
        write(opened, "/home/me/mail/in.eml", "d", author="bob@example.org", written_at_s=timestamp(2025, 6, 30))
        write(opened, "/home/me/mail/box.zip/old [1].txt", "e", modified_at_s=timestamp(2020))
        record(opened, "/home/me/cat.jpg", ["a cat"], kind="image")
        yield opened


def names(db: LibraryDb, contents: Sequence[int]) -> list[str]:
    rows = dict(db.query("SELECT content_id, path_text FROM documents"))
    return [Path(rows[each]).name for each in contents]


@pytest.mark.parametrize(
    ("typed", "passing"),
    [
        ("kind:markdown", {"boiler.md", "Übersicht.md"}),
        ("kind:pdf", {"plan.PDF"}),
        ("kind:image", {"cat.jpg"}),
        ("kind:image,mail", {"cat.jpg", "in.eml"}),
        ("kind:text", {"boiler.md", "Übersicht.md", "plan.PDF", "in.eml", "old [1].txt"}),
        ("in:/home/me/notes", {"boiler.md", "Übersicht.md"}),
        ("in:/home/me/notes/", {"boiler.md", "Übersicht.md"}),
        ("in:/home/me/notes/boiler.md", {"boiler.md"}),
        ("in:/", {"boiler.md", "Übersicht.md", "plan.PDF", "in.eml", "old [1].txt", "cat.jpg"}),
        ("in:NOTES", {"boiler.md", "Übersicht.md", "plan.PDF"}),
        ("in:notes/alt", {"Übersicht.md"}),
        ("in:box.zip", {"old [1].txt"}),
        ("in:/nowhere", set()),
        ("author:anna", {"Übersicht.md", "plan.PDF"}),
        ("author:berg", {"Übersicht.md"}),
        ("author:smith author:bob", {"plan.PDF", "in.eml"}),
        ("name:uber", {"Übersicht.md"}),
        ("name:*.md", {"boiler.md", "Übersicht.md"}),
        ("name:plan.???", {"plan.PDF"}),
        ('name:"old [1]"', {"old [1].txt"}),
        ("name:notes", set()),
        ("after:2025", {"Übersicht.md", "in.eml"}),
        ("after:2025-06-30", {"in.eml"}),
        ("before:2025-06-30 after:2024-05", {"boiler.md", "Übersicht.md"}),
        ("before:2021", {"old [1].txt", "cat.jpg"}),
        ("kind:markdown author:anna after:2024", {"Übersicht.md"}),
    ],
)
def test_what_passes(db: LibraryDb, typed: str, passing: set[str]) -> None:
    filters = parse_query(typed).filters
    assert filters
    assert set(names(db, contents_within(db, filters))) == passing
    scope = Scopes(db).within(filters)
    ids = [row[0] for row in db.query("SELECT chunk_id FROM chunks")]
    of = dict(db.query("SELECT chunk_id, content_id FROM chunks"))
    assert set(names(db, [of[each] for each in scope.only(ids)])) == passing


@pytest.mark.parametrize(
    ("typed", "kinds", "passing"),
    [
        ("kind:pdf,image", ["text"], {"plan.PDF"}),
        ("kind:text", ["pdf", "image"], {"plan.PDF"}),
        ("kind:image", ["text"], set()),
        ("kind:pdf", ["markdown"], set()),
        ("in:notes", ["markdown"], {"boiler.md", "Übersicht.md"}),
    ],
)
def test_kinds_named_beside_the_query_narrow_it(db: LibraryDb, typed: str, kinds: list[str], passing: set[str]) -> None:
    filters = parse_query(typed).and_kinds(kinds).filters
    assert set(names(db, contents_within(db, filters))) == passing


def test_the_newest_come_first(db: LibraryDb) -> None:
    newest = newest_contents(db, parse_query("kind:text").filters, limit=3)
    assert names(db, newest) == ["in.eml", "Übersicht.md", "boiler.md"]


def test_a_scope_follows_the_library_and_holds_no_unknown_passage(tmp_path: Path) -> None:
    with LibraryDb(tmp_path / "library.sqlite") as db:
        scopes = Scopes(db)
        filters = Filters(folders=(os.sep + "a",))
        assert not scopes.within(filters)
        record(db, "/a/1.txt", ["one", "two"])
        record(db, "/b/1.txt", ["three"])
        scope = scopes.within(filters)
        first, second = chunk_ids(db, "/a/1.txt")
        (other,) = chunk_ids(db, "/b/1.txt")
        assert scope.only([other, second, first, 10**6]) == [second, first]
        assert scope.holds(np.array([first, 10**6])).tolist() == [True, False]
        assert scope.narrowed([second, other], to_them=True).only([first, second, other]) == [second]
        assert scope.narrowed([second, 10**6], to_them=False).only([first, second, other]) == [first]
        record(db, "/a/2.txt", ["four"])
        assert scopes.within(filters).only(chunk_ids(db, "/a/2.txt")) == chunk_ids(db, "/a/2.txt")
        assert scope.only(chunk_ids(db, "/a/2.txt")) == []
        assert KeywordIndex(db).search("two three four", limit=9, within=scope) == [second]


def test_filters_work_in_every_thread_and_read_only(tmp_path: Path) -> None:
    file = tmp_path / "library.sqlite"
    with LibraryDb(file) as db:
        record(db, "/a/Ärger.txt", ["one"])
    found: list[int] = []
    with LibraryDb(file, read_only=True) as db:
        filters = parse_query("name:arger").filters
        thread = threading.Thread(target=lambda: found.extend(contents_within(db, filters)))
        thread.start()
        thread.join()
        assert found == contents_within(db, filters)
        assert len(found) == 1
