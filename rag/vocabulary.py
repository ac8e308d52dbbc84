"""The words that the library contains, and which of them a word may be that it does not contain.

Read from the index itself (fts5vocab) when a query first has a word that no passage has: a slip of the finger
("recieve"), a compound ("Versicherung" where the files have "Haftpflichtversicherung", and the other way round), an
ending. The words are stems, as the index has them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from rag.library_db import LibraryDb
from rag.query_terms import quoted
from rag.spellings import tokenized, without_marks

if TYPE_CHECKING:
    from Stemmer import Stemmer

LEAST_LETTERS = 4
"""Of a word that is corrected: shorter ones resemble too many others."""
TWO_SLIPS_FROM_LETTERS = 8
LEAST_PART_LETTERS = 5
"""Of a word that is looked for inside longer ones."""
SIMILAR_WORDS = 3
LONGER_WORDS = 8
_LINKS = ("", "s", "es", "n", "en", "er", "e")
"""What German puts between the parts of a compound."""


class Vocabulary:
    """The words of one library. Thread-safe; some 60 bytes a word once it was needed."""

    def __init__(self, db: LibraryDb) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._read_at_chunk = -1
        self._words: list[str] = []

    @cached_property
    def _stemmer(self) -> Stemmer:
        from Stemmer import Stemmer

        return Stemmer("porter")

    def passages_with(self, words: Iterable[str]) -> dict[str, int]:
        """How many passages have each of the words; 0 also for one that SQLite's stemmer sees otherwise than ours."""
        stems = {word: self._stemmer.stemWord(tokenized(word)) for word in words}
        asked = list(dict.fromkeys(stems.values()))
        self._open()
        rows = self._db.query(
            f"SELECT term, doc FROM temp.chunk_vocabulary WHERE term IN ({','.join('?' * len(asked))})", asked
        )
        counts = dict(rows)
        return {word: counts.get(stem, 0) for word, stem in stems.items()}

    def resembling(self, word: str) -> list[str]:
        """FTS5 expressions for what a word may stand for that no passage has; the likeliest first.

        Not for words with digits: another number is another thing.
        """
        plain = without_marks(word.lower())
        if len(plain) < LEAST_LETTERS or not plain.isalpha():
            return []
        words = self._refreshed()
        stem = self._stemmer.stemWord(plain)
        found = [*self._similar(stem, words), *self._longer(stem, words), *self._parts(plain, words)]
        # A slip in the ending hides the stem: "accommodaiton" begins with "accommod".
        found += sorted(
            (each for each in words if len(each) >= LEAST_PART_LETTERS and plain.startswith(each)), key=len
        )[-1:]
        return list(dict.fromkeys(map(self._expression, found)))

    def _similar(self, stem: str, words: list[str]) -> list[str]:
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        slips = 2 if len(stem) >= TWO_SLIPS_FROM_LETTERS else 1
        near = process.extract(stem, words, scorer=OSA.distance, score_cutoff=slips, limit=4 * SIMILAR_WORDS)
        likely = [
            (distance, each[0] != stem[0], each)
            for each, distance, _ in near
            # In a short word the first letter is hardly ever the wrong one.
            if each[0] == stem[0] or len(stem) >= TWO_SLIPS_FROM_LETTERS
        ]
        if not likely:
            return []
        nearest = min(likely)[0]
        return [each for distance, _, each in sorted(likely) if distance == nearest][:SIMILAR_WORDS]

    @staticmethod
    def _longer(stem: str, words: list[str]) -> list[str]:
        """Compounds and inflections that begin or end with the word, the shortest first."""
        if len(stem) < LEAST_PART_LETTERS:
            return []
        longer = [each for each in words if stem in each and (each.startswith(stem) or each.endswith(stem))]
        return sorted(longer, key=len)[:LONGER_WORDS]

    def _parts(self, word: str, words: list[str]) -> list[str]:
        """The parts of a compound of two, where the library has both; else nothing."""
        if len(word) < 2 * LEAST_PART_LETTERS - 2:
            return []
        known = set(words)
        best: tuple[int, list[str]] = (0, [])
        for cut in range(LEAST_LETTERS, len(word) - LEAST_LETTERS + 1):
            second = self._stemmer.stemWord(word[cut:])
            if second not in known:
                continue
            for link in _LINKS:
                first = self._stemmer.stemWord(word[:cut].removesuffix(link) if link else word[:cut])
                if word[:cut].endswith(link) and len(first) >= LEAST_LETTERS and first in known:
                    best = max(best, (min(len(first), len(second)), [first, second]))
        return best[1]

    def _expression(self, stem: str) -> str:
        # FTS5 stems what it is asked for: a stem that would be stemmed further is found by its beginning.
        again = self._stemmer.stemWord(stem)
        return quoted([stem]) if again == stem else f"{quoted([stem])} *"

    def _open(self) -> None:
        """Of this thread's connection only, and kept nowhere."""
        self._db.connection.execute(
            "CREATE VIRTUAL TABLE IF NOT EXISTS temp.chunk_vocabulary USING fts5vocab ('main', 'chunk_words', 'row')"
        )

    def _refreshed(self) -> list[str]:
        with self._lock:
            rows = self._db.query("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'")
            last_chunk = int(rows[0][0]) if rows else 0
            if last_chunk != self._read_at_chunk:
                self._open()
                rows = self._db.query("SELECT term FROM temp.chunk_vocabulary")
                self._words = [row[0] for row in rows if len(row[0]) >= LEAST_LETTERS and row[0].isalpha()]
                self._read_at_chunk = last_chunk
            return self._words
