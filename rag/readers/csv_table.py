"""CSV and TSV: each record with its row number, read together with its headers; any size in bounded memory.

Which character separates is found from the first lines. A quotation mark that is never closed would swallow
the rest of the file: from the record where that begins, quotes are read as plain characters, and that is said.
Rows are counted as a spreadsheet program counts them: a record with line breaks in it is one row, an empty
line is a row too.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

from rag.errors import DamagedFile
from rag.readers.blocks import or_empty
from rag.readers.contract import OpenedFile, Reading, ReadLimits, stream_through
from rag.readers.plain_text import decoded_text
from rag.readers.table_rows import Row, table_blocks
from rag.records import Block

SEPARATORS = ",;\t|"
SAMPLE_LINES = 100
SAMPLE_LINE_CHARS = 10_000
_DECIMAL_COMMA = re.compile(r"(?<=\d),\d+(?:[;\t]|\s*$)|[;\t]-?\d+,(?=\d)")
_OTHER_COMMA = re.compile(r"(?<!\d),|,(?!\d)|,\d+,")
MAX_RECORD_CHARS = 1 << 20
"""Of one record; a longer one is a quotation mark that was never closed, or no table."""


@dataclass(slots=True)
class _Lines:
    """A text's lines, one after the other; those of the record at hand are remembered."""

    source: Iterator[str]
    of_record: list[str]
    record_chars: int = 0
    ended: bool = False

    def __iter__(self) -> Iterator[str]:
        for line in self.source:
            self.of_record.append(line)
            self.record_chars += len(line)
            if self.record_chars > MAX_RECORD_CHARS:
                raise csv.Error("the record does not end")
            yield line
        self.ended = True


def read_csv(file: OpenedFile, _limits: ReadLimits) -> Reading:
    """Raises DamagedFile for bytes that are not text, EmptyFile without any value."""
    pieces, notes = decoded_text(file)
    blocks = _blocks(pieces, file, notes)
    return Reading(or_empty(blocks, f"{file.name} holds no values"), notes=notes, through=stream_through(file))


def _blocks(pieces: Iterator[str], file: OpenedFile, notes: list[str]) -> Iterator[Block]:
    lines = _lines(pieces, file.name)
    sample = list(islice(lines, SAMPLE_LINES))
    skipped = 0
    separator = _stated_separator(sample[0]) if sample else ""
    if separator:
        skipped = 1  # `sep=;`, which Excel reads as a remark and shows as no row
        sample = sample[1:]
    else:
        separator = find_separator(sample, preferred="\t" if file.extension in ("tsv", "tab") else ",")
    yield from table_blocks(_rows(chain(sample, lines), separator, skipped, notes))


def _rows(source: Iterator[str], separator: str, skipped: int, notes: list[str]) -> Iterator[Row]:
    csv.field_size_limit(MAX_RECORD_CHARS)
    lines = _Lines(source, [])
    records = csv.reader(lines, delimiter=separator)
    number = skipped
    while True:
        try:
            record = next(records, None)
        except csv.Error:
            break
        if record is None:
            return
        if lines.ended and len(lines.of_record) > 1 and _is_open(lines.of_record):
            break
        number += 1
        if cells := {column: text for column, value in enumerate(record) if (text := value.strip())}:
            yield number, cells
        lines.of_record.clear()
        lines.record_chars = 0
    notes.append(f"row {number + 1:,} begins a quotation that does not end; read on without quotations")
    rest = chain(lines.of_record, lines.source)
    for record in csv.reader(rest, delimiter=separator, quoting=csv.QUOTE_NONE):
        number += 1
        if cells := {column: text for column, value in enumerate(record) if (text := value.strip(' "'))}:
            yield number, cells


def _is_open(lines: list[str]) -> bool:
    """Whether a quotation began in these lines and did not end: marks within one are doubled."""
    return sum(line.count('"') for line in lines) % 2 == 1


def _lines(pieces: Iterable[str], name: str) -> Iterator[str]:
    """Lines with their ends."""
    held = ""
    for piece in pieces:
        *whole, held = f"{held}{piece}".split("\n")
        for line in whole:
            yield f"{line}\n"
        if len(held) > MAX_RECORD_CHARS:
            raise DamagedFile(f"{name} has a line of more than {MAX_RECORD_CHARS:,} characters: it is no table",
                              hint="if it is text, give it the extension .txt")  # fmt: skip
    if held:
        yield held


def _stated_separator(line: str) -> str:
    words = line.strip().strip('"').lower()
    return words[4:] if words.startswith("sep=") and len(words) == 5 else ""


def find_separator(lines: list[str], preferred: str = ",") -> str:
    """The character that cuts most of the lines into the same number of fields, more than one."""
    best, best_score = preferred, 0.0
    text = [line[:SAMPLE_LINE_CHARS] for line in lines if line.strip()]
    for separator in SEPARATORS:
        try:
            widths = [len(record) for record in csv.reader(text, delimiter=separator) if record]
        except csv.Error:
            continue
        wide = [width for width in widths if width > 1]
        if not wide:
            continue
        usual = max(set(wide), key=lambda width: (wide.count(width), width))
        # How many of the lines agree; the number of fields decides between two that do.
        score = wide.count(usual) / len(widths) + min(usual, 50) / 1000 + (separator == preferred) / 10_000
        if separator == "," and _has_decimal_commas(text):
            score -= 0.1
        if score > best_score:
            best, best_score = separator, score
    return best


def _has_decimal_commas(lines: list[str]) -> bool:
    """Whether there is no comma but between two digits, and `;` or tabs cut the numbers: `Ada;3,5;4,25`."""
    return any(_DECIMAL_COMMA.search(line) for line in lines) and not any(map(_OTHER_COMMA.search, lines))
