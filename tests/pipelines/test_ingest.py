from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import EngineFailed, WeightsMissing
from pipelines.events import FileFailed, IndexDone, IndexEvent, IndexProgress, IndexReport, Notice
from pipelines.foreground import Foreground
from pipelines.ingest import Ingest
from pipelines.library_embedders import OnlyEmbedder
from rag.chroma_place import ChromaFolder
from rag.chroma_store import ChromaStore
from rag.chunking import Chunker
from rag.errors import EmbedderMismatch, StorageFull
from rag.library_db import LibraryDb
from rag.listing import count_library, list_documents, list_roots
from rag.passages import Passages
from rag.readers.contract import ReadLimits
from rag.reading import Decide, DocumentReader, Part, ReadStopped
from rag.walk import FileRow, WalkProblem, walk
from tests.fakes import CountableEmbedder
from tests.pipelines.canonical_library import assert_chroma_in_step, dump, never
from tests.rag.made_archives import zip_of


class CountingReader:
    """The real reader; remembers what it was asked for."""

    def __init__(self, reader: DocumentReader) -> None:
        self._reader = reader
        self.history: list[str] = []

    def stream(self, path: str, decide: Decide, stop: threading.Event) -> Generator[Part]:
        self.history.append(Path(path).name)
        return self._reader.stream(path, decide, stop)


def any_name(_name: str) -> bool:
    return True


class ScriptedWalk:
    """The real walk, with problems put in its way."""

    def __init__(self) -> None:
        self.problems: list[WalkProblem] = []

    def __call__(self, roots: Sequence[str]) -> Iterator[list[FileRow] | WalkProblem]:
        broken = tuple(problem.path for problem in self.problems)
        yield from self.problems
        for found in walk(roots, accepts=any_name):
            if isinstance(found, WalkProblem):
                yield found
            else:
                yield [row for row in found if not (broken and row[0].startswith(broken))]


@pytest.fixture(scope="module")
def real_reader() -> Iterator[DocumentReader]:
    with DocumentReader() as reader:
        yield reader


@pytest.fixture
def reader(real_reader: DocumentReader) -> CountingReader:
    return CountingReader(real_reader)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path / "library.sqlite") as opened:
        yield opened
        dump(opened)  # checks that it is whole


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    (made / "sub").mkdir(parents=True)
    (made / "a.txt").write_text("The ferry leaves at nine.")
    (made / "b.md").write_text("# Dues\n\nThe harbour asks for five euros.\n")
    (made / "sub" / "c.txt").write_text("The island has one road.")
    return made


class Indexer:
    """What a test changes about an Ingest, and its last run."""

    def __init__(self, db: LibraryDb, reader: CountingReader) -> None:
        self.db = db
        self.reader = reader
        self.walk = ScriptedWalk()
        self.embedder = CountableEmbedder()
        self.chroma: ChromaStore | None = None
        self.foreground = Foreground()
        self.reading_identity = "limits 1"
        self.readers: frozenset[str] = frozenset()
        self.events: list[IndexEvent] = []

    def load_embedder(self) -> CountableEmbedder:
        return self.embedder

    def ingest(self) -> Ingest:
        return Ingest(
            db=self.db,
            walk=self.walk,
            reader=self.reader,
            split=Chunker(self.embedder.count_tokens, 60).split_blocks,
            embedders=OnlyEmbedder(self.load_embedder),
            chroma=self.chroma,
            foreground=self.foreground,
            reading_identity=self.reading_identity,
            readers=self.readers,
        )

    def run(self, *roots: Path, stop: threading.Event | None = None, reembed: bool = False) -> IndexReport:
        self.reader.history.clear()
        self.events = list(self.ingest().run(roots, stop or never(), reembed=reembed))
        done = self.events[-1]
        assert isinstance(done, IndexDone)
        return done.report

    def notices(self) -> list[Notice]:
        return [event for event in self.events if isinstance(event, Notice)]

    def failures(self) -> list[FileFailed]:
        return [event for event in self.events if isinstance(event, FileFailed)]


