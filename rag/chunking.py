"""Cut a document into passages of about `chunk_tokens` of the embedder's tokens, along its structure.

Neighbouring blocks of the same section and the same page, slide or sheet are taken together, so that short
ones do not become passages of one line; a passage never spans two of these. semantic-text-splitter finds
the cuts (headings, paragraphs, lines, sentences, words).

It is asked for passages of a number of characters, estimated from how dense the text is in tokens, and each
passage's tokens are then counted once; one that has too many is cut again. Asking it to count in tokens
gives the same passages at a tenth of the speed, since it counts many candidates for every cut.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from rag.records import Block, ChunkDraft, Locator, ReadDocument
from rag.stretches import STRETCH_CHARS, cut_stretches

CountTokens = Callable[[str], int]
"""How many of the embedder's tokens a text has, without special tokens."""

BLOCK_SEPARATOR = "\n\n"
"""Between two blocks of a document's text; start_char and end_char count in the text joined with it."""

PASSAGE_S = 45.0
"""Of a recording, at most: short enough to be listened to, and some 120 words of somebody who speaks calmly."""
SAMPLE_CHARS = 2_000
FILL = 0.95
"""Aimed at this share of chunk_tokens, since tokens are not spread evenly over the text."""
EARLIEST_END = 0.8
"""A passage may end from this share of the aim on, if something ends there."""
SMALL = 0.25
"""A passage below this share of chunk_tokens joins a neighbour that has room for it."""
MAX_CHARS_PER_TOKEN = 10
"""Long words that the tokenizer does not know count as one token, however long they are."""


@dataclass(frozen=True, slots=True)
class _Section:
    """Blocks that may share passages; their texts stand side by side in the document's text."""

    blocks: tuple[Block, ...]
    starts: tuple[int, ...]
    """Where each block begins in the document's text."""

    @property
    def text(self) -> str:
        return BLOCK_SEPARATOR.join(block.text for block in self.blocks)


