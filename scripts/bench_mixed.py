"""Ask a library of texts and drawn pictures 60 questions, and say how often what is meant is among the first five.

Half of the questions are about texts, half describe a picture that is found by its looks alone (OCR and labels are
switched off). Asked with CLIP and without; then for how boldly pictures may stand out (`image_vectors.STANDS_OUT`).

    python scripts/bench_mixed.py [--clip FOLDER] [--pictures N] [--texts N]

The scenes are of `scripts/scenes.py`, unseen by the small CLIP that is the default. Last line: one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.labels import Label
from models.ocr import TextLine
from pipelines.factory import open_home
from pipelines.home import Home
from pipelines.paths import HomePaths
from pipelines.settings import ClipSettings, Settings
from rag import image_vectors
from scripts.scenes import draw, held_out_scenes

TINY_CLIP = Path(__file__).resolve().parent.parent / "tests" / "data" / "tiny-clip"
SEED = 77
AMONG = 5
QUESTIONS_A_KIND = 30
THINGS = ("boiler", "lease", "bicycle", "passport", "garden", "printer", "insurance", "telephone", "roof", "piano")
DEEDS = ("was repaired by", "was inspected by", "was sold to", "was lent to", "belongs to", "was paid for by")
NAMES = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Ginkgo", "Hazel", "Ivy", "Juniper", "Larch", "Maple")


class Blind:
    """In place of OCR and labels: what is found is found by its looks."""

    model_id = "blind"

    def read(self, _rgb: NDArray[np.uint8], _between: Callable[[], None] = lambda: None) -> list[TextLine]:
        return []

    def labels(self, _rgb: NDArray[np.uint8]) -> list[Label]:
        return []

    def close(self) -> None: ...


def write_library(folder: Path, pictures: int, texts: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(question, name of the file that is meant), of texts and of pictures."""
    dice = random.Random(SEED)
    sentences = [f"The {thing} {deed} {name}" for thing in THINGS for deed in DEEDS for name in NAMES]
    about_texts = []
    for number, sentence in enumerate(dice.sample(sentences, texts)):
        file = folder / f"note-{number:03}.txt"
        file.write_text(f"{sentence} for {dice.randint(10, 900)} euros.\n", encoding="utf-8")
        about_texts.append((f"which {sentence.removeprefix('The ')}", file.name))
    about_pictures = []
    for number, scene in enumerate(held_out_scenes(pictures, SEED)):
        file = folder / f"img-{number:03}.png"
        draw(scene, dice).save(file)
        about_pictures.append((f"photo of {scene.caption}", file.name))
    return about_texts[:QUESTIONS_A_KIND], about_pictures[:QUESTIONS_A_KIND]


def recall(home: Home, questions: Sequence[tuple[str, str]]) -> float:
    found = 0
    for question, file in questions:
        found += file in [Path(hit.path).name for hit in home.search(question, k=AMONG).hits]
    return found / len(questions)


def opened(root: Path, clip: Path | None) -> Home:
    settings = Settings(clip=ClipSettings(model=str(clip) if clip is not None else "none"))
    return open_home(HomePaths(root), settings, ocr=Blind(), labeller=Blind())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clip", type=Path, default=TINY_CLIP)
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--texts", type=int, default=200)
    args = parser.parse_args()
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="homebody-mixed-") as temporary:
        folder, root = Path(temporary) / "library", Path(temporary) / "home"
        folder.mkdir()
        about_texts, about_pictures = write_library(folder, args.pictures, args.texts)
        home = opened(root, args.clip)
        for _ in home.index([folder], threading.Event()):
            pass
        usual = image_vectors.STANDS_OUT
        for boldness in (usual, 0.0, 1.0, -100.0):
            image_vectors.STANDS_OUT = boldness
            name = "with CLIP" if boldness == usual else f"stands out {boldness:g}"
            rows[name] = {"texts": recall(home, about_texts), "pictures": recall(home, about_pictures)}
        image_vectors.STANDS_OUT = usual
        home.close()
        home = opened(root, None)
        rows["without CLIP"] = {"texts": recall(home, about_texts), "pictures": recall(home, about_pictures)}
        home.close()
    print(f"recall@{AMONG} of {2 * QUESTIONS_A_KIND} questions, {args.texts} texts and {args.pictures} pictures")
    for name, row in rows.items():
        print(f"{name:<18}  texts {row['texts']:.2f}   pictures {row['pictures']:.2f}")
    print(json.dumps({"texts": args.texts, "pictures": args.pictures, "recall_at_5": rows}))


if __name__ == "__main__":
    main()