@pytest.fixture
def indexer(db: LibraryDb, reader: CountingReader) -> Indexer:
    return Indexer(db, reader)


def states(db: LibraryDb) -> dict[str, str]:
    return {Path(row.path).name: row.state for row in list_documents(db)}


def counts(report: IndexReport) -> tuple[int, int, int, int]:
    return report.indexed, report.unchanged, report.removed, len(report.failed)


def test_a_folder_is_read_embedded_and_told_of(indexer: Indexer, folder: Path) -> None:
    report = indexer.run(folder)
    assert counts(report) == (3, 0, 0, 0)
    assert report.chunks == 3
    assert states(indexer.db) == {"a.txt": "embedded", "b.md": "embedded", "c.txt": "embedded"}
    assert list_roots(indexer.db) == (str(folder),)
    progress = [event for event in indexer.events if isinstance(event, IndexProgress)]
    assert progress[0].phase == "walking"
    assert [(each.done, each.total) for each in progress if each.phase == "reading"] == [(1, 3), (2, 3), (3, 3)]
    assert [(each.done, each.total) for each in progress if each.phase == "embedding"][-1] == (3, 3)


def test_an_unchanged_folder_costs_no_read_and_no_engine(indexer: Indexer, folder: Path) -> None:
    indexer.run(folder)
    indexer.embedder.history.clear()
    assert counts(indexer.run(folder)) == (0, 3, 0, 0)
    assert indexer.reader.history == []
    assert indexer.embedder.history == []


def test_an_unchanged_folder_costs_as_many_statements_however_many_files_it_has(indexer: Indexer, folder: Path) -> None:
    statements: list[str] = []

    def statements_of_a_run() -> int:
        indexer.run(folder)
        statements.clear()
        indexer.db.connection.set_trace_callback(statements.append)
        indexer.run(folder)
        indexer.db.connection.set_trace_callback(None)
        return len(statements)

    with_few = statements_of_a_run()
    for number in range(20):
        (folder / f"{number}.txt").write_text(f"number {number}")
    assert statements_of_a_run() == with_few


def test_changed_touched_new_and_deleted_files(indexer: Indexer, folder: Path) -> None:
    indexer.run(folder)
    (folder / "a.txt").write_text("The ferry leaves at ten, or so they say.")
    os.utime(folder / "b.md", ns=(1, 1))
    (folder / "sub" / "c.txt").unlink()
    (folder / "d.txt").write_text("Something new.")
    assert counts(indexer.run(folder)) == (2, 1, 1, 0)
    assert indexer.reader.history == ["a.txt", "d.txt"], "a touched file is hashed, not read"
    assert states(indexer.db) == {"a.txt": "embedded", "b.md": "embedded", "d.txt": "embedded"}
    assert "ten" in str(dump(indexer.db)["chunks"])
    assert "nine" not in str(dump(indexer.db)["chunks"])


def test_a_moved_or_copied_file_is_neither_read_nor_embedded_again(indexer: Indexer, folder: Path) -> None:
    indexer.run(folder)
    before = dump(indexer.db)["chunks"]
    (folder / "a.txt").rename(folder / "sub" / "moved.txt")
    (folder / "copy.md").write_bytes((folder / "b.md").read_bytes())
    indexer.embedder.history.clear()
    report = indexer.run(folder)
    assert counts(report) == (2, 2, 1, 0)
    assert report.chunks == 0
    assert (indexer.reader.history, indexer.embedder.history) == ([], [])
    assert dump(indexer.db)["chunks"] == before


def test_copies_within_one_run_share_their_passages(indexer: Indexer, folder: Path) -> None:
    (folder / "z.txt").write_bytes((folder / "a.txt").read_bytes())
    assert indexer.run(folder).chunks == 3
    assert count_library(indexer.db).documents == 4


