from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.contents import EMBED_GROUP_CHUNKS
from rag.documents import Documents
from rag.embedding_queue import BATCH_PASSAGES, EmbeddingQueue, passage_text
from rag.errors import DamagedFile
from rag.library_db import LibraryDb
from rag.listing import count_library, list_documents, list_roots
from rag.passages import Passages
from rag.query import parse_query
from rag.roots import Roots
from tests.fakes import CountableEmbedder
from tests.rag.stored_library import assert_whole, chunk_ids, embed_all, found, record


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path / "library.sqlite") as opened:
        yield opened
        assert_whole(opened)


def states(db: LibraryDb) -> dict[str, str]:
    return {row.path: row.state for row in list_documents(db)}


def test_a_file_goes_from_found_to_words_to_embedded(db: LibraryDb) -> None:
    Documents(db).begin([found("/a.txt")])
    assert states(db) == {"/a.txt": "found"}
    record(db, "/a.txt", ["first passage", "second passage"])
    assert states(db) == {"/a.txt": "words"}
    assert EmbeddingQueue(db).waiting() == 2
    embed_all(db, CountableEmbedder())
    assert states(db) == {"/a.txt": "embedded"}
    assert EmbeddingQueue(db).waiting() == 0


def test_a_copy_shares_passages_and_vectors(db: LibraryDb) -> None:
    first = record(db, "/a.txt", ["one text"])
    embed_all(db, CountableEmbedder())
    copy = record(db, "/b.txt", ["one text"])
    assert copy.content_id == first.content_id
    assert (copy.chunks_added, copy.changed) == (0, True)
    assert states(db) == {"/a.txt": "embedded", "/b.txt": "embedded"}
    Documents(db).remove(["/a.txt"])
    assert states(db) == {"/b.txt": "embedded"}
    assert count_library(db).chunks == 1
    Documents(db).remove(["/b.txt"])
    assert count_library(db).chunks == 0


def test_the_same_bytes_under_another_suffix_are_another_content(db: LibraryDb) -> None:
    first, second = record(db, "/a.txt", ["# Title"]), record(db, "/a.md", ["# Title"])
    assert first.content_id != second.content_id


def test_a_changed_file_is_replaced_at_once(db: LibraryDb) -> None:
    record(db, "/a.txt", ["old words"])
    embed_all(db, CountableEmbedder())
    old = chunk_ids(db, "/a.txt")
    assert record(db, "/a.txt", ["new words"], mtime_ns=2).changed
    assert states(db) == {"/a.txt": "words"}
    assert not set(old) & set(chunk_ids(db, "/a.txt"))
    assert Passages(db).by_id(old) == {}


def test_a_touched_file_is_not_changed(db: LibraryDb) -> None:
    record(db, "/a.txt", ["words"])
    assert not record(db, "/a.txt", ["words"], mtime_ns=2).changed
    assert Documents(db).read_files() == {("/a.txt", 5, 2)}


def test_a_failed_file_stays_listed_with_its_reason_and_is_not_found_any_more(db: LibraryDb) -> None:
    record(db, "/a.pdf", ["words"])
    Documents(db).record_failure(found("/a.pdf", mtime_ns=2), DamagedFile("cut off", hint="get it again"), "kind")
    (row,) = list_documents(db)
    assert (row.state, row.reason, row.hint, row.chunk_count) == ("failed", "cut off", "get it again", 0)
    assert Documents(db).unread_files()["/a.pdf"].hint == "get it again"
    assert Documents(db).read_files() == set()
    assert count_library(db).chunks == 0


def test_forgetting_a_folder_takes_what_is_under_it_and_no_more(db: LibraryDb) -> None:
    for path in ("/home/a.txt", "/home/sub/b.txt", "/home2/c.txt", "/home-x.txt"):
        record(db, path, [f"text of {path}"])
    Roots(db).add(["/home", "/home/sub", "/home2"])
    assert Roots(db).forget(Path("/home")) == 2
    assert list(states(db)) == ["/home-x.txt", "/home2/c.txt"]
    assert list_roots(db) == ("/home2",)


def test_names_need_not_be_utf8(db: LibraryDb) -> None:
    path = os.fsdecode(b"/caf\xe9.txt")
    record(db, path, ["words"])
    assert Documents(db).read_files() == {found(path, size_bytes=5)}
    assert [row.path for row in list_documents(db)] == [r"/caf\xe9.txt"]
    assert Documents(db).remove([path]) == 1


def test_listing_takes_signs_of_like_literally(db: LibraryDb) -> None:
    for path in ("/a_b.txt", "/axb.txt", "/100%.txt"):
        record(db, path, [f"text of {path}"])
    assert [row.path for row in list_documents(db, containing="A_B")] == ["/a_b.txt"]
    assert [row.path for row in list_documents(db, containing="100%")] == ["/100%.txt"]
    assert len(list_documents(db, limit=2)) == 2


def test_listing_takes_the_filters_of_a_query_and_knows_unread_files_by_their_names(db: LibraryDb) -> None:
    record(db, "/scans/a.pdf", ["words"])
    record(db, "/notes/b.md", ["other words"])
    Documents(db).begin([found("/scans/c.JPG"), found("/notes/d.png"), found("/notes/e.mp3")])
    Documents(db).record_failure(found("/scans/c.JPG"), DamagedFile("cut off", hint="get it again"), "kind")

    def listed(typed: str, *, only_failed: bool = False) -> list[str]:
        asked = parse_query(typed)
        return [
            row.path
            for row in list_documents(db, containing=asked.text, filters=asked.filters, only_failed=only_failed)
        ]

    assert listed("kind:picture") == ["/notes/d.png", "/scans/c.JPG"]
    assert listed("kind:audio") == ["/notes/e.mp3"]
    assert listed("kind:text") == ["/notes/b.md", "/scans/a.pdf"]
    assert listed("kind:pdf,markdown in:/notes") == ["/notes/b.md"]
    assert listed("kind:picture in:/scans", only_failed=True) == ["/scans/c.JPG"]
    assert listed("name:*.md") == ["/notes/b.md"]
    assert listed("scans kind:pdf") == ["/scans/a.pdf"]
    kinds = {row.path: row.kind for row in list_documents(db)}
    assert [kinds[path] for path in ("/scans/c.JPG", "/notes/e.mp3", "/notes/b.md")] == ["image", "audio", "text"]


