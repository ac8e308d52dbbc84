"""Find the blocks of a pre-norm transformer (ViT, CLIP's text half) in an ONNX graph, whatever its exporter named them.

A block is known by its order: norm, joined query-key-value product, output product, sum; norm, widening product,
activation, narrowing product, sum. Exports are taken after ONNX Runtime's plain simplifications. Anything else gives
None. What is read is a guess until a graph made of it agrees with the original on real input: see
`integer_transformer.py`. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from models.graph_writer import Norm

if TYPE_CHECKING:
    from onnx import AttributeProto, ModelProto, NodeProto

Activation = Literal["gelu", "quick-gelu"]
_PASSING = frozenset({"Identity", "Cast", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Dropout"})
"""Operators that only move numbers."""


@dataclass(frozen=True, slots=True)
class Product:
    """y = x @ weight + bias, in floats."""

    weight: NDArray[np.float32]
    """Shape (inputs, outputs)."""
    bias: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Block:
    attention_norm: Norm
    joined: Product
    """Query, key and value, side by side."""
    attention_output: Product
    wide_norm: Norm
    widen: Product
    activation: Activation
    narrow: Product


@dataclass(frozen=True, slots=True)
class Blocks:
    """All blocks of a graph, one behind the other."""

    blocks: tuple[Block, ...]
    given: str
    """The value that goes into the first."""
    result: str
    """The value that comes out of the last."""
    softmax: str
    """What the first block's softmax gives: its shape tells the heads."""
    causal: bool
    """No token sees those behind it."""
    first_token_axis: int | None
    """Of what comes out only place 0 along this axis is used, as of a picture's class token. None: all is."""


class _NotSuch(Exception):
    """The graph differs from what is looked for; inside this module only."""


def read_blocks(model: ModelProto) -> Blocks | None:
    """The blocks in this graph, or None where there are none that are known here."""
    try:
        return _Reader(model).blocks()
    except _NotSuch:
        return None


