"""How well search finds: nDCG@10 on the Cranfield collection (1,400 abstracts, 225 questions, judged by people).

    python scripts/bench_retrieval.py FOLDER [--weights FOLDER] [--library FOLDER] [--half odd|even]

FOLDER holds cran.all.1400, cran.qry and cranqrel_corrected. Every abstract is written as a Markdown file (its
title as heading) and goes through homebody's own walk, reader, chunker, library and search. A document stands at
the place of its best passage. `--library` keeps the indexed library for the next time (embedding takes minutes).
The judges' grades 1 (complete answer) to 4 (of minimal interest) count as 4 to 1, gain 2^grade - 1.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.checksum import sha256_of
from models.embed_text_onnx import OnnxTextEmbedder
from pipelines.events import IndexDone
from pipelines.foreground import Foreground
from pipelines.ingest import Ingest
from pipelines.library_embedders import OnlyEmbedder
from rag.chunking import Chunker
from rag.keyword_index import KeywordIndex
from rag.library_db import LibraryDb
from rag.passages import Passages
from rag.readers.registry import accepts_name
from rag.reading import DocumentReader
from rag.search import Search
from rag.vectors import Vectors
from rag.walk import walk

GOAL = 0.335
"""Plain reciprocal rank fusion of BM25 and MiniLM over whole documents."""
CHUNK_TOKENS = 200
DEPTH = 10
FETCHED_PASSAGES = 60
LEAST_GRADE, BEST_GRADE = 4, 1

Ranking = Callable[[str], Sequence[int]]
"""Document numbers for a question, best first."""


def documents_of(file: Path) -> dict[int, tuple[str, str]]:
    """Number -> (title, text without the title it begins with)."""
    documents = {}
    for part in re.split(r"^\.I ", file.read_text(), flags=re.M)[1:]:
        number, _, rest = part.partition("\n")
        title, text = (" ".join(each.split()) for each in re.split(r"^\.[TABW]\n", rest, flags=re.M)[1::3])
        documents[int(number)] = (title, text.removeprefix(title).strip())
    return documents


def questions_of(file: Path) -> list[str]:
    parts = re.split(r"^\.I \d+\n\.W\n", file.read_text(), flags=re.M)[1:]
    return [" ".join(part.split()) for part in parts]


def judgements_of(file: Path) -> dict[int, dict[int, int]]:
    """Question (counted from 1) -> document -> relevance, 4 (best) to 1."""
    judged: dict[int, dict[int, int]] = {}
    for line in file.read_text().splitlines():
        question, _, document, grade = map(int, line.split())
        if BEST_GRADE <= grade <= LEAST_GRADE:
            judged.setdefault(question, {})[document] = LEAST_GRADE + 1 - grade
    return judged


def ndcg(ranking: Sequence[int], judged: dict[int, int]) -> float:
    """Järvelin and Kekäläinen's normalised discounted cumulative gain of the first ten."""
    gains = [2 ** judged.get(document, 0) - 1 for document in ranking[:DEPTH]]
    ideal = sorted((2**grade - 1 for grade in judged.values()), reverse=True)[:DEPTH]

    def dcg(values: Sequence[int]) -> float:
        return sum(value / math.log2(place + 2) for place, value in enumerate(values))

    return dcg(gains) / dcg(ideal)


def load_embedder(weights: Path) -> OnnxTextEmbedder:
    folder = weights / "all-minilm-l6-v2-int8"
    return OnnxTextEmbedder(
        model_id=folder.name,
        model_file=folder / "model.onnx",
        tokenizer_file=folder / "tokenizer.json",
        sha256=sha256_of(folder / "model.onnx"),
        dimension=384,
        max_tokens=256,
        threads=2,
    )


