"""Read the weights of a BERT encoder out of an ONNX file, by its parameters' names and the graph around them.

Exporters keep the names of biases and norms (`encoder.layer.3.attention.self.query.bias`) and rename the matrices:
those are found by walking back from the bias. Anything that is not plainly a BERT encoder gives None; nothing is
guessed. Writes nothing: `integer_graph.py` does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.graph_writer import Linear, Norm

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_QUERY_BIAS = re.compile(r"^(?P<root>.*?)encoder\.layer\.(?P<layer>\d+)\.attention\.self\.query\.bias$")


@dataclass(frozen=True, slots=True)
class Table:
    """An embedding table, as it is stored: float, or int8 with one scale a row."""

    values: NDArray[np.int8] | NDArray[np.float32]
    row_scale: NDArray[np.float32] | None

    def as_float(self) -> NDArray[np.float32]:
        floats = self.values.astype(np.float32)
        return floats if self.row_scale is None else floats * self.row_scale


@dataclass(frozen=True, slots=True)
class BertLayer:
    query: Linear
    key: Linear
    value: Linear
    attention_output: Linear
    attention_norm: Norm
    intermediate: Linear
    output: Linear
    output_norm: Norm


@dataclass(frozen=True, slots=True)
class BertEncoder:
    words: Table
    positions: Table
    token_types: Table
    norm: Norm
    layers: tuple[BertLayer, ...]
    heads: int

    @property
    def width(self) -> int:
        return int(self.norm.weight.shape[0])


class _NotBert(Exception):
    """The graph differs from a BERT encoder here; inside this module only."""


def read_bert_encoder(model: ModelProto) -> BertEncoder | None:
    """The encoder in this graph, or None where it is something else (or exported in a way not known here).

    Weights may be float32 or stored as int8 with one scale a column (Cast, then Mul); float ones are rounded to
    int8 by column. Positions must count from 0 and the activation must be the exact GELU.
    """
    try:
        return _Reader(model.graph).encoder()
    except _NotBert:
        return None


class _Reader:
    def __init__(self, graph: GraphProto) -> None:
        from onnx import numpy_helper

        self._arrays = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        self._producers: dict[str, NodeProto] = {out: node for node in graph.node for out in node.output}
        self._consumers: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._consumers.setdefault(name, []).append(node)
        self._gelus = sum(node.op_type in ("Erf", "Gelu") for node in graph.node)

    def encoder(self) -> BertEncoder:
        named = [match for name in self._arrays if (match := _QUERY_BIAS.match(name))]
        roots = {match["root"] for match in named}
        numbers = sorted(int(match["layer"]) for match in named)
        if len(roots) != 1 or numbers != list(range(len(numbers))) or self._gelus != len(numbers):
            raise _NotBert
        root = roots.pop()
        layers = tuple(self._layer(f"{root}encoder.layer.{number}.") for number in numbers)
        width = layers[0].query.weight.shape[0]
        head_width = self._head_width(f"{root}encoder.layer.0.attention.self.query.bias")
        if head_width <= 0 or width % head_width:
            raise _NotBert
        return BertEncoder(
            words=self._table(f"{root}embeddings.word_embeddings.weight"),
            positions=self._table(f"{root}embeddings.position_embeddings.weight"),
            token_types=self._table(f"{root}embeddings.token_type_embeddings.weight"),
            norm=self._norm(f"{root}embeddings.LayerNorm"),
            layers=layers,
            heads=width // head_width,
        )

    def _layer(self, prefix: str) -> BertLayer:
        return BertLayer(
            query=self._linear(f"{prefix}attention.self.query.bias"),
            key=self._linear(f"{prefix}attention.self.key.bias"),
            value=self._linear(f"{prefix}attention.self.value.bias"),
            attention_output=self._linear(f"{prefix}attention.output.dense.bias"),
            attention_norm=self._norm(f"{prefix}attention.output.LayerNorm"),
            intermediate=self._linear(f"{prefix}intermediate.dense.bias"),
            output=self._linear(f"{prefix}output.dense.bias"),
            output_norm=self._norm(f"{prefix}output.LayerNorm"),
        )

    def _linear(self, bias_name: str) -> Linear:
        add = self._only_consumer(bias_name, "Add")
        product_name = next(name for name in add.input if name != bias_name)
        product = self._producers.get(product_name)
        if product is None or product.op_type != "MatMul":
            raise _NotBert
        weight, scale = self._columns(product.input[1])
        bias = self._float(bias_name)
        if weight.ndim != 2 or weight.shape[1] != bias.shape[0] or scale.shape != bias.shape:
            raise _NotBert
        return Linear(weight, scale, bias)

    def _columns(self, name: str) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """A constant matrix as int8 and one scale a column."""
        if name in self._arrays:
            floats = self._float(name)
            scale = np.maximum(np.abs(floats).max(axis=0), np.float32(1e-12)) / np.float32(127)
            return np.round(floats / scale).astype(np.int8), scale.astype(np.float32)
        weight, scale = self._stored_int8(name)
        if scale.size != weight.shape[-1]:
            raise _NotBert
        return weight, scale.reshape(-1)

    def _table(self, name: str) -> Table:
        if name in self._arrays:
            return Table(self._float(name), None)
        values, scale = self._stored_int8(name)
        if scale.size != values.shape[0]:
            raise _NotBert
        return Table(values, scale.reshape(-1, 1))

    def _stored_int8(self, name: str) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """What `Mul(Cast(int8 constant), scale constant)` is made of."""
        multiply = self._producers.get(name)
        if multiply is None or multiply.op_type != "Mul":
            raise _NotBert
        cast = self._producers.get(multiply.input[0])
        if cast is None or cast.op_type != "Cast" or multiply.input[1] not in self._arrays:
            raise _NotBert
        values = self._arrays.get(cast.input[0])
        if values is None or values.dtype != np.int8:
            raise _NotBert
        return values, self._float(multiply.input[1])

    def _norm(self, prefix: str) -> Norm:
        node = self._only_consumer(f"{prefix}.weight", "LayerNormalization")
        epsilon = next((each.f for each in node.attribute if each.name == "epsilon"), 1e-5)
        return Norm(self._float(f"{prefix}.weight"), self._float(f"{prefix}.bias"), epsilon)

    def _head_width(self, query_bias: str) -> int:
        """The last number of the shape that splits the query into heads."""
        add = self._only_consumer(query_bias, "Add")
        reshape = self._only_consumer(add.output[0], "Reshape")
        shape = reshape.input[1]
        if shape not in self._arrays:
            concat = self._producers.get(shape)
            if concat is None or concat.op_type != "Concat":
                raise _NotBert
            shape = concat.input[-1]
        if shape not in self._arrays:
            raise _NotBert
        return int(self._arrays[shape].reshape(-1)[-1])

    def _only_consumer(self, name: str, op_type: str) -> NodeProto:
        nodes = [node for node in self._consumers.get(name, []) if node.op_type == op_type]
        if len(nodes) != 1:
            raise _NotBert
        return nodes[0]

    def _float(self, name: str) -> NDArray[np.float32]:
        array = self._arrays.get(name)
        if array is None or array.dtype != np.float32:
            raise _NotBert
        return array
