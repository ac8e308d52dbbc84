"""How long a search takes in a running homebody, and what a passage costs in memory and on disk.

    python scripts/bench_search.py [--sizes 10000,20000,100000] [--chroma] [--filters] [--weights FOLDER]
                                   [--keep FOLDER]

Libraries of synthetic passages (words as frequent as in real text, random unit vectors of 384 dimensions) are
searched with questions of 3 to 8 words after a warm-up. The question's embedding is not in the figures; with
`--weights` it is measured beside them with the real embedder. The anchor is one product of the matrix with a
vector, which no search that reads every vector as float32 can go below. `--chroma` measures chromadb beside it;
`--filters` compares a whole filtered search, words and vectors, with a chromadb query that has the same `where`
(goal: 0.3 of its p50 at 20,000), in the same run, turn and turn about. With 10,000 and 100,000 among the sizes both
are asked the same new questions, turn and turn about, and the ratio of their p50 is said (goal: 2), of the time by
the clock and of the processor's, which other programs disturb less. `--keep` keeps the libraries for the next time.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rag.chroma_place import ChromaFolder
from rag.chroma_store import ChromaStore
from rag.documents import Documents
from rag.embedding_queue import EmbeddingQueue
from rag.identity import claim_identity
from rag.keyword_index import KeywordIndex
from rag.keyword_merging import merge_parts
from rag.library_db import LibraryDb
from rag.query import parse_query
from rag.records import Block, ChunkDraft, Locator, ReadDocument
from rag.scope import Scopes
from rag.search import Search
from rag.vectors import ExactVectors, Vectors, count_vectors, unpacked
from rag.walk import FoundFile

DIMENSION = 384
VOCABULARY = 30_000
PASSAGE_WORDS = 120
STOP_RANKS = 150
PASSAGES_A_FILE = 20
FILES_A_FOLDER = 25
SUFFIXES = (".txt", ".md", ".pdf", ".eml")
FIRST_DAY_S, DAYS = 1_704_067_200, 600
DAY_S = 86_400
QUESTIONS = 200
WARM_UP = 20
ANCHOR_ROWS = 100_000
ADDED_AT_ONCE = 5_000
FILTER_GOAL, GROWTH_GOAL = 0.3, 2.0
SMALL, LARGE = 10_000, 100_000


class RandomVectors:
    """A TextEmbedder that costs nothing: random unit vectors."""

    model_id = "random"
    sha256 = hashlib.sha256(b"random").hexdigest()
    dimension = DIMENSION
    query_prefix = passage_prefix = ""
    max_tokens = 256
    arithmetic = "as shipped"

    def __init__(self) -> None:
        self._random = np.random.default_rng(1)

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = self._random.standard_normal((len(texts), DIMENSION), np.float32)
        unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    def iter_passages(self, texts: Sequence[str]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        yield np.arange(len(texts)), self.embed_passages(texts)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        vector: NDArray[np.float32] = self.embed_passages([text])[0]
        return vector


class SyntheticText:
    """Words by Zipf's law."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(1)
        letters = "bcdfghklmnprstvw"
        self._words = [
            "".join(self._random.choice(letters) + self._random.choice("aeiou") for _ in range(2 + rank % 3))
            for rank in range(VOCABULARY)
        ]
        self._weights = np.cumsum(1 / np.arange(1, VOCABULARY + 1)).tolist()
        self._random = random.Random(seed)

    def text(self, words: int) -> str:
        return " ".join(self._random.choices(self._words, cum_weights=self._weights, k=words))

    def question(self) -> str:
        """Telling words: search leaves the most frequent ones out of a question anyway."""
        count = self._random.randint(3, 8)
        telling = self._words[STOP_RANKS:], np.cumsum(1 / np.arange(STOP_RANKS + 1, VOCABULARY + 1)).tolist()
        return " ".join(self._random.choices(telling[0], cum_weights=telling[1], k=count))


def path_of(file: int) -> str:
    return f"/synthetic/{file // FILES_A_FOLDER}/{file}{SUFFIXES[file % len(SUFFIXES)]}"


