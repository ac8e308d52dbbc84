"""How well search finds a function by what it does: recall@5 over this repository's own code, 40 questions.

    python scripts/bench_code_retrieval.py [--weights FOLDER]

rag/, pipelines/ and models/ are indexed twice, as plain text cut at blank lines and by their structure, and asked
the same questions, worded without the code open beside them. A function is found when one of the first five
passages shows any of its lines.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipelines.events import IndexDone
from pipelines.foreground import Foreground
from pipelines.ingest import Ingest
from pipelines.library_embedders import OnlyEmbedder
from rag.chunking import Chunker
from rag.keyword_index import KeywordIndex
from rag.library_db import LibraryDb
from rag.readers.contract import OpenedFile, Reader
from rag.readers.plain_text import read_code
from rag.readers.registry import accepts_name
from rag.reading import DocumentReader
from rag.records import Hit
from rag.search import Search
from rag.vectors import Vectors
from rag.walk import walk
from scripts.bench_retrieval import CHUNK_TOKENS, load_embedder

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("rag", "pipelines", "models")
SHOWN = 5
REGISTRIES = {
    "at blank lines": "scripts.bench_code_retrieval:choose_plain",
    "by structure": "rag.readers.registry:choose_reader",
}

QUESTIONS: tuple[tuple[str, str], ...] = (
    ("which memory limit does a container's cgroup set", "models/cpu_limits.py::memory_limit"),
    ("does this file name look like an editor's temporary or swap file", "rag/temporary_names.py::is_temporary_name"),
    ("decide whether a path is excluded by gitignore", "rag/ignore_rules.py::IgnoreRules.ignores"),
    ("guess the encoding of a text that is not UTF-8", "rag/readers/encoding.py::find_encoding"),
    ("remove zero-width and control characters before indexing", "rag/readers/clean_text.py::clean_text"),
    ("join passages that are too small with their neighbour", "rag/chunking.py::Chunker._join_small"),
    ("group blocks that may share a passage", "rag/chunking.py::_sections"),
    ("open a file without following symbolic links or waiting for a FIFO", "rag/readers/contract.py::open_regular"),
    ("audit hook of the parser process that forbids sockets and writing", "rag/reading_worker.py::_refuse"),
    ("limit the memory of the process that parses", "rag/reading_worker.py::_limit_resources"),
    ("end the worker when its parent dies", "rag/reading_worker.py::leave_with_parent"),
    ("find the outline level of Word heading styles", "rag/readers/docx.py::_heading_levels"),
    ("bookmarks of a PDF as headings", "rag/readers/pdf.py::_outline"),
    ("parse the date header of an e-mail", "rag/readers/mail_headers.py::date_of"),
    ("tell docx, xlsx and epub apart inside a zip", "rag/readers/container_kind.py::kind_of_zip"),
    ("which row of a spreadsheet holds the column names", "rag/readers/table_rows.py::_is_header"),
    ("uuencoded attachment in a mail body", "rag/readers/mime_parts.py::_from_uuencode"),
    ("hidden elements of a web page are left out", "rag/readers/html.py::_is_hidden"),
    ("merge a comment above a function with it", "rag/readers/source_code.py::_first_row"),
    ("convert umlauts and accents written as LaTeX commands", "rag/readers/latex.py::_accented"),
    ("list items of YAML become headings", "rag/readers/settings_text.py::_documents"),
    ("refuse entity declarations in XML", "rag/readers/xml_text.py::_refuse_entity"),
    ("convert half precision vectors to single precision quickly", "rag/exact_vectors.py::as_float32"),
    ("text that is embedded for a passage together with its headings", "rag/embedding_queue.py::passage_text"),
    ("compare chroma with the database in a child process", "rag/chroma_store.py::ChromaStore.check"),
    ("correct typing mistakes in the words of a query", "rag/keyword_index.py::KeywordIndex._corrected"),
    ("put several rankings together by the places of each result", "rag/fusion.py::reciprocal_rank_fusion"),
    ("hide text that could still become a stop string", "models/token_text.py::StopMatcher.feed"),
    ("how many threads write an answer and why", "models/placement.py::_chat_threads"),
    ("what changes when a benchmark of this computer is no longer valid", "models/hardware.py::Hardware.fingerprint"),
    ("load a GGUF file into llama.cpp", "models/llama_model.py::load_llama_model"),
    ("put downloaded and verified weight files in place", "models/weights.py::Weights.adopt"),
    ("build the prompt within its token budget", "pipelines/prompt.py::PromptBuilder.build"),
    ("read the user's settings file and environment overrides", "pipelines/settings_file.py::load"),
    ("highlight lines on a rendered PDF page", "pipelines/page_picture.py::mark_lines"),
    ("find numbers of an answer in the sources", "pipelines/quotes.py::place_quantities"),
    ("who attempted a network connection, for the report", "pipelines/offline_guard.py::_call_site"),
    ("only one download of models at the same time", "pipelines/pull.py::_one_pull_at_a_time"),
    ("sentences not decided by words are compared by vectors", "pipelines/grounding.py::_settle"),
    ("how often a progress bar of a download is updated", "pipelines/pull_one.py::Meter.progress"),
)
"""What somebody asks, and the function that answers, as `file::name`."""


def choose_plain(_file: OpenedFile) -> tuple[Reader, str]:
    """A registry that knows no structure."""
    return read_code, "plain/1"


def lines_of(target: str) -> tuple[Path, int, int]:
    """The file, the function's first line and its last. Raises LookupError for a function that has gone."""
    file, _, name = target.partition("::")
    first = last = 0
    nodes: list[ast.stmt] = ast.parse((ROOT / file).read_text()).body
    for part in name.split("."):
        found = next((n for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == part), None)
        if found is None:
            raise LookupError(f"{target} is not there any more: correct QUESTIONS")
        nodes, first, last = found.body, found.lineno, found.end_lineno or found.lineno
    return Path(file), first, last


