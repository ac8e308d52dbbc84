"""Index a folder in a process that is killed again and again, at random moments, until it gets through."""

from __future__ import annotations

import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.conftest import PROJECT_ROOT

WORDS = ("ferry", "island", "harbour", "road", "bread", "rent", "lamp", "garden", "letter", "winter", "boiler")


def make_files(folder: Path, count: int, seed: int) -> None:
    """Small text files: some of several passages, some copies of others, some empty or broken."""
    chance = random.Random(seed)
    texts: list[str] = []
    for number in range(count):
        here = folder / f"{number % 7}"
        here.mkdir(parents=True, exist_ok=True)
        paragraphs = [
            " ".join(chance.choices(WORDS, k=chance.randint(5, 40))) + f" {number}."
            for _ in range(chance.randint(1, 9))
        ]
        text = "\n\n".join(paragraphs)
        if number % 10 == 9:
            text = chance.choice(texts)
        if number % 25 == 24:
            text = ""
        texts.append(text)
        (here / f"{number}.txt").write_text(text)


def index(library_file: Path, folder: Path, chroma_folder: Path | None, *, embedder: str = "") -> subprocess.Popen[str]:
    arguments = [str(library_file), str(folder), str(chroma_folder or ""), embedder]
    return start("tests.pipelines.indexing_process", *arguments)


def start(module: str, *arguments: str) -> subprocess.Popen[str]:
    """A process that says each event on a line."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def index_to_the_end(library_file: Path, folder: Path, chroma_folder: Path | None, *, embedder: str = "") -> list[str]:
    """What it said, event by event. `embedder` names the one that the settings name."""
    return to_the_end(index(library_file, folder, chroma_folder, embedder=embedder))


def to_the_end(process: subprocess.Popen[str], *, timeout_s: float = 240.0) -> list[str]:
    said, complaints = process.communicate(timeout=timeout_s)
    assert said.endswith("IndexDone\n"), complaints
    return said.splitlines()


def kill_in_the_middle(
    library_file: Path,
    folder: Path,
    chroma_folder: Path | None,
    chance: random.Random,
    *,
    most_lines: int,
    embedder: str = "",
) -> str:
    """Index, and be killed on the way: `kill`."""
    process = index(library_file, folder, chroma_folder, embedder=embedder)
    return kill(process, chance, most_lines=most_lines)


def kill(process: subprocess.Popen[str], chance: random.Random, *, most_lines: int) -> str:
    """Kill it after a random number of events and a random moment more.

    Returns the last thing it said. A run that gets to its end before is left at that.
    """
    assert process.stdout is not None
    last = ""
    for _ in range(chance.randint(1, most_lines)):
        line = process.stdout.readline()
        if not line:
            break
        last = line.strip()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=chance.random() * (2.5 if last == "storing" else 0.03))
    process.kill()
    _, complaints = process.communicate()
    assert "Traceback" not in complaints, complaints
    return last
