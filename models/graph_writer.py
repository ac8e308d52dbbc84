"""Write a graph's nodes one by one, with products that run in integers on the CPU.

Weights are rounded to 8 bits or fewer with one scale a column; activations as they come, with one scale a row (the
row's largest value), so that a result does not depend on its neighbours in a batch, or with one scale for all rows,
which is quicker where there is no batch. Knows no kind of model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MICROSOFT = "com.microsoft"
_GELU_FLOOR = 0.17
"""GELU's least value is -0.16997, and that of x * sigmoid(1.702 x) is -0.164: shifted by this they are positive, and
all 8 bits serve the positive range."""


@dataclass(frozen=True, slots=True)
class Linear:
    """y = x @ (weight * scale) + bias."""

    weight: NDArray[np.int8]
    """Shape (inputs, outputs)."""
    scale: NDArray[np.float32]
    """Shape (outputs,): one a column."""
    bias: NDArray[np.float32]

    def as_float(self) -> NDArray[np.float32]:
        return self.weight.astype(np.float32) * self.scale


@dataclass(frozen=True, slots=True)
class Norm:
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    epsilon: float


class GraphWriter:
    """Builds the nodes and constants of one graph; each method returns the name of the value it made."""

    def __init__(self, prefix: str = "", *, opset: int = 18) -> None:
        """`prefix` keeps its names apart from those of a graph that the nodes are put into; `opset` is that graph's."""
        self._opset = opset
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self._prefix = prefix

    def product(self, linear: Linear, values: str, name: str) -> tuple[str, str]:
        """x @ weight without the bias, whose name comes second: the operator that follows adds it for nothing.

        x is rounded to -127..127 times its row's largest magnitude / 127.
        """
        largest = self._row_maximum(self.node("Abs", [values]))
        step = self.constant("step_signed", np.array(1 / 127, np.float32))
        zero = self.constant("zero_signed", np.array(128, np.uint8))
        return self._integer_product(linear, values, largest, step, zero, name), self.constant(
            f"{name}_bias", linear.bias
        )

    def product_after_gelu(self, linear: Linear, values: str, name: str) -> tuple[str, str]:
        """The same for x that GELU made. The shift that makes it positive is taken back in the bias."""
        shift = self.constant("gelu_shift", np.array(_GELU_FLOOR, np.float32))
        shifted = self.node("Add", [values, shift])
        largest = self._row_maximum(shifted)
        step = self.constant("step_unsigned", np.array(1 / 255, np.float32))
        zero = self.constant("zero_unsigned", np.array(0, np.uint8))
        bias = linear.bias - np.float32(_GELU_FLOOR) * linear.as_float().sum(axis=0)
        return self._integer_product(linear, shifted, largest, step, zero, name), self.constant(f"{name}_bias", bias)

    def product_of_all(self, linear: Linear, values: str, name: str) -> str:
        """x @ weight + bias in one step, x rounded with one scale for all its rows together."""
        weight, scale = self.constant(f"{name}_weight", linear.weight), self.constant(f"{name}_scale", linear.scale)
        bias = self.constant(f"{name}_bias", linear.bias)
        return self.node("DynamicQuantizeMatMul", [values, weight, scale, "", bias], domain=MICROSOFT)

    def _row_maximum(self, values: str) -> str:
        if self._opset < 18:
            largest = self.node("ReduceMax", [values], axes=[-1], keepdims=1)
        else:
            last_axis = self.constant("last_axis", np.array([-1], np.int64))
            largest = self.node("ReduceMax", [values, last_axis], keepdims=1)
        least = self.constant("least", np.array(1e-9, np.float32))  # a row of zeros must not divide by zero
        return self.node("Max", [largest, least])

    def _integer_product(self, linear: Linear, values: str, largest: str, step: str, zero: str, name: str) -> str:
        rounded = self.node("QuantizeLinear", [self.node("Div", [values, largest]), step, zero])
        weight = self.constant(f"{name}_weight", linear.weight)
        scale = self.constant(f"{name}_scale", linear.scale)
        product = self.node("MatMulIntegerToFloat", [rounded, weight, step, scale, zero], domain=MICROSOFT)
        return self.node("Mul", [product, largest])

    def norm(self, values: str, norm: Norm, name: str) -> str:
        weight, bias = self.constant(f"{name}_weight", norm.weight), self.constant(f"{name}_bias", norm.bias)
        return self.node("LayerNormalization", [values, weight, bias], axis=-1, epsilon=norm.epsilon)

    def constant(self, name: str, array: NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"{self._prefix}{name}"
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def node(self, op_type: str, inputs: Sequence[str], *, domain: str = "", **attributes: Any) -> str:
        return self._nodes_outputs(op_type, inputs, 1, domain, attributes)[0]

    def split(self, value: str, parts: int) -> list[str]:
        attributes = {"axis": -1} if self._opset < 18 else {"axis": -1, "num_outputs": parts}
        return self._nodes_outputs("Split", [value], parts, "", attributes)

    def _nodes_outputs(
        self, op_type: str, inputs: Sequence[str], outputs: int, domain: str, attributes: dict[str, Any]
    ) -> list[str]:
        from onnx import helper

        names = [f"{self._prefix}value{len(self.nodes)}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(op_type, list(inputs), names, domain=domain, **attributes))
        return names
