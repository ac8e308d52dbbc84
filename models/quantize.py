"""Make an ONNX graph smaller and faster with ONNX Runtime's own quantisers, and say what that cost.

int8: weights in 8 bits a channel, products in integers, activations rounded as they come (dynamic quantisation of
MatMul, Gemm and embedding tables). int4: weights in 4 bits, 32 to a scale, products in floats (MatMulNBits): smaller,
seldom faster on a CPU. What a graph's vectors are compared by is the caller's; a result under a stated fidelity is
refused. Works on files, since the quantisers do. Knows nothing of pictures or texts.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.errors import EngineFailed, WeightsMissing
from models.extras import install_hint
from models.onnx_devices import native_errors
from models.onnx_session import read_model

QuantizationKind = Literal["int8", "int4"]
INT4_BLOCK = 32
LEAST_COSINE = 0.99
"""What a copy must keep, unless the user states another number."""
_TIMED_RUNS = 5
_INT8_OPERATORS = ["MatMul", "Gemm", "Gather"]
_INT4_LEAST_OPSET = 21
"""The quantiser writes com.microsoft operators, and takes graphs of this standard set or an older one."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Cosines between a float graph's vectors and a quantised one's, sample by sample."""

    cosines: tuple[float, ...]

    @property
    def least(self) -> float:
        return min(self.cosines)

    @property
    def mean(self) -> float:
        return sum(self.cosines) / len(self.cosines)


def quantize(source: Path, target: Path, kind: QuantizationKind) -> None:
    """Write a quantised copy of a graph as one file. Raises WeightsMissing, WeightsDamaged, EngineFailed."""
    read_model(source)  # refuses what is no model, and weights in other files
    target.parent.mkdir(parents=True, exist_ok=True)
    failures: tuple[type[Exception], ...] = (*native_errors(), ValueError, RuntimeError)
    try:
        if kind == "int8":
            _to_int8(source, target)
        else:
            _to_int4(source, target)
    except failures as error:
        raise EngineFailed(
            f"{source} cannot be quantized to {kind} ({str(error).partition(chr(10))[0]})",
            hint="use it as it is, or try the other kind: --kind int8 or --kind int4",
        ) from error


def fidelity(plain: Sequence[NDArray[np.float32]], copies: Sequence[NDArray[np.float32]]) -> Fidelity:
    """Of unit vectors, pair by pair. Raises ValueError without any."""
    if not plain:
        raise ValueError("nothing to compare")
    return Fidelity(tuple(float(one @ other) for one, other in zip(plain, copies, strict=True)))


def refuse_below(found: Fidelity, least: float, what: str) -> None:
    """Raises EngineFailed where any sample lost more than is allowed. A NaN is refused as well."""
    if not found.least >= least:
        raise EngineFailed(
            f"{what} is refused: cosine with the float model {found.least:.4f} at worst ({found.mean:.4f} on average), "
            f"{least:.4f} is asked for",
            hint="use the float model, or state a lower fidelity: --least-cosine",
        )


def median_s(run: Callable[[], object]) -> float:
    """What one of some runs takes, after one that warms up."""
    run()
    times = []
    for _ in range(_TIMED_RUNS):
        began_s = time.perf_counter()
        run()
        times.append(time.perf_counter() - began_s)
    return statistics.median(times)


def _to_int8(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _Quiet(), tempfile.TemporaryDirectory(prefix="homebody-quantize-") as folder:
        inferred = Path(folder) / "model.onnx"
        inferred.write_bytes(source.read_bytes())
        quantize_dynamic(
            inferred,
            target,
            op_types_to_quantize=_INT8_OPERATORS,
            per_channel=True,
            weight_type=QuantType.QInt8,
        )


def _to_int4(source: Path, target: Path) -> None:
    import onnx

    if find_spec("onnx_ir") is None:
        raise WeightsMissing(
            "quantizing to int4 needs onnx-ir",
            hint=install_hint("clip-export"),
        )
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    model = read_model(source)
    standard = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)
    if standard > _INT4_LEAST_OPSET:
        raise ValueError(f"operator set {standard} is newer than the quantiser takes")
    with _Quiet():
        quantizer = MatMulNBitsQuantizer(model, block_size=INT4_BLOCK, is_symmetric=True, accuracy_level=4)
        quantizer.process()
    onnx.save_model(quantizer.model.model, str(target))


class _Quiet:
    """ONNX Runtime's quantisers talk to the root logger at WARNING about preparing the graph."""

    def __enter__(self) -> None:
        self._root = logging.getLogger()
        self._root.addFilter(_drop_preparation)

    def __exit__(self, *_error: object) -> None:
        self._root.removeFilter(_drop_preparation)


def _drop_preparation(record: logging.LogRecord) -> bool:
    return not any(each in record.getMessage() for each in ("before quantization", "already quantized"))
