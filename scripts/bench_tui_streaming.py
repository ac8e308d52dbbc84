"""What drawing a streamed answer costs, beside Textual's `Markdown.append` per token, in the same run.

    python scripts/bench_tui_streaming.py [--tokens 300] [--per-s 20] [--only list,table,code] [--limit 0.25]

Both apps run headless at 100x40 and get the same tokens at the same pace. Ours is the whole homebody, from the
pipeline's events through the worker, the messages and the screen to the final rendering with its sources; the
anchor is a Markdown widget in an anchored scroll view. CPU is the process's own (`time.process_time`), so other
programs disturb little. A human table, then one JSON object on the last line; exit code 1 when over the limit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Markdown

from app.homebody_app import HomebodyApp
from pipelines.events import AnswerDone, AnswerEvent, PromptBuilt, Retrieved, TextDelta, TurnStarted
from pipelines.turn import Answer, CheckedSentence, Citation, Locator, Timings, Turn
from tests.app.fake_home import FakeHome

if TYPE_CHECKING:
    from pipelines.home import Home

SIZE = (100, 40)
CONTENTS = {
    "list": "\n".join(f"- Point {i}: the harbour office keeps **ledger {i}** on the second shelf" for i in range(80)),
    "table": "| Year | Harbour | Ships | Cargo |\n|---|---|---|---|\n"
    + "\n".join(f"| {1800 + i} | Port {i} | {i * 37} | salt and timber |" for i in range(80)),
    "code": "```python\n"
    + "\n".join(
        f"def step_{i}(value):\n    total = value + {i} * offset\n    return total if total > {i} else None\n"
        for i in range(60)
    )
    + "\n```",
    "prose": " ".join(f"The harbour master wrote in volume {i} that the tide was late.\n\n" * 1 for i in range(60)),
}


def tokens_of(content: str, count: int) -> list[str]:
    """Pieces of about a model's token: words with the space before them, long ones cut."""
    return re.findall(r"\s*\S{1,6}", content)[:count]


@dataclass(frozen=True, slots=True)
class Cost:
    cpu_s: float
    wall_s: float


class PacedHome(FakeHome):
    """Answers with the tokens given, at their pace, as an engine does: from its own thread."""

    def __init__(self, tokens: list[str], per_s: float) -> None:
        super().__init__()
        self._tokens = tokens
        self._per_s = per_s

    def answer(self, turn: Turn, stop: threading.Event) -> Iterator[AnswerEvent]:  # noqa: ARG002
        yield TurnStarted(1, 1)
        yield Retrieved((), 0.01)
        yield PromptBuilt(6, 0, 0, 900)
        began = time.perf_counter()
        for number, token in enumerate(self._tokens, start=1):
            yield TextDelta(token)
            time.sleep(max(0.0, began + number / self._per_s - time.perf_counter()))
        text = "".join(self._tokens)
        citations = tuple(
            Citation(n, n, f"/files/ledger{n}.md", "text", Locator(line=n), "as it is written", True) for n in (1, 2, 3)
        )
        sentences = (CheckedSentence(0, len(text), (1, 2, 3), True),)
        timings = Timings(0.5, 900, 0, 0.4, len(self._tokens), self._per_s, 1.0)
        yield AnswerDone(Answer(text, sentences, citations, True, False, "paced", "stop", timings))


async def cost_of_homebody(tokens: list[str], per_s: float) -> Cost:
    home = PacedHome(tokens, per_s)
    app = HomebodyApp(lambda: cast("Home", home))
    async with app.run_test(size=SIZE) as pilot:
        await _wait_until_idle(app)
        app.chat.composer.text = "What is in the ledgers?"
        await pilot.pause()
        cpu, wall = time.process_time(), time.perf_counter()
        await pilot.press("enter")
        await _wait_until_idle(app)
        await pilot.pause()
        cost = Cost(time.process_time() - cpu, time.perf_counter() - wall)
        shown = app.chat.transcript.turns[-1]
        if shown.text != "".join(tokens) or len(shown.citations) != 3:
            raise RuntimeError("the answer on the screen is not the one that was streamed")
        return cost


async def _wait_until_idle(app: HomebodyApp) -> None:
    await asyncio.sleep(0)
    while app.home is None or app.chat.is_answering or any(not worker.is_finished for worker in app.workers):
        await asyncio.sleep(0.02)


class AppendPerToken(App[None]):
    """The anchor: what a program does that follows the widget's own documentation."""

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Markdown()


async def cost_of_append(tokens: list[str], per_s: float) -> Cost:
    app = AppendPerToken()
    async with app.run_test(size=SIZE) as pilot:
        markdown = app.query_one(Markdown)
        app.query_one(VerticalScroll).anchor()
        await pilot.pause()
        cpu, wall = time.process_time(), time.perf_counter()
        for number, token in enumerate(tokens, start=1):
            await markdown.append(token)
            await asyncio.sleep(max(0.0, wall + number / per_s - time.perf_counter()))
        await pilot.pause()
        return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--tokens", type=int, default=300)
    arguments.add_argument("--per-s", type=float, default=20.0)
    arguments.add_argument("--only", default="list,table,code", help=f"of {', '.join(CONTENTS)}")
    arguments.add_argument("--limit", type=float, default=0.25)
    options = arguments.parse_args()

    print(f"{options.tokens} tokens at {options.per_s:g} a second; CPU seconds of the process (wall seconds)")
    print(f"{'':10}{'homebody':>18}{'Markdown.append':>20}{'ratio':>8}")
    records: list[dict[str, object]] = []
    ratios: list[float] = []
    for name in options.only.split(","):
        tokens = tokens_of(CONTENTS[name], options.tokens)
        ours = asyncio.run(cost_of_homebody(tokens, options.per_s))
        anchor = asyncio.run(cost_of_append(tokens, options.per_s))
        ratios.append(ours.cpu_s / anchor.cpu_s)
        print(
            f"{name:10}{ours.cpu_s:9.2f} ({ours.wall_s:5.1f})"
            f"{anchor.cpu_s:11.2f} ({anchor.wall_s:5.1f}){ratios[-1]:8.2f}"
        )
        records.append(
            {
                "content": name,
                "tokens": len(tokens),
                "homebody_cpu_s": round(ours.cpu_s, 3),
                "append_cpu_s": round(anchor.cpu_s, 3),
                "homebody_wall_s": round(ours.wall_s, 2),
                "append_wall_s": round(anchor.wall_s, 2),
                "ratio": round(ratios[-1], 3),
            }
        )
    summary = {"bench": "tui_streaming", "per_s": options.per_s, "limit": options.limit, "worst_ratio": max(ratios)}
    print(json.dumps({**summary, "contents": records}))
    return 0 if max(ratios) <= options.limit else 1


if __name__ == "__main__":
    sys.exit(main())
