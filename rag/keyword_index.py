"""Finding passages by their words: BM25 over SQLite's FTS5, kept in step by triggers (`schema.py`).

A question is free text. What people type (quotes, operators, brackets) never reaches FTS5's query language:
the question is cut into words here, and every word is quoted. Words are joined by OR; BM25 decides what counts.

Knows nothing of vectors.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from rag.library_db import LibraryDb
from rag.records import Kind

TEXT_WEIGHT = 1.0
HEADINGS_WEIGHT = 1.0

MAX_TERMS = 48
"""Of a very long question. FTS5 visits every passage that has any of them."""

MAX_NAMED_FILES = 5
NAMES_LOOKED_AT = 200

_STOP_WORDS = (
    "a about above after again all also am an and any are as at be because been before being below between both but"
    " by can could did do does doing down during each every few for from further had has have having he her here hers"
    " him his how i if in into is it its itself just let me more most my myself no nor not now of off on once only or"
    " other our ours out over own please same she should so some such tell than that the their theirs them then there"
    " these they this those through to too under until up us very was we were what when where which while who whom why"
    " will with would you your yours"
    " s t d ll m re ve"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that ask rather than name. Left out of a question unless it has no others."""

# As FTS5's unicode61 sees text: letters, digits, combining marks and private use; all else separates.
_TERM = re.compile(r"[^\W_]+(?:[\u0300-\u036f]+[^\W_]*)*")
_COMPOUND = re.compile(r"[^\W_]+(?:[-_./:@+#][^\W_]+)+")
_QUOTED = re.compile(r'["“”«»„]([^"“”«»„]{2,200})["“”«»„]')


def words_of(text: str) -> list[str]:
    """The words of a text as the index compares them: lower case, without accents, unstemmed."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return [word.casefold() for word in _TERM.findall(plain)]


def query_phrases(question: str) -> list[str]:
    """What of a question is looked for: words, and the phrases it quotes or writes as one word.

    `INV-2024/17`, `foo_bar` and `"two words"` are looked for as they stand besides their parts, so that the
    passage with all of it in order comes first. At most MAX_TERMS, in a question of any length.
    """
    phrases = [" ".join(words_of(each)) for each in _QUOTED.findall(question)]
    phrases += [" ".join(words_of(each)) for each in _COMPOUND.findall(question)]
    phrases = [phrase for phrase in dict.fromkeys(phrases) if " " in phrase]
    words = list(dict.fromkeys(words_of(question)))
    telling = [word for word in words if word not in STOP_WORDS] or words
    room = MAX_TERMS - len(phrases[: MAX_TERMS // 2])
    if len(telling) > room:
        # Long words and those with digits in them tell more; there is no time to ask the index about all of them.
        telling = sorted(telling, key=lambda word: (not any(c.isdigit() for c in word), -len(word)))[:room]
    return phrases[: MAX_TERMS // 2] + telling


def match_expression(phrases: Iterable[str]) -> str:
    """An FTS5 query: any of these. Each is quoted, so none can be read as an operator."""
    return " OR ".join('"' + phrase.replace('"', '""') + '"' for phrase in phrases)


class KeywordIndex:
    """Passages and file names by words."""

    def __init__(self, db: LibraryDb) -> None:
        self._db = db

    def search(self, question: str, *, limit: int, kinds: frozenset[Kind] | None = None) -> list[int]:
        """Ids of the chunks that have words of the question, best first; none for a question without words."""
        phrases = query_phrases(question)
        if not phrases:
            return []
        only, parameters = "", []
        if kinds is not None:
            only = (
                " AND rowid IN (SELECT chunk_id FROM chunks JOIN contents USING (content_id)"
                f" WHERE kind IN ({','.join('?' * len(kinds))}))"
            )
            parameters = sorted(kinds)
        rows = self._db.query(
            "SELECT rowid FROM chunk_words WHERE chunk_words MATCH ? AND rank MATCH ?"
            f"{only} ORDER BY rank, rowid LIMIT ?",
            (match_expression(phrases), f"bm25({TEXT_WEIGHT}, {HEADINGS_WEIGHT})", *parameters, limit),
        )
        return [row[0] for row in rows]

    def named_contents(self, question: str, *, kinds: frozenset[Kind] | None = None) -> list[int]:
        """Content ids of the files that the question names, best match first, at most MAX_NAMED_FILES.

        A file is named when all words of its name (without the suffix) are in the question, or when some are
        and all telling words of the question are in its name and its folder's.
        """
        asked = set(words_of(question)) - STOP_WORDS
        if not asked:
            return []
        rows = self._db.query(
            "SELECT documents.name_text, content_id, kind FROM document_names"
            " JOIN documents ON document_id = document_names.rowid JOIN contents USING (content_id)"
            " WHERE document_names MATCH ? ORDER BY rank, document_id LIMIT ?",
            (match_expression(sorted(asked)[:MAX_TERMS]), NAMES_LOOKED_AT),
        )
        named = [
            content_id
            for name_text, content_id, kind in rows
            if (kinds is None or kind in kinds) and _names(asked, name_text)
        ]
        return list(dict.fromkeys(named))[:MAX_NAMED_FILES]

    def search_in(self, content_id: int, question: str, *, limit: int) -> list[int]:
        """Ids of one content's chunks: those with words of the question, best first, then its first ones."""
        matching: list[int] = []
        if phrases := query_phrases(question):
            matching = [
                row[0]
                for row in self._db.query(
                    "SELECT rowid FROM chunk_words WHERE chunk_words MATCH ?"
                    " AND rowid IN (SELECT chunk_id FROM chunks WHERE content_id = ?) ORDER BY rank, rowid LIMIT ?",
                    (match_expression(phrases), content_id, limit),
                )
            ]
        first = self._db.query(
            "SELECT chunk_id FROM chunks WHERE content_id = ? ORDER BY ordinal LIMIT ?", (content_id, limit)
        )
        return list(dict.fromkeys([*matching, *(row[0] for row in first)]))[:limit]


def _names(asked: set[str], name_text: str) -> bool:
    stem = set(words_of(PurePosixPath(name_text).stem)) - STOP_WORDS
    if not stem & asked:
        return False
    return stem <= asked or asked <= set(words_of(name_text))
