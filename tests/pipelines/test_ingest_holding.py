"""Small files are stored several at once: what waits is not there, and nothing of it is lost or told too early."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.events import IndexDone, IndexProgress, IndexReport
from pipelines.factory import open_home
from pipelines.home import Home
from pipelines.ingest_holding import HOLD_S, MAX_FILES, HeldFiles
from pipelines.paths import HomePaths
from pipelines.settings import Settings
from rag.contents import CHUNKS_AT_ONCE, chunk_rows
from rag.documents import Documents, ReadFile, Recorded
from rag.errors import StorageFull
from rag.library_db import LibraryDb
from rag.members import Members
from rag.records import ChunkDraft, DocumentFacts, Locator
from rag.walk import FoundFile
from tests.fakes import ScriptedChatModel
from tests.pipelines.canonical_library import dump

FACTS = DocumentFacts("", "text", "text/1")


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def read_files(db: LibraryDb) -> int:
    ((count,),) = db.query("SELECT count(*) FROM documents WHERE state = 'read'")
    return int(count)


def read_file(name: str, *, passages: int = 1, awaits_members: bool = False) -> ReadFile:
    drafts = [ChunkDraft(n, f"{name} says {n}", (), Locator(), 0, 1, 3) for n in range(passages)]
    sha256 = name.encode().ljust(32, b".")
    return ReadFile(FoundFile(f"/{name}.txt", 3, 1), sha256, FACTS, chunk_rows(drafts), awaits_members=awaits_members)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path / "library.sqlite") as opened:
        yield opened
        dump(opened)  # checks that it is whole


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def held(db: LibraryDb, clock: Clock) -> HeldFiles:
    return HeldFiles(Documents(db), clock=clock)


def never_told(_: Recorded) -> None:
    raise AssertionError


def test_what_waits_is_stored_together_and_told_when_it_is_there(db: LibraryDb, held: HeldFiles) -> None:
    told: list[tuple[str, int]] = []
    held.hold(read_file("a"), lambda _: told.append(("a", read_files(db))))
    held.hold(read_file("b"), lambda _: told.append(("b", read_files(db))))
    assert read_files(db) == 0
    assert told == []
    held.store()
    assert told == [("a", 2), ("b", 2)]
    held.store()
    assert len(told) == 2


def test_what_waits_is_known(held: HeldFiles) -> None:
    file = read_file("a")
    held.hold(file, lambda _: None)
    assert held.holds("/a.txt")
    assert held.holds_size(3)
    assert held.holds_content(file.sha256, "/elsewhere/copy.TXT")
    assert not held.holds_content(file.sha256, "/a.md"), "the suffix decides how bytes are read"
    held.store()
    assert not held.holds("/a.txt")
    assert not held.holds_size(3)
    assert not held.holds_content(file.sha256, "/a.txt")


def test_nothing_waits_long(db: LibraryDb, held: HeldFiles, clock: Clock) -> None:
    held.hold(read_file("a"), lambda _: None)
    held.store(only_if_late=True)
    assert read_files(db) == 0
    clock.now_s += HOLD_S
    held.store(only_if_late=True)
    assert read_files(db) == 1
    held.hold(read_file("b"), lambda _: None)
    clock.now_s += HOLD_S
    held.hold(read_file("c"), lambda _: None)
    assert read_files(db) == 3, "without anybody asking, when the next one comes"


def test_a_transaction_is_bounded_in_files_and_passages(db: LibraryDb, held: HeldFiles) -> None:
    for number in range(MAX_FILES - 1):
        held.hold(read_file(f"n{number}"), lambda _: None)
    assert read_files(db) == 0
    held.hold(read_file("last"), lambda _: None)
    assert read_files(db) == MAX_FILES
    held.hold(read_file("some", passages=CHUNKS_AT_ONCE // 2), lambda _: None)
    assert read_files(db) == MAX_FILES
    held.hold(read_file("more", passages=CHUNKS_AT_ONCE // 2), lambda _: None)
    assert read_files(db) == MAX_FILES + 2


def test_what_could_not_be_stored_waits_on(db: LibraryDb, held: HeldFiles) -> None:
    held.hold(read_file("a"), never_told)
    held.hold(read_file("b", passages=CHUNKS_AT_ONCE - 2), never_told)
    ((pages,),) = db.query("PRAGMA page_count")
    db.query(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageFull):
        held.store()
    assert read_files(db) == 0, "all or nothing"
    assert held.holds("/a.txt")
    assert held.holds("/b.txt")
    db.query("PRAGMA max_page_count = 1000000")
    with pytest.raises(AssertionError):
        held.store()
    assert read_files(db) == 2


def test_a_file_that_waits_with_all_that_is_inside_it_is_done_in_one_step(db: LibraryDb, held: HeldFiles) -> None:
    held.hold(read_file("mail", awaits_members=True), lambda _: None)
    assert held.settle("/mail.txt")
    held.hold(read_file("open", awaits_members=True), lambda _: None)
    held.store()
    assert db.query("SELECT path_text, state FROM documents ORDER BY path") == [
        ("/mail.txt", "read"),
        ("/open.txt", "found"),
    ]
    assert not held.settle("/open.txt"), "somebody else has to"
    Members(db, Documents(db)).settle("/open.txt")


# --- through the front door ---


def mailbox(messages: int) -> str:
    return "".join(
        f"From ann@example.org Mon May  6 10:00:00 2024\nFrom: Ann <ann@example.org>\nTo: Bob <bob@example.org>\n"
        f"Subject: News {number}\nMessage-ID: <{number}@example.org>\nDate: Mon, 06 May 2024 10:00:00 +0000\n\n"
        f"The ferry leaves from pier {number}.\n\n"
        for number in range(messages)
    )


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = open_home(HomePaths(tmp_path / "home"), Settings(), chat_model=ScriptedChatModel())
    yield home
    home.close()


def index(home: Home, folder: Path) -> IndexReport:
    *_, last = home.index([folder], threading.Event())
    assert isinstance(last, IndexDone)
    return last.report


def test_a_mailbox_that_was_stopped_in_the_middle_is_taken_up_there(home: Home, tmp_path: Path) -> None:
    folder, count = tmp_path / "mail", 6 * MAX_FILES
    folder.mkdir()
    (folder / "Inbox.mbox").write_text(mailbox(count))
    stop = threading.Event()
    report: IndexReport | None = None
    for event in home.index([folder], stop):
        match event:
            case IndexProgress(phase="reading"):
                stop.set()
            case IndexDone():
                report = event.report
            case _:
                pass
    assert report is not None
    assert report.stopped
    stored = len(home.documents())
    assert 1 < stored < count, "what was read by then"
    assert index(home, folder).indexed <= count + 1 - (stored - 1)
    rows = home.documents()
    assert len(rows) == count + 1
    assert {row.state for row in rows if row.chunk_count} == {"words"}
    assert sum(row.chunk_count for row in rows) == count, "none twice"
    assert index(home, folder).unchanged == count + 1


def test_a_mailbox_that_grew_reads_what_is_new(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "mail"
    folder.mkdir()
    (folder / "Inbox.mbox").write_text(mailbox(20))
    assert index(home, folder).indexed == 21
    (folder / "Inbox.mbox").write_text(mailbox(22))
    report = index(home, folder)
    assert (report.indexed, report.unchanged, report.chunks) == (3, 20, 2)
    assert index(home, folder).unchanged == 23


def test_copies_read_in_one_go_are_stored_once(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.txt").write_text("The ferry is late today.")
    (folder / "other.txt").write_text("The ferry is here today.")
    report = index(home, folder)
    assert (report.indexed, report.chunks) == (7, 2)
    assert [row.state for row in home.documents()] == ["words"] * 7
