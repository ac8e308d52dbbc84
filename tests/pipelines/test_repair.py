"""`doctor --fix`: each thing is broken, noticed, repaired, and found well, through the real parts."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines import doctor_library
from pipelines.checkup import Check, Repair
from pipelines.events import IndexDone, IndexReport
from pipelines.factory import open_home
from pipelines.home import Home
from pipelines.paths import HomePaths
from pipelines.repair import carry_out, repairs_for
from pipelines.settings import Settings
from pipelines.turn import Turn
from rag.chroma_place import ChromaFolder
from rag.chroma_store import ChromaStore
from rag.errors import LibraryLocked
from rag.library_db import LibraryDb
from rag.writer_lock import WriterLock
from tests.fakes import CountableEmbedder, ScriptedChatModel
from tests.pipelines.test_doctor import subject

NOTES = {
    "cat.md": "# The cat\n\nThe cat sleeps on the red sofa all day.\n",
    "dog.md": "# The dog\n\nThe dog guards the blue house at night.\n",
    "fox.txt": "The fox crosses the garden every morning.\n",
}


@dataclass
class Patient:
    """A library of three notes and one conversation."""

    paths: HomePaths
    notes: Path
    embedder: CountableEmbedder

    def open(self) -> Home:
        return open_home(self.paths, Settings(), chat_model=ScriptedChatModel(), embedder=self.embedder)

    def index(self) -> IndexReport:
        home = self.open()
        try:
            (done,) = [event for event in home.index([self.notes], threading.Event()) if isinstance(event, IndexDone)]
        finally:
            home.close()
        return done.report

    def troubles(self) -> dict[str, Check]:
        checks = doctor_library.checks(subject(self.paths))
        # The embedder here is a fake that no catalogue has.
        return {check.name: check for check in checks if check.status != "ok" and check.name != "library embedder"}

    def fix(self) -> list[str]:
        return list(
            carry_out(repairs_for(self.troubles().values()), self.paths, Settings(), self.open, threading.Event())
        )

    def found(self, words: str) -> list[str]:
        home = self.open()
        try:
            return [Path(hit.path).name for hit in home.search(words, k=1).hits]
        finally:
            home.close()

    def run_sql(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.paths.library_file)) as connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            for statement in statements:
                connection.execute(statement)
            connection.commit()


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Patient:
    """Indexed once; chromadb's copy, which takes seconds to check, is left out."""
    folder = tmp_path_factory.mktemp("patient")
    notes = folder / "notes"
    notes.mkdir()
    for name, text in NOTES.items():
        (notes / name).write_text(text, encoding="utf-8")
    one = Patient(HomePaths(folder / "home"), notes, CountableEmbedder())
    one.index()
    assert one.troubles() == {}
    shutil.rmtree(one.paths.chroma_dir)
    return one


@pytest.fixture
def patient(indexed: Patient, tmp_path: Path) -> Iterator[Patient]:
    shutil.copytree(indexed.paths.root, tmp_path / "home")
    yield Patient(HomePaths(tmp_path / "home"), indexed.notes, CountableEmbedder())
    for name, text in NOTES.items():
        (indexed.notes / name).write_text(text, encoding="utf-8")


def test_indexes_of_words_that_lost_their_words_are_made_anew(patient: Patient) -> None:
    patient.run_sql("INSERT INTO chunk_words (chunk_words) VALUES ('delete-all')")
    trouble = patient.troubles()["word indexes"]
    assert (trouble.status, trouble.repair) == ("fail", "word indexes")
    assert "chunk_words" in trouble.detail
    patient.fix()
    assert patient.troubles() == {}
    assert patient.found("garden") == ["fox.txt"]


ORPHANED = {
    "UPDATE vectors_changed SET added = added + 7": "a wrong count of vectors",
    "INSERT INTO chroma_pending VALUES (4711, 'add')": "changes for chromadb",
    "INSERT INTO citations VALUES (99, 1, 1, '/x', 'text', '{}', 'q', 1)": "citations of answers that are gone",
    "INSERT INTO image_vectors VALUES (4711, 0, x'')": "vectors of pictures that are gone",
    "INSERT INTO next_vectors VALUES (4711, x'00')": "coming vectors without a passage",
    "DELETE FROM chunks WHERE text LIKE '%sofa%'": "contents that lost passages",
    "DELETE FROM vectors WHERE chunk_id IN (SELECT chunk_id FROM chunks WHERE text LIKE '%house%')": (
        "contents said to be embedded"
    ),
    "DELETE FROM documents WHERE name_text LIKE '%fox%'": "contents without a file",
}