def test_a_root_that_has_vanished_is_reported_and_kept(indexer: Indexer, folder: Path) -> None:
    indexer.run(folder)
    folder.rename(folder.with_name("away"))
    report = indexer.run(folder)
    assert counts(report) == (0, 0, 0, 1)
    assert report.failed[0].path == str(folder)
    assert report.failed[0].hint
    assert len(states(indexer.db)) == 3


def test_what_could_not_be_listed_is_not_taken_for_deleted(indexer: Indexer, folder: Path) -> None:
    indexer.run(folder)
    (folder / "a.txt").unlink()
    indexer.walk.problems = [WalkProblem(str(folder / "sub"), "no rights", incomplete=True)]
    assert counts(indexer.run(folder)) == (0, 1, 1, 1)
    assert set(states(indexer.db)) == {"b.md", "c.txt"}


def test_another_folder_is_left_alone(indexer: Indexer, folder: Path) -> None:
    indexer.run(folder)
    (folder / "a.txt").unlink()
    assert counts(indexer.run(folder / "sub")) == (0, 1, 0, 0)
    assert len(states(indexer.db)) == 3


def test_a_file_may_be_named_itself(indexer: Indexer, folder: Path) -> None:
    assert counts(indexer.run(folder / "a.txt", folder / "a.txt")) == (1, 0, 0, 0)
    assert counts(indexer.run(folder)) == (2, 1, 0, 0)


def test_a_failed_file_is_listed_and_tried_again_only_when_something_changed(indexer: Indexer, folder: Path) -> None:
    (folder / "empty.txt").touch()
    (folder / "broken.docx").write_bytes(b"PK\x03\x04 this is no document")
    report = indexer.run(folder)
    assert counts(report) == (3, 0, 0, 2)
    assert {Path(each.path).name for each in indexer.failures()} == {"empty.txt", "broken.docx"}
    assert all(each.reason and each.hint for each in report.failed)
    again = indexer.run(folder)
    assert counts(again) == (0, 3, 0, 2)
    assert set(again.failed) == set(report.failed)
    assert (indexer.reader.history, indexer.failures()) == ([], [])
    indexer.reading_identity = "limits 2"
    indexer.run(folder)
    assert sorted(indexer.reader.history) == ["broken.docx", "empty.txt"]
    (folder / "empty.txt").write_text("no longer")
    assert counts(indexer.run(folder)) == (1, 3, 0, 1)


def test_a_newer_reader_reads_its_own_files_again(indexer: Indexer, folder: Path) -> None:
    indexer.run(folder)
    before = dump(indexer.db)["chunks"]
    versions = {row[0] for row in indexer.db.query("SELECT DISTINCT reader FROM contents")}
    (markdown,) = (version for version in versions if version.startswith("markdown"))
    indexer.readers = frozenset(versions)
    indexer.run(folder)
    assert indexer.reader.history == []
    (folder / "copy.md").write_bytes((folder / "b.md").read_bytes())
    indexer.run(folder)
    with indexer.db.transaction() as connection:
        connection.execute("UPDATE contents SET reader = 'markdown/0' WHERE reader = ?", (markdown,))
        connection.execute("UPDATE chunks SET text = 'What an old reader made.' WHERE text LIKE '%five euros%'")
        connection.execute("INSERT INTO chunk_words (chunk_words) VALUES ('rebuild')")
    report = indexer.run(folder)
    assert indexer.reader.history == ["b.md"], "its copy has the same bytes"
    assert counts(report) == (1, 3, 0, 0)
    assert dump(indexer.db)["chunks"] == before
    indexer.run(folder)
    assert indexer.reader.history == []


