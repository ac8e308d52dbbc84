"""Time a CLIP in 8 bits against its floats, and homebody's encoder against the bare session; preprocessing apart.

    python scripts/bench_clip.py INT8_FOLDER [--floats FOLDER] [--pictures N] [--threads N]

A folder is one that `homebody models export` made, or an installed model. `--floats` is the same model before it was
quantized. Interleaved runs, medians. Prints a table; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.checksum import sha256_of
from models.clip_files import ClipFiles, find_clip
from models.clip_onnx import OnnxClip
from models.clip_probes import PROBE_TEXTS, probe_pictures
from models.clip_quantize import Samples, compare
from models.onnx_session import open_model

PHOTO_PX = (4000, 3000)
"""A photo from a telephone, for what decoding costs."""


def medians_s(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Of each run's time, all of them in turn, so that a busy moment meets them all."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            began_s = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - began_s)
    return {name: statistics.median(each) for name, each in times.items()}


def bare_run(files: ClipFiles, values: np.ndarray, threads: int) -> Callable[[], object]:
    """The pictures' graph in ONNX Runtime, and nothing around it."""
    session = open_model(files.visual, sha256=sha256_of(files.visual), threads=threads).native
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: values})


def photo() -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(probe_pictures(2)[1]).resize(PHOTO_PX).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def decoded(jpeg: bytes, side_px: int) -> np.ndarray:
    """As the reader's process does: made smaller on the way in."""
    from PIL import Image

    with Image.open(io.BytesIO(jpeg)) as picture:
        scale = side_px / max(picture.size)
        picture.draft("RGB", (int(picture.width * scale), int(picture.height * scale)))
        picture.thumbnail((side_px, side_px))
        return np.asarray(picture.convert("RGB"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--floats", type=Path)
    parser.add_argument("--pictures", type=int, default=30, help="rounds")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    files = find_clip(args.folder)
    clip = OnnxClip(files, model_id="measured", threads=args.threads)
    picture = probe_pictures(1)[0]
    values = clip.preprocess(picture)
    jpeg = photo()
    rgb = decoded(jpeg, 2000)
    runs: dict[str, Callable[[], object]] = {
        "bare session": bare_run(files, values[np.newaxis], args.threads),
        "encoder, prepared picture": lambda: clip.encode_preprocessed(values),
        "encoder, 256 px picture": lambda: clip.encode_image(picture),
        "text": lambda: clip.encode_texts(PROBE_TEXTS[:1]),
        f"decode a {PHOTO_PX[0]} x {PHOTO_PX[1]} JPEG": lambda: decoded(jpeg, 2000),
        f"prepare {rgb.shape[1]} x {rgb.shape[0]}": lambda: clip.preprocess(rgb),
    }
    plain_files = find_clip(args.floats, quantized=False) if args.floats else None
    if plain_files is not None:
        plain = OnnxClip(plain_files, model_id="floats", threads=args.threads)
        runs["floats, prepared picture"] = lambda: plain.encode_preprocessed(values)
        runs["floats, text"] = lambda: plain.encode_texts(PROBE_TEXTS[:1])
    times = medians_s(runs, args.pictures)
    for name, seconds in times.items():
        print(f"{name:<32} {1000 * seconds:9.2f} ms  {1 / seconds:9.1f}/s")
    result: dict[str, object] = {
        "threads": args.threads,
        "bytes": files.bytes,
        "ms": {name: round(1000 * seconds, 3) for name, seconds in times.items()},
        "of_bare_session": round(times["bare session"] / times["encoder, prepared picture"], 3),
    }
    print(f"throughput of the bare session: {result['of_bare_session']}")
    if plain_files is not None:
        report = compare(plain_files, files, Samples(probe_pictures()), threads=args.threads)
        faster = times["floats, prepared picture"] / times["encoder, prepared picture"]
        result |= {
            "picture_times_as_fast": round(faster, 2),
            "text_times_as_fast": round(times["floats, text"] / times["text"], 2),
            "pictures_least_cosine": round(report.pictures.least, 5),
            "texts_least_cosine": round(report.texts.least, 5),
        }
        print(f"against floats: {faster:.2f} times as fast, cosine {report.pictures.least:.4f} at worst")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
