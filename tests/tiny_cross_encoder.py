"""A tiny cross-encoder in ONNX whose scores can be told beforehand: the share of the passage's words that the question
has too.

Its weights are made, not learnt, and do it with attention as a real one would: in the first layer each word of the
passage looks for itself in the question, in the second [CLS] gathers how many found something.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.tiny_bert import TinyBert

WORDS = (
    *("the", "a", "of", "in", "how", "is", "was", "to", "when", "which", "boiler", "lease", "rent", "garden", "cat"),
    *("dog", "serviced", "march", "euros", "monthly", "planted", "garlic", "harbour", "lighthouse", "old", "new"),
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
_SHARPNESS = 20.0
"""Of attention: e to the power of this stands between a hit and a miss."""


def write_tiny_cross_encoder(folder: Path, *, outputs: int = 1) -> TinyBert:
    """`outputs` 2 gives (irrelevant, relevant); anything else than 1 and 2 is a classifier of another kind."""
    folder.mkdir(parents=True, exist_ok=True)
    content = _Graph(outputs).model().SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()), encoding="utf-8")
    return TinyBert(folder / "model.onnx", folder / "tokenizer.json", hashlib.sha256(content).hexdigest())


def expected_score(query: str, passage: str) -> float:
    """What the model gives, in the limit of sharp attention: [SEP] finds itself as well."""
    asked = set(query.split())
    found = [word in asked for word in passage.split()]
    return (sum(found) + 1) / (len(found) + 1)


def tokenizer() -> dict[str, Any]:
    """One token a word, pairs as BERT has them: [CLS] question [SEP] passage [SEP]."""
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, *WORDS))}
    special = [
        {"id": vocabulary[token], "content": token, "special": True, "single_word": False, "lstrip": False}
        | {"rstrip": False, "normalized": False}
        for token in SPECIAL
    ]
    cls, sep = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}
    first, second = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
    return {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0},
        "padding": None,
        "added_tokens": special,
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [cls, first, sep],
            "pair": [cls, first, sep, second, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
            "special_tokens": {
                token: {"id": token, "ids": [vocabulary[token]], "tokens": [token]} for token in ("[CLS]", "[SEP]")
            },
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    }


class _Graph:
    """A token's features: one a word of the vocabulary, then two that say whose it is (question, passage)."""

    def __init__(self, outputs: int) -> None:
        self._outputs = outputs
        self._words = len(SPECIAL) + len(WORDS)
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def model(self) -> ModelProto:
        words = np.eye(self._words, self._words + 2, dtype=np.float32)
        types = np.zeros((2, self._words + 2), np.float32)
        types[0, -2] = types[1, -1] = 1
        hidden = self._node(
            "Add",
            self._node("Gather", self._constant("embeddings.word_embeddings.weight", words), "input_ids"),
            self._node("Gather", self._constant("embeddings.token_type_embeddings.weight", types), "token_type_ids"),
        )
        # A word looks for its like; one in the question counts half as much again, so it is preferred to itself.
        finds = np.diag([_SHARPNESS * 2] * self._words + [0, 0]).astype(np.float32)
        in_question = np.zeros(self._words + 2, np.float32)
        in_question[-2] = _SHARPNESS
        found = self._attend("encoder.layer.0", hidden, finds, in_question, value=self._one(-2))
        in_passage = np.zeros(self._words + 2, np.float32)
        in_passage[-1] = _SHARPNESS
        gathered = self._attend("encoder.layer.1", hidden, np.zeros_like(finds), in_passage, value=None, values=found)
        first = self._constant("first", np.array(0, np.int64))
        score = self._node("Gather", gathered, first, axis=1)
        weight = np.zeros((1, self._outputs), np.float32)
        weight[0, -1] = 1
        self._node("MatMul", score, self._constant("classifier.weight", weight))
        self._nodes[-1].output[0] = "logits"
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ]
        output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", self._outputs])
        graph = helper.make_graph(self._nodes, "tiny_cross_encoder", inputs, [output], self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)

    def _one(self, feature: int) -> NDArray[np.float32]:
        """Picks one feature: shape (features, 1)."""
        column = np.zeros((self._words + 2, 1), np.float32)
        column[feature] = 1
        return column

    def _attend(
        self,
        name: str,
        hidden: str,
        likeness: NDArray[np.float32],
        preference: NDArray[np.float32],
        *,
        value: NDArray[np.float32] | None,
        values: str = "",
    ) -> str:
        """Attention: queries `hidden @ likeness`, keys `hidden`; `preference` weighs a key whoever asks."""
        query = self._node("MatMul", hidden, self._constant(f"{name}.query", likeness))
        query = self._node("Add", query, self._constant(f"{name}.query.bias", preference))
        scores = self._node("MatMul", query, self._node("Transpose", hidden, perm=[0, 2, 1]))
        axes = self._constant(f"{name}.axes", np.array([1], np.int64))
        kept = self._node("Cast", self._node("Unsqueeze", "attention_mask", axes), to=TensorProto.FLOAT)
        missing = self._node("Sub", self._constant(f"{name}.one", np.array(1, np.float32)), kept)
        far = self._node("Mul", missing, self._constant(f"{name}.far", np.array(-1e9, np.float32)))
        weights = self._node("Softmax", self._node("Add", scores, far), axis=-1)
        if value is not None:
            values = self._node("MatMul", hidden, self._constant(f"{name}.value", value))
        return self._node("MatMul", weights, values)

    def _constant(self, name: str, array: NDArray[Any]) -> str:
        self._constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def _node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        output = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(op_type, list(inputs), [output], **attributes))
        return output