def test_a_newer_reader_reads_again_what_is_inside(indexer: Indexer, folder: Path) -> None:
    inner = zip_of({"d.md": "# Deep\n\nWords in a heading.", "e.txt": "Words in no heading."})
    (folder / "a.zip").write_bytes(zip_of({"inner.zip": inner, "f.txt": "More words."}))
    indexer.run(folder)
    before = dump(indexer.db)["chunks"]
    indexer.readers = frozenset(row[0] for row in indexer.db.query("SELECT DISTINCT reader FROM contents"))
    with indexer.db.transaction() as connection:
        connection.execute("UPDATE contents SET reader = 'markdown/0' WHERE reader LIKE 'markdown%'")
    report = indexer.run(folder)
    assert sorted(indexer.reader.history) == ["a.zip", "b.md"]
    assert (report.removed, report.failed) == (0, ())
    assert dump(indexer.db)["chunks"] == before


def test_a_file_that_changes_while_it_is_read_is_read_again(indexer: Indexer, folder: Path) -> None:
    class Meddler(CountingReader):
        """Changes the file once, right after its first part came."""

        def stream(self, path: str, decide: Decide, stop: threading.Event) -> Generator[Part]:
            meddle = Path(path).name == "a.txt" and "a.txt" not in self.history
            for part in super().stream(path, decide, stop):
                yield part
                if meddle:
                    meddle = False
                    Path(path).write_text("The ferry leaves at twelve." * 20_000)

    (folder / "a.txt").write_text("The ferry leaves at eleven. " * 30_000)
    with DocumentReader() as real:
        indexer.reader = Meddler(real)
        report = indexer.run(folder)
    assert report.failed == ()
    text = str(dump(indexer.db)["chunks"])
    assert "twelve" in text
    assert "eleven" not in text


def test_a_long_text_that_cannot_be_read_to_its_end_leaves_nothing(indexer: Indexer, folder: Path) -> None:
    (folder / "long.txt").write_text("".join(f"Line {number} of it.\n" for number in range(60_000)))
    with DocumentReader(ReadLimits(max_text_chars=900_000)) as real:
        indexer.reader = CountingReader(real)
        report = indexer.run(folder)
    assert counts(report) == (3, 0, 0, 1)
    assert "characters" in report.failed[0].reason
    assert count_library(indexer.db).chunks == 3
    assert indexer.db.query("SELECT count(*) FROM contents") == [(3,)]


def test_a_long_text_that_was_broken_off_leaves_with_the_next_run(indexer: Indexer, folder: Path) -> None:
    class Stopping(CountingReader):
        """The stop comes in the middle of the long file."""

        def stream(self, path: str, decide: Decide, stop: threading.Event) -> Generator[Part]:
            parts = super().stream(path, decide, stop)
            for number, part in enumerate(parts):
                if number == 5 and Path(path).name == "long.txt":
                    raise ReadStopped("now")
                yield part

    (folder / "long.txt").write_text("".join(f"Line {number} of it.\n" for number in range(60_000)))
    stop = threading.Event()
    with DocumentReader() as real:
        indexer.reader = Stopping(real)
        for event in indexer.ingest().run([folder], stop):
            if isinstance(event, IndexProgress) and event.path.endswith("long.txt"):
                stop.set()
    ((left,),) = indexer.db.query("SELECT count(*) FROM contents WHERE complete = 0")
    assert left == 1
    assert "long.txt" not in {Path(hit.path).name for hit in Passages(indexer.db).by_id(range(1, 2000)).values()}
    indexer.run()
    assert indexer.db.query("SELECT count(*) FROM contents WHERE complete <> 1") == [(0,)]


def test_a_file_that_may_not_be_read_now_is_tried_the_next_time(indexer: Indexer, folder: Path) -> None:
    indexer.run(folder)
    (folder / "a.txt").unlink()
    (folder / "a.txt").mkdir()
    here = (folder / "b.md").stat()
    found = (str(folder / "a.txt"), here.st_size, here.st_mtime_ns)

    class WithFolderAsFile(ScriptedWalk):
        def __call__(self, roots: Sequence[str]) -> Iterator[list[FileRow] | WalkProblem]:
            yield [found]
            yield from super().__call__(roots)

    indexer.walk = WithFolderAsFile()
    for _ in range(2):
        assert counts(indexer.run(folder)) == (0, 2, 0, 1)
        assert len(indexer.failures()) == 1
    assert states(indexer.db)["a.txt"] == "failed"
    assert "nine" not in str(dump(indexer.db)["chunks"]), "what is gone from the disk is not found"


