"""Rewrite a pre-norm transformer (a half of a CLIP) so that its products run in integers, and attention in one step.

ONNX Runtime's own dynamic quantisation takes one scale for all tokens of a picture, computes them with the slower of
its kernels where a CPU has no VNNI, and leaves attention as the exporter wrote it. Here a token has a scale of its own,
and weights take 7 bits: then sums of bytes cannot overflow 16 bits, which AVX2's fast kernel needs, and CPUs with VNNI
lose nothing. What comes before the blocks and behind them stays as it is.

What was read of a graph is a guess: whoever calls compares the result with the original on pictures or texts and drops
what differs. Uses the engine to learn shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.graph_writer import MICROSOFT, GraphWriter, Linear
from models.onnx_session import open_session
from models.transformer_blocks import Block, Blocks, Product, read_blocks

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

Rounding = Literal["all", "row"]
"""What shares a scale when activations are rounded: all tokens of a picture or text, which is quickest, or each has its
own, which keeps more where few tokens are much larger than the others."""
WEIGHT_LEVELS = 63
"""Largest magnitude of a weight in 7 bits: 2 * 255 * 63 is less than 2 to the 15."""
LEAST_TABLE = 1 << 16
"""Numbers in a table that is worth rounding."""
_PREFIX = "homebody_"
_QUICK_GELU = 1.702


@dataclass(frozen=True, slots=True)
class _Layout:
    heads: int
    tokens_first: bool
    """The value between blocks has the shape (tokens, 1, width), not (1, tokens, width)."""


def integer_transformer(model: ModelProto, rounding: Rounding) -> ModelProto | None:
    """A rewritten copy of a graph that was simplified, or None where no blocks are found that are known.

    Takes and gives what the original does, for one picture or text at a time. Raises WeightsDamaged, EngineFailed.
    """
    import onnx

    blocks = read_blocks(model)
    opset = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)
    if blocks is None or opset < 17:
        return None
    layout = _layout(model, blocks)
    if layout is None:
        return None
    made = onnx.ModelProto()
    made.CopyFrom(model)
    writer = _Writer(layout, rounding, causal=blocks.causal, opset=opset)
    writer.write(blocks)
    _put_in_place(made, blocks.result, writer)
    _round_ends(made, rounding, opset)
    if not any(each.domain == MICROSOFT for each in made.opset_import):
        made.opset_import.append(onnx.helper.make_opsetid(MICROSOFT, 1))
    return made


def _layout(model: ModelProto, blocks: Blocks) -> _Layout | None:
    """Learnt by letting the graph run on nothing."""
    import onnx

    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    for name in (blocks.softmax, blocks.result):
        probe.graph.output.append(onnx.ValueInfoProto(name=name))
    session = open_session(probe.SerializeToString(), name="a graph that is quantized", keeps_memory=False)
    weights, result = session.run({each.name: _nothing(each.shape, each.type) for each in session.native.get_inputs()})
    width = blocks.blocks[0].joined.weight.shape[0]
    if result.ndim != 3 or result.shape[2] != width or 1 not in result.shape[:2]:
        return None
    tokens = max(result.shape[:2])
    if weights.shape[-1] != tokens or weights.shape[-2] != tokens:
        return None
    heads = int(np.prod(weights.shape[:-2]))
    if not heads or width % heads:
        return None
    return _Layout(heads, tokens_first=result.shape[0] != 1)


def _nothing(shape: list[int | str | None], kind: str) -> NDArray[Any]:
    sizes = [each if isinstance(each, int) and each > 0 else 1 for each in shape]
    kinds = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}
    return np.zeros(sizes, kinds.get(kind, np.float32))


def _round_ends(model: ModelProto, rounding: Rounding, opset: int) -> None:
    """What is before the blocks: the cutting of a picture into patches, and tables of tokens."""
    from onnx import TensorProto, numpy_helper

    arrays = {each.name: each for each in model.graph.initializer if each.data_type == TensorProto.FLOAT}
    for place, node in enumerate(list(model.graph.node)):
        weight = arrays.get(node.input[1 if node.op_type == "Conv" else 0]) if len(node.input) > 1 else None
        writer = _Writer(
            _Layout(1, tokens_first=False), rounding, causal=False, opset=opset, prefix=f"{_PREFIX}{place}_"
        )
        if node.op_type == "Conv" and weight is not None:
            done = writer.write_patches(node, numpy_helper.to_array(weight), arrays, model)
        elif node.op_type == "Gather" and weight is not None and len(weight.dims) == 2:
            done = writer.write_lookup(node, numpy_helper.to_array(weight))
        else:
            continue
        if done:
            _put_in_place(model, node.output[0], writer)


def _put_in_place(model: ModelProto, result: str, writer: _Writer) -> None:
    """The writer's nodes in place of those that made `result`, and nothing that is no longer used."""
    nodes: list[Any] = []
    for node in model.graph.node:
        nodes.extend(writer.nodes if result in node.output else [node])
    wanted = {each.name for each in model.graph.output}
    kept: list[Any] = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))
    constants = [each for each in (*model.graph.initializer, *writer.constants.values()) if each.name in wanted]
    del model.graph.initializer[:]
    model.graph.initializer.extend(constants)
    del model.graph.value_info[:]


