from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rag.errors import EmbedderMismatch
from rag.keyword_index import KeywordIndex
from rag.library_db import LibraryDb
from rag.ports import TextEmbedder
from rag.records import Hit
from rag.reranking import Reranking
from rag.search import Search
from rag.vectors import Vectors
from tests.fakes import CountableEmbedder
from tests.rag.stored_library import embed_all, record


@pytest.fixture
def db(tmp_path: Path) -> Iterator[LibraryDb]:
    with LibraryDb(tmp_path / "library.sqlite") as opened:
        yield opened


def search_of(db: LibraryDb, embedder: TextEmbedder | None) -> Search:
    return Search(db, Vectors(db, None, exact_up_to=1000), KeywordIndex(db), embedder)


def test_words_and_vectors_are_joined_and_say_where_they_stood(db: LibraryDb) -> None:
    embedder = CountableEmbedder()
    record(db, "/boats.txt", ["a ferry to the island", "harbour dues"], headings=("Boats",), title="All boats")
    record(db, "/cars.txt", ["a car on the road"])
    embed_all(db, embedder)
    best, *rest = search_of(db, embedder).search("ferry island", k=3)
    assert (best.rank, best.path, best.title, best.kind) == (1, "/boats.txt", "All boats", "text")
    assert (best.words_rank, best.vector_rank) == (1, 1)
    assert best.chunk.heading_path == ("Boats",)
    assert best.chunk.locator.line == 1
    assert best.cosine is not None
    assert best.cosine > 0.5
    assert best.score > rest[0].score
    assert rest[0].words_rank is None
    assert [hit.rank for hit in (best, *rest)] == [1, 2, 3]


@pytest.mark.parametrize("embedder", [None, CountableEmbedder()])
def test_words_alone_answer_while_there_are_no_vectors(db: LibraryDb, embedder: CountableEmbedder | None) -> None:
    record(db, "/boats.txt", ["a ferry to the island"])
    (hit,) = search_of(db, embedder).search("ferry")
    assert (hit.words_rank, hit.vector_rank, hit.cosine) == (1, None, None)
    assert embedder is None or embedder.history == []


def test_another_embedder_is_refused(db: LibraryDb) -> None:
    record(db, "/boats.txt", ["a ferry"])
    embed_all(db, CountableEmbedder())
    with pytest.raises(EmbedderMismatch):
        search_of(db, CountableEmbedder(dimension=32)).search("ferry")


@pytest.mark.parametrize("question", ["", "   ", "?"])
def test_nothing_asked_finds_nothing(db: LibraryDb, question: str) -> None:
    record(db, "/boats.txt", ["a ferry"])
    assert search_of(db, None).search(question) == []


def test_a_copied_file_is_shown_once(db: LibraryDb) -> None:
    record(db, "/b/boats.txt", ["a ferry to the island"])
    record(db, "/a/boats.txt", ["a ferry to the island"])
    assert [hit.path for hit in search_of(db, None).search("ferry")] == ["/a/boats.txt"]


def test_what_says_the_same_is_shown_once_but_numbers_and_names_tell_apart(db: LibraryDb) -> None:
    bill = "The bill for the electricity of the flat in the old town by the river is {} euros, paid by {} in cash."
    record(db, "/1.txt", [bill.format(50, "Ada")])
    record(db, "/2.txt", [bill.format(50, "Ada").replace("cash.", "cash !")])
    record(db, "/3.txt", [bill.format(61, "Ada")])
    record(db, "/4.txt", [bill.format(50, "Eve")])
    assert {hit.path for hit in search_of(db, None).search("bill electricity")} == {"/1.txt", "/3.txt", "/4.txt"}


def test_one_file_does_not_fill_the_list(db: LibraryDb) -> None:
    record(db, "/big.txt", [f"ferry ferry number {n}" for n in range(20)])
    for n in range(4):
        record(db, f"/small{n}.txt", [f"a long text of many other words in which once a ferry came by, the {n}th"])
    search = search_of(db, None)
    paths = [hit.path for hit in search.search("ferry", k=6)]
    assert paths.count("/big.txt") == 3
    assert len(set(paths)) == 4
    assert [hit.path for hit in search.search("ferry", k=6, per_document=1)].count("/big.txt") == 2, "too few others"
    scores = [hit.score for hit in search.search("ferry", k=10)]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 10