@pytest.mark.parametrize(
    "damage",
    [
        ORPHANED,
        {"DELETE FROM chunks": "vectors without a passage"},
        {"DELETE FROM contents": "passages without a content"},
        {"UPDATE documents SET content_id = NULL": "files whose content is gone"},
        {
            "DELETE FROM chunks WHERE text LIKE '%sofa%'": "contents that lost passages",
            "UPDATE documents SET state = 'found' WHERE name_text LIKE '%cat%'": "contents that lost passages",
        },
    ],
    ids=["some of each", "passages", "contents", "links", "one that waits for what is in it"],
)
def test_records_that_belong_to_nothing_are_removed_and_their_files_read_again(
    patient: Patient, damage: dict[str, str]
) -> None:
    patient.run_sql(*damage)
    trouble = patient.troubles()["library records"]
    assert (trouble.status, trouble.repair) == ("fail", "orphans")
    for told in damage.values():
        assert told in trouble.detail
    patient.fix()
    shutil.rmtree(patient.paths.chroma_dir)
    assert patient.troubles() == {}
    for word, name in (("sofa", "cat.md"), ("house", "dog.md"), ("garden", "fox.txt")):
        assert patient.found(word) == [name]


def test_files_that_are_gone_leave_the_library(patient: Patient) -> None:
    (patient.notes / "dog.md").unlink()
    trouble = patient.troubles()["library files"]
    assert (trouble.status, trouble.repair) == ("warn", "index")
    assert "dog.md" in trouble.detail
    patient.fix()
    assert patient.troubles() == {}
    assert "dog.md" not in patient.found("dog")


def test_a_root_that_is_not_connected_has_not_lost_its_files(patient: Patient) -> None:
    elsewhere = patient.notes.rename(patient.notes.with_name("elsewhere"))
    troubles = patient.troubles()
    elsewhere.rename(patient.notes)
    assert troubles == {}


def test_a_damaged_file_is_replaced_and_the_conversations_are_kept(patient: Patient) -> None:
    chat = ScriptedChatModel()
    chat.enqueue("On the red sofa.")
    home = open_home(patient.paths, Settings(), chat_model=chat, embedder=patient.embedder)
    for _ in home.answer(Turn("Where does the cat sleep?"), threading.Event()):
        pass
    home.close()
    content = bytearray(patient.paths.library_file.read_bytes())
    with closing(sqlite3.connect(patient.paths.library_file)) as connection:
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'chunks'").fetchall()
        ((size,),) = connection.execute("PRAGMA page_size").fetchall()
    content[(page - 1) * size : page * size] = b"\xaa" * size
    patient.paths.library_file.write_bytes(content)

    trouble = patient.troubles()["library"]
    assert (trouble.status, trouble.repair) == ("fail", "replace file")
    said = patient.fix()
    assert "1 conversations with 1 turns, 1 folders" in said[0]
    assert patient.paths.library_file.with_name("library.sqlite.damaged").exists()
    assert patient.troubles() == {}
    assert patient.found("garden") == ["fox.txt"]
    home = patient.open()
    (conversation,) = home.conversations.list()
    (turn,) = home.conversations.turns(conversation.conversation_id)
    assert turn.question == "Where does the cat sleep?"
    home.close()


def test_what_is_no_database_at_all_is_replaced_too(patient: Patient) -> None:
    for file in patient.paths.root.glob("library.sqlite-*"):
        file.unlink()
    patient.paths.library_file.write_bytes(b"ransom note " * 1000)
    assert patient.troubles()["library"].repair == "replace file"
    patient.fix()
    assert patient.troubles() == {}
    assert patient.index().indexed == len(NOTES), "the folders are not known any more; the user names them again"


def test_chromadbs_copy_is_built_anew_without_embedding(patient: Patient) -> None:
    with LibraryDb(patient.paths.library_file) as db:
        store = ChromaStore(db, ChromaFolder(patient.paths.chroma_dir))
        for _ in store.bring_in_step(threading.Event()):
            pass
        store.close()
    assert patient.troubles() == {}
    (patient.paths.chroma_dir / "chroma.sqlite3").write_bytes(b"not a database")
    trouble = patient.troubles()["chromadb"]
    assert (trouble.status, trouble.repair) == ("fail", "chroma")
    embedded = len(patient.embedder.history)
    (said,) = patient.fix()
    assert "3 vectors, none embedded again" in said
    assert len(patient.embedder.history) == embedded
    assert patient.troubles() == {}
    shutil.rmtree(patient.paths.chroma_dir)
    assert patient.troubles() == {}, "nothing there is nothing wrong: it is made when it is needed"


def test_a_folder_that_others_can_see_is_closed_to_them(patient: Patient) -> None:
    patient.paths.root.chmod(0o755)
    repairs: tuple[Repair, ...] = ("permissions",)
    list(carry_out(repairs, patient.paths, Settings(), patient.open, threading.Event()))
    assert patient.paths.root.stat().st_mode & 0o777 == 0o700


def test_nothing_is_repaired_under_another_homebody(patient: Patient) -> None:
    patient.run_sql("UPDATE vectors_changed SET added = added + 7")
    lock = WriterLock(patient.paths.lock_file)
    assert lock.acquire()
    try:
        with pytest.raises(LibraryLocked, match="has this library open"):
            patient.fix()
        assert "library records" in patient.troubles()
    finally:
        lock.release()
