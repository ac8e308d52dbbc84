"""Which part of the library is looked at: by kind, date, folder, author and name of the files.

Filters are a plain value; `contents_within` asks SQLite which contents pass. A content passes when one of the
files that hold it does. Knows nothing of how a query is written (`query.py`) or of passages.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from rag.library_db import LibraryDb
from rag.path_text import range_below
from rag.readers.sniff import FORMAT_BY_EXTENSION
from rag.records import KINDS, Kind
from rag.spellings import without_marks

_FAMILIES = {
    "pdf": "pdf",
    "word": "docx docm dotx dotm doc odt ott rtf pages",
    "slides": "pptx pptm ppsx potx ppt odp key",
    "sheet": "xlsx xlsm xltx xlsb xls ods csv tsv numbers",
    "mail": "eml msg mbox mbx emlx",
    "markdown": "md markdown mdown mkd mdx qmd rmd",
    "html": "html htm xhtml mhtml mht",
    "book": "epub mobi azw3 fb2",
    "calendar": "ics ical ifb",
    "contact": "vcf vcard",
    "archive": "zip tar tgz gz bz2 xz 7z",
    "notebook": "ipynb",
    "subtitle": "srt vtt sub ass ssa",
    "latex": "tex latex bib",
    "data": "json jsonl ndjson yaml yml toml xml",
    "code": " ".join(extension for extension, form in FORMAT_BY_EXTENSION.items() if form == "code"),
    "plain": "txt text log rst adoc asciidoc org",
    "video": "mp4 mkv mov avi webm m4v",
    "picture": "",
    "photo": "",
    "sound": "",
    "recording": "",
}
_KIND_OF_WORD: dict[str, Kind] = {"picture": "image", "photo": "image", "sound": "audio", "recording": "audio"}
FAMILIES: dict[str, frozenset[str]] = {
    name: frozenset(f".{extension}" for extension in extensions.split())
    for name, extensions in _FAMILIES.items()
    if extensions
}
"""What `kind:` takes besides text, image and audio: suffixes, lower case with their dot."""

_ALIASES = {
    "doc": "word",
    "docx": "word",
    "document": "word",
    "spreadsheet": "sheet",
    "excel": "sheet",
    "table": "sheet",
    "presentation": "slides",
    "powerpoint": "slides",
    "contacts": "contact",
    "email": "mail",
    "e-mail": "mail",
    "md": "markdown",
    "note": "markdown",
    "web": "html",
    "ebook": "book",
    "epub": "book",
    "jupyter": "notebook",
    "source": "code",
    "images": "image",
    "texts": "text",
}
KIND_NAMES: tuple[str, ...] = (*KINDS, *FAMILIES)
"""For completions and messages: what `kind:` takes. It takes a suffix (`rs`, `.xlsx`) too."""
_SUFFIXES = frozenset(FORMAT_BY_EXTENSION) | {suffix[1:] for each in FAMILIES.values() for suffix in each}

NS_PER_S = 1_000_000_000


class UnknownKind(ValueError):
    """`kind:` names something that no file is."""


@dataclass(frozen=True, slots=True)
class Filters:
    """All of them must hold; within one, any of its values."""

    kinds: frozenset[Kind] = frozenset()
    suffixes: frozenset[str] = frozenset()
    """Lower case with the dot. A file of one of the kinds or with one of the suffixes passes."""
    also: tuple[tuple[frozenset[Kind], frozenset[str]], ...] = ()
    """Further pairs of these two; a file must pass each."""
    after_s: float | None = None
    """Unix time; a document of this very moment passes. A document's own date counts, else its file's."""
    before_s: float | None = None
    """Unix time; a document of this very moment does not pass."""
    folders: tuple[str, ...] = ()
    """Absolute paths: a folder with all below it, or a file."""
    path_parts: tuple[str, ...] = ()
    """Parts of the path of the folder that a file is in."""
    authors: tuple[str, ...] = ()
    """Parts of an author's name."""
    names: tuple[str, ...] = ()
    """Parts of a file's name, or the whole of it with `*` and `?`."""

    def __bool__(self) -> bool:
        return self != NO_FILTERS

    def and_kinds(self, named: Iterable[str]) -> Filters:
        """Narrowed to these kinds, families or suffixes. Raises UnknownKind."""
        kinds, suffixes = kinds_named(named)
        if not kinds and not suffixes:
            return self
        if not self.kinds and not self.suffixes:
            return replace(self, kinds=kinds, suffixes=suffixes)
        if not self.suffixes and not suffixes and self.kinds & kinds:
            return replace(self, kinds=self.kinds & kinds)
        return replace(self, also=(*self.also, (kinds, suffixes)))


NO_FILTERS = Filters()


