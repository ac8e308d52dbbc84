"""Does peak memory grow with a file's size? Index small and large files, each in a process of its own.

    python scripts/bench_reading_memory.py [--pages 3000] [--mb 200] [--only pdf,csv,text,zip]

For each kind a small file and a large one (a PDF of 30 and of 3,000 pages; CSV, text and a text in a ZIP of 2 and of
200 MB) are made and indexed by words into a library of their own: real reader process, chunker and SQLite. The
figures are the peak resident memory of both processes, as the system counts it. Goal: the large file takes at most
GROWTH_GOAL_MB more than the small one in either process.
A human table; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.errors import WeightsMissing
from pipelines.events import IndexDone
from pipelines.foreground import Foreground
from pipelines.ingest import Ingest
from pipelines.library_embedders import OnlyEmbedder
from rag.chunking import Chunker
from rag.library_db import LibraryDb
from rag.ports import TextEmbedder
from rag.reading import DocumentReader
from rag.walk import walk

MEGABYTE = 1 << 20
GROWTH_GOAL_MB = 48.0
"""Caches fill up to their bounds with a large file: SQLite's, the allocator's, the PDF library's."""
CHUNK_TOKENS = 200
WORDS = ("ferry", "island", "harbour", "road", "bread", "rent", "lamp", "garden", "letter", "winter", "boiler", "lease")
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def sentence(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words)) + f" {chance.randrange(10**6)}."


def make_pdf(file: Path, pages: int) -> None:
    """Pages of forty lines each, written as they are made."""
    chance = random.Random(1)
    offsets: dict[int, int] = {}
    with file.open("wb") as out:

        def add(number: int, body: bytes) -> None:
            offsets[number] = out.tell()
            out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))

        out.write(b"%PDF-1.4\n")
        kids = b" ".join(b"%d 0 R" % (4 + 2 * page) for page in range(pages))
        add(1, b"<< /Type /Catalog /Pages 2 0 R >>")
        add(2, b"<< /Type /Pages /Count %d /Kids [%s] >>" % (pages, kids))
        add(3, b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
        for page in range(pages):
            lines = b"".join(b"(%s) Tj T*\n" % sentence(chance, 9).encode() for _ in range(40))
            content = b"BT /F1 11 Tf 14 TL 72 720 Td\n" + lines + b"ET"
            add(
                4 + 2 * page,
                b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
                b" /Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * page),
            )
            add(5 + 2 * page, b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
        table = out.tell()
        out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(offsets) + 1))
        out.writelines(b"%010d 00000 n \n" % offsets[number] for number in sorted(offsets))
        out.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(offsets) + 1, table))


def make_csv(file: Path, megabytes: float) -> None:
    chance = random.Random(2)
    with file.open("w") as out:
        out.write("number,date,name,amount,note\n")
        number = 0
        while out.tell() < megabytes * MEGABYTE:
            out.writelines(
                f"{number + row},2024-05-{row % 28 + 1:02},{chance.choice(WORDS)},{chance.random() * 1000:.2f},"
                f'"{sentence(chance, 8)}"\n'
                for row in range(1000)
            )
            number += 1000


def make_text(file: Path, megabytes: float) -> None:
    chance = random.Random(3)
    with file.open("w") as out:
        while out.tell() < megabytes * MEGABYTE:
            out.writelines(sentence(chance, 60) + "\n\n" for _ in range(1000))


def make_zip(file: Path, megabytes: float) -> None:
    text = file.with_suffix(".txt")
    make_text(text, megabytes)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(text, "text.txt")
    text.unlink()


MAKERS: dict[str, Callable[[Path, Any], None]] = {"pdf": make_pdf, "csv": make_csv, "text": make_text, "zip": make_zip}
SUFFIXES = {"pdf": ".pdf", "csv": ".csv", "text": ".txt", "zip": ".zip"}


def no_embedder() -> TextEmbedder:
    raise WeightsMissing("this is about reading")


def count_words(text: str) -> int:
    return len(text.split())


def index_one(file: Path, library: Path) -> dict[str, float]:
    """In a process of its own: index a file by words; what that took of memory and time."""
    began_s = time.monotonic()
    with LibraryDb(library) as db, DocumentReader() as reader:
        ingest = Ingest(
            db=db,
            walk=walk,
            reader=reader,
            split=Chunker(count_words, CHUNK_TOKENS).split_blocks,
            embedders=OnlyEmbedder(no_embedder),
            chroma=None,
            foreground=Foreground(),
        )
        *_, last = ingest.run([file], threading.Event())
        assert isinstance(last, IndexDone)
        assert not last.report.failed, last.report.failed
    return {
        "chunks": last.report.chunks,
        "seconds": time.monotonic() - began_s,
        "parent_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT / MEGABYTE,
        # The reader's process is the only child, and has ended.
        "worker_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * MAXRSS_UNIT / MEGABYTE,
    }


def measure(kind: str, size: float, folder: Path) -> dict[str, float]:
    file = folder / f"{kind}{SUFFIXES[kind]}"
    MAKERS[kind](file, int(size) if kind == "pdf" else size)
    library = folder / "library.sqlite"
    said = subprocess.run(
        [sys.executable, __file__, "--index", str(file), "--library", str(library)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    figures: dict[str, float] = json.loads(said)
    figures["file_mb"] = file.stat().st_size / MEGABYTE
    for each in folder.iterdir():
        each.unlink()
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=3000)
    parser.add_argument("--mb", type=float, default=200)
    parser.add_argument("--only", default=",".join(MAKERS), help="kinds, with commas between them")
    parser.add_argument("--index", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--library", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.index:
        print(json.dumps(index_one(options.index, options.library)))
        return 0
    figures: dict[str, Any] = {"bench": "reading_memory"}
    met = True
    print(f"{'file':12} {'MB':>7} {'passages':>9} {'s':>7} {'parent MB':>10} {'worker MB':>10}")
    for kind in options.only.split(","):
        sizes = (options.pages / 100, options.pages) if kind == "pdf" else (options.mb / 100, options.mb)
        rows = {}
        for name, size in zip(("small", "large"), sizes, strict=True):
            with tempfile.TemporaryDirectory() as folder:
                row = rows[name] = measure(kind, size, Path(folder))
            print(
                f"{kind + ' ' + name:12} {row['file_mb']:7.1f} {row['chunks']:9,.0f} {row['seconds']:7.1f}"
                f" {row['parent_mb']:10.0f} {row['worker_mb']:10.0f}",
                flush=True,
            )
        growth = {who: rows["large"][who] - rows["small"][who] for who in ("parent_mb", "worker_mb")}
        met = met and max(growth.values()) <= GROWTH_GOAL_MB
        figures[kind] = {**rows, "growth": growth}
    print(f"\ngoal: at most {GROWTH_GOAL_MB:g} MB more for the large file: {'met' if met else 'MISSED'}")
    print(json.dumps(figures))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