@dataclass(frozen=True, slots=True)
class _Passage:
    start: int
    """In the section's text."""
    text: str
    token_count: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class Chunker:
    """Cuts documents for one embedder. Thread-safe; the same document gives the same passages every time."""

    def __init__(self, count_tokens: CountTokens, chunk_tokens: int) -> None:
        self.count_tokens = count_tokens
        self._chunk_tokens = chunk_tokens

    def split(self, document: ReadDocument) -> list[ChunkDraft]:
        """The passages in reading order. Empty when the blocks hold only white space."""
        return list(self.split_blocks(document.blocks))

    def split_blocks(self, blocks: Iterable[Block]) -> Iterator[ChunkDraft]:
        """The same, as the blocks come: holds no more of them than share a section."""
        ordinals = itertools.count()
        for section in _sections(blocks):
            for passage in self._join_small(section, self._passages(section)):
                start = section.starts[0] + passage.start
                yield ChunkDraft(
                    ordinal=next(ordinals),
                    text=passage.text,
                    heading_path=section.blocks[0].heading_path,
                    locator=_locator_of(section, start, start + len(passage.text)),
                    start_char=start,
                    end_char=start + len(passage.text),
                    token_count=passage.token_count,
                )

    def _passages(self, section: _Section) -> Iterator[_Passage]:
        text = section.text
        if len(text) <= self._chunk_tokens:  # a token has at least a character: this surely fits
            if stripped := text.strip():
                yield _Passage(text.index(stripped), stripped, self.count_tokens(stripped))
            return
        token_count = self.count_tokens(text) if len(text) <= 2 * SAMPLE_CHARS else None
        chars_per_token = len(text) / max(1, self._estimate_tokens(text) if token_count is None else token_count)
        aim = int(FILL * self._chunk_tokens * min(chars_per_token, MAX_CHARS_PER_TOKEN))
        yield from self._cut(text, 0, section.blocks[0].syntax, aim, token_count)

    def _estimate_tokens(self, text: str) -> int:
        """Of a long text, from a sample of its beginning and its middle."""
        middle = len(text) // 2
        sample = text[:SAMPLE_CHARS] + text[middle : middle + SAMPLE_CHARS]
        return self.count_tokens(sample) * len(text) // len(sample)

    def _cut(
        self, text: str, offset: int, syntax: str, aim_chars: int, tokens_of_all: int | None = None
    ) -> Iterator[_Passage]:
        """`tokens_of_all` are those of `text`, where they were counted: of a mail that is one passage, only once."""
        for start, piece in _split(text, syntax, aim_chars):
            if not piece.strip():
                continue
            counted = tokens_of_all if piece == text else None
            token_count = self.count_tokens(piece) if counted is None else counted
            if token_count <= self._chunk_tokens or len(piece) <= 1:
                yield _Passage(offset + start, piece, token_count)
            else:
                # Denser than the rest. Aiming below half of it makes sure that it becomes shorter.
                aim = int(FILL * len(piece) * self._chunk_tokens / token_count)
                yield from self._cut(piece, offset + start, syntax, max(1, min(aim, len(piece) * 3 // 4)))

    def _join_small(self, section: _Section, passages: Iterator[_Passage]) -> Iterator[_Passage]:
        """Put a very small passage together with the one before or after it, where both fit."""
        text: str | None = None
        held: _Passage | None = None
        for passage in passages:
            if held is not None:
                small = min(held.token_count, passage.token_count) < SMALL * self._chunk_tokens
                fits = held.token_count + passage.token_count <= self._chunk_tokens
                if small and fits and passage.end - held.start <= MAX_CHARS_PER_TOKEN * self._chunk_tokens:
                    text = section.text if text is None else text
                    joined = text[held.start : passage.end]
                    token_count = self.count_tokens(joined)
                    if token_count <= self._chunk_tokens:
                        held = _Passage(held.start, joined, token_count)
                        continue
                yield held
            held = passage
        if held is not None:
            yield held


def counting_with(tokenizer_json: str) -> CountTokens:
    """Counts the tokens of a Hugging Face `tokenizer.json`, given as its text."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(tokenizer_json)
    # The file may cut and pad to what the model takes; here every token is to be counted, and no other.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _sections(blocks: Iterable[Block]) -> Iterator[_Section]:
    gathered: list[Block] = []
    starts: list[int] = []
    chars = position = 0
    for block in blocks:
        together = chars + len(block.text) + len(BLOCK_SEPARATOR)
        if gathered and (
            together > STRETCH_CHARS or _place(block) != _place(gathered[0]) or _apart_in_time(gathered[0], block)
        ):
            yield _Section(tuple(gathered), tuple(starts))
            gathered, starts, chars = [], [], 0
        gathered.append(block)
        starts.append(position)
        chars += len(block.text) + len(BLOCK_SEPARATOR)
        position += len(block.text) + len(BLOCK_SEPARATOR)
    if gathered:
        yield _Section(tuple(gathered), tuple(starts))


def _apart_in_time(first: Block, block: Block) -> bool:
    """Whether a passage of a recording or a film that begins with `first` would become too long with `block`."""
    begins, ends = first.locator.start_s, block.locator.end_s
    return begins is not None and ends is not None and ends - begins > PASSAGE_S


def _place(block: Block) -> tuple[object, ...]:
    """Blocks in one place may share a passage."""
    return block.heading_path, block.locator.page, block.locator.slide, block.locator.sheet, block.syntax


def _split(text: str, syntax: str, aim_chars: int) -> Iterator[tuple[int, str]]:
    """Offset and text of each piece of at most `aim_chars`, trimmed."""
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    capacity = (max(1, int(EARLIEST_END * aim_chars)), aim_chars)
    splitter = MarkdownSplitter(capacity) if syntax == "markdown" else TextSplitter(capacity)
    start = 0
    # The splitter's cost grows faster than the text it is given at once.
    for stretch in cut_stretches([text]):
        for offset, piece in splitter.chunk_indices(stretch):
            yield start + offset, piece
        start += len(stretch)


def _locator_of(section: _Section, start: int, end: int) -> Locator:
    """Where the passage from `start` to `end` (in the document's text) is: the locator of the block it begins in,
    with the line or the row counted on; of a recording up to the second at which its last block ends; of a picture the
    box around all its blocks.
    """
    block, block_start = _block_at(section, start)
    place = block.locator
    if place.end_s is not None:
        last, _ = _block_at(section, end - 1)
        return replace(place, end_s=last.locator.end_s)
    if place.box is not None:
        return replace(place, box=_around(section, start, end))
    if place.line is None and place.row is None:
        return place
    lines = block.text.count("\n", 0, start - block_start)
    if place.row is not None:
        return replace(place, row=place.row + lines)
    return replace(place, line=(place.line or 1) + lines)


def _around(section: _Section, start: int, end: int) -> tuple[float, float, float, float] | None:
    first = bisect.bisect_right(section.starts, start) - 1
    last = bisect.bisect_right(section.starts, end - 1) - 1
    boxes = [box for block in section.blocks[first : last + 1] if (box := block.locator.box) is not None]
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return (min(lefts), min(tops), max(rights), max(bottoms))


def _block_at(section: _Section, position: int) -> tuple[Block, int]:
    """The block there, or before the blank line there, and where it begins in the document's text."""
    index = bisect.bisect_right(section.starts, position) - 1
    return section.blocks[index], section.starts[index]