def test_a_title_that_is_the_name_follows_the_name(db: LibraryDb) -> None:
    record(db, "/old.txt", ["words"], title="old")
    record(db, "/new.txt", ["words"], title="new")
    Documents(db).remove(["/old.txt"])
    assert [row.title for row in list_documents(db)] == ["new"]


def test_passages_come_with_their_surroundings(db: LibraryDb) -> None:
    record(db, "/a.txt", [f"passage {n}" for n in range(6)], headings=("Chapter", "Section"))
    ids = chunk_ids(db, "/a.txt")
    seen = Passages(db).around(ids[2], before=2, after=1)
    assert seen is not None
    passage, chunks = seen
    assert passage.chunk.heading_path == ("Chapter", "Section")
    assert passage.chunk.locator.line == 3
    assert [chunk.chunk_id for chunk in chunks] == ids[:4]
    assert Passages(db).around(ids[-1] + 1, before=1, after=1) is None


def test_a_group_that_may_grow_waits_for_reading_to_end(db: LibraryDb) -> None:
    queue, stop = EmbeddingQueue(db), threading.Event()
    record(db, "/a.txt", ["one"])
    assert list(queue.batches(reading_goes_on=True, stop=stop)) == []
    record(db, "/b.txt", [f"passage {n}" for n in range(EMBED_GROUP_CHUNKS)])
    assert list(queue.batches(reading_goes_on=True, stop=stop)) == []
    record(db, "/c.txt", ["another"])
    waiting = [each for batch in queue.batches(reading_goes_on=True, stop=stop) for each in batch.chunk_ids]
    assert sorted(waiting) == sorted(chunk_ids(db, "/a.txt") + chunk_ids(db, "/b.txt"))


def test_batches_are_the_same_after_a_crash(db: LibraryDb) -> None:
    record(db, "/a.txt", ["w " * (n % 7 + 1) + str(n) for n in range(2 * BATCH_PASSAGES + 3)])
    queue, stop, embedder = EmbeddingQueue(db), threading.Event(), CountableEmbedder()
    planned = list(queue.batches(reading_goes_on=False, stop=stop))
    assert [len(batch.chunk_ids) for batch in planned] == [BATCH_PASSAGES, BATCH_PASSAGES, 3]
    whole, in_part = planned[:2]
    assert queue.store(whole.chunk_ids, embedder.embed_passages(whole.texts)) == BATCH_PASSAGES
    assert queue.store(in_part.chunk_ids[:5], embedder.embed_passages(in_part.texts)[:5]) == 5
    assert list(queue.batches(reading_goes_on=False, stop=stop)) == planned[1:]
    assert queue.store(in_part.chunk_ids, embedder.embed_passages(in_part.texts)) == BATCH_PASSAGES - 5


def test_a_new_file_never_joins_a_group_that_was_begun_on(db: LibraryDb) -> None:
    record(db, "/a.txt", ["one", "two"])
    embed_all(db, CountableEmbedder())
    record(db, "/b.txt", ["three"])
    (batch,) = EmbeddingQueue(db).batches(reading_goes_on=False, stop=threading.Event())
    assert list(batch.chunk_ids) == chunk_ids(db, "/b.txt")


def test_vectors_of_passages_that_have_left_are_passed_over(db: LibraryDb) -> None:
    record(db, "/a.txt", ["one"])
    record(db, "/b.txt", ["two"])
    queue, embedder = EmbeddingQueue(db), CountableEmbedder()
    (batch,) = queue.batches(reading_goes_on=False, stop=threading.Event())
    Documents(db).remove(["/a.txt"])
    assert queue.store(batch.chunk_ids, embedder.embed_passages(batch.texts)) == 1
    assert states(db) == {"/b.txt": "embedded"}


def test_a_passage_is_embedded_with_its_innermost_headings() -> None:
    assert passage_text("Guide\nSetup", "Plug it in.") == "Guide > Setup\n\nPlug it in."
    assert passage_text("", "Plug it in.") == "Plug it in."
    assert passage_text("x" * 200 + "\nSetup", "Plug it in.") == "Setup\n\nPlug it in."
    assert passage_text("Setup", "Setup\n\nPlug it in.") == "Setup\n\nPlug it in."
    assert passage_text("class Chat\ndef send", "def send(self):") == "class Chat\n\ndef send(self):"


def test_the_root_of_a_file_system_has_everything_below_it(db: LibraryDb) -> None:
    documents, roots = Documents(db), Roots(db)
    for path in ("/a.txt", "/notes/b.txt", "/notes2/c.txt"):
        record(db, path, [path])
    documents.begin([found("/d.txt")])
    assert {path for path, _, _ in documents.read_files([os.sep])} == {"/a.txt", "/notes/b.txt", "/notes2/c.txt"}
    assert {path for path, _, _ in documents.read_files(["/notes"])} == {"/notes/b.txt"}
    assert list(documents.unread_files([os.sep])) == ["/d.txt"]
    assert len(documents.some_below(os.sep, 9)) == 4
    roots.add([os.sep, "/notes"])
    assert roots.forget(Path(os.sep)) == 4
    assert roots.paths() == ()
    assert count_library(db).documents == 0