def index(db: LibraryDb, files: Path, documents: dict[int, tuple[str, str]], embedder: OnnxTextEmbedder) -> float:
    """Write the files, index them; returns the seconds that indexing took."""
    files.mkdir(exist_ok=True)
    for number, (title, text) in documents.items():
        (files / f"cranfield-{number:04}.md").write_text(f"# {title}\n\n{text}\n")
    with DocumentReader() as reader:
        ingest = Ingest(
            db=db,
            walk=partial(walk, accepts=accepts_name),
            reader=reader,
            split=Chunker(embedder.count_tokens, CHUNK_TOKENS).split_blocks,
            embedders=OnlyEmbedder(lambda: embedder),
            chroma=None,
            foreground=Foreground(),
        )
        for event in ingest.run([files], threading.Event()):
            if isinstance(event, IndexDone):
                print(f"indexed: {event.report.indexed}, failed: {len(event.report.failed)}", file=sys.stderr)
                return event.report.seconds
    raise AssertionError("indexing ends with IndexDone")


def rankings(db: LibraryDb, embedder: OnnxTextEmbedder) -> dict[str, Ranking]:
    keyword_index, vectors, passages = KeywordIndex(db), Vectors(db, None, exact_up_to=10**9), Passages(db)
    search = Search(db, vectors, keyword_index, embedder)

    def number(path: str) -> int:
        return int(Path(path).stem.rpartition("-")[2])

    def documents(chunk_ids: Sequence[int]) -> list[int]:
        found = passages.by_id(chunk_ids)
        return list(dict.fromkeys(number(found[each].path) for each in chunk_ids))

    def by_vectors(question: str) -> list[int]:
        hits = vectors.search(embedder.embed_query(question), limit=FETCHED_PASSAGES)
        return documents([hit.chunk_id for hit in hits])

    return {
        "words (BM25)": lambda question: documents(keyword_index.search(question, limit=FETCHED_PASSAGES)),
        "vectors (MiniLM)": by_vectors,
        "fused": lambda question: [number(hit.path) for hit in search.search(question, k=DEPTH, per_document=1)],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path, help="folder of installed weights (default: homebody's own)")
    parser.add_argument("--library", type=Path, help="keep the indexed library here")
    parser.add_argument("--half", choices=("odd", "even"), help="only the questions with such numbers")
    options = parser.parse_args()
    weights = options.weights
    if weights is None:
        from pipelines.paths import HomePaths

        weights = HomePaths.from_environment().weights_dir

    questions = questions_of(options.folder / "cran.qry")
    judgements = judgements_of(options.folder / "cranqrel_corrected")
    embedder = load_embedder(weights)
    with tempfile.TemporaryDirectory() as temporary:
        library: Path = options.library or Path(temporary)
        library.mkdir(parents=True, exist_ok=True)
        with LibraryDb(library / "library.sqlite") as db:
            seconds = index(db, library / "files", documents_of(options.folder / "cran.all.1400"), embedder)
            chunks = db.query("SELECT count(*) FROM chunks")[0][0]
            asked = [
                number
                for number in range(1, len(questions) + 1)
                if number in judgements and (not options.half or number % 2 == (options.half == "odd"))
            ]
            print(f"{len(asked)} questions, {chunks} passages, indexed in {seconds:.0f} s\n")
            print(f"{'':20} nDCG@10   ms a question")
            figures: dict[str, float] = {}
            for name, ranking in rankings(db, embedder).items():
                began = time.perf_counter()
                scores = [ndcg(ranking(questions[number - 1]), judgements[number]) for number in asked]
                milliseconds = 1000 * (time.perf_counter() - began) / len(asked)
                figures[name] = sum(scores) / len(scores)
                print(f"{name:20} {figures[name]:.4f}    {milliseconds:.1f}")
    embedder.close()
    fused = figures["fused"]
    print(f"\ngoal for fused: {GOAL}: {'met' if fused >= GOAL else 'MISSED'}")
    print(json.dumps({"bench": "retrieval", "questions": len(asked), "ndcg_at_10": figures, "goal": GOAL}))
    return 0 if fused >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
