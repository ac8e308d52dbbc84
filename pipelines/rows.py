"""Rows of a table as claims are compared with them: fields with a header and a value each.

    City: Berlin | Date: 2025-03-14 | Paid: no

is how tables and sheets are read (`rag.readers.table_rows`). A row speaks of one thing: what its neighbour says under
the same header is said of another. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.words import fold, word_set

SEPARATOR = re.compile(r"\s+\|\s+")
_FIELD = re.compile(r"\s*(?P<header>[^|:]{1,80}?):\s+(?P<value>.*\S)\s*", re.DOTALL)
_YES = word_set("yes true on x done ja")
_NO = word_set("no false off none nein")
MIN_FIELDS = 2


@dataclass(frozen=True, slots=True)
class Field:
    header: str
    value: str

    @property
    def truth(self) -> bool | None:
        """For a field that says yes or no; None for others."""
        said = fold(self.value.strip(" .\"'"))
        return True if said in _YES else False if said in _NO else None


def is_row(line: str) -> bool:
    """Whether a line consists of headers and values."""
    return "|" in line and bool(fields_of(line))


def fields_of(text: str) -> tuple[Field, ...]:
    """The fields of a row; empty for any other text. Cells without a header are left out."""
    if "|" not in text or "\n" in text.strip():
        return ()
    found = tuple(_fields(text))
    return found if len(found) >= MIN_FIELDS else ()


def _fields(text: str) -> Iterator[Field]:
    for cell in SEPARATOR.split(text):
        if match := _FIELD.fullmatch(cell):
            yield Field(match["header"], match["value"])
