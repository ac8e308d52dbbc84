"""A half of a CLIP rewritten for integers: the same vectors but for rounding, whatever layout it was exported in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.integer_transformer import Rounding, integer_transformer
from models.onnx_session import open_session, simplify
from models.transformer_blocks import read_blocks
from tests.models.small_transformer import small_transformer


def run(model: onnx.ModelProto, given: NDArray[np.float32] | NDArray[np.int32]) -> NDArray[np.float32]:
    session = open_session(model.SerializeToString(), name="tested")
    (found,) = session.run({session.input_names[0]: given})
    unit: NDArray[np.float32] = found / np.linalg.norm(found, axis=-1, keepdims=True)
    return unit


@pytest.mark.parametrize("rounding", ["all", "row"])
@pytest.mark.parametrize("tokens_first", [False, True])
@pytest.mark.parametrize("activation", ["gelu", "quick-gelu"])
@pytest.mark.parametrize("kind", ["picture", "text"])
def test_a_rewritten_half_gives_the_same_vectors(
    rounding: Rounding, tokens_first: bool, activation: str, kind: str
) -> None:
    small = small_transformer(kind=kind, tokens_first=tokens_first, activation=activation)
    plain = simplify(small.model, "small")
    blocks = read_blocks(plain)
    assert blocks is not None
    assert len(blocks.blocks) == small.layers
    assert blocks.causal == (kind == "text")
    assert (blocks.first_token_axis is not None) == (kind == "picture")
    made = integer_transformer(plain, rounding)
    assert made is not None
    onnx.checker.check_model(made, full_check=False)
    operators = {node.op_type for node in made.graph.node}
    assert "MultiHeadAttention" in operators
    assert not operators & {"Softmax", "Conv", "Erf", "Sigmoid"}
    for seed in range(3):
        given = small.random_input(seed)
        assert float((run(small.model, given) * run(made, given)).sum()) > 0.999


def test_weights_take_seven_bits_and_what_is_not_used_is_gone() -> None:
    small = small_transformer(kind="text", tokens_first=False, activation="gelu")
    made = integer_transformer(simplify(small.model, "small"), "all")
    assert made is not None
    weights = [numpy_helper.to_array(each) for each in made.graph.initializer if each.name.endswith("_weight")]
    for weight in (each for each in weights if each.dtype == np.int8):
        assert np.abs(weight).max() == 63
    assert len(made.SerializeToString()) < 0.45 * len(small.model.SerializeToString())


def test_a_text_sees_nothing_behind_a_token() -> None:
    """The vector of a text must not depend on the padding behind its end."""
    small = small_transformer(kind="text", tokens_first=False, activation="gelu")
    made = integer_transformer(simplify(small.model, "small"), "row")
    assert made is not None
    given = small.random_input(1)
    changed = given.copy()
    end = int(given[0].argmax())
    changed[0, end + 1 :] = 1
    assert np.allclose(run(made, given), run(made, changed), atol=1e-6)


@pytest.mark.parametrize("fault", ["other operators", "a norm without bias", "a sum that goes elsewhere"])
def test_what_is_no_such_transformer_is_left_alone(fault: str) -> None:
    small = small_transformer(kind="picture", tokens_first=False, activation="gelu")
    model = simplify(small.model, "small")
    nodes = model.graph.node
    match fault:
        case "other operators":
            for node in nodes:
                if node.op_type == "Softmax":
                    node.op_type = "Identity"
                    del node.attribute[:]
        case "a norm without bias":
            for node in nodes:
                if node.op_type == "LayerNormalization":
                    del node.input[2]
        case _:
            softmax = next(place for place, node in enumerate(nodes) if node.op_type == "Softmax")
            for node in list(nodes)[softmax:]:
                if node.op_type == "Add":
                    node.op_type = "Sub"
    assert integer_transformer(model, "all") is None


def test_a_graph_of_something_else_is_left_alone(tmp_path: Path) -> None:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [given], [made])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, tmp_path / "model.onnx")
    assert integer_transformer(model, "all") is None
