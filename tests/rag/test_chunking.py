from __future__ import annotations

from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from rag.chunking import BLOCK_SEPARATOR, Chunker, CountTokens, counting_with
from rag.records import Block, ChunkDraft, Locator, ReadDocument
from rag.stretches import STRETCH_CHARS


def countable_tokens() -> CountTokens:
    """One token for each word and each punctuation mark; cut and padded to 8, as a model's file may say."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    return counting_with(tokenizer.to_str())


CHUNKER = Chunker(countable_tokens(), 50)


def split(*blocks: Block, chunker: Chunker = CHUNKER) -> list[ChunkDraft]:
    chunks = chunker.split(ReadDocument("title", "text", blocks, "test/1"))
    whole = BLOCK_SEPARATOR.join(block.text for block in blocks)
    for chunk in chunks:
        assert whole[chunk.start_char : chunk.end_char] == chunk.text
        assert chunk.text.strip()
        assert chunk.token_count == chunker.count_tokens(chunk.text)
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    assert all(before.end_char <= after.start_char for before, after in pairwise(chunks))
    return chunks


def sentences(count: int) -> str:
    return " ".join(f"This is sentence number {number} of the text." for number in range(count))


def test_tokens_are_counted_without_the_files_own_cut_and_padding() -> None:
    assert CHUNKER.count_tokens("one two, three") == 4
    assert CHUNKER.count_tokens("word " * 100) == 100


def test_a_short_document_is_one_passage() -> None:
    (chunk,) = split(Block("  Rent is due.\n", Locator(line=3)))
    assert (chunk.text, chunk.token_count, chunk.locator) == ("Rent is due.", 4, Locator(line=3))


def test_passages_are_filled_and_end_with_sentences() -> None:
    chunks = split(Block(sentences(100)))
    assert all(chunk.token_count <= 50 for chunk in chunks)
    assert all(chunk.token_count >= 30 for chunk in chunks[:-1])
    assert all(chunk.text.endswith(".") for chunk in chunks)


def test_short_neighbours_of_a_section_share_a_passage() -> None:
    chunks = split(*(Block(f"Item {number}.", heading_path=("List",)) for number in range(10)))
    assert len(chunks) == 1
    assert chunks[0].text.startswith("Item 0.\n\nItem 1.")


@pytest.mark.parametrize(
    "places",
    [
        (Locator(page=1), Locator(page=2)),
        (Locator(slide=1), Locator(slide=2)),
        (Locator(sheet="A"), Locator(sheet="B")),
    ],
)
def test_a_passage_never_spans_two_pages_slides_or_sheets(places: tuple[Locator, Locator]) -> None:
    chunks = split(*(Block("Short.", place) for place in places))
    assert tuple(chunk.locator for chunk in chunks) == places


def test_a_passage_of_a_table_knows_the_row_that_it_begins_with() -> None:
    rows = [f"Row: {number} | Note: a few words" for number in range(57, 97)]
    later = [f"Row: {number} | Note: a few words" for number in range(200, 240)]
    chunks = split(
        Block("\n".join(rows), Locator(sheet="Q3", row=57)), Block("\n".join(later), Locator(sheet="Q3", row=200))
    )
    assert len(chunks) > 10
    for chunk in chunks:
        assert chunk.text.startswith(f"Row: {chunk.locator.row} ")
        assert chunk.locator.sheet == "Q3"


def test_a_passage_of_a_recording_ends_with_the_last_of_its_words() -> None:
    blocks = [Block(f"Words number {n} are said.", Locator(start_s=n, end_s=n + 0.5)) for n in range(30)]
    chunks = split(*blocks)
    assert len(chunks) > 1
    for chunk in chunks:
        said = [int(word) for word in chunk.text.split() if word.isdigit()]
        assert (chunk.locator.start_s, chunk.locator.end_s) == (said[0], said[-1] + 0.5)


def test_a_passage_never_spans_two_headings_and_keeps_its_own() -> None:
    chunks = split(Block("One.", heading_path=("A",)), Block("Two.", heading_path=("A", "B")))
    assert [chunk.heading_path for chunk in chunks] == [("A",), ("A", "B")]


def test_a_passage_knows_the_line_it_starts_on() -> None:
    lines = [f"line {number} with some more words in it" for number in range(10, 400)]
    second = [f"line {number} after the gap" for number in range(500, 520)]
    for chunk in split(Block("\n".join(lines), Locator(line=10)), Block("\n".join(second), Locator(line=500))):
        assert chunk.text.startswith(f"line {chunk.locator.line} ")


def test_markdown_is_cut_between_its_elements() -> None:
    code = "```\n" + "\n".join(f"call {number}" for number in range(12)) + "\n```"
    chunks = split(Block(f"{sentences(6)}\n\n{code}\n\n{sentences(6)}", syntax="markdown"))
    assert any(code in chunk.text for chunk in chunks)


def test_a_small_rest_joins_its_neighbour() -> None:
    assert all(chunk.token_count >= 12 for chunk in split(Block(sentences(7) + "\n\nThe end.")))


def test_dense_text_within_thin_text_is_cut_again() -> None:
    dense = " ".join("a" for _ in range(400))
    chunks = split(Block(f"{'internationalisation ' * 200}{dense} {'internationalisation ' * 200}"))
    assert max(chunk.token_count for chunk in chunks) <= 50


def test_words_that_count_as_one_token_are_cut_by_length() -> None:
    chunks = split(Block("x" * 100_000))
    assert max(len(chunk.text) for chunk in chunks) <= 500
    assert "".join(chunk.text for chunk in chunks) == "x" * 100_000


def test_a_block_longer_than_a_section_loses_nothing() -> None:
    text = sentences(STRETCH_CHARS // 20)
    assert " ".join(chunk.text for chunk in split(Block(text))).split() == text.split()


def test_the_same_document_gives_the_same_passages() -> None:
    blocks = [Block(sentences(40), Locator(page=page)) for page in (1, 2)]
    assert split(*blocks) == split(*blocks, chunker=Chunker(countable_tokens(), 50))


def test_white_space_gives_no_passage() -> None:
    assert split(Block(" \n\n "), Block("")) == []


Syntax = Literal["prose", "markdown", "code"]
SYNTAXES: tuple[Syntax, ...] = ("prose", "markdown", "code")
block_texts = st.text(alphabet=st.sampled_from("ab cd.\n\n!é漢 \t-#`*|1"), max_size=2000)


@settings(max_examples=150, deadline=None)
@given(
    texts=st.lists(block_texts, max_size=6),
    syntax=st.sampled_from(SYNTAXES),
    chunk_tokens=st.integers(min_value=4, max_value=60),
)
def test_nothing_is_lost_and_nothing_is_too_long(texts: list[str], syntax: Syntax, chunk_tokens: int) -> None:
    blocks = [Block(text, syntax=syntax) for text in texts]
    chunks = split(*blocks, chunker=Chunker(countable_tokens(), chunk_tokens))
    assert all(chunk.token_count <= chunk_tokens for chunk in chunks)
    assert "".join("".join(chunk.text.split()) for chunk in chunks) == "".join("".join(text.split()) for text in texts)
