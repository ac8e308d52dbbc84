"""A long text that came with a question: read whole when it fits, otherwise its best passages for the question.

Passages are ranked in memory by words (BM25) and, for the most promising, by vectors; the two rankings are fused by
reciprocal rank. A question as long as a document is one itself: its beginning or end is asked, the rest is read so.
Knows nothing of prompts or of the library.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.passages import Passage
from pipelines.question import subject_stems
from pipelines.turn import Attachment
from pipelines.words import WORD, carries_meaning, stem
from rag.fusion import reciprocal_rank_fusion
from rag.records import Block, ChunkDraft, Locator, ReadDocument

Split = Callable[[ReadDocument], Sequence[ChunkDraft]]
"""`rag.chunking.Chunker.split`."""
Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to unit-length vectors, shape (number of texts, dimension)."""

BM25_K1 = 1.2
BM25_B = 0.75
BLOCK_CHARACTERS = 8_000
VECTORS_ASKED = 16
"""Passages, best by words, whose vectors are worth their time: some 0.1 s each on a small machine."""

ASKED_CHARACTERS = 600
"""The part of an overlong question that is taken for what is asked."""


@dataclass(frozen=True, slots=True)
class Excerpts:
    """What there is to read of the attachments, best first."""

    passages: tuple[Passage, ...]
    whole: bool
    """They are the attachments, complete and in order; otherwise a ranking of their passages."""


def take_whole(attachments: Sequence[Attachment]) -> Excerpts:
    passages = (_passage(each, each.text, Locator(line=1)) for each in attachments if each.text.strip())
    return Excerpts(tuple(passages), whole=True)


def rank_excerpts(
    attachments: Sequence[Attachment], question: str, *, split: Split, embed: Embed | None = None
) -> Excerpts:
    """All passages of the attachments, the best for the question first.

    A question without words of meaning ("what changed?") leaves them in their order. Costs at most VECTORS_ASKED
    vectors and that of the question.
    """
    passages = [passage for attachment in attachments for passage in _passages(attachment, split)]
    stems = subject_stems(question)
    by_words = _rank_by_words(passages, stems)
    if not stems:
        return Excerpts(tuple(passages), whole=False)
    promising = by_words[:VECTORS_ASKED] or list(range(len(passages)))[:: max(1, len(passages) // VECTORS_ASKED)]
    rankings = [by_words]
    if embed is not None and promising:
        vectors = embed([question, *(passages[n].text for n in promising)])
        cosines = vectors[1:] @ vectors[0]
        rankings.append([promising[at] for at in np.argsort(-cosines, kind="stable")])
    ranked = [n for n, _ in reciprocal_rank_fusion(rankings)]
    order = dict.fromkeys((*ranked, *range(len(passages))))
    return Excerpts(tuple(passages[n] for n in order), whole=False)


def _passages(attachment: Attachment, split: Split) -> list[Passage]:
    document = ReadDocument(attachment.name, "text", tuple(_blocks(attachment.text)), "attachment")
    return [_passage(attachment, draft.text, draft.locator) for draft in split(document)]


def _passage(attachment: Attachment, text: str, place: Locator) -> Passage:
    """What stands on a picture is cited as the picture: lines of what was found on it are nobody else's."""
    locator = Locator() if attachment.kind == "image" else place
    return Passage(text, attachment.name, kind=attachment.kind, locator=locator, title=attachment.name)


def _blocks(text: str) -> Iterator[Block]:
    """Whole lines together, each block with the number of its first line. A passage's line is counted from there."""
    lines = text.splitlines(keepends=True)
    start = 0
    characters = 0
    for n, line in enumerate(lines):
        if characters and characters + len(line) > BLOCK_CHARACTERS:
            yield Block("".join(lines[start:n]), Locator(line=start + 1))
            start, characters = n, 0
        characters += len(line)
    yield Block("".join(lines[start:]), Locator(line=start + 1))


def _rank_by_words(passages: Sequence[Passage], stems: Sequence[str]) -> list[int]:
    """The places of the passages that contain any of the words, best first, by BM25."""
    counts = [Counter(stem(word) for word in WORD.findall(p.text) if carries_meaning(word)) for p in passages]
    lengths = [sum(count.values()) for count in counts]
    mean_length = sum(lengths) / max(1, len(lengths)) or 1.0
    scores = [0.0] * len(passages)
    for each in stems:
        holding = sum(1 for count in counts if each in count)
        rarity = math.log(1 + (len(passages) - holding + 0.5) / (holding + 0.5))
        for n, count in enumerate(counts):
            if occurrences := count[each]:
                saturation = BM25_K1 * (1 - BM25_B + BM25_B * lengths[n] / mean_length)
                scores[n] += rarity * occurrences * (BM25_K1 + 1) / (occurrences + saturation)
    return sorted((n for n, score in enumerate(scores) if score > 0), key=lambda n: (-scores[n], n))


def split_long_question(question: str) -> tuple[str, Attachment]:
    """What an overlong question asks, and the whole of it as a text to read.

    People paste a text and ask before or after it: of the first and the last paragraph the one with a question mark
    is taken, or else the shorter one; too long a paragraph is cut to the sentence at its outer end.
    """
    paragraphs = [p.strip() for p in re.split(r"\n\s*\n", question) if p.strip()]
    first, last = paragraphs[0], paragraphs[-1]
    if len(paragraphs) == 1:
        asked = f"{_head(first)} … {_tail(last)}"
    elif first.endswith("?") != last.endswith("?"):
        asked = _head(first) if first.endswith("?") else _tail(last)
    else:
        asked = _head(first) if len(first) <= len(last) else _tail(last)
    return asked, Attachment("the pasted text", question)


def _head(paragraph: str) -> str:
    if len(paragraph) <= ASKED_CHARACTERS:
        return paragraph
    cut = paragraph[: ASKED_CHARACTERS // 2]
    return cut.rpartition(" ")[0] or cut


def _tail(paragraph: str) -> str:
    if len(paragraph) <= ASKED_CHARACTERS:
        return paragraph
    cut = paragraph[-ASKED_CHARACTERS // 2 :]
    return cut.partition(" ")[2] or cut
