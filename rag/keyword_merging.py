"""The word index put together: FTS5 keeps what came at different times in parts, and a search looks into each.

In one part 100,000 passages are searched in two thirds of the time that ten parts take. FTS5 merges parts of like
size by itself, as words come in; the rest is done here when indexing is over, a few pages a transaction, so that
nobody waits for it and a crash leaves it where it was. Knows nothing of passages.
"""

from __future__ import annotations

from collections.abc import Generator

from rag.library_db import LibraryDb

PAGES_AT_ONCE = 500
"""Of 4 kB, written in one transaction: some 50 ms."""
SCATTERED_SHARE = 0.25
"""Of the pages, outside the largest part: merging writes all of them, which a single new file is not worth."""


def merge_parts(db: LibraryDb, *, pages_at_once: int = PAGES_AT_ONCE) -> Generator[None]:
    """Put the word index together, one transaction a step; nothing where it nearly is. Raises StorageFull."""
    if not _is_scattered(db):
        return
    merging = True
    while merging:
        with db.transaction() as connection:
            before = connection.total_changes
            connection.execute("INSERT INTO chunk_words (chunk_words, rank) VALUES ('merge', ?)", (-pages_at_once,))
            merging = connection.total_changes - before > 1  # FTS5: with nothing to merge it is this row alone
        yield


def _is_scattered(db: LibraryDb) -> bool:
    # FTS5's own table: one row a page of words. https://www.sqlite.org/fts5.html, "FTS5 Data Structures"
    pages = [int(row[0]) for row in db.query("SELECT count(*) FROM chunk_words_idx GROUP BY segid")]
    return sum(pages) - max(pages, default=0) > SCATTERED_SHARE * sum(pages)