def date_of(file: int) -> float:
    return FIRST_DAY_S + DAY_S * (file * 7919 % DAYS) + 3600


def fill(db: LibraryDb, passages: int, texts: SyntheticText, embedder: RandomVectors) -> None:
    documents, queue = Documents(db), EmbeddingQueue(db)
    claim_identity(db, embedder)
    with db.transaction():
        for first in range(0, passages, PASSAGES_A_FILE):
            path = path_of(first // PASSAGES_A_FILE)
            parts = [texts.text(PASSAGE_WORDS) for _ in range(min(PASSAGES_A_FILE, passages - first))]
            drafts = [
                ChunkDraft(ordinal, part, (), Locator(line=ordinal + 1), 0, len(part), PASSAGE_WORDS)
                for ordinal, part in enumerate(parts)
            ]
            document = ReadDocument(
                "", "text", (Block("\n".join(parts)),), "bench", written_at_s=date_of(first // PASSAGES_A_FILE)
            )
            documents.record(FoundFile(path, first, 1), hashlib.sha256(path.encode()).digest(), document, drafts)
        for batch in queue.batches(reading_goes_on=False, stop=threading.Event()):
            queue.store(batch.chunk_ids, embedder.embed_passages(batch.texts))


def milliseconds(run: Callable[[str], object], questions: Sequence[str]) -> tuple[float, float]:
    """p50 and p95, after a warm-up."""
    for question in questions[:WARM_UP]:
        run(question)
    times = []
    for question in questions:
        began = time.perf_counter()
        run(question)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def folder_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def resident_bytes() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def measure(passages: int, texts: SyntheticText, folder: Path, *, chroma: bool, filters: bool) -> dict[str, Any]:
    embedder = RandomVectors()
    questions = [texts.question() for _ in range(QUESTIONS)]
    with LibraryDb(folder / "library.sqlite") as db:
        if not count_vectors(db):
            fill(db, passages, texts, embedder)
        for _ in merge_parts(db):  # as indexing does in the end
            pass
        db.query("PRAGMA wal_checkpoint(TRUNCATE)")
        disk = (folder / "library.sqlite").stat().st_size
        before = resident_bytes()
        exact = ExactVectors(db)
        began = time.perf_counter()
        exact.warm_up()
        figures: dict[str, Any] = {
            "passages": passages,
            "load_ms": 1000 * (time.perf_counter() - began),
            "memory_bytes_a_passage": (resident_bytes() - before) / passages,
            "disk_bytes_a_passage": disk / passages,
        }
        matrix = np.stack([embedder.embed_query("") for _ in range(min(passages, ANCHOR_ROWS))])
        keyword_index = KeywordIndex(db)
        search = Search(db, Vectors(db, None, exact_up_to=10**9), keyword_index, embedder)
        timed: dict[str, Callable[[str], object]] = {
            "search": search.search,
            "words": lambda question: keyword_index.find(question, limit=50),
            "names": keyword_index.named_contents,
            "exact": lambda question: exact.search(embedder.embed_query(question), limit=50),
            "anchor": lambda question: matrix @ embedder.embed_query(question),
        }
        store = ChromaStore(db, ChromaFolder(folder / "chroma"))
        if chroma:
            began = time.perf_counter()
            for _ in store.bring_in_step(threading.Event()):
                pass
            figures["chroma_build_s"] = time.perf_counter() - began
            figures["chroma_disk_bytes_a_passage"] = folder_bytes(folder / "chroma") / passages
            began = time.perf_counter()
            store.open_in_background()
            store.wait_until_opened(600)
            figures["chroma_check_and_open_s"] = time.perf_counter() - began
            timed["chroma"] = lambda question: store.query(embedder.embed_query(question), 50)
        for name, run in timed.items():
            figures[f"{name}_p50_ms"], figures[f"{name}_p95_ms"] = milliseconds(run, questions)
        if filters:
            figures["filters"] = compare_filters(db, search, embedder, questions, folder / "where")
        store.close()
    return figures


class ChromaWhere:
    """chromadb with the same vectors, and folder, kind and day as metadata: what a `where` of its own costs."""

    def __init__(self, db: LibraryDb, folder: Path) -> None:
        import chromadb
        from chromadb.config import Settings

        self._client = chromadb.PersistentClient(os.fspath(folder), settings=Settings(anonymized_telemetry=False))
        self._collection = self._client.get_or_create_collection(
            "passages", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )
        if self._collection.count() == 0:
            rows = db.query(
                "SELECT chunk_id, vector, path_text, written_at_s FROM vectors JOIN chunks USING (chunk_id)"
                " JOIN contents USING (content_id) JOIN documents USING (content_id) ORDER BY chunk_id"
            )
            for start in range(0, len(rows), ADDED_AT_ONCE):
                some = rows[start : start + ADDED_AT_ONCE]
                self._collection.add(
                    ids=[str(row[0]) for row in some],
                    embeddings=unpacked([row[1] for row in some]),
                    metadatas=[
                        {
                            "folder": row[2].split("/")[2],
                            "kind": Path(row[2]).suffix,
                            "day": int((row[3] - FIRST_DAY_S) // DAY_S),
                        }
                        for row in some
                    ],
                )

    def query(self, vector: NDArray[np.float32], where: dict[str, Any]) -> int:
        found = self._collection.query(
            query_embeddings=vector[np.newaxis, :], n_results=50, where=where, include=["distances"]
        )
        return len(found["ids"][0])


def compare_filters(
    db: LibraryDb, search: Search, embedder: RandomVectors, questions: Sequence[str], folder: Path
) -> dict[str, Any]:
    """A whole search with a filter, and chromadb's query with the same one: p50 in ms, turn and turn about."""
    theirs, vectors, scopes = ChromaWhere(db, folder), ExactVectors(db), Scopes(db)
    (files,) = db.query("SELECT count(*) FROM documents")[0]
    folders = files // FILES_A_FOLDER
    cases: dict[str, Callable[[int], tuple[str, dict[str, Any]]]] = {
        "folder": lambda n: (f"in:/synthetic/{n % folders}", {"folder": str(n % folders)}),
        "kind": lambda n: (
            f"kind:{SUFFIXES[n % len(SUFFIXES)]}",
            {"kind": SUFFIXES[n % len(SUFFIXES)]},
        ),
        "date": lambda n: (f"after:{day(n % 400)} before:{day(n % 400 + 60)}", days(n % 400, n % 400 + 60)),
    }
    figures: dict[str, Any] = {}
    for name, case in cases.items():
        ours_ms, vectors_ms, theirs_ms = [], [], []
        for n, question in enumerate(questions):
            typed, where = case(n)
            vector = embedder.embed_query(question)
            began = time.perf_counter()
            hits = search.search(f"{question} {typed}")
            between = time.perf_counter()
            theirs.query(vector, where)
            ended = time.perf_counter()
            vectors.search(vector, limit=50, within=scopes.within(parse_query(typed).filters))
            vectors_only = time.perf_counter()
            assert hits, typed
            if n >= WARM_UP:
                ours_ms.append(1000 * (between - began))
                theirs_ms.append(1000 * (ended - between))
                vectors_ms.append(1000 * (vectors_only - ended))
        ours, chroma, alone = (statistics.median(each) for each in (ours_ms, theirs_ms, vectors_ms))
        figures[name] = {
            "search_p50_ms": ours,
            "vectors_p50_ms": alone,
            "chroma_where_p50_ms": chroma,
            "ratio": ours / chroma,
            "vectors_ratio": alone / chroma,
        }
    return figures


def compare_growth(folder_of: dict[int, Path]) -> dict[str, float]:
    """p50 of a search in a small and in a large library, in ms: by the clock, and of the processor."""
    texts, embedder = SyntheticText(seed=2), RandomVectors()
    questions = [texts.question() for _ in range(QUESTIONS)]
    clock_ms: dict[int, list[float]] = {size: [] for size in folder_of}
    processor_ms: dict[int, list[float]] = {size: [] for size in folder_of}
    with ExitStack() as stack:
        searches = {}
        for size, folder in folder_of.items():
            db = stack.enter_context(LibraryDb(folder / "library.sqlite"))
            vectors = Vectors(db, None, exact_up_to=10**9)
            vectors.warm_up()
            searches[size] = Search(db, vectors, KeywordIndex(db), embedder)
        for n, question in enumerate(questions):
            for size, search in searches.items():
                began, began_processor = time.perf_counter(), time.thread_time()
                search.search(question)
                took, took_processor = time.perf_counter() - began, time.thread_time() - began_processor
                if n >= WARM_UP:
                    clock_ms[size].append(1000 * took)
                    processor_ms[size].append(1000 * took_processor)
    p50 = {size: statistics.median(each) for size, each in clock_ms.items()}
    processor_p50 = {size: statistics.median(each) for size, each in processor_ms.items()}
    return {
        "small_p50_ms": p50[SMALL],
        "large_p50_ms": p50[LARGE],
        "ratio": p50[LARGE] / p50[SMALL],
        "processor_ratio": processor_p50[LARGE] / processor_p50[SMALL],
    }


def day(number: int) -> str:
    return datetime.fromtimestamp(FIRST_DAY_S + DAY_S * number).strftime("%Y-%m-%d")


def days(first: int, past: int) -> dict[str, Any]:
    return {"$and": [{"day": {"$gte": first}}, {"day": {"$lt": past}}]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,20000", help="numbers of passages, with commas")
    parser.add_argument("--chroma", action="store_true", help="measure chromadb too: building it takes a while")
    parser.add_argument("--filters", action="store_true", help="compare filtered searches with chromadb's `where`")
    parser.add_argument("--keep", type=Path, help="keep the libraries here for the next time")
    parser.add_argument("--weights", type=Path, help="folder of installed weights, to time a question's embedding")
    options = parser.parse_args()
    texts = SyntheticText()
    results, growth = [], None
    sizes = [int(size) for size in options.sizes.split(",")]
    with tempfile.TemporaryDirectory() as temporary:
        folder_of = {size: Path(options.keep or temporary) / str(size) for size in sizes}
        for size, folder in folder_of.items():
            folder.mkdir(parents=True, exist_ok=True)
            results.append(measure(size, texts, folder, chroma=options.chroma, filters=options.filters))
        if SMALL in folder_of and LARGE in folder_of:
            growth = compare_growth({SMALL: folder_of[SMALL], LARGE: folder_of[LARGE]})
    for figures in results:
        print(f"{figures['passages']:,} passages")
        for name in ("search", "words", "names", "exact", "anchor", "chroma"):
            if f"{name}_p50_ms" in figures:
                print(f"  {name:8} p50 {figures[f'{name}_p50_ms']:8.2f} ms   p95 {figures[f'{name}_p95_ms']:8.2f} ms")
        for name in figures:
            if ("_p" not in name or name.endswith("a_passage")) and name != "filters":
                print(f"  {name:28} {figures[name]:,.1f}")
        for name, compared in figures.get("filters", {}).items():
            print(
                f"  filter by {name:7} p50 {compared['search_p50_ms']:6.2f} ms, chromadb's where"
                f" {compared['chroma_where_p50_ms']:6.2f} ms: {compared['ratio']:.2f};"
                f" vectors alone {compared['vectors_ratio']:.2f} (goal {FILTER_GOAL})"
            )
    summary: dict[str, Any] = {"bench": "search", "results": results}
    if growth is not None:
        summary["growth"] = growth
        print(
            f"{LARGE:,} passages take {growth['ratio']:.2f} times what {SMALL:,} do (goal {GROWTH_GOAL}):"
            f" p50 {growth['small_p50_ms']:.2f} and {growth['large_p50_ms']:.2f} ms by turns;"
            f" of the processor's time {growth['processor_ratio']:.2f} times"
        )
    if options.weights:
        from scripts.bench_retrieval import load_embedder

        real = load_embedder(options.weights)
        summary["embed_query_p50_ms"], summary["embed_query_p95_ms"] = milliseconds(
            real.embed_query, ["how much is the rent of the flat a month?", "which ferry goes to the island?"] * 25
        )
        real.close()
        print(f"embedding a question: p50 {summary['embed_query_p50_ms']:.1f} ms")
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