class _Writer(GraphWriter):
    def __init__(self, layout: _Layout, rounding: Rounding, *, causal: bool, opset: int, prefix: str = _PREFIX) -> None:
        super().__init__(prefix, opset=opset)
        self._layout = layout
        self._rounding = rounding
        self._causal = causal

    def write(self, blocks: Blocks) -> None:
        hidden = blocks.given
        if self._layout.tokens_first:
            hidden = self.node("Transpose", [hidden], perm=[1, 0, 2])
        only_first = blocks.first_token_axis == (0 if self._layout.tokens_first else 1)
        for number, block in enumerate(blocks.blocks):
            last = number == len(blocks.blocks) - 1
            hidden = self._block(block, hidden, f"block{number}", first_only=last and only_first)
        if self._layout.tokens_first:
            hidden = self.node("Transpose", [hidden], perm=[1, 0, 2])
        self.nodes[-1].output[0] = blocks.result

    def write_patches(
        self, node: NodeProto, weight: NDArray[np.float32], arrays: Mapping[str, TensorProto], model: ModelProto
    ) -> bool:
        """A convolution whose windows lie side by side is one product a patch. Whether it is one."""
        from onnx import numpy_helper

        if weight.ndim != 4 or weight.shape[2] != weight.shape[3]:
            return False
        width, colours, side = weight.shape[:3]
        settings = {each.name: list(each.ints) or each.i for each in node.attribute}
        given = next((each for each in model.graph.input if each.name == node.input[0]), None)
        plain = settings.get("group", 1) == 1 and not any(settings.get("pads", [0]))
        if given is None or not plain or settings.get("strides") != [side, side]:
            return False
        height_px, width_px = (each.dim_value for each in given.type.tensor_type.shape.dim[2:])
        if not height_px or not width_px or height_px % side or width_px % side:
            return False
        bias = np.zeros(width, np.float32)
        if len(node.input) > 2:
            if node.input[2] not in arrays:
                return False
            bias = numpy_helper.to_array(arrays[node.input[2]])
        down, across = height_px // side, width_px // side
        cut = self._shaped(node.input[0], [-1, colours, down, side, across, side], "cut")
        patches = self._shaped(
            self.node("Transpose", [cut], perm=[0, 2, 4, 1, 3, 5]),
            [-1, down * across, colours * side * side],
            "patches",
        )
        made = self._affine(Product(weight.reshape(width, -1).T, bias), patches, "patch")
        self._shaped(self.node("Transpose", [made], perm=[0, 2, 1]), [-1, width, down, across], "map")
        self.nodes[-1].output[0] = node.output[0]
        return True

    def write_lookup(self, node: NodeProto, table: NDArray[np.float32]) -> bool:
        """Rows of a table that is kept in 8 bits with one scale a row. Whether the node takes rows of a large one."""
        from onnx import TensorProto

        if table.size < LEAST_TABLE or any(each.name == "axis" and each.i for each in node.attribute):
            return False
        scale = np.maximum(np.abs(table).max(axis=1, keepdims=True), np.float32(1e-12)) / np.float32(127)
        rows = self.constant("table", np.round(table / scale).astype(np.int8))
        scales = self.constant("table_scale", scale.astype(np.float32))
        values = self.node("Cast", [self.node("Gather", [rows, node.input[1]])], to=TensorProto.FLOAT)
        self.node("Mul", [values, self.node("Gather", [scales, node.input[1]])])
        self.nodes[-1].output[0] = node.output[0]
        return True

    def _shaped(self, values: str, shape: list[int], name: str) -> str:
        return self.node("Reshape", [values, self.constant(name, np.array(shape, np.int64))])

    def _block(self, block: Block, hidden: str, name: str, *, first_only: bool) -> str:
        """The value behind a block. With `first_only` it has its first token alone, which saves most of the work."""
        normed = self.norm(hidden, block.attention_norm, f"{name}_attention_norm")
        if first_only:
            query, rest = _cut(block.joined)
            asking = self._affine(query, self._first(normed), f"{name}_query")
            heads = [asking, *self.split(self._affine(rest, normed, f"{name}_rest"), 2)]
            hidden = self._first(hidden)
        else:
            heads = self.split(self._affine(block.joined, normed, f"{name}_joined"), 3)
        attended = self.node(
            "MultiHeadAttention",
            heads,
            domain=MICROSOFT,
            num_heads=self._layout.heads,
            unidirectional=int(self._causal),
        )
        hidden = self.node("Add", [hidden, self._affine(block.attention_output, attended, f"{name}_attention")])
        normed = self.norm(hidden, block.wide_norm, f"{name}_wide_norm")
        activated = self._activated(block, normed, name)
        return self.node("Add", [hidden, self._affine(block.narrow, activated, f"{name}_narrow", after_gelu=True)])

    def _activated(self, block: Block, normed: str, name: str) -> str:
        linear = _rounded(block.widen)
        if block.activation == "gelu" and self._rounding == "row":
            return self.node("BiasGelu", [*self.product(linear, normed, f"{name}_widen")], domain=MICROSOFT)
        widened = self._affine(block.widen, normed, f"{name}_widen")
        if block.activation == "gelu":
            return self.node("Gelu", [widened], domain=MICROSOFT)
        return self.node("QuickGelu", [widened], domain=MICROSOFT, alpha=_QUICK_GELU)

    def _affine(self, product: Product, values: str, name: str, *, after_gelu: bool = False) -> str:
        linear = _rounded(product)
        if self._rounding == "all":
            return self.product_of_all(linear, values, name)
        rowwise = self.product_after_gelu if after_gelu else self.product
        return self.node("Add", [*rowwise(linear, values, name)])

    def _first(self, values: str) -> str:
        """The first token of (1, tokens, width), as (1, 1, width)."""
        zero, one = (self.constant(name, np.array([number], np.int64)) for name, number in (("from", 0), ("to", 1)))
        return self.node("Slice", [values, zero, one, one])


def _cut(joined: Product) -> tuple[Product, Product]:
    """The query's part, and the key's and the value's."""
    width = joined.weight.shape[0]
    return (
        Product(joined.weight[:, :width], joined.bias[:width]),
        Product(joined.weight[:, width:], joined.bias[width:]),
    )


def _rounded(product: Product) -> Linear:
    scale = np.maximum(np.abs(product.weight).max(axis=0), np.float32(1e-12)) / np.float32(WEIGHT_LEVELS)
    weight = np.round(product.weight / scale).astype(np.int8)
    return Linear(weight, scale.astype(np.float32), product.bias)
