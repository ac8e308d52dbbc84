"""The front door as a whole: real library, readers and search, with a scripted model and a countable embedder."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.errors import EngineFailed, WeightsMissing
from pipelines.errors import QueryNotUnderstood
from pipelines.events import AnswerDone, AnswerEvent, FileFailed, IndexDone, IndexReport, Notice, Retrieved, TextDelta
from pipelines.factory import open_home
from pipelines.home import Home
from pipelines.paths import HomePaths
from pipelines.settings import Settings
from pipelines.turn import Answer, Turn
from rag.errors import EmbedderMismatch, LibraryError, LibraryLocked
from rag.writer_lock import WriterLock
from tests.fakes import CountableEmbedder, ScriptedChatModel
from tests.rag.first_library import make_first_library

LEASE = "# Lease\n\nThe monthly rent is 940 euros.\n\nThe deposit is 1,880 euros and bears interest.\n"
GARDEN = "We planted 42 cloves of garlic by the fence on 19 October.\n"

HomeOpener = Callable[..., Home]


@pytest.fixture
def chat() -> ScriptedChatModel:
    return ScriptedChatModel()


@pytest.fixture
def opener(tmp_path: Path, chat: ScriptedChatModel) -> Iterator[HomeOpener]:
    opened: list[Home] = []

    def open_one(*, write: bool = True, embedder: CountableEmbedder | None = None) -> Home:
        home = open_home(
            HomePaths(tmp_path / "home"),
            Settings(),
            write=write,
            chat_model=chat,
            embedder=embedder or CountableEmbedder(),
        )
        opened.append(home)
        return home

    yield open_one
    for home in opened:
        home.close()


@pytest.fixture
def home(opener: HomeOpener) -> Home:
    return opener()


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "lease.md").write_text(LEASE)
    (folder / "garden.txt").write_text(GARDEN)
    return folder


def index(home: Home, *roots: Path, reembed: bool = False) -> IndexReport:
    *_, last = home.index(roots, threading.Event(), reembed=reembed)
    assert isinstance(last, IndexDone)
    return last.report


def ask(home: Home, turn: Turn) -> tuple[Answer, list[AnswerEvent]]:
    events = list(home.answer(turn, threading.Event()))
    last = events[-1]
    assert isinstance(last, AnswerDone)
    return last.answer, events


def test_a_question_about_a_file_is_answered_with_the_place_that_says_it(
    home: Home, documents: Path, chat: ScriptedChatModel
) -> None:
    assert index(home, documents).indexed == 2
    chat.enqueue("The monthly rent is 940 euros.")
    answer, events = ask(home, Turn("How much is the monthly rent?"))
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == answer.text
    assert answer.grounded
    (citation,) = answer.citations
    assert citation.path == os.fspath(documents / "lease.md")
    assert citation.chunk_id is not None
    view = home.passage(citation.chunk_id)
    assert view is not None
    assert "940 euros" in view.cited.text
    assert "940 euros" in chat.last_prompt


def test_a_second_question_repeats_the_first_turn_word_by_word(
    home: Home, documents: Path, chat: ScriptedChatModel
) -> None:
    index(home, documents)
    chat.enqueue("The monthly rent is 940 euros.")
    first, _ = ask(home, Turn("How much is the monthly rent?"))
    seen = chat.history[-1]
    chat.enqueue("The deposit is 1,880 euros.")
    second, _ = ask(home, Turn("And the deposit?", first.conversation_id))
    assert chat.history[-1][: len(seen)] == seen
    assert second.timings.cached_tokens > 0
    assert second.conversation_id == first.conversation_id
    (conversation,) = home.conversations.list()
    assert [turn.question for turn in home.conversations.turns(conversation.conversation_id)] == [
        "How much is the monthly rent?",
        "And the deposit?",
    ]


def test_an_empty_library_says_so_and_asks_no_model(home: Home, chat: ScriptedChatModel) -> None:
    answer, events = ask(home, Turn("How much is the monthly rent?"))
    assert answer.found_nothing
    assert chat.history == []
    assert any(isinstance(event, Notice) and "homebody index" in event.hint for event in events)


def test_the_library_follows_its_files(home: Home, documents: Path) -> None:
    index(home, documents)
    (documents / "lease.md").write_text(LEASE.replace("940", "990"))
    (documents / "garden.txt").unlink()
    shutil.copy(documents / "lease.md", documents / "copy.md")
    report = index(home, documents)
    assert (report.indexed, report.removed, report.unchanged) == (2, 1, 0)
    assert index(home, documents).unchanged == 2
    texts = [hit.chunk.text for hit in home.search("rent garlic euros").hits]
    assert any("990" in text for text in texts)
    assert not any("940" in text or "garlic" in text for text in texts)
    assert home.forget(documents) == 2
    assert home.search("rent").hits == ()
    assert home.library().chunks == 0


def test_a_search_takes_filters_and_kinds(home: Home, documents: Path) -> None:
    index(home, documents)
    os.utime(documents / "garden.txt", (1_600_000_000, 1_600_000_000))
    index(home, documents)
    assert {hit.path for hit in home.search("rent garlic kind:markdown").hits} == {os.fspath(documents / "lease.md")}
    assert {hit.path for hit in home.search("rent garlic", kinds=["plain"]).hits} == {
        os.fspath(documents / "garden.txt")
    }
    assert {hit.path for hit in home.search("rent garlic before:2021").hits} == {os.fspath(documents / "garden.txt")}
    (newest, *_) = home.search(f"in:{documents}").hits
    assert newest.path == os.fspath(documents / "lease.md")
    assert newest.chunk in newest.joined
    assert [notice.text for notice in home.search("rent kind:pdf").notices] == ["no file passes the filters"]
    with pytest.raises(QueryNotUnderstood):
        home.search("rent after:soon")


def test_one_bad_file_is_named_and_the_rest_goes_on(home: Home, documents: Path) -> None:
    (documents / "broken.pdf").write_bytes(b"%PDF-1.7\n" + b"\x00\x01garbage" * 30)
    (documents / "empty.txt").touch()
    events = list(home.index([documents], threading.Event()))
    failures = {Path(event.path).name: event for event in events if isinstance(event, FileFailed)}
    assert set(failures) == {"broken.pdf", "empty.txt"}
    assert all(each.reason and each.hint for each in failures.values())
    assert home.library().failed == 2
    assert {row.state for row in home.documents(containing="broken")} == {"failed"}
    assert home.search("garlic").hits


def test_a_second_home_reads_and_says_who_writes(
    home: Home, opener: HomeOpener, documents: Path, chat: ScriptedChatModel
) -> None:
    index(home, documents)
    second = opener()
    assert f"process {os.getpid()}" in second.read_only_because
    assert second.search("garlic").hits
    with pytest.raises(LibraryLocked) as refused:
        index(second, documents)
    assert refused.value.hint
    chat.enqueue("The monthly rent is 940 euros.")
    answer, events = ask(second, Turn("How much is the monthly rent?"))
    assert answer.grounded
    assert answer.conversation_id is None
    assert any(isinstance(event, Notice) and "not saved" in event.text for event in events)
    home.close()
    assert opener().read_only_because == ""


def test_a_library_of_an_older_homebody_is_brought_up_to_date_also_for_reading(
    opener: HomeOpener, tmp_path: Path
) -> None:
    paths = HomePaths(tmp_path / "home")
    paths.create()
    make_first_library(paths.library_file)
    older = WriterLock(paths.lock_file)
    assert older.acquire()
    with pytest.raises(LibraryLocked, match="older homebody") as refused:
        opener(write=False)
    assert refused.value.hint
    older.release()
    reading = opener(write=False)
    assert reading.read_only_because
    assert [hit.path for hit in reading.search("rent kind:markdown").hits] == ["/notes/copy.md"]
    assert opener().read_only_because == "", "the right to write was given back"


def test_another_embedder_is_refused_until_the_library_is_embedded_anew(
    home: Home, opener: HomeOpener, documents: Path
) -> None:
    index(home, documents)
    home.close()
    other = opener(embedder=CountableEmbedder(dimension=64, model_id="other"))
    found = other.search("garlic")
    assert [hit.vector_rank for hit in found.hits] == [None], "words answer meanwhile"
    assert "countable is not installed" in found.notices[0].text
    (documents / "garden.txt").write_text(GARDEN + "More of it next year.\n")
    with pytest.raises(EmbedderMismatch) as refused:
        index(other, documents)
    assert "--reembed" in refused.value.hint
    index(other, documents, reembed=True)
    assert other.search("garlic").hits[0].vector_rank == 1
    assert other.library().embedder == "other"


def test_a_failing_embedder_leaves_the_words(opener: HomeOpener, documents: Path) -> None:
    embedder = CountableEmbedder()
    home = opener(embedder=embedder)
    embedder.enqueue(EngineFailed("the session broke", hint="see the log"))
    index(home, documents)
    hits = home.search("garlic").hits
    assert next(Path(hit.path).name for hit in hits) == "garden.txt"
    index(home, documents)  # the next run finishes what was left
    status = home.library()
    assert status.chunks_embedded == status.chunks


def test_no_weights_are_said_with_the_command_that_gets_them(tmp_path: Path, documents: Path) -> None:
    home = open_home(HomePaths(tmp_path / "home"), Settings())
    try:
        events = list(home.index([documents], threading.Event()))
        assert any(isinstance(event, Notice) and "models pull" in event.hint for event in events)
        assert home.search("garlic").hits
        status = home.engines()
        assert status.chat_model == ""
        assert {"models pull" in notice.hint for notice in status.missing} == {True}
        assert all("models pull" in notice.hint for notice in home.warm_up(threading.Event()))
        with pytest.raises(WeightsMissing, match="no chat model is installed"):
            list(home.answer(Turn("How many cloves of garlic did we plant?"), threading.Event()))
        (conversation,) = home.conversations.list()
        (turn,) = home.conversations.turns(conversation.conversation_id)
        assert turn.finish == "failed"
    finally:
        home.close()


def test_answers_and_searches_go_on_while_the_library_is_indexed(
    home: Home, documents: Path, chat: ScriptedChatModel
) -> None:
    index(home, documents)
    for number in range(30):
        (documents / f"note {number}.txt").write_text(f"Note {number} speaks of subject {number * 7}.\n")
    answered: list[Answer] = []
    for event in home.index([documents], threading.Event()):
        if not answered and not isinstance(event, IndexDone):
            with pytest.raises(LibraryLocked, match="under way"):
                next(home.index([documents], threading.Event()))
            chat.enqueue("The monthly rent is 940 euros.")
            answered.append(ask(home, Turn("How much is the monthly rent?"))[0])
    assert answered[0].grounded
    assert home.library().documents == 32


def test_stopping_an_index_run_loses_nothing(home: Home, documents: Path) -> None:
    for number in range(20):
        (documents / f"note {number}.txt").write_text(f"Note {number} speaks of subject {number * 7}.\n")
    stop = threading.Event()
    for event in home.index([documents], stop):
        if not isinstance(event, IndexDone):
            stop.set()
        else:
            assert event.report.stopped
    index(home, documents)
    status = home.library()
    assert (status.documents, status.chunks) == (22, status.chunks_embedded)


def test_the_theme_is_remembered(home: Home) -> None:
    home.set_theme("homebody-light")
    assert home.settings.look.theme == "homebody-light"
    assert 'theme = "homebody-light"' in home.paths.settings_file.read_text()


def test_a_hit_knows_its_ranks(home: Home, documents: Path) -> None:
    index(home, documents)
    hit = home.search("cloves of garlic").hits[0]
    assert (hit.rank, hit.words_rank, hit.vector_rank) == (1, 1, 1)
    assert hit.cosine is not None
    retrieved = [event for event in ask_nothing(home) if isinstance(event, Retrieved)]
    assert retrieved[0].hits == ()


def ask_nothing(home: Home) -> list[AnswerEvent]:
    return ask(home, Turn("Which submarine won the chess tournament?"))[1]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_the_data_folder_is_the_owners_alone(home: Home) -> None:
    assert home.paths.root.stat().st_mode & 0o777 == 0o700


def test_a_data_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    with pytest.raises(LibraryError) as refused:
        open_home(HomePaths(in_the_way / "home"), Settings())
    assert str(in_the_way) in str(refused.value)
    assert refused.value.hint
