"""How surely search finds what is spelt out: recall@5 on identifiers, numbers, names, phrases, slips of the finger.

    python scripts/bench_exact.py [--targets 40] [--weights FOLDER] [--words-only] [--show]

The passages are made (`scripts/exact_corpus.py`), each with neighbours that only letters tell apart, and go through
homebody's own library and search with the real embedder, whose vectors are what pulls the neighbours up.
`--words-only` leaves it out; `--show` prints what was missed. The last line is JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rag.documents import Documents
from rag.embedding_queue import EmbeddingQueue
from rag.identity import claim_identity
from rag.keyword_index import KeywordIndex
from rag.library_db import LibraryDb
from rag.query import parse_query
from rag.records import Block, ChunkDraft, Locator, ReadDocument
from rag.search import Search
from rag.vectors import Vectors
from rag.walk import FoundFile
from scripts.exact_corpus import ExactCase, ExactCorpus, by_category, make_exact_corpus

if TYPE_CHECKING:
    from rag.ports import TextEmbedder

GOAL = 0.98
K = 5
PASSAGES_A_FILE = 4


def store(db: LibraryDb, corpus: ExactCorpus, embedder: TextEmbedder | None) -> list[int]:
    """Write the passages into the library, some to a file; returns their chunk ids, in their order."""
    documents = Documents(db)
    for first in range(0, len(corpus.passages), PASSAGES_A_FILE):
        texts = corpus.passages[first : first + PASSAGES_A_FILE]
        path = f"/made/{first:05}.txt"
        drafts = [
            ChunkDraft(ordinal, text, (), Locator(line=ordinal + 1), 0, len(text), len(text.split()))
            for ordinal, text in enumerate(texts)
        ]
        document = ReadDocument("", "text", (Block("\n".join(texts)),), "bench")
        documents.record(FoundFile(path, first, 1), hashlib.sha256(path.encode()).digest(), document, drafts)
    if embedder is not None:
        claim_identity(db, embedder)
        queue = EmbeddingQueue(db)
        for batch in queue.batches(reading_goes_on=False, stop=threading.Event()):
            queue.store(batch.chunk_ids, embedder.embed_passages(batch.texts))
    return [row[0] for row in db.query("SELECT chunk_id FROM chunks ORDER BY chunk_id")]


def missed_cases(search: Search, corpus: ExactCorpus, chunk_ids: list[int]) -> list[ExactCase]:
    """The cases whose passage is not among the first K."""
    return [
        case
        for case in corpus.cases
        if chunk_ids[case.passage] not in {hit.chunk.chunk_id for hit in search.search(parse_query(case.query), k=K)}
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=40, help="in each category")
    parser.add_argument("--weights", type=Path, help="folder of installed weights (default: homebody's own)")
    parser.add_argument("--words-only", action="store_true")
    parser.add_argument("--show", action="store_true", help="print the cases that were missed")
    options = parser.parse_args()
    corpus = make_exact_corpus(options.targets)
    embedder = None
    if not options.words_only:
        from pipelines.paths import HomePaths
        from scripts.bench_retrieval import load_embedder

        embedder = load_embedder(options.weights or HomePaths.from_environment().weights_dir)
    with tempfile.TemporaryDirectory() as folder, LibraryDb(Path(folder) / "library.sqlite") as db:
        chunk_ids = store(db, corpus, embedder)
        search = Search(db, Vectors(db, None, exact_up_to=10**9), KeywordIndex(db), embedder)
        missed = missed_cases(search, corpus, chunk_ids)
    if embedder is not None:
        embedder.close()
    recall = {
        category: 1 - sum(case in missed for case in cases) / len(cases)
        for category, cases in by_category(corpus.cases)
    }
    whole = 1 - len(missed) / len(corpus.cases)
    print(f"{len(corpus.passages):,} passages, {len(corpus.cases):,} queries; recall@{K}")
    for category, share in recall.items():
        print(f"  {category:16} {share:.3f}")
    print(f"  {'all':16} {whole:.3f} (goal {GOAL}: {'met' if whole >= GOAL else 'MISSED'})")
    if options.show:
        for case in missed:
            print(f"missed: {case.category}: {case.query!r} in {corpus.passages[case.passage]!r}")
    print(json.dumps({"bench": "exact", "recall_at_5": {**recall, "all": whole}, "goal": GOAL}))
    return 0 if whole >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
