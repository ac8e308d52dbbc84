"""What stands on a sheet beside its cells (Office Open XML): comments and who wrote them, text boxes, charts' titles.

A comment has the row of its cell. Of the comments that hold a discussion, programs write an older copy beside it:
where there is the discussion, that is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from rag.readers.blocks import blocks_at
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.drawing_text import shapes_of
from rag.readers.package import LocalNames, Package, Relation
from rag.records import Block, Locator

MAX_COMMENTS = 100_000
MAX_COMMENT_CHARS = 32_000
MAX_AUTHORS = 10_000

_PREFIXES = {
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main": "x",
    "http://purl.oclc.org/ooxml/spreadsheetml/main": "x",  # "strict" documents
    "http://schemas.microsoft.com/office/spreadsheetml/2018/threadedcomments": "x",
}
_CELL = re.compile(r"[A-Z]{1,3}(\d{1,7})")


def remark_blocks(package: Package, part: str, sheet: str, people: dict[str, str]) -> Iterator[Block]:
    """Of the sheet in this part; `people` as `people_of` gives them. Raises DamagedFile, TooLarge."""
    relations = list(package.relations(part).values())
    by_kind = {kind: _comments(package, relations, kind, people) for kind in ("threadedComment", "comments")}
    discussed = {cell for cell, _, _ in by_kind["threadedComment"]}
    told = [*by_kind["threadedComment"], *(each for each in by_kind["comments"] if each[0] not in discussed)]
    for cell, author, words in sorted(told, key=lambda each: _row(each[0]) or 0):
        byline = f"{cell}, {author}" if author else cell
        yield Block(f"{byline}: {words}", Locator(sheet=sheet, row=_row(cell)), (sheet, "Comments"))
    for relation in relations:
        if relation.kind == "drawing":
            texts = shapes_of(package, relation.part).texts
            for chart in package.relations(relation.part).values():
                if chart.kind == "chart":
                    texts.extend(shapes_of(package, chart.part, with_values=False).texts)
            yield from blocks_at(Locator(sheet=sheet), "\n\n".join(texts), (sheet, "Drawings"))


def people_of(package: Package, relations: Iterable[Relation]) -> dict[str, str]:
    """Who takes part in the workbook's discussions, by id."""
    people = _People()
    for relation in relations:
        if relation.kind == "person":
            package.parse(relation.part, people)
    return people.names


def _row(cell: str) -> int | None:
    found = _CELL.fullmatch(cell)
    return int(found[1]) if found is not None else None


def _comments(
    package: Package, relations: list[Relation], kind: str, people: dict[str, str]
) -> list[tuple[str, str, str]]:
    """Cell, author and words of each, on one line."""
    comments = _Comments(people)
    for relation in relations:
        if relation.kind == kind:
            package.parse(relation.part, comments)
    return comments.found


class _People:
    """Takes the elements of the part that names people."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self._names = LocalNames(_PREFIXES)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._names[tag] == "x:person" and len(self.names) < MAX_AUTHORS:
            self.names[attributes.get("id", "")] = clean_title(attributes.get("displayName", ""))

    def end(self, tag: str) -> None: ...

    def data(self, text: str) -> None: ...


class _Comments:
    """Takes the elements of a part of comments, of either kind."""

    def __init__(self, people: dict[str, str]) -> None:
        self.found: list[tuple[str, str, str]] = []
        self._people = people
        self._authors: list[str] = []
        self._attributes: dict[str, str] = {}
        self._words: list[str] = []
        self._chars = 0
        self._in_text = self._in_author = False
        self._names = LocalNames(_PREFIXES)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = self._names[tag]
        if name in ("x:comment", "x:threadedComment"):
            self._attributes = attributes
            self._words.clear()
            self._chars = 0
        elif name == "x:author" and len(self._authors) < MAX_AUTHORS:
            self._authors.append("")
            self._in_author = True
        elif name in ("x:t", "x:text"):
            self._in_text = True

    def data(self, text: str) -> None:
        if self._in_author:
            self._authors[-1] += text
        elif self._in_text and self._chars < MAX_COMMENT_CHARS:
            self._words.append(text)
            self._chars += len(text)

    def end(self, tag: str) -> None:
        name = self._names[tag]
        if name == "x:author":
            self._in_author = False
        elif name in ("x:t", "x:text"):
            self._in_text = False
        elif name in ("x:comment", "x:threadedComment"):
            author = clean_title(self._author())
            words = " ".join(clean_text("".join(self._words)).split())
            # Excel writes the author once more, above the words.
            words = words.removeprefix(f"{author}:").strip() if author else words
            if words and len(self.found) < MAX_COMMENTS:
                self.found.append((self._attributes.get("ref", ""), author, words))

    def _author(self) -> str:
        number = self._attributes.get("authorId", "")
        if number.isascii() and number.isdigit() and len(number) < 6 and int(number) < len(self._authors):
            return self._authors[int(number)]
        return self._people.get(self._attributes.get("personId", ""), "")
