"""Lines of text that were found in a picture, as blocks: rows and paragraphs with the boxes around them.

Pure. The engine gives lines from top to bottom; a form, a table or a receipt has several on one row, which belong
together for whoever reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.ocr import Box, TextLine
from rag.pdf_places import around
from rag.readers.clean_text import clean_text
from rag.records import Block, Locator

SAME_ROW_OVERLAP = 0.5
"""Two lines whose heights overlap by this share stand on one row."""
PARAGRAPH_GAP = 0.9
"""More than this many heights of a line between two rows begin a new paragraph."""


@dataclass(frozen=True, slots=True)
class _Row:
    text: str
    box: Box

    @property
    def height(self) -> float:
        return self.box[3] - self.box[1]


def text_blocks(lines: Sequence[TextLine], *, page: int | None = None, units_per_px: float = 1.0) -> list[Block]:
    """A block a paragraph, its rows on lines of their own, with the box around it in the document's units."""
    blocks: list[Block] = []
    paragraph: list[_Row] = []
    for row in _rows(lines):
        if paragraph and _is_apart(paragraph[-1], row):
            blocks.append(_block(paragraph, page, units_per_px))
            paragraph = []
        paragraph.append(row)
    if paragraph:
        blocks.append(_block(paragraph, page, units_per_px))
    return blocks


def _rows(lines: Sequence[TextLine]) -> list[_Row]:
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda each: each.box[1] + each.box[3]):
        if rows and _on_one_row(rows[-1][0].box, line.box):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [_row(sorted(row, key=lambda each: each.box[0])) for row in rows]


def _row(lines: Sequence[TextLine]) -> _Row:
    return _Row(clean_text(" ".join(line.text for line in lines)), around([line.box for line in lines]))


def _on_one_row(one: Box, other: Box) -> bool:
    shared = min(one[3], other[3]) - max(one[1], other[1])
    return shared >= SAME_ROW_OVERLAP * max(one[3] - one[1], other[3] - other[1])


def _is_apart(above: _Row, below: _Row) -> bool:
    return below.box[1] - above.box[3] > PARAGRAPH_GAP * max(above.height, below.height)


def _block(rows: Sequence[_Row], page: int | None, units_per_px: float) -> Block:
    x0, y0, x1, y1 = (round(each * units_per_px, 1) for each in around([row.box for row in rows]))
    return Block("\n".join(row.text for row in rows), Locator(page=page, box=(x0, y0, x1, y1)))
