"""Long texts that came with a question."""

from __future__ import annotations

import pytest

from pipelines.excerpts import VECTORS_ASKED, rank_excerpts, split_long_question, take_whole
from pipelines.turn import Attachment
from rag.chunking import Chunker
from tests.fakes import CountableEmbedder, count_words

SPLIT = Chunker(count_words, 32).split
DIARY = Attachment("diary.txt", "\n\n".join(f"Day {n}: the sky was grey and the sea was calm." for n in range(100)))
WITH_PLUMBER = Attachment(
    "diary.txt", DIARY.text.replace("Day 70: the sky was grey", "Day 70: the plumber replaced a valve")
)


def test_whole_texts_come_in_order_and_empty_ones_not_at_all() -> None:
    excerpts = take_whole([Attachment("a", "one"), Attachment("b", " \n"), Attachment("c", "two")])
    assert excerpts.whole
    assert [(p.path, p.text, p.locator.line, p.chunk_id) for p in excerpts.passages] == [
        ("a", "one", 1, None),
        ("c", "two", 1, None),
    ]


def test_what_was_found_on_a_picture_is_cited_as_the_picture_and_by_no_line() -> None:
    picture = Attachment("a.png", DIARY.text, kind="image")
    for excerpts in (take_whole([picture]), rank_excerpts([picture], "Was the sea calm on day 70?", split=SPLIT)):
        assert {(p.kind, str(p.locator), p.source_name) for p in excerpts.passages} == {("image", "", "a.png")}


def test_the_passage_with_the_words_comes_first_with_its_line() -> None:
    excerpts = rank_excerpts([WITH_PLUMBER], "What did the plumbers do?", split=SPLIT)
    best = excerpts.passages[0]
    assert "plumber" in best.text
    lines = WITH_PLUMBER.text.splitlines()
    assert best.locator.line is not None
    assert best.text.startswith(lines[best.locator.line - 1][:20])
    assert not excerpts.whole


def test_nothing_is_lost_by_ranking() -> None:
    in_order = rank_excerpts([DIARY], "what changed?", split=SPLIT).passages
    ranked = rank_excerpts([DIARY], "Was the sea calm on day 70?", split=SPLIT).passages
    assert [p.locator.line for p in in_order] == sorted(p.locator.line or 0 for p in in_order)
    assert sorted(p.text for p in in_order) == sorted(p.text for p in ranked)


def test_vectors_are_asked_for_few_passages_only() -> None:
    embedder = CountableEmbedder()
    rank_excerpts([DIARY], "Was the sea calm?", split=SPLIT, embed=embedder.embed_passages)
    (texts,) = embedder.history
    assert texts[0] == "Was the sea calm?"
    assert len(texts) <= VECTORS_ASKED + 1


def test_vectors_find_what_no_word_does() -> None:
    embedder = CountableEmbedder()
    texts = [Attachment(f"{n}", text) for n, text in enumerate(["alpha beta", "gamma delta", "epsilon zeta"])]
    by_words = rank_excerpts(texts, "theta", split=SPLIT).passages
    by_vectors = rank_excerpts(texts, "theta", split=SPLIT, embed=embedder.embed_passages).passages
    assert {p.text for p in by_vectors} == {p.text for p in by_words}
    assert embedder.history, "no word matches: vectors were asked"


@pytest.mark.parametrize(
    ("pasted", "asked"),
    [
        ("What is this about?\n\n" + "word " * 500, "What is this about?"),
        ("word " * 500 + "\n\nWhat is this about?", "What is this about?"),
        ("Summarise the following.\n\n" + "word " * 500, "Summarise the following."),
    ],
)
def test_what_is_asked_stands_before_or_after_the_text(pasted: str, asked: str) -> None:
    question, attachment = split_long_question(pasted)
    assert question == asked
    assert attachment == Attachment("the pasted text", pasted)


def test_of_one_endless_paragraph_both_ends_are_asked() -> None:
    question, _ = split_long_question("first " + "middle " * 5000 + "last")
    assert question.startswith("first middle")
    assert question.endswith("middle last")
    assert len(question) < 700