def test_a_file_that_is_named_is_found(db: LibraryDb) -> None:
    record(db, "/home/lease 2023.txt", ["Pets are allowed.", "The deposit is three months."])
    for n in range(5):
        record(db, f"/home/{n}.txt", [f"What the year 2023 brought, part {n}: deposit, deposit"])
    paths = [hit.path for hit in search_of(db, None).search("what deposit does the lease 2023 ask for?", k=3)]
    assert paths[0] == "/home/lease 2023.txt"


def test_kinds_filter(db: LibraryDb) -> None:
    embedder = CountableEmbedder()
    record(db, "/cat.txt", ["a cat"])
    record(db, "/cat.jpg", ["a cat on a mat"], kind="image")
    embed_all(db, embedder)
    search = search_of(db, embedder)
    assert [hit.kind for hit in search.search("cat kind:image")] == ["image"]
    assert len(search.search("cat kind:image,text")) == 2


def test_a_question_of_any_length_is_answered(db: LibraryDb) -> None:
    embedder = CountableEmbedder()
    record(db, "/boats.txt", ["a ferry to the island"])
    embed_all(db, embedder)
    assert search_of(db, embedder).search("ferry " * 100_000)[0].path == "/boats.txt"
    assert len(embedder.history[-1][0]) < 3000


# Filters, phrases, excluded words


def paths_of(found: list[Hit]) -> list[str]:
    return [hit.path for hit in found]


@pytest.mark.parametrize("embedder", [None, CountableEmbedder()])
def test_filters_hold_for_words_vectors_and_names_alike(db: LibraryDb, embedder: CountableEmbedder | None) -> None:
    record(db, "/a/boats.txt", ["a ferry to the island", "boats in the harbour"])
    record(db, "/b/boats.md", ["the ferry and the island", "more boats"])
    if embedder is not None:
        embed_all(db, embedder)
    search = search_of(db, embedder)
    assert {*paths_of(search.search("ferry boats in:/b"))} == {"/b/boats.md"}
    assert {*paths_of(search.search("ferry boats kind:plain"))} == {"/a/boats.txt"}
    assert search.search("ferry kind:pdf") == []
    assert search.find("ferry kind:pdf").notes == ("no file passes the filters",)
    assert embedder is None or "kind" not in embedder.history[-1][0]


def test_a_copy_is_shown_under_the_path_that_passes(db: LibraryDb) -> None:
    for folder in "abc":
        record(db, f"/{folder}/boats.txt", ["a ferry to the island"])
    (hit,) = search_of(db, None).search("ferry in:/b")
    assert hit.path == "/b/boats.txt"
    (hit,) = search_of(db, None).search("ferry")
    assert (hit.path, hit.others) == ("/a/boats.txt", 2)


def test_a_query_of_filters_alone_lists_the_newest_documents(db: LibraryDb) -> None:
    for day in range(1, 6):
        record(db, f"/{day}.txt", [f"first of {day}", f"second of {day}"], mtime_ns=day * 86_400 * 10**9)
    record(db, "/9.md", ["elsewhere"], mtime_ns=10**18)
    search = search_of(db, None)
    assert paths_of(search.search("kind:plain", k=3)) == ["/5.txt", "/4.txt", "/3.txt"]
    assert [hit.chunk.text for hit in search.search("name:5", k=3)] == ["first of 5", "second of 5"]
    assert search.search("-second", k=3) == []
    record(db, "/6.txt", ["a draft", "final, and another draft"], mtime_ns=10**18)
    record(db, "/7.txt", ["a draft", "final"], mtime_ns=10**18)
    assert paths_of(search.search("kind:plain -draft", k=3)) == ["/7.txt", "/5.txt", "/4.txt"]
    assert search.search("kind:plain -draft", k=1)[0].chunk.text == "final"


def test_files_named_alike_elsewhere_do_not_hide_the_one_that_passes(db: LibraryDb) -> None:
    for number in range(30):
        record(db, f"/away/{number}/lease.txt", [f"rent {number}"])
    record(db, "/here/flat/lease.txt", ["nothing of the kind"])
    search = search_of(db, None)
    assert paths_of(search.search("lease in:/here")) == ["/here/flat/lease.txt"]


