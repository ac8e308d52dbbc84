"""How fast homebody writes when it is not alone: through the terminal UI, and while the library is indexed.

    python scripts/bench_company.py MODEL.gguf --weights FOLDER [--rounds 3]

Anchors in the same run, turn and turn about: for the terminal UI (a real one, on a pseudo-terminal, asked by typing)
a bare loop over llama.cpp's C API with the same weights and threads (goal: 0.95); for indexing the same question
asked while nothing is indexed (goal: 0.55). FOLDER holds the embedder's weights. A human table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from anywhere, not installed

from models.chat import ChatMessage
from models.chat_llama import ChatLlama
from models.llama_context import ChatLlamaOptions
from pipelines.events import AnswerDone, IndexProgress
from pipelines.factory import open_home
from pipelines.home import Home
from pipelines.paths import HomePaths
from pipelines.settings import ChatSettings, Settings
from pipelines.turn import Turn
from scripts.bench_chat import CHRONICLE, RawLoop

QUESTION = "What did the harbour town record in the chronicle? Explain every point in great detail, at length."
DECODE_TOKENS = 96
CONTEXT_TOKENS = 2048
ROWS, COLUMNS = 40, 120
ANSWER_WITHIN_S = 300.0
FILES_A_ROUND = 400
"""More than is embedded while one answer is written, so that indexing is under way all the time."""


class TerminalUi:
    """homebody on a pseudo-terminal, as a person starts it; what it draws is only waited for."""

    def __init__(self, home_dir: Path) -> None:
        self._library = home_dir / "library.sqlite"
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app"],
            cwd=Path(__file__).resolve().parent.parent,
            env={**os.environ, "HOMEBODY_HOME": str(home_dir), "TERM": "xterm-256color"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._drawn = bytearray()
        self._more = threading.Condition()
        threading.Thread(target=self._drain, name="screen", daemon=True).start()
        self._wait_for(b"in the library")  # what is typed before that is flushed when the terminal changes its mode

    def _drain(self) -> None:
        try:
            while drawn := os.read(self._master, 65536):
                with self._more:
                    self._drawn += drawn
                    self._more.notify_all()
        except OSError:  # the other end is closed
            return

    def _wait_for(self, drawn: bytes) -> None:
        with self._more:
            if not self._more.wait_for(lambda: drawn in self._drawn, timeout=60):
                raise RuntimeError(f"the terminal UI did not draw {drawn!r} within a minute")
            self._drawn.clear()

    def decode_tokens_per_s(self) -> float:
        """Type the question, wait until its answer is saved whole, and read what the answer took."""
        before = self._last_turn()
        os.write(self._master, b"\x0e")  # a conversation of its own: every round reads the same prompt
        with self._more:
            self._drawn.clear()
        os.write(self._master, QUESTION.encode())
        self._wait_for(QUESTION.split()[-1].encode())
        os.write(self._master, b"\r")
        deadline_s = time.monotonic() + ANSWER_WITHIN_S
        while time.monotonic() < deadline_s:
            turn_id, finish, details = self._last_turn()
            if turn_id != before[0] and finish not in ("", "running"):
                return float(json.loads(details)["timings"]["decode_tokens_per_s"])
            time.sleep(0.2)
        raise RuntimeError(f"the terminal UI gave no answer within {ANSWER_WITHIN_S:.0f} s")

    def _last_turn(self) -> tuple[int, str, str]:
        with closing(sqlite3.connect(f"{self._library.as_uri()}?mode=ro", uri=True)) as connection:
            row = connection.execute(
                "SELECT turn_id, finish, details FROM turns ORDER BY turn_id DESC LIMIT 1"
            ).fetchone()
        return row or (0, "", "{}")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        os.close(self._master)


def answer_rate(home: Home) -> float:
    """Tokens a second of one answer through the front door; nothing is saved."""
    turn = Turn(QUESTION, max_tokens=DECODE_TOKENS, save=False)
    for event in home.answer(turn, threading.Event()):
        if isinstance(event, AnswerDone):
            return event.answer.timings.decode_tokens_per_s
    raise RuntimeError("the answer did not end")


@contextmanager
def indexing(home: Home, folder: Path, number: int) -> Iterator[list[int]]:
    """Index new files in a thread while the block runs; yields a list whose item counts passages embedded."""
    folder.mkdir()
    for file in range(FILES_A_ROUND):
        (folder / f"{file}.txt").write_text(f"Note {number}/{file}. {CHRONICLE * 3}\n")
    stop, under_way, embedded = threading.Event(), threading.Event(), [0]

    def run() -> None:
        for event in home.index([folder], stop):
            if isinstance(event, IndexProgress) and event.phase == "embedding":
                embedded[0] = event.done
                under_way.set()

    thread = threading.Thread(target=run, name="indexing")
    thread.start()
    under_way.wait(120)
    try:
        yield embedded
    finally:
        stop.set()
        thread.join()


def measure_indexing(settings: Settings, home_dir: Path, work: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Rates alone and beside indexing, round by round."""
    home = open_home(HomePaths(home_dir), settings)
    alone, beside = [], []
    try:
        answer_rate(home)  # loads and measures
        for number in range(rounds):
            alone.append(answer_rate(home))
            with indexing(home, work / f"files {number}", number):
                beside.append(answer_rate(home))
    finally:
        home.close()
    return alone, beside


