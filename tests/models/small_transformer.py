"""Make a small pre-norm transformer as ONNX, as exporters write the halves of a CLIP: attention in plain operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

WIDTH, HEADS, WIDE, LAYERS, OUT = 64, 4, 256, 3, 32
SIDE_PX, PATCH_PX = 32, 8
WORDS, CONTEXT = 2000, 12
OPSET = 17


@dataclass(frozen=True, slots=True)
class SmallTransformer:
    model: onnx.ModelProto
    kind: str
    layers: int = LAYERS
    out: int = OUT

    def random_input(self, seed: int) -> Any:
        dice = np.random.default_rng(seed)
        if self.kind == "picture":
            return dice.standard_normal((1, 3, SIDE_PX, SIDE_PX)).astype(np.float32)
        ids = np.zeros((1, CONTEXT), np.int32)
        ids[0, :6] = [WORDS - 2, *dice.integers(1, WORDS - 2, 4), WORDS - 1]  # the end has the highest id
        return ids


def small_transformer(*, kind: str, tokens_first: bool, activation: str) -> SmallTransformer:
    """Random weights. `tokens_first`: the value between blocks has the shape (tokens, batch, width)."""
    return SmallTransformer(_Maker(tokens_first, activation).model(kind), kind)


class _Maker:
    def __init__(self, tokens_first: bool, activation: str) -> None:
        self._dice = np.random.default_rng(7)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._tokens_first = tokens_first
        self._activation = activation

    def model(self, kind: str) -> onnx.ModelProto:
        if kind == "picture":
            given = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, SIDE_PX, SIDE_PX])
            hidden, tokens, mask = self._picture(), (SIDE_PX // PATCH_PX) ** 2 + 1, ""
            hidden = self._norm(hidden)
        else:
            given = helper.make_tensor_value_info("text", TensorProto.INT32, ["batch", CONTEXT])
            rows = self._node("Gather", [self._random(WORDS, WIDTH), "text"])
            hidden, tokens = self._node("Add", [rows, self._random(CONTEXT, WIDTH)]), CONTEXT
            mask = self._constant(np.triu(np.full((CONTEXT, CONTEXT), -np.inf, np.float32), 1))
        if self._tokens_first:
            hidden = self._node("Transpose", [hidden], perm=[1, 0, 2])
        for _ in range(LAYERS):
            hidden = self._block(hidden, tokens, mask)
        if self._tokens_first and kind == "text":
            hidden = self._node("Transpose", [hidden], perm=[1, 0, 2])
        normed = self._norm(hidden)
        if kind == "picture":
            token = self._node(
                "Gather", [normed, self._constant(np.array(0, np.int64))], axis=0 if self._tokens_first else 1
            )
        else:
            end = self._node("ArgMax", ["text"], axis=1, keepdims=1)
            token = self._node("GatherND", [normed, end], batch_dims=1)
        self._node("MatMul", [token, self._random(WIDTH, OUT)])
        self._nodes[-1].output[0] = "embedding"
        made = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", OUT])
        graph = helper.make_graph(self._nodes, "small", [given], [made], self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)

    def _picture(self) -> str:
        patches = self._node(
            "Conv",
            ["image", self._random(WIDTH, 3, PATCH_PX, PATCH_PX)],
            kernel_shape=[PATCH_PX, PATCH_PX],
            strides=[PATCH_PX, PATCH_PX],
        )
        flat = self._node("Reshape", [patches, self._numbers(0, WIDTH, -1)])
        rows = self._node("Transpose", [flat], perm=[0, 2, 1])
        joined = self._node("Concat", [self._constant(self._values(1, 1, WIDTH)), rows], axis=1)
        return self._node("Add", [joined, self._random((SIDE_PX // PATCH_PX) ** 2 + 1, WIDTH)])

    def _block(self, hidden: str, tokens: int, mask: str) -> str:
        attended = self._attention(self._norm(hidden), tokens, mask)
        hidden = self._node("Add", [hidden, attended])
        widened = self._affine(self._norm(hidden), WIDTH, WIDE)
        if self._activation == "gelu":
            scaled = self._node("Div", [widened, self._constant(np.array(np.sqrt(2), np.float32))])
            erf = self._node("Add", [self._node("Erf", [scaled]), self._constant(np.array(1, np.float32))])
            activated = self._node(
                "Mul", [self._node("Mul", [widened, erf]), self._constant(np.array(0.5, np.float32))]
            )
        else:
            steep = self._node("Mul", [widened, self._constant(np.array(1.702, np.float32))])
            activated = self._node("Mul", [widened, self._node("Sigmoid", [steep])])
        return self._node("Add", [hidden, self._affine(activated, WIDE, WIDTH)])

    def _attention(self, normed: str, tokens: int, mask: str) -> str:
        """As torch's MultiheadAttention is traced: heads in the batch's axis."""
        if not self._tokens_first:
            normed = self._node("Transpose", [normed], perm=[1, 0, 2])
        joined = self._affine(normed, WIDTH, 3 * WIDTH)
        heads = []
        for part in range(3):
            sliced = self._node(
                "Slice",
                [joined, self._numbers(part * WIDTH), self._numbers((part + 1) * WIDTH), self._numbers(2)],
            )
            split = self._node("Reshape", [sliced, self._numbers(tokens, HEADS, WIDTH // HEADS)])
            heads.append(self._node("Transpose", [split], perm=[1, 0, 2]))
        query = self._node("Mul", [heads[0], self._constant(np.array((WIDTH // HEADS) ** -0.5, np.float32))])
        logits = self._node("MatMul", [query, self._node("Transpose", [heads[1]], perm=[0, 2, 1])])
        if mask:
            logits = self._node("Add", [logits, mask])
        mixed = self._node("MatMul", [self._node("Softmax", [logits], axis=-1), heads[2]])
        flat = self._node("Reshape", [self._node("Transpose", [mixed], perm=[1, 0, 2]), self._numbers(tokens, WIDTH)])
        weight, bias = self._random(WIDTH, WIDTH), self._random(WIDTH)
        output = self._node(
            "Reshape", [self._node("Gemm", [flat, weight, bias], transB=1), self._numbers(tokens, 1, WIDTH)]
        )
        return output if self._tokens_first else self._node("Transpose", [output], perm=[1, 0, 2])

    def _affine(self, values: str, inputs: int, outputs: int) -> str:
        return self._node("Add", [self._random(outputs), self._node("MatMul", [values, self._random(inputs, outputs)])])

    def _norm(self, values: str) -> str:
        weight = self._constant(1 + 0.2 * self._values(WIDTH))
        return self._node("LayerNormalization", [values, weight, self._random(WIDTH)], axis=-1, epsilon=1e-5)

    def _values(self, *shape: int) -> NDArray[np.float32]:
        return self._dice.standard_normal(shape).astype(np.float32)

    def _random(self, *shape: int) -> str:
        return self._constant(self._values(*shape) / np.float32(np.sqrt(shape[0] if len(shape) == 2 else 10)))

    def _numbers(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64))

    def _constant(self, array: NDArray[Any]) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _node(self, op_type: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"value{len(self._nodes)}"
        self._nodes.append(helper.make_node(op_type, list(inputs), [name], **attributes))
        return name
