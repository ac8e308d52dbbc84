"""A library gets another embedder: through the front door, and killed in the middle of it."""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from models.errors import EngineFailed, WeightsMissing
from pipelines.events import IndexDone, IndexEvent, IndexProgress, Notice
from pipelines.factory import open_home
from pipelines.home import Home
from pipelines.library_embedders import LibraryEmbedders
from pipelines.paths import HomePaths
from pipelines.settings import EmbedSettings, Settings
from rag.embedder_change import change_under_way
from rag.identity import stored_identity
from rag.keyword_index import KeywordIndex
from rag.library_db import LibraryDb
from rag.reading import DocumentReader
from rag.search import Search
from rag.vectors import Vectors
from tests.fakes import CountableEmbedder, ScriptedChatModel
from tests.pipelines.canonical_library import (
    SociableEmbedder,
    assert_chroma_in_step,
    dump,
    embedders_of,
    ingest_of,
)
from tests.pipelines.killing import index_to_the_end, kill_in_the_middle, make_files

PASSAGES = 20
KILLS = 50 if os.environ.get("HOMEBODY_TEST_MANY_KILLS") else 5


class Opened:
    """A library that is open, without chromadb: that has tests of its own, and takes seconds a run."""

    def __init__(self, db: LibraryDb, reader: DocumentReader, embedders: LibraryEmbedders, notes: Path) -> None:
        self.db = db
        self._embedders = embedders
        self._notes = notes
        self._ingest = ingest_of(db, reader, CountableEmbedder(), None, embedders)
        self._vectors = Vectors(db, None, exact_up_to=10**9)

    def events(self, stop: threading.Event | None = None, *, reembed: bool = False) -> Iterator[IndexEvent]:
        return self._ingest.run([self._notes], stop or threading.Event(), reembed=reembed)

    def index(self, *, reembed: bool = False) -> list[IndexEvent]:
        return list(self.events(reembed=reembed))

    def index_until(self, is_time: Callable[[IndexEvent], bool]) -> None:
        """Index, and stop at a moment."""
        stop = threading.Event()
        for event in self.events(stop):
            if is_time(event):
                stop.set()
        assert stop.is_set(), "that moment never came"

    def found_by_meaning(self, query: str) -> bool:
        search = Search(self.db, self._vectors, KeywordIndex(self.db), self._embedders.to_search_with())
        return search.search(query)[0].vector_rank is not None

    @property
    def embedder(self) -> str:
        return self._embedders.serving_id()

    @property
    def next_embedder(self) -> str:
        change = change_under_way(self.db)
        return change.to.model_id if change is not None else ""


class Library:
    """Some notes, and the embedders that are installed."""

    def __init__(self, folder: Path) -> None:
        self.old, self.new = SociableEmbedder(model_id="old"), SociableEmbedder(dimension=64, model_id="new")
        self.folder = folder
        self.notes = folder / "notes"
        self.notes.mkdir()
        for number in range(PASSAGES):
            (self.notes / f"{number}.txt").write_text(f"Note {number} is about garlic and rent.")
        self._open = ExitStack()
        self._reader = DocumentReader()

    def open(self, *installed: CountableEmbedder, named: str = "") -> Opened:
        self._open.close()
        db = self._open.enter_context(LibraryDb(self.folder / "library.sqlite"))
        return Opened(db, self._reader, embedders_of(db, *installed, named=named), self.notes)

    def close(self) -> None:
        self._open.close()
        self._reader.close()


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    made = Library(tmp_path)
    made.open(made.old).index()
    yield made
    made.close()


def notices(events: list[IndexEvent]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Notice))


def is_reembedding(event: IndexEvent) -> bool:
    return isinstance(event, IndexProgress) and event.phase == "re-embedding"


def test_the_old_vectors_serve_until_the_new_ones_are_complete(library: Library) -> None:
    opened = library.open(library.old, library.new, named="new")
    opened.index_until(is_reembedding)
    assert (opened.embedder, opened.next_embedder) == ("old", "new")
    assert opened.found_by_meaning("note 7")
    assert library.old.history[-1] == ("note 7",), "the question went to the old embedder"
    (library.notes / "late.txt").write_text("Saffron grows late.")
    events = opened.index()
    assert "new is the library's embedder now" in notices(events)
    embedded = [event for event in events if is_reembedding(event)]
    assert isinstance(embedded[-1], IndexProgress)
    assert embedded[-1].done == embedded[-1].total == PASSAGES + 1
    assert (opened.embedder, opened.next_embedder) == ("new", "")
    assert opened.found_by_meaning("saffron")
    assert library.new.history[-1] == ("saffron",)