def shows(hit: Hit, copied: Path, target: tuple[Path, int, int]) -> bool:
    file, first, last = target
    begin = hit.chunk.locator.line or 1
    return Path(hit.path) == copied / file and begin <= last and begin + hit.chunk.text.count("\n") >= first


def copy_code(folder: Path) -> None:
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            target = folder / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="folder of installed weights (default: homebody's own)")
    options = parser.parse_args()
    weights = options.weights
    if weights is None:
        from pipelines.paths import HomePaths

        weights = HomePaths.from_environment().weights_dir
    embedder = load_embedder(weights)
    targets = [lines_of(target) for _, target in QUESTIONS]
    recalls: dict[str, float] = {}
    passages: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as temporary:
        code = Path(temporary).resolve() / "code"
        copy_code(code)
        for name, registry in REGISTRIES.items():
            with (
                LibraryDb(Path(temporary) / f"{name.replace(' ', '-')}.sqlite") as db,
                DocumentReader(registry=registry) as reader,
            ):
                ingest = Ingest(
                    db=db,
                    walk=partial(walk, accepts=accepts_name),
                    reader=reader,
                    split=Chunker(embedder.count_tokens, CHUNK_TOKENS).split_blocks,
                    embedders=OnlyEmbedder(lambda: embedder),
                    chroma=None,
                    foreground=Foreground(),
                )
                for event in ingest.run([code], threading.Event()):
                    if isinstance(event, IndexDone):
                        passages[name] = event.report.chunks
                search = Search(db, Vectors(db, None, exact_up_to=10**9), KeywordIndex(db), embedder)
                found = [
                    any(shows(hit, code, target) for hit in search.search(question, k=SHOWN))
                    for (question, _), target in zip(QUESTIONS, targets, strict=True)
                ]
                missed = [question for (question, _), is_found in zip(QUESTIONS, found, strict=True) if not is_found]
                recalls[name] = sum(found) / len(found)
                print(f"{name:15} recall@{SHOWN} {recalls[name]:.3f}   {passages[name]} passages")
                print("".join(f"    missed: {question}\n" for question in missed), end="")
    embedder.close()
    print(
        json.dumps(
            {
                "bench": "code_retrieval",
                "questions": len(QUESTIONS),
                f"recall_at_{SHOWN}": recalls,
                "passages": passages,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