def test_without_weights_words_are_indexed_and_the_next_run_embeds(indexer: Indexer, folder: Path) -> None:
    missing = WeightsMissing("all-minilm is not installed", hint="run `homebody models pull`")

    def no_embedder() -> CountableEmbedder:
        raise missing

    load_embedder, indexer.load_embedder = indexer.load_embedder, no_embedder  # type: ignore[method-assign]  # a test
    assert counts(indexer.run(folder)) == (3, 0, 0, 0)
    assert indexer.notices()[0].hint == missing.hint
    assert set(states(indexer.db).values()) == {"words"}
    indexer.load_embedder = load_embedder  # type: ignore[method-assign]  # as above
    assert counts(indexer.run(folder)) == (0, 3, 0, 0)
    assert set(states(indexer.db).values()) == {"embedded"}


def test_an_engine_that_fails_leaves_words_and_the_next_run_goes_on(indexer: Indexer, folder: Path) -> None:
    indexer.embedder.enqueue(EngineFailed("out of memory", hint="close something"))
    assert counts(indexer.run(folder)) == (3, 0, 0, 0)
    assert ("out of memory" in indexer.notices()[0].text, indexer.notices()[0].hint) == (True, "close something")
    assert set(states(indexer.db).values()) == {"words"}
    indexer.run()
    assert set(states(indexer.db).values()) == {"embedded"}


def test_another_embedder_is_refused_until_it_is_adopted(indexer: Indexer, folder: Path) -> None:
    indexer.run(folder)
    indexer.embedder = CountableEmbedder(dimension=32)
    assert counts(indexer.run(folder)) == (0, 3, 0, 0), "nothing to embed, nothing to refuse"
    (folder / "new.txt").write_text("Something new.")
    with pytest.raises(EmbedderMismatch):
        indexer.run(folder)
    assert counts(indexer.run(folder, reembed=True)) == (1, 3, 0, 0)
    assert count_library(indexer.db).chunks_embedded == 4
    assert indexer.db.query("SELECT DISTINCT length(vector) FROM vectors") == [(64,)]