def test_phrases_must_be_there_if_they_are_anywhere_and_excluded_words_must_not(db: LibraryDb) -> None:
    embedder = CountableEmbedder()
    record(db, "/1.txt", ["the ferry leaves at noon"])
    record(db, "/2.txt", ["at noon the ferry leaves"])
    record(db, "/3.txt", ["the old ferry leaves"])
    embed_all(db, embedder)
    search = search_of(db, embedder)
    assert paths_of(search.search('ferry "leaves at noon"')) == ["/1.txt"]
    assert {*paths_of(search.search("ferry -noon"))} == {"/3.txt"}
    assert {*paths_of(search.search('ferry -"leaves at noon"'))} == {"/2.txt", "/3.txt"}
    found = search.find('ferry "leaves at midnight"')
    assert len(found.hits) == 3
    assert found.notes == ("no passage has “leaves at midnight” word for word",)


def test_a_misspelt_word_is_said(db: LibraryDb) -> None:
    record(db, "/1.txt", ["the accommodation is booked"])
    found = search_of(db, None).find("accomodation")
    assert paths_of(found.hits) == ["/1.txt"]
    assert "accomodation" in found.notes[0]


# What decides, what is the same, what stands together


def test_a_rare_code_comes_before_whatever_is_near(db: LibraryDb) -> None:
    embedder = CountableEmbedder(dimension=8)  # so few that most words look alike
    for n in range(60):
        record(db, f"/{n}.txt", [f"the pump reports error ERR_FLOW_{4000 + n} again and again in the night"])
    embed_all(db, embedder)
    search = search_of(db, embedder)
    for n in (0, 31, 59):
        first, *rest = search.search(f"why does the pump report ERR_FLOW_{4000 + n} in the night?", k=5)
        assert first.path == f"/{n}.txt"
        assert first.score > 1 > rest[-1].score


def test_of_versions_that_say_the_same_the_newest_is_shown(db: LibraryDb) -> None:
    text = "On Sundays the ferry leaves at noon and comes back in the evening, unless there is a storm from the west."
    quoted = "\n".join(f"> {line}" for line in (text[:50], text[50:]))
    record(db, "/old.txt", [text + " "], mtime_ns=10**18)
    record(db, "/new.txt", [text + "\n"], mtime_ns=2 * 10**18)
    record(db, "/mail.txt", [f"On Monday Ada Smith wrote:\n{quoted}"], mtime_ns=10**17)
    record(db, "/other.txt", [text.replace("Sundays", "Mondays")], mtime_ns=10**17)
    hits = search_of(db, None).search("ferry noon storm")
    assert {(hit.path, hit.others) for hit in hits} == {("/new.txt", 2), ("/other.txt", 0)}


def test_a_mail_comes_before_the_replies_that_quote_it(db: LibraryDb) -> None:
    said = "The ferry leaves at noon on Sundays and comes back in the evening, unless there is a storm from the west."
    head = "From: Ada Smith\nTo: Bob Jones\nDate: 3 March 2025\nSubject: The ferry"
    subject = ("The ferry", "Ada Smith, 2025-03-03")
    record(db, "/1.eml", [f"{head}\n{said}"], headings=subject, mtime_ns=10**18)
    for n in (2, 3, 4):
        record(
            db, f"/{n}.eml", [said], headings=("The ferry", "Quoted: On Monday Ada Smith wrote"), mtime_ns=n * 10**18
        )
    record(db, "/5.eml", ["The ferry leaves at noon and there is no storm"], headings=("The ferry", "Bob Jones"))
    for question in ("ferry noon storm", "when does the ferry leave on Sundays"):
        hits = search_of(db, None).search(question, k=3)
        shown = [(hit.path, hit.others) for hit in hits if hit.path != "/5.eml"]
        assert shown == [("/1.eml", 3)]


def test_the_order_of_words_tells_passages_apart(db: LibraryDb) -> None:
    record(db, "/1.txt", ["the blue key opens the old door"])
    record(db, "/2.txt", ["the old key opens the blue door"])
    assert len(search_of(db, None).search("key door")) == 2