def test_what_was_read_meanwhile_is_found_by_the_old_vectors_too(library: Library) -> None:
    (library.notes / "late.txt").write_text("Saffron grows late.")
    opened = library.open(library.old, library.new, named="new")
    library.new.enqueue(EngineFailed("the new engine broke", hint="see the log"))
    assert "the new engine broke" in notices(opened.index())
    assert opened.embedder == "old"
    assert opened.found_by_meaning("saffron")
    assert "new is the library's embedder now" in notices(opened.index()), "and the next run goes on"


def test_a_change_goes_on_without_being_asked_for_again(library: Library) -> None:
    library.open(library.old, library.new, named="new").index_until(is_reembedding)
    opened = library.open(library.old, library.new)
    assert opened.next_embedder == "new"
    assert "new is the library's embedder now" in notices(opened.index())


def test_going_back_to_the_old_one_ends_the_change(library: Library) -> None:
    library.open(library.old, library.new, named="new").index_until(is_reembedding)
    opened = library.open(library.old, library.new, named="old")
    assert "old stays the library's embedder" in notices(opened.index())
    assert opened.next_embedder == ""
    assert opened.found_by_meaning("note 7")


def test_without_the_old_weights_new_ones_are_made_and_it_is_said(library: Library) -> None:
    opened = library.open(library.new, named="new")
    with pytest.raises(WeightsMissing, match="old is not installed"):
        opened.found_by_meaning("garlic")
    said = notices(opened.index())
    assert "found by words only" in said
    assert "new is the library's embedder now" in said
    assert opened.found_by_meaning("note 7")


def test_an_embedder_that_is_only_installed_changes_nothing(library: Library) -> None:
    opened = library.open(library.new, library.old)
    assert not any(map(is_reembedding, opened.index()))
    assert opened.embedder == "old"
    opened.index(reembed=True)
    assert opened.embedder == "new", "until it is asked for"


def test_a_wanted_embedder_that_cannot_be_loaded_leaves_the_old_one_at_work(library: Library) -> None:
    (library.notes / "late.txt").write_text("Saffron grows late.")
    opened = library.open(library.old, named="gone")
    assert "the library keeps old" in notices(opened.index())
    assert opened.found_by_meaning("saffron")


def test_passages_that_the_new_one_cannot_read_whole_are_told(library: Library) -> None:
    library.new.max_tokens = 8
    said = notices(library.open(library.old, library.new, named="new").index())
    assert f"{PASSAGES:,} passages are longer than it reads" in said


def test_through_the_front_door(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("Garlic grows by the fence.")
    old, new = SociableEmbedder(model_id="old"), SociableEmbedder(dimension=64, model_id="new")

    def opened(named: str) -> Home:
        settings = Settings(embed=EmbedSettings(model=named))
        return open_home(
            HomePaths(tmp_path / "home"),
            settings,
            chat_model=ScriptedChatModel(),
            embedder=old,
            other_embedders=[new],
        )

    for named in ("old", "new"):
        home = opened(named)
        *_, done = home.index([note], threading.Event())
        assert isinstance(done, IndexDone)
        status = home.library()
        assert (status.embedder, status.next_embedder, status.chunks_embedded) == (named, "", 1)
        assert home.search("garlic").hits[0].vector_rank == 1
        home.close()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.timeout(900)
def test_the_same_library_comes_out_however_often_the_change_was_killed(tmp_path: Path) -> None:
    folder, chance = tmp_path / "files", random.Random(4)
    make_files(folder, 60, 4)
    quiet, killed, chroma = tmp_path / "quiet.sqlite", tmp_path / "killed.sqlite", tmp_path / "chroma"
    for file in (quiet, killed):
        index_to_the_end(file, folder, None)
    make_files(folder / "more", 20, 5)
    events = index_to_the_end(quiet, folder, None, embedder="new")
    assert events.count("re-embedding") > 10
    assert "embedding" in events, "what is new was embedded for the old one as well"
    lives = []
    for _ in range(KILLS):
        lives.append(
            kill_in_the_middle(killed, folder, None, chance, most_lines=2 * len(events) // KILLS, embedder="new")
        )
        with LibraryDb(killed) as db:
            identity, change = stored_identity(db), change_under_way(db)
            assert identity is not None
            dimension = identity.dimension
            assert {len(row[0]) for row in db.query("SELECT vector FROM vectors")} == {2 * dimension}, "never mixed"
            assert dimension == 64 or change is not None or "re-embedding" not in lives
    with LibraryDb(quiet) as expected, LibraryDb(killed) as db:
        index_to_the_end(killed, folder, chroma, embedder="new")
        assert dump(db) == dump(expected)
        assert db.query("SELECT count(*) FROM next_vectors") == [(0,)]
        assert_chroma_in_step(db, chroma)