def test_a_stopped_run_is_finished_by_the_next(indexer: Indexer, folder: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    events = []
    for event in indexer.ingest().run([folder], stop):
        events.append(event)
        if isinstance(event, IndexProgress) and event.phase == "reading":
            stop.set()
    assert isinstance(events[-1], IndexDone)
    assert events[-1].report.stopped
    indexer.run(folder)
    with LibraryDb(tmp_path / "other.sqlite") as fresh:
        Indexer(fresh, indexer.reader).run(folder)
        assert dump(fresh) == dump(indexer.db)


def test_closing_the_generator_ends_the_reading_thread(indexer: Indexer, folder: Path) -> None:
    run = indexer.ingest().run([folder], never())
    for event in run:
        if isinstance(event, IndexProgress) and event.phase == "reading":
            break
    run.close()  # type: ignore[attr-defined]  # the iterator is a generator
    assert "reading" not in {thread.name for thread in threading.enumerate()}
    indexer.run(folder)
    assert set(states(indexer.db).values()) == {"embedded"}


def test_a_full_disk_ends_the_run_and_leaves_a_whole_library(indexer: Indexer, folder: Path, tmp_path: Path) -> None:
    indexer.run(folder)
    before = dump(indexer.db)
    db = indexer.db
    for number in range(30):
        (folder / f"{number:02}.txt").write_text("".join(f"Line {line} of {number}.\n" for line in range(200)))
    limited = db.query("PRAGMA page_count")[0][0] + 10

    class OnASmallDisk(CountingReader):
        """Limits the connection of the thread that stores what was read."""

        def stream(self, path: str, decide: Decide, stop: threading.Event) -> Generator[Part]:
            db.query(f"PRAGMA max_page_count = {limited}")
            return super().stream(path, decide, stop)

    reader, indexer.reader = indexer.reader, OnASmallDisk(DocumentReader())
    with pytest.raises(StorageFull) as full:
        indexer.run(folder)
    assert full.value.hint
    after = dump(db)
    assert all(after["chunks"][key] == chunk for key, chunk in before["chunks"].items())
    indexer.reader = reader
    report = indexer.run(folder)
    assert report.failed == ()
    with LibraryDb(tmp_path / "other.sqlite") as fresh:
        Indexer(fresh, reader).run(folder)
        assert dump(fresh)["documents"] == dump(db)["documents"]
        assert dump(fresh)["chunks"].keys() == dump(db)["chunks"].keys()


def test_chromadb_is_told_at_the_end_and_what_was_left_is_made_up(
    indexer: Indexer, folder: Path, tmp_path: Path
) -> None:
    indexer.run(folder)  # without chromadb: its work stays pending
    indexer.chroma = ChromaStore(indexer.db, ChromaFolder(tmp_path / "chroma"))
    indexer.run(folder)
    assert [event.phase for event in indexer.events if isinstance(event, IndexProgress)][-1] == "storing"
    assert_chroma_in_step(indexer.db, tmp_path / "chroma")
    indexer.run(folder)
    assert all(event.phase != "storing" for event in indexer.events if isinstance(event, IndexProgress))


def test_a_chromadb_that_fails_is_a_notice(indexer: Indexer, folder: Path, tmp_path: Path) -> None:
    indexer.chroma = ChromaStore(indexer.db, ChromaFolder(tmp_path / "chroma"), child_command=("false",))
    assert counts(indexer.run(folder)) == (3, 0, 0, 0)
    (notice,) = indexer.notices()
    assert "chromadb could not be brought in step" in notice.text
    assert notice.hint


def test_indexing_waits_while_somebody_is_answered(indexer: Indexer, folder: Path) -> None:
    finished = threading.Event()
    runs: list[IndexReport] = []

    def run() -> None:
        runs.append(indexer.run(folder))
        finished.set()

    with indexer.foreground.busy():
        thread = threading.Thread(target=run)
        thread.start()
        assert not finished.wait(0.3)
        assert (indexer.reader.history, indexer.embedder.history) == ([], [])
    thread.join(60)
    assert counts(runs[0]) == (3, 0, 0, 0)


def test_the_gate_lets_a_stop_through() -> None:
    foreground, stop = Foreground(), threading.Event()
    assert foreground.wait_until_free(stop)
    with foreground.busy(), foreground.busy():
        assert foreground.is_busy
        stop.set()
        assert not foreground.wait_until_free(stop)
    assert not foreground.is_busy


def test_a_report_says_what_the_command_line_prints(indexer: Indexer, folder: Path) -> None:
    (folder / "empty.txt").touch()
    report = replace(indexer.run(folder), seconds=1.23456)
    assert report.to_json() == {
        "indexed": 3,
        "unchanged": 0,
        "removed": 0,
        "failed": [{"path": str(folder / "empty.txt"), "reason": report.failed[0].reason}],
        "unsupported": 0,
        "chunks": 3,
        "seconds": 1.235,
    }


def test_a_folder_that_was_moved_is_not_even_hashed(indexer: Indexer, folder: Path) -> None:
    indexer.run(folder)
    before = dump(indexer.db)["chunks"]
    (folder / "sub").rename(folder / "moved")
    indexer.embedder.history.clear()
    assert counts(indexer.run(folder)) == (1, 2, 0, 0)
    assert (indexer.reader.history, indexer.embedder.history) == ([], [])
    assert dump(indexer.db)["chunks"] == before


def test_files_with_the_same_name_size_and_time_are_told_apart_by_their_hash(indexer: Indexer, folder: Path) -> None:
    """Such as an archive gives its files: whole seconds, and here two candidates for one move."""
    for name, text in (("v1", "version 1.0"), ("v2", "version 1.1")):
        (folder / name).mkdir()
        (folder / name / "version.txt").write_text(text)
        os.utime(folder / name / "version.txt", ns=(0, 1_000_000_000))
    indexer.run(folder)
    (folder / "v1" / "version.txt").unlink()
    (folder / "v2" / "version.txt").rename(folder / "version.txt")
    indexer.run(folder)
    assert [row.path for row in list_documents(indexer.db, containing="version")] == [str(folder / "version.txt")]
    assert "version 1.1" in str(dump(indexer.db)["chunks"])
    assert "version 1.0" not in str(dump(indexer.db)["chunks"])


def test_an_empty_mount_point_is_not_taken_for_an_emptied_folder(indexer: Indexer, folder: Path) -> None:
    indexer.run(folder)
    with indexer.db.transaction() as connection:  # as if another file system had been mounted here then
        connection.execute("UPDATE roots SET device = device + 1")
    folder.rename(folder.with_name("unplugged"))
    folder.mkdir()
    report = indexer.run(folder)
    assert counts(report) == (0, 0, 0, 1)
    assert "not connected" in report.failed[0].reason
    assert len(states(indexer.db)) == 3
    folder.rmdir()
    folder.with_name("unplugged").rename(folder)
    assert counts(indexer.run(folder)) == (0, 3, 0, 0)


def test_a_file_that_goes_before_it_is_read_was_never_there(indexer: Indexer, folder: Path) -> None:
    class Vanishing(CountingReader):
        def stream(self, path: str, decide: Decide, stop: threading.Event) -> Generator[Part]:
            Path(path).unlink()
            return super().stream(path, decide, stop)

    indexer.reader = Vanishing(indexer.reader._reader)
    assert counts(indexer.run(folder / "a.txt")) == (0, 0, 0, 0)
    assert states(indexer.db) == {}


def test_files_whose_drive_goes_while_they_are_read_stay_until_it_is_back(indexer: Indexer, folder: Path) -> None:
    indexer.run(folder)
    for file in sorted(folder.rglob("*.txt")):
        file.write_text(file.read_text() + " It is longer now.")
    away = folder.with_name("unplugged")

    class Unplugging(CountingReader):
        def stream(self, path: str, decide: Decide, stop: threading.Event) -> Generator[Part]:
            if not away.exists():
                folder.rename(away)
            return super().stream(path, decide, stop)

    real = indexer.reader
    indexer.reader = Unplugging(real._reader)
    assert counts(indexer.run(folder)) == (0, 1, 0, 0)
    assert set(states(indexer.db)) == {"a.txt", "b.md", "c.txt"}
    assert "nine" in str(dump(indexer.db)["chunks"]), "what was read before is still found"
    away.rename(folder)
    indexer.reader = real
    assert counts(indexer.run(folder)) == (2, 1, 0, 0)


def test_what_programs_write_while_they_save_is_passed_over(indexer: Indexer, folder: Path) -> None:
    for name in ("~$b.docx", "~WRL0001.docx", "#b.md#", "b.md~", "b.pdf.part", "b.pdf.crdownload", "b.md.tmp"):
        (folder / name).write_text("not meant to stay")
    (folder / "~b.md").write_text("A name of the user's own.")
    assert counts(indexer.run(folder)) == (4, 0, 0, 0)
    assert counts(indexer.run(folder)) == (0, 4, 0, 0)
    assert set(states(indexer.db)) == {"a.txt", "b.md", "c.txt", "~b.md"}