def measure_ui(model: Path, home_dir: Path, threads: int, rounds: int) -> tuple[list[float], list[float]]:
    """Rates of the raw loop and of the terminal UI, round by round."""
    options = ChatLlamaOptions(n_ctx=CONTEXT_TOKENS, n_threads=threads, n_threads_batch=threads)
    raw_rates, ui_rates = [], []
    with closing(ChatLlama(model, options)) as chat:
        prompt = chat._prompt_tokens.of([ChatMessage.of_text("user", CHRONICLE * 6 + QUESTION)])
        with closing(RawLoop(chat, prompt, DECODE_TOKENS, 512)) as raw, closing(TerminalUi(home_dir)) as terminal:
            terminal.decode_tokens_per_s()  # starts up, loads
            raw.run()
            for _ in range(rounds):
                raw_rates.append(raw.run().decode_tokens_per_s)
                ui_rates.append(terminal.decode_tokens_per_s())
    return raw_rates, ui_rates


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="folder of installed weights, with the embedder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    wanted = parser.parse_args(arguments)

    chat = ChatSettings(
        model=str(wanted.model.absolute()),
        context_tokens=CONTEXT_TOKENS,
        threads=wanted.threads,
        max_tokens=DECODE_TOKENS,
    )
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        home_dir = work / "home"
        home_dir.mkdir(mode=0o700)
        (home_dir / "models").symlink_to(wanted.weights.absolute())
        (home_dir / "settings.toml").write_text(
            f"[chat]\nmodel = {json.dumps(chat.model)}\ncontext_tokens = {CONTEXT_TOKENS}\n"
            f"threads = {wanted.threads}\nmax_tokens = {DECODE_TOKENS}\n"
        )
        (work / "chronicle.txt").write_text(CHRONICLE * 4)
        settings = Settings(chat=chat)
        home = open_home(HomePaths(home_dir), settings)
        for _ in home.index([work / "chronicle.txt"], threading.Event()):
            pass
        home.close()
        raw, through_ui = measure_ui(wanted.model, home_dir, wanted.threads, wanted.rounds)
        alone, beside = measure_indexing(settings, home_dir, work, wanted.rounds)

    ui_ratio = statistics.median(ui / bare for ui, bare in zip(through_ui, raw, strict=True))
    index_ratio = statistics.median(busy / idle for busy, idle in zip(beside, alone, strict=True))
    print(f"\n{'decode, tokens/s':34}{'median':>8}{'ratio':>8}{'goal':>8}")
    for name, rates, ratio, goal in (
        ("raw C API loop", raw, 1.0, ""),
        ("through the terminal UI", through_ui, ui_ratio, "0.95"),
        ("answer, nothing else", alone, 1.0, ""),
        ("answer, while indexing", beside, index_ratio, "0.55"),
    ):
        print(f"{name:34}{statistics.median(rates):8.2f}{ratio:8.3f}{goal:>8}")
    report = {"bench": "company", "model": wanted.model.name, "threads": wanted.threads, "rounds": wanted.rounds}
    print(json.dumps(report | {"ui_of_raw": round(ui_ratio, 3), "indexing_of_alone": round(index_ratio, 3)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
