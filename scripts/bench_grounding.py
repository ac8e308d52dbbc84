"""How well the program's marks are right: `python scripts/bench_grounding.py [FILE.jsonl…]`.

Reads check sets (sources; answers whose sentences and invented terms were judged by hand), checks every answer with
`pipelines.grounding`, and prints by class how many unsupported sentences were marked (recall) and how many marks
were deserved (precision). The last line is one JSON object. No model is needed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT_ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT_ROOT))

from pipelines.grounding import check  # noqa: E402 - the script runs from a checkout
from pipelines.passages import Passage  # noqa: E402

DEFAULT_SETS = [PROJECT_ROOT / "tests" / "data" / name for name in ("grounding.jsonl", "grounding_everyday.jsonl")]
"""Prose; and rows of tables, mails, code, units, dates, negations and answers of several sentences."""


@dataclass(slots=True)
class Tally:
    """Counts of sentences: a mark is what says "no source says this"."""

    answers: int = 0
    deserved_marked: int = 0
    deserved: int = 0
    marked: int = 0
    terms_found: int = 0
    terms: int = 0
    terms_marked: int = 0

    def add(self, other: Tally) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def recall(self) -> float | None:
        return self.deserved_marked / self.deserved if self.deserved else None

    @property
    def precision(self) -> float | None:
        return self.deserved_marked / self.marked if self.marked else None

    @property
    def term_recall(self) -> float | None:
        return self.terms_found / self.terms if self.terms else None

    @property
    def term_precision(self) -> float | None:
        return self.terms_found / self.terms_marked if self.terms_marked else None


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer of the set beside what the program said."""

    item: dict[str, Any]
    supported: list[bool]
    terms: list[str]
    found_nothing: bool
    tally: Tally

    @property
    def is_right(self) -> bool:
        expected = (self.item["supported"], self.item["terms"], self.item["found_nothing"])
        return (self.supported, self.terms, self.found_nothing) == expected


def judge_all(lines: Iterable[str]) -> list[Judged]:
    """Check every answer of a set."""
    sources: dict[str, Passage] = {}
    judged: list[Judged] = []
    for line in lines:
        item: dict[str, Any] = json.loads(line)
        if "source" in item:
            sources[item["source"]] = Passage(item["text"], item["path"], chunk_id=len(sources))
        else:
            judged.append(_judge(item, [sources[name] for name in item["sources"]]))
    return judged


def _judge(item: dict[str, Any], sources: Sequence[Passage]) -> Judged:
    checked = check(item["answer"], sources, question=item["question"])
    supported = [sentence.supported for sentence in checked.sentences]
    terms = [term for sentence in checked.sentences for term in sentence.unsupported_terms]
    pairs = list(zip(item["supported"], supported, strict=True))
    tally = Tally(
        answers=1,
        deserved_marked=sum(1 for right, said in pairs if not right and not said),
        deserved=sum(1 for right, _ in pairs if not right),
        marked=sum(1 for _, said in pairs if not said),
        terms_found=sum(1 for term in item["terms"] if term in terms),
        terms=len(item["terms"]),
        terms_marked=len(terms),
    )
    return Judged(item, supported, terms, checked.found_nothing, tally)


def tallies(judged: Iterable[Judged]) -> dict[str, Tally]:
    """By class, in the order of the set, and under `all` together."""
    by_class: dict[str, Tally] = {}
    together = Tally()
    for each in judged:
        by_class.setdefault(each.item["class"], Tally()).add(each.tally)
        together.add(each.tally)
    return {**by_class, "all": together}


def milliseconds_for_a_long_answer(lines: Iterable[str], repeats: int = 5) -> float:
    """The best of some runs over a 300-word answer with eight passages."""
    items = [json.loads(line) for line in lines]
    sources = [Passage(i["text"], i["path"], chunk_id=n) for n, i in enumerate(i for i in items if "source" in i)][:8]
    words = " ".join(i["answer"] for i in items if i.get("class") in ("verbatim", "paraphrase")).split()
    answer = " ".join((words * 3)[:300])
    best_s = float("inf")
    for _ in range(repeats):
        started_s = time.perf_counter()
        check(answer, sources, question="How much is the rent, and when is it due?")
        best_s = min(best_s, time.perf_counter() - started_s)
    return best_s * 1000


def main(arguments: Sequence[str]) -> int:
    sets = [Path(name).read_text(encoding="utf-8").splitlines() for name in arguments or DEFAULT_SETS]
    judged = [each for lines in sets for each in judge_all(lines)]
    for each in judged:
        if not each.is_right:
            print(f"wrong  {each.item['class']:16} {each.item['answer']!r}: {each.supported} {each.terms}")
    table = tallies(judged)
    print(f"\n{'class':16} {'answers':>7} {'unsupported':>11} {'recall':>7} {'precision':>9} {'terms':>6} {'found':>6}")
    for name, tally in table.items():
        print(
            f"{name:16} {tally.answers:7} {tally.deserved:11} {_shown(tally.recall):>7} {_shown(tally.precision):>9}"
            f" {tally.terms:6} {_shown(tally.term_recall):>6}"
        )
    spent_ms = milliseconds_for_a_long_answer(sets[0])
    print(f"\n300 words against 8 passages: {spent_ms:.1f} ms")
    print(
        json.dumps(
            {
                "bench": "grounding",
                "answers": len(judged),
                "right": sum(each.is_right for each in judged),
                "long_answer_ms": round(spent_ms, 2),
                "classes": {
                    name: {
                        "answers": tally.answers,
                        "recall": tally.recall,
                        "precision": tally.precision,
                        "term_recall": tally.term_recall,
                        "term_precision": tally.term_precision,
                    }
                    for name, tally in table.items()
                },
            }
        )
    )
    return 0


def _shown(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
