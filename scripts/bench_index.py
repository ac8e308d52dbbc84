"""How fast files become searchable, and what indexing them again costs when nothing has changed.

    python scripts/bench_index.py [--files 10000] [--rounds 9] [--weights FOLDER] [--passages 200]

Figures, those that compare each beside its anchor in the same run, turn and turn about:
- indexing unchanged files again, beside a bare walk that stats them (goal: 1.5x), in a plain tree and in
  one with ignore files as programmers have them; and the same right after some file has changed, when the last look
  counts for nothing and every file is compared with the library;
- files a second until their words can be searched;
- how long `homebody index` takes to start and to end when there is nothing to look at: no part of the above;
- with `--weights`, tokens embedded a second through the whole pipeline, beside the embedder alone on the same
  passages in one call (goal: 0.9).
A human table; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.embed_text_onnx import OnnxTextEmbedder
from models.errors import WeightsMissing
from pipelines.events import IndexDone, IndexReport
from pipelines.foreground import Foreground
from pipelines.ingest import Ingest
from pipelines.library_embedders import OnlyEmbedder
from rag.chunking import Chunker
from rag.embedding_queue import EmbeddingQueue
from rag.library_db import LibraryDb
from rag.ports import TextEmbedder
from rag.readers.contract import ReadLimits
from rag.readers.registry import READER_VERSIONS, reading_identity, refuse_name
from rag.reading import DocumentReader
from rag.records import Block, ChunkDraft
from rag.walk import walk
from scripts.bench_search import RandomVectors, SyntheticText

PROJECT = Path(__file__).resolve().parent.parent
FILES_A_FOLDER = 50
UNCHANGED_GOAL = 1.5
IGNORED = """
*.py[cod] *.so *.egg *.log *.pot *.mo *.sqlite3 *.cover *.manifest *.spec *.swp *.iml *.class *.o *.obj *.exe *.dll
build/ dist/ eggs/ lib64/ parts/ sdist/ var/ wheels/ htmlcov/ target/ out/ instance/ docs/_build/ profile_default/
.coverage.* nosetests.xml coverage.xml local_settings.py pip-log.txt /site/ **/tmp/** celerybeat.pid ENV/ env.bak/
""".split()  # noqa: SIM905 (a list of them would fill the page)
EMBED_GOAL = 0.9
CHUNK_TOKENS = 200
EMBED_ROUNDS = 3


def make_files(folder: Path, count: int) -> None:
    texts, chance = SyntheticText(), random.Random(1)
    for number in range(count):
        here = folder / f"{number // FILES_A_FOLDER:03}"
        here.mkdir(parents=True, exist_ok=True)
        (here / f"note {number:05}.txt").write_text(texts.text(chance.randint(20, 300)))


def whole(blocks: Iterable[Block]) -> list[ChunkDraft]:
    """One passage a document: splitting is not what the comparison of unchanged files is about."""
    block, *_ = blocks
    return [ChunkDraft(0, block.text, (), block.locator, 0, len(block.text), len(block.text.split()))]


def no_embedder() -> TextEmbedder:
    raise WeightsMissing("this run is about words")


def ingest_of(
    db: LibraryDb,
    reader: DocumentReader,
    split: Callable[[Iterable[Block]], Iterable[ChunkDraft]],
    load_embedder: Callable[[], TextEmbedder],
) -> Ingest:
    return Ingest(
        db=db,
        walk=walk,
        reader=reader,
        split=split,
        embedders=OnlyEmbedder(load_embedder),
        chroma=None,
        foreground=Foreground(),
        reading_identity=reading_identity(ReadLimits()),
        readers=READER_VERSIONS,
        refuse_name=refuse_name,
    )


def run(ingest: Ingest, *roots: Path) -> IndexReport:
    *_, last = ingest.run(roots, threading.Event())
    assert isinstance(last, IndexDone)
    return last.report


def bare_walk(root: Path) -> list[tuple[str, int, int]]:
    """The anchor: path, size and time of every file, which is the least that a comparison needs."""
    found = []
    folders = [str(root)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    status = entry.stat(follow_symlinks=False)
                    found.append((entry.path, status.st_size, status.st_mtime_ns))
    return found


def seconds_of(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def write_ignore_files(folder: Path) -> None:
    """One for the whole tree, of the size that templates have, and a short one in every fifth folder."""
    (folder / ".gitignore").write_text("\n".join(IGNORED))
    for inner in sorted(each for each in folder.iterdir() if each.is_dir())[::5]:
        (inner / ".gitignore").write_text("*.log\n!important.log\n/out/\n")


def unchanged_beside_bare(db: LibraryDb, ingest: Ingest, folder: Path, rounds: int) -> dict[str, float]:
    """In ms, medians: indexing an unchanged folder, the same after a change elsewhere, and the bare walk, in turns."""
    again, compared, bare = [], [], []
    for _ in range(rounds):
        bare.append(seconds_of(lambda: bare_walk(folder)))
        again.append(seconds_of(lambda: run(ingest, folder)))
        with db.transaction() as connection:
            connection.execute("DELETE FROM last_looks")  # as the change of any document does
        compared.append(seconds_of(lambda: run(ingest, folder)))
    return {
        "unchanged_ms": 1000 * statistics.median(again),
        "after_a_change_ms": 1000 * statistics.median(compared),
        "bare_walk_ms": 1000 * statistics.median(bare),
        # Of what was measured side by side: the machine may have been slower in another round.
        "unchanged_ratio": statistics.median(one / other for one, other in zip(again, bare, strict=True)),
        "after_a_change_ratio": statistics.median(one / other for one, other in zip(compared, bare, strict=True)),
    }


def start_ms(folder: Path, rounds: int = 3) -> float:
    """`homebody index` of an empty folder, from the shell's view: interpreter, imports, opening the library."""
    empty = folder / "empty"
    empty.mkdir()
    command = [sys.executable, "-m", "app", "index", str(empty), "--json"]
    environment = {**os.environ, "HOMEBODY_HOME": str(folder / "home")}
    taken = [
        seconds_of(partial(subprocess.run, command, cwd=PROJECT, env=environment, check=True, capture_output=True))
        for _ in range(rounds + 1)
    ]
    return 1000 * statistics.median(taken[1:])


def measure_unchanged(folder: Path, files: int, rounds: int) -> dict[str, Any]:
    make_files(folder / "files", files)
    with LibraryDb(folder / "library.sqlite") as db, DocumentReader() as reader:
        words = run(ingest_of(db, reader, whole, no_embedder), folder / "files")
        ingest = ingest_of(db, reader, whole, RandomVectors)
        run(ingest, folder / "files")
        plain = unchanged_beside_bare(db, ingest, folder / "files", rounds)
        write_ignore_files(folder / "files")
        run(ingest, folder / "files")
        ruled = unchanged_beside_bare(db, ingest, folder / "files", rounds)
    return {
        "files": files,
        "words_files_per_s": files / words.seconds,
        "start_ms": start_ms(folder),
        **plain,
        **{f"with_rules_{name}": value for name, value in ruled.items()},
    }


def load_real(weights: Path) -> OnnxTextEmbedder:
    from scripts.bench_retrieval import load_embedder

    return load_embedder(weights)


def measure_embedding(folder: Path, weights: Path, passages: int) -> dict[str, Any]:
    make_files(folder / "files", passages)
    embedder = load_real(weights)
    split = Chunker(embedder.count_tokens, CHUNK_TOKENS).split_blocks
    with LibraryDb(folder / "library.sqlite") as db, DocumentReader() as reader:
        run(ingest_of(db, reader, split, no_embedder), folder / "files")
        queue = EmbeddingQueue(db)
        texts = [text for batch in queue.batches(reading_goes_on=False, stop=threading.Event()) for text in batch.texts]
        tokens = sum(map(embedder.count_tokens, texts))
        alone, through = [], []
        for _ in range(EMBED_ROUNDS):
            alone.append(seconds_of(lambda: embedder.embed_passages(texts)))
            with db.transaction() as connection:
                connection.execute("DELETE FROM vectors")
                connection.execute("UPDATE contents SET state = 'words'")
            through.append(seconds_of(lambda: run(ingest_of(db, reader, split, lambda: embedder))))
            assert queue.waiting() == 0
    embedder.close()
    return {
        "passages": len(texts),
        "embed_tokens_per_s": tokens / min(through),
        "embedder_alone_tokens_per_s": tokens / min(alone),
        "embed_ratio": min(alone) / min(through),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--weights", type=Path, help="folder of installed weights, to measure embedding")
    parser.add_argument("--passages", type=int, default=100, help="files to embed, of one or two passages each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure_unchanged(Path(folder), options.files, options.rounds)
    if options.weights:
        with tempfile.TemporaryDirectory() as folder:
            figures |= measure_embedding(Path(folder), options.weights, options.passages)
    for name, value in figures.items():
        print(f"{name:30} {value:12,.2f}")
    unchanged = max(figures["unchanged_ratio"], figures["with_rules_unchanged_ratio"])
    met = unchanged <= UNCHANGED_GOAL and figures.get("embed_ratio", 1.0) >= EMBED_GOAL
    print(f"\ngoals: unchanged <= {UNCHANGED_GOAL}, embedding >= {EMBED_GOAL}: {'met' if met else 'MISSED'}")
    print(json.dumps({"bench": "index", **figures}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
