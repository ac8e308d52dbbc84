"""A tiny BERT encoder as exporters write it, with random weights: real ONNX, nothing learnt.

Two layers, four heads, width 32, a vocabulary of letters: enough for the loading, rewriting and embedding code to
run for real without a download. Weights come from a fixed seed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

WIDTH, HEADS, LAYERS, VOCABULARY, POSITIONS = 32, 4, 2, 64, 64


@dataclass(frozen=True, slots=True)
class TinyBert:
    model_file: Path
    tokenizer_file: Path
    sha256: str


def write_tiny_bert(
    folder: Path, *, stored_int8: bool = True, token_types: bool = True, name: str = "model.onnx"
) -> TinyBert:
    """`stored_int8` keeps matrices as int8 with one float scale a column, as weight-only exports do. Without
    `token_types` the graph has no such input, as those of XLM-R."""
    folder.mkdir(parents=True, exist_ok=True)
    content = tiny_bert(stored_int8=stored_int8, token_types=token_types).SerializeToString()
    (folder / name).write_bytes(content)
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer()), encoding="utf-8")
    return TinyBert(folder / name, folder / "tokenizer.json", hashlib.sha256(content).hexdigest())


def tiny_bert(*, stored_int8: bool = True, token_types: bool = True) -> ModelProto:
    return _Exporter(stored_int8, token_types).model()


def _tokenizer() -> dict[str, Any]:
    """One token a letter, digit or mark, between [CLS] and [SEP]."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,:;!?-'\"()[]"
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3}
    vocabulary |= {letter: number for number, letter in enumerate(letters, start=4)}
    special = [
        {"id": number, "content": token, "special": True, "single_word": False, "lstrip": False, "rstrip": False}
        | {"normalized": False}
        for token, number in list(vocabulary.items())[:4]
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "WhitespaceSplit"},
                {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False},
            ],
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [_special("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, _special("[SEP]")],
            "pair": [
                _special("[CLS]"),
                {"Sequence": {"id": "A", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {
                token: {"id": token, "ids": [vocabulary[token]], "tokens": [token]} for token in ("[CLS]", "[SEP]")
            },
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    }


def _special(token: str) -> dict[str, Any]:
    return {"SpecialToken": {"id": token, "type_id": 0}}


class _Exporter:
    """Writes the encoder operator by operator, in plain ONNX as an exporter does."""

    def __init__(self, stored_int8: bool, token_types: bool) -> None:
        self._stored_int8 = stored_int8
        self._token_types = token_types
        self._random = np.random.default_rng(20)
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def model(self) -> ModelProto:
        hidden = self._embeddings()
        mask = self._mask()
        for number in range(LAYERS):
            hidden = self._layer(f"encoder.layer.{number}.", hidden, mask)
        self._nodes[-1].output[0] = "last_hidden_state"
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
            for name in ("input_ids", "attention_mask", *(["token_type_ids"] if self._token_types else []))
        ]
        output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "sequence", WIDTH])
        graph = helper.make_graph(self._nodes, "tiny_bert", inputs, [output], self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)

    def _embeddings(self) -> str:
        words = self._node(
            "Gather", [self._matrix("embeddings.word_embeddings.weight", VOCABULARY, by_row=True), "input_ids"]
        )
        types = self._constant("embeddings.token_type_embeddings.weight", self._normal(2, WIDTH))
        if self._token_types:
            kinds = self._node("Gather", [types, "token_type_ids"])
        else:
            kinds = self._node("Gather", [types, self._constant("no_types", np.zeros((1, 1), np.int64))])
        positions = self._matrix("embeddings.position_embeddings.weight", POSITIONS, by_row=True)
        zero = self._constant("zero", np.array([0], np.int64))
        length = self._node("Shape", ["input_ids"], start=1, end=2)
        place = self._node("Slice", [positions, zero, length, zero])
        total = self._node("Add", [self._node("Add", [words, kinds]), place])
        return self._norm("embeddings.LayerNorm", total)

    def _mask(self) -> str:
        """0 where there is a token, a large negative number where there is padding: (batch, 1, 1, sequence)."""
        axes = self._constant("mask_axes", np.array([1, 2], np.int64))
        kept = self._node("Cast", [self._node("Unsqueeze", ["attention_mask", axes])], to=TensorProto.FLOAT)
        missing = self._node("Sub", [self._constant("one", np.array(1, np.float32)), kept])
        return self._node("Mul", [missing, self._constant("far", np.array(-1e9, np.float32))])

    def _layer(self, prefix: str, hidden: str, mask: str) -> str:
        heads = self._constant(f"{prefix}heads", np.array([0, 0, HEADS, WIDTH // HEADS], np.int64))
        split = {}
        for name in ("query", "key", "value"):
            linear = self._linear(f"{prefix}attention.self.{name}", hidden, WIDTH, WIDTH)
            split[name] = self._node("Transpose", [self._node("Reshape", [linear, heads])], perm=[0, 2, 1, 3])
        turned = self._node("Transpose", [split["key"]], perm=[0, 1, 3, 2])
        root = self._constant(f"{prefix}root", np.array((WIDTH // HEADS) ** -0.5, np.float32))
        scores = self._node("Mul", [self._node("MatMul", [split["query"], turned]), root])
        weights = self._node("Softmax", [self._node("Add", [scores, mask])], axis=-1)
        mixed = self._node("Transpose", [self._node("MatMul", [weights, split["value"]])], perm=[0, 2, 1, 3])
        joined = self._constant(f"{prefix}joined", np.array([0, 0, WIDTH], np.int64))
        attended = self._linear(f"{prefix}attention.output.dense", self._node("Reshape", [mixed, joined]), WIDTH, WIDTH)
        hidden = self._norm(f"{prefix}attention.output.LayerNorm", self._node("Add", [attended, hidden]))
        widened = self._linear(f"{prefix}intermediate.dense", hidden, WIDTH, 4 * WIDTH)
        output = self._linear(f"{prefix}output.dense", self._gelu(prefix, widened), 4 * WIDTH, WIDTH)
        return self._norm(f"{prefix}output.LayerNorm", self._node("Add", [output, hidden]))

    def _gelu(self, prefix: str, values: str) -> str:
        root2 = self._constant(f"{prefix}root2", np.array(2**0.5, np.float32))
        one, half = (self._constant(f"{prefix}{value}", np.array(value, np.float32)) for value in (1.0, 0.5))
        part = self._node("Add", [self._node("Erf", [self._node("Div", [values, root2])]), one])
        return self._node("Mul", [values, self._node("Mul", [part, half])])

    def _linear(self, name: str, values: str, inputs: int, outputs: int) -> str:
        weight = self._matrix(f"{name}.transposed_weight", inputs, outputs)
        product = self._node("MatMul", [values, weight])
        return self._node("Add", [product, self._constant(f"{name}.bias", self._normal(outputs) * np.float32(0.1))])

    def _matrix(self, name: str, rows: int, columns: int = WIDTH, *, by_row: bool = False) -> str:
        floats = self._normal(rows, columns) * np.float32(0.5 * rows**-0.5 if not by_row else 1.0)
        if not self._stored_int8:
            return self._constant(name, floats)
        scale = np.abs(floats).max(axis=1 if by_row else 0, keepdims=True) / np.float32(127)
        stored = self._constant(f"{name}_q", np.round(floats / scale).astype(np.int8))
        self._nodes.append(helper.make_node("Cast", [stored], [f"{name}_f"], to=TensorProto.FLOAT))
        self._nodes.append(helper.make_node("Mul", [f"{name}_f", self._constant(f"{name}_scale", scale)], [name]))
        return name

    def _norm(self, name: str, values: str) -> str:
        weight = self._constant(f"{name}.weight", self._normal(WIDTH) * np.float32(0.1) + np.float32(1))
        bias = self._constant(f"{name}.bias", self._normal(WIDTH) * np.float32(0.1))
        return self._node("LayerNormalization", [values, weight, bias], axis=-1, epsilon=1e-12)

    def _normal(self, *shape: int) -> NDArray[np.float32]:
        return self._random.standard_normal(shape).astype(np.float32)

    def _constant(self, name: str, array: NDArray[Any]) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _node(self, op_type: str, inputs: Sequence[str], **attributes: Any) -> str:
        output = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(op_type, list(inputs), [output], **attributes))
        return output