class _Reader:
    def __init__(self, model: ModelProto) -> None:
        from onnx import numpy_helper

        self._nodes = list(model.graph.node)
        self._arrays = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
        for node in self._nodes:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                self._arrays[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        self._producers: dict[str, NodeProto] = {out: node for node in self._nodes for out in node.output}
        self._consumers: dict[str, list[NodeProto]] = {}
        for node in self._nodes:
            for name in node.input:
                self._consumers.setdefault(name, []).append(node)

    def blocks(self) -> Blocks:
        steps = [
            place
            for place, node in enumerate(self._nodes)
            if node.op_type == "LayerNormalization" or self._is_product(node)
        ]
        found: list[Block] = []
        given = result = softmax = ""
        causal = False
        at = 0
        while at + 6 <= len(steps):
            places = steps[at : at + 6]
            if not self._looks_like_block([self._nodes[each] for each in places]):
                if found:
                    break
                at += 1
                continue
            behind = self._nodes[places[0] : (steps[at + 6] if at + 6 < len(steps) else len(self._nodes))]
            block, block_given, block_result = self._block([self._nodes[each] for each in places], behind)
            if not found:
                given = block_given
                softmax = self._softmax(behind)
                causal = self._is_causal(softmax)
            elif block_given != result:
                raise _NotSuch
            found.append(block)
            result = block_result
            at += 6
        if not found:
            raise _NotSuch
        return Blocks(tuple(found), given, result, softmax, causal, self._first_token_axis(result))

    def _is_product(self, node: NodeProto) -> bool:
        if node.op_type not in ("MatMul", "Gemm") or len(node.input) < 2:
            return False
        weight = self._arrays.get(node.input[1])
        return weight is not None and weight.ndim == 2 and weight.dtype == np.float32

    def _looks_like_block(self, nodes: list[NodeProto]) -> bool:
        norms = [node.op_type == "LayerNormalization" for node in nodes]
        if norms != [True, False, False, True, False, False]:
            return False
        joined, out, widen, narrow = (self._weight(nodes[at]).shape for at in (1, 2, 4, 5))
        width = joined[0]
        return (
            joined == (width, 3 * width) and out == (width, width) and widen[0] == width and narrow == (widen[1], width)
        )

    def _block(self, nodes: list[NodeProto], behind: list[NodeProto]) -> tuple[Block, str, str]:
        """The block, the value that goes into it, the value that comes out."""
        norm, joined, out, wide_norm, widen, narrow = nodes
        given = self._source(norm.input[0])
        middle = self._sum_with(out.output[0], given)
        if self._source(wide_norm.input[0]) != middle:
            raise _NotSuch
        result = self._sum_with(narrow.output[0], middle)
        block = Block(
            attention_norm=self._norm(norm),
            joined=self._product(joined),
            attention_output=self._product(out),
            wide_norm=self._norm(wide_norm),
            widen=self._product(widen),
            activation=self._activation(behind),
            narrow=self._product(narrow),
        )
        return block, given, result

    def _source(self, name: str) -> str:
        """The value that this one is, but for operators that only change its type."""
        while (node := self._producers.get(name)) is not None and node.op_type in ("Identity", "Cast"):
            name = node.input[0]
        return name

    def _sum_with(self, name: str, residual: str) -> str:
        """The sum of a product's result and what went around it."""
        for node in self._following(name):
            if node.op_type != "Add":
                continue
            if residual in (self._source(each) for each in node.input):
                return str(node.output[0])
        raise _NotSuch

    def _following(self, name: str) -> Iterator[NodeProto]:
        """The sums behind a value, as long as there is one way only, and nothing else is computed."""
        while True:
            consumers = self._consumers.get(name, [])
            onward = [node for node in consumers if node.op_type in _PASSING or node.op_type == "Add"]
            if len(onward) != 1:
                return
            yield onward[0]
            if onward[0].op_type == "Add" and not any(each in self._arrays for each in onward[0].input):
                return
            name = onward[0].output[0]

    def _first_token_axis(self, result: str) -> int | None:
        axes = {axis for node in self._consumers.get(result, []) for axis in self._axes_of_first(node, result)}
        return axes.pop() if len(axes) == 1 else None

    def _axes_of_first(self, node: NodeProto, value: str) -> set[int | None]:
        """The axes along which only place 0 of a value is taken by this node and by those behind it; None: all is."""
        if node.op_type in ("LayerNormalization", "Identity", "Cast") and node.input[0] == value:
            behind = self._consumers.get(node.output[0], [])
            return {axis for each in behind for axis in self._axes_of_first(each, node.output[0])}
        if node.op_type != "Gather" or node.input[0] != value:
            return {None}
        index = self._arrays.get(node.input[1])
        if index is None or index.size != 1 or int(index.reshape(-1)[0]) != 0:
            return {None}
        return {next((each.i for each in node.attribute if each.name == "axis"), 0)}

    def _weight(self, node: NodeProto) -> NDArray[np.float32]:
        weight = self._arrays[node.input[1]]
        turned = any(each.name == "transB" and each.i for each in node.attribute)
        return weight.T if turned else weight

    def _product(self, node: NodeProto) -> Product:
        weight = self._weight(node)
        if node.op_type == "Gemm":
            if any(each.name in ("alpha", "beta") and each.f != 1.0 for each in node.attribute):
                raise _NotSuch
            if any(each.name == "transA" and each.i for each in node.attribute):
                raise _NotSuch
            if len(node.input) > 2:
                return Product(weight, self._vector(node.input[2], weight.shape[1]))
        for follower in self._following(node.output[0]):
            if follower.op_type == "Add":
                known = [each for each in follower.input if each in self._arrays]
                if known and self._arrays[known[0]].size == weight.shape[1]:
                    return Product(weight, self._vector(known[0], weight.shape[1]))
                break
        return Product(weight, np.zeros(weight.shape[1], np.float32))

    def _vector(self, name: str, size: int) -> NDArray[np.float32]:
        array = self._arrays.get(name)
        if array is None or array.dtype != np.float32 or array.size != size:
            raise _NotSuch
        return array.reshape(-1)

    def _norm(self, node: NodeProto) -> Norm:
        epsilon = next((each.f for each in node.attribute if each.name == "epsilon"), 1e-5)
        if len(node.input) < 3:
            raise _NotSuch
        weight = self._arrays.get(node.input[1])
        if weight is None:
            raise _NotSuch
        return Norm(self._vector(node.input[1], weight.size), self._vector(node.input[2], weight.size), epsilon)

    @staticmethod
    def _activation(nodes: list[NodeProto]) -> Activation:
        kinds = {node.op_type for node in nodes}
        if "Sigmoid" in kinds or "QuickGelu" in kinds:
            return "quick-gelu"
        if "Erf" in kinds or any(node.op_type == "Gelu" and not _is_approximate(node) for node in nodes):
            return "gelu"
        raise _NotSuch

    @staticmethod
    def _softmax(nodes: list[NodeProto]) -> str:
        softmaxes = [node for node in nodes if node.op_type == "Softmax"]
        if len(softmaxes) != 1:
            raise _NotSuch
        return str(softmaxes[0].output[0])

    def _is_causal(self, softmax: str) -> bool:
        """Whether a mask that hides what comes later is added before the softmax."""
        before = self._producers.get(self._source(self._producers[softmax].input[0]))
        for _ in range(4):
            if before is None:
                return False
            if before.op_type == "Add":
                masks = [self._arrays[each] for each in before.input if each in self._arrays]
                return any(_hides_what_follows(mask) for mask in masks)
            before = self._producers.get(before.input[0])
        return False


def _is_approximate(node: NodeProto) -> bool:
    attributes: list[AttributeProto] = list(node.attribute)
    return any(each.name == "approximate" and each.s == b"tanh" for each in attributes)


def _hides_what_follows(mask: NDArray[np.float32]) -> bool:
    if mask.ndim < 2 or mask.shape[-1] != mask.shape[-2] or mask.shape[-1] < 2:
        return False
    square = mask.reshape(-1, *mask.shape[-2:])[0]
    above = square[np.triu_indices(len(square), 1)]
    return bool((above < -1e4).all() and (np.tril(square) == 0).all())