def kinds_named(named: Iterable[str]) -> tuple[frozenset[Kind], frozenset[str]]:
    """Kinds and suffixes for words such as `text`, `pdf`, `slides`, `.rs`. Raises UnknownKind."""
    kinds: set[Kind] = set()
    suffixes: set[str] = set()
    for word in named:
        name = word.strip().casefold()
        name = _ALIASES.get(name, name)
        if name in KINDS:
            kinds.add(name)
        elif name in _KIND_OF_WORD:
            kinds.add(_KIND_OF_WORD[name])
        elif name in FAMILIES:
            suffixes |= FAMILIES[name]
        elif name.removesuffix("s") in FAMILIES:
            suffixes |= FAMILIES[name.removesuffix("s")]
        elif name.removeprefix(".") in _SUFFIXES:
            suffixes.add(f".{name.removeprefix('.')}")
        else:
            raise UnknownKind(word.strip())
    return frozenset(kinds), frozenset(suffixes)


def contents_within(db: LibraryDb, filters: Filters) -> list[int]:
    """The ids of the contents that pass."""
    where, parameters = document_condition(filters)
    register_functions(db)
    of_files = filters.after_s, filters.before_s, filters.folders, filters.path_parts, filters.names
    if any(each not in (None, ()) for each in of_files):
        files = "documents JOIN contents USING (content_id)"
        rows = db.query(f"SELECT DISTINCT content_id FROM {files} WHERE {where}", parameters)
    else:
        rows = db.query(f"SELECT content_id FROM contents WHERE {where}", parameters)
    return [row[0] for row in rows]


def newest_contents(db: LibraryDb, filters: Filters, *, limit: int) -> list[int]:
    """The ids of the contents that pass, the newest document's first."""
    where, parameters = document_condition(filters)
    register_functions(db)
    rows = db.query(
        "SELECT content_id FROM documents JOIN contents USING (content_id)"
        f" WHERE {where} GROUP BY content_id ORDER BY max({DOCUMENT_DATE_S}) DESC, content_id DESC LIMIT ?",
        (*parameters, limit),
    )
    return [row[0] for row in rows]


DOCUMENT_DATE_S = f"coalesce(written_at_s, mtime_ns / {NS_PER_S}.0)"


def document_condition(filters: Filters) -> tuple[str, list[Any]]:
    conditions: list[str] = ["TRUE"]
    parameters: list[Any] = []

    def any_of(condition: str, values: Iterable[Iterable[Any]]) -> None:
        rows = [tuple(value) for value in values]
        if rows:
            conditions.append("(" + " OR ".join([condition] * len(rows)) + ")")
            for row in rows:
                parameters.extend(row)

    for kinds, suffixes in ((filters.kinds, filters.suffixes), *filters.also):
        if kinds or suffixes:
            marks = ",".join("?" * len(kinds)), ",".join("?" * len(suffixes))
            conditions.append(f"(kind IN ({marks[0]}) OR suffix IN ({marks[1]}))")
            parameters += [*sorted(kinds), *sorted(suffixes)]
    if filters.after_s is not None:
        conditions.append(f"{DOCUMENT_DATE_S} >= ?")
        parameters.append(filters.after_s)
    if filters.before_s is not None:
        conditions.append(f"{DOCUMENT_DATE_S} < ?")
        parameters.append(filters.before_s)
    any_of(
        "(path = ? OR (path >= ? AND path < ?))",
        (range_below(each.rstrip(os.sep) or os.sep) for each in filters.folders),
    )
    any_of("instr(folded_folder(path_text), ?) > 0", ((folded(each),) for each in filters.path_parts))
    any_of("instr(folded(author), ?) > 0", ((folded(each),) for each in filters.authors))
    any_of("folded_name(path_text) GLOB ?", ((_name_pattern(each),) for each in filters.names))
    return " AND ".join(conditions), parameters


def _name_pattern(name: str) -> str:
    # Only * and ? are meant; a bracket stands for itself.
    pattern = folded(name).replace("[", "[[]")
    return pattern if "*" in pattern or "?" in pattern else f"*{pattern}*"


def folded(text: str) -> str:
    """Lower case, without accents: how names are compared."""
    return text.lower() if text.isascii() else without_marks(text).casefold()


def _folded_name(path: str) -> str:
    return folded(path[path.rfind(os.sep) + 1 :])


@lru_cache(maxsize=4096)
def _folded_folder(folder: str) -> str:
    return folded(folder)


def _folder_of(path: str) -> str:
    return _folded_folder(path[: path.rfind(os.sep) + 1])


def register_functions(db: LibraryDb) -> None:
    """Let SQLite call what a `document_condition` does."""
    db.make_known("folded", 1, folded)
    db.make_known("folded_name", 1, _folded_name)
    db.make_known("folded_folder", 1, _folder_of)


__all__ = [
    "FAMILIES",
    "KIND_NAMES",
    "NO_FILTERS",
    "Filters",
    "UnknownKind",
    "contents_within",
    "folded",
    "kinds_named",
    "newest_contents",
]