def test_neighbours_that_were_found_take_one_place_and_are_read_together(db: LibraryDb) -> None:
    texts = ["intro", "the ferry leaves", "the ferry returns", "the end", "far away", "a ferry"]
    record(db, "/a.txt", texts, headings=("Timetable",))
    record(db, "/b.txt", ["a ferry elsewhere"])
    search = search_of(db, None)
    apart = search.search("ferry", per_document=9)
    assert len(apart) == 4
    assert all(hit.joined == () and hit.readable_text == hit.chunk.text for hit in apart)
    joined = search.search("ferry", per_document=9, join=True)
    assert len(joined) == 3
    (both,) = [hit for hit in joined if hit.chunk.ordinal in (1, 2)]
    assert both.chunk in both.joined
    assert both.readable_text == "the ferry leaves\n\nthe ferry returns\n\nthe end"
    (alone,) = [hit for hit in joined if hit.path == "/b.txt"]
    assert alone.joined == (alone.chunk,)


def test_a_joined_passage_keeps_to_its_headings_and_its_length(db: LibraryDb) -> None:
    record(db, "/a.txt", ["x" * 2300, "the ferry leaves", "y" * 200])
    (hit,) = search_of(db, None).search("ferry", join=True)
    assert hit.readable_text == "the ferry leaves\n\n" + "y" * 200


# The reranker's voice


class ScriptedReranker:
    """Scores by how often a word occurs; remembers what it was given."""

    model_id = "scripted"

    def __init__(self, word: str, *, clock: list[float] | None = None) -> None:
        self.word = word
        self.history: list[list[str]] = []
        self._clock = clock

    def scores(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        assert query
        self.history.append(list(passages))
        if self._clock is not None:
            self._clock[0] += 1.0
        return np.array([passage.count(self.word) for passage in passages], np.float32)


def reranked(db: LibraryDb, embedder: TextEmbedder | None, reranking: Reranking) -> Search:
    return Search(db, Vectors(db, None, exact_up_to=1000), KeywordIndex(db), embedder, reranking=reranking)


QUESTION = "which of the ferries that go to the island every morning would leave the harbour first?"


def fill_with_ferries(db: LibraryDb) -> None:
    for n in range(30):
        record(db, f"/{n}.txt", [f"ferry island morning harbour first leave every {'go ' * (n % 3)} number {n}"])


def test_a_reranker_has_a_voice_in_the_order_of_the_first(db: LibraryDb) -> None:
    fill_with_ferries(db)
    before = search_of(db, None).search(QUESTION, k=10)
    wanted = before[7]
    reranker = ScriptedReranker(wanted.chunk.text)
    after = reranked(db, None, Reranking(reranker, passages=20)).search(QUESTION, k=10)
    assert paths_of(after).index(wanted.path) < 7
    assert sum(map(len, reranker.history)) == 20
    scores = [hit.score for hit in after]
    assert scores == sorted(scores, reverse=True)


def test_a_reranker_stops_when_its_time_is_over(db: LibraryDb) -> None:
    fill_with_ferries(db)
    clock = [0.0]
    reranker = ScriptedReranker("go", clock=clock)
    reranking = Reranking(reranker, passages=24, within_s=1.5, clock=lambda: clock[0])
    hits = reranked(db, None, reranking).search(QUESTION, k=10)
    assert len(reranker.history) == 2
    assert len(hits) == 10


def test_a_reranker_is_not_asked_where_the_search_is_sure(db: LibraryDb) -> None:
    embedder = CountableEmbedder()
    record(db, "/1.txt", ["the ferry to the island leaves the harbour early in the morning"])
    record(db, "/2.txt", ["cars on the road"])
    record(db, "/3.txt", ["ERR_FLOW_4711 was seen"])
    embed_all(db, embedder)
    reranker = ScriptedReranker("cars")
    search = reranked(db, embedder, Reranking(reranker))
    sure = search.search("does the ferry to the island leave the harbour early in the morning or on the road?")
    assert sure[0].path == "/1.txt"
    assert search.search("what is ERR_FLOW_4711 on the road?")[0].path == "/3.txt"
    assert reranker.history == []


def test_a_bad_reranker_cannot_throw_out_what_words_and_vectors_agree_on() -> None:
    against = Reranking(ScriptedReranker("bad"), passages=20)
    texts = ["good"] + ["bad " * n for n in range(1, 20)]
    votes = against.votes("anything", texts)
    fused = [2 / (60 + rank) for rank in range(1, 21)]
    order = sorted(range(20), key=lambda at: -(fused[at] + votes[at]))
    assert order.index(0) < 20 // 2
