"""Ask a library of documents, pictures and spoken notes 60 questions, and say how often the file meant is found.

20 questions about each kind, put to the one list of all kinds: each thing that is asked about stands in files of the
other kinds too, with other facts (`scripts/mixed_library.py` makes the library; it needs `espeak-ng`). Asked with CLIP
and without. What is counted: whether the file is among the first five (recall@5), and one over its place (MRR, of
the first twenty). The lines "taken by" say which kinds hold the first five places.

    python scripts/bench_mixed.py --weights FOLDER [--quick] [--half dev|test] [--keep FOLDER]

The whole takes some 10 minutes on two cores, most of it for reading 200 pictures; --quick two. --keep leaves the
indexed library there, and a second run only asks. Last line: one JSON object.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipelines.events import FileFailed, IndexDone
from pipelines.factory import open_home
from pipelines.home import Home
from pipelines.paths import HomePaths
from pipelines.settings import ClipSettings, Settings, SpeechSettings
from scripts.mixed_library import FULL, QUICK, SEED, Question, write_library

TINY_CLIP = Path(__file__).resolve().parent.parent / "tests" / "data" / "tiny-clip"
AMONG = 5
LOOKED_AT = 20
"""Places of the list, of which the first that is right counts."""
KINDS = {"text": "documents", "image": "pictures", "audio": "spoken notes"}


@dataclass(frozen=True, slots=True)
class Answered:
    question: Question
    place: int
    """1 is first; 0: not among the first LOOKED_AT."""
    taken_by: tuple[str, ...]
    """The kinds of the first five."""


def opened(root: Path, clip: str, speech: str) -> Home:
    settings = Settings(clip=ClipSettings(model=clip), speech=SpeechSettings(model=speech))
    return open_home(HomePaths(root), settings)


def index(home: Home, folder: Path) -> float:
    """Seconds. Raises SystemExit when a file could not be read."""
    began_s = time.monotonic()
    for event in home.index([folder], threading.Event()):
        if isinstance(event, FileFailed):
            print(f"{event.path}: {event.reason}", file=sys.stderr)
        if isinstance(event, IndexDone) and (event.report.failed or event.report.unsupported):
            raise SystemExit(f"not all was read: {dict(event.report.unsupported)}")
    return time.monotonic() - began_s


def asked(home: Home, questions: Sequence[Question]) -> list[Answered]:
    answered = []
    for question in questions:
        hits = home.search(question.text, k=LOOKED_AT).hits
        names = [Path(hit.path).name for hit in hits]
        place = names.index(question.file) + 1 if question.file in names else 0
        answered.append(Answered(question, place, tuple(hit.kind for hit in hits[:AMONG])))
    return answered


def row(answered: Sequence[Answered]) -> dict[str, float]:
    return {
        "questions": len(answered),
        "recall_at_5": round(sum(0 < each.place <= AMONG for each in answered) / len(answered), 3),
        "mrr": round(sum(1 / each.place for each in answered if each.place) / len(answered), 3),
    }


def rows(answered: Sequence[Answered]) -> dict[str, dict[str, float]]:
    """By kind, and of all."""
    table = {name: row([each for each in answered if each.question.kind == kind]) for kind, name in KINDS.items()}
    table["kind is said"] = row([each for each in answered if each.question.names_kind])
    table["kind is not said"] = row([each for each in answered if not each.question.names_kind])
    table["all"] = row(answered)
    return table


def shares(answered: Sequence[Answered]) -> dict[str, dict[str, float]]:
    """For questions about each kind: what share of the first five places each kind has."""
    table = {}
    for asked_for, name in KINDS.items():
        taken = Counter(
            kind for each in answered if each.question.kind == asked_for for kind in each.taken_by
        )  # fmt: skip
        total = max(1, sum(taken.values()))
        table[name] = {other: round(taken[kind] / total, 2) for kind, other in KINDS.items()}
    return table


def half_of(questions: Sequence[Question], half: str) -> list[Question]:
    """Every second one of each kind: `dev` is for choosing, `test` for confirming."""
    if half == "all":
        return list(questions)
    chosen = []
    for kind in KINDS:
        of_kind = [each for each in questions if each.kind == kind]
        # In fours, since every second one says which kind it wants.
        chosen += [each for number, each in enumerate(of_kind) if (number // 2 % 2 == 0) == (half == "dev")]
    return chosen


def show(name: str, table: dict[str, dict[str, float]], taken: dict[str, dict[str, float]]) -> None:
    print(f"\n{name:<22}{'questions':>10}{'recall@5':>10}{'MRR':>8}")
    for what, numbers in table.items():
        print(f"  {what:<20}{numbers['questions']:>10}{numbers['recall_at_5']:>10.2f}{numbers['mrr']:>8.2f}")
    for what, by in taken.items():
        print(f"  {what}: taken by " + ", ".join(f"{other} {share:.2f}" for other, share in by.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--weights", type=Path, help="folder of installed weights (default: homebody's own)")
    parser.add_argument("--speech", default="whisper-base")
    parser.add_argument("--clip", default=str(TINY_CLIP), help="a catalogue's id, or the path of a folder")
    parser.add_argument("--half", choices=("all", "dev", "test"), default="all")
    parser.add_argument("--keep", type=Path, help="keep the library here for the next time")
    parser.add_argument("--seed", type=int, default=SEED, help="another one makes another library")
    parser.add_argument("--quick", action="store_true", help="a small library")
    parser.add_argument("--verbose", action="store_true", help="print the questions whose file was not found")
    args = parser.parse_args()
    if shutil.which("espeak-ng") is None:
        raise SystemExit("espeak-ng reads the notes aloud and is not installed; get it: apt-get install espeak-ng")
    size = QUICK if args.quick else FULL
    with ExitStack() as stack:
        place = args.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="homebody-mixed-")))
        folder, root = place / "library", place / "home"
        if not (place / "questions.json").exists():
            folder.mkdir(parents=True)
            questions = write_library(folder, size, seed=args.seed)
            (place / "questions.json").write_text(json.dumps([asdict(each) for each in questions]), encoding="utf-8")
        told = json.loads((place / "questions.json").read_text(encoding="utf-8"))
        questions = half_of([Question(**each) for each in told], args.half)
        root.mkdir(exist_ok=True)
        weights = (args.weights or HomePaths.from_environment().weights_dir).resolve()
        if not (root / "models").exists():
            (root / "models").symlink_to(weights)
        result: dict[str, object] = {"size": asdict(size), "seed": args.seed, "half": args.half}
        for name, clip in (("with CLIP", args.clip), ("without CLIP", "none")):
            home = opened(root, clip, args.speech)
            try:
                if clip != "none":
                    result["index_s"] = round(index(home, folder), 1)
                answered = asked(home, questions)
            finally:
                home.close()
            table, taken = rows(answered), shares(answered)
            show(name, table, taken)
            result[name.replace(" ", "_").lower()] = {**table, "first_five_taken_by": taken}
            if args.verbose:
                for each in answered:
                    if not 0 < each.place <= AMONG:
                        print(f"    {each.place:>3} {each.question.kind:<6}{each.question.text} ({each.question.file})")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
