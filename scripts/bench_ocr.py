"""OCR of pages whose text is known: characters wrong, seconds and memory a page.

    python scripts/bench_ocr.py --pages 3 --threads 2

Pages are rendered here, as a scanner would give them: at several sizes of print, clean, and grey, turned a little and
noisy. Characters wrong are counted without spaces (an edit distance over the length of the text). A table for people;
the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

PAGE_PX = (1240, 1754)
"""A4 at 150 dots an inch."""
LINES = 24
TEXT = (
    "the notice period is three months and the deposit of 1,850.00 euros was paid on 14 June 2025 by bank transfer"
    " to Miller & Sons; invoice no. 2025-0417 for a cordless drill (18 V), wall plugs, screws and paint at 136.39"
)


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    letter_px: int
    rough: bool
    """Grey paper, noise, turned by a degree."""


CASES = (
    Case("print 30 px", 30, False),
    Case("print 22 px", 22, False),
    Case("small 16 px", 16, False),
    Case("scan 30 px", 30, True),
    Case("scan 22 px", 22, True),
)


def main() -> None:
    import psutil
    from rapidfuzz.distance import Levenshtein

    from models.ocr_rapid import RapidOcr
    from pipelines.picture_text import text_blocks

    parser = argparse.ArgumentParser(description="Characters wrong, seconds and memory a page.")
    parser.add_argument("--pages", type=int, default=1, help="of each kind")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    began_s = time.perf_counter()
    engine = RapidOcr(threads=arguments.threads)
    said: dict[str, float | dict[str, float]] = {"load_s": round(time.perf_counter() - began_s, 2)}
    print(f"{'page':14} {'wrong %':>8} {'s/page':>8} {'CPU s':>8}")
    for case in CASES:
        wrong = letters = 0
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        for number in range(arguments.pages):
            text, page = rendered(case, seed=number)
            read = "\n".join(block.text for block in text_blocks(engine.read(page)))
            expected, got = "".join(text.split()), "".join(read.split())
            wrong += Levenshtein.distance(expected, got)
            letters += len(expected)
        seconds = (time.perf_counter() - began_s) / arguments.pages
        cpu_s = (time.process_time() - began_cpu_s) / arguments.pages
        share = 100 * wrong / letters
        print(f"{case.name:14} {share:8.2f} {seconds:8.2f} {cpu_s:8.2f}")
        said[case.name] = {"wrong_percent": round(share, 3), "s": round(seconds, 2), "cpu_s": round(cpu_s, 2)}
    said["rss_mb"] = round(psutil.Process().memory_info().rss / 1e6)
    print(json.dumps(said))


def rendered(case: Case, seed: int) -> tuple[str, NDArray[np.uint8]]:
    """The text of a page, and the page: shape (height, width, 3)."""
    from PIL import Image, ImageDraw, ImageFont

    random = np.random.default_rng(seed)
    words = TEXT.split()
    font = ImageFont.load_default(size=case.letter_px)
    page = Image.new("RGB", PAGE_PX, (235, 233, 226) if case.rough else "white")
    pen = ImageDraw.Draw(page)
    lines: list[str] = []
    for number in range(LINES):
        line = ""
        while pen.textlength(f"{line} ", font=font) < 0.72 * PAGE_PX[0]:
            line = f"{line} {words[random.integers(len(words))]}".strip()
        pen.text((90, 90 + number * 2.1 * case.letter_px), line, fill=(25, 25, 35), font=font)
        lines.append(line)
    if case.rough:
        page = page.rotate(1.0, Image.Resampling.BICUBIC, fillcolor=(235, 233, 226))
    pixels = np.asarray(page).astype(np.float32)
    if case.rough:
        pixels += random.normal(0, 12, pixels.shape[:2])[..., None]
    return "\n".join(lines), pixels.clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
