from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.errors import EngineFailed, WeightsDamaged, WeightsMissing
from models.graph_cache import GraphCache
from models.onnx_devices import CPU_PROVIDER, list_onnx_devices, native_errors, onnx_runtime
from models.onnx_session import CPU, OnnxPlacement, open_model, open_session, optimise, read_model
from tests.tiny_bert import TinyBert, tiny_bert, write_tiny_bert

TOKENS = np.array([[2, 5, 9, 3]], np.int64)
FEEDS = {"input_ids": TOKENS, "attention_mask": np.ones_like(TOKENS), "token_type_ids": np.zeros_like(TOKENS)}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> TinyBert:
    return write_tiny_bert(tmp_path_factory.mktemp("bert"))


def test_what_runs_is_read_back(bert: TinyBert) -> None:
    session = open_model(bert.model_file, sha256=bert.sha256)

    assert session.report.asked == session.report.running == "CPU"
    assert session.report.fallback_reason == ""
    assert session.input_names == ("input_ids", "attention_mask", "token_type_ids")
    assert session.run(FEEDS)[0].shape == (1, 4, 32)


@pytest.mark.parametrize(
    "placement",
    [
        OnnxPlacement("CUDAExecutionProvider", "gpu"),
        OnnxPlacement("QNNExecutionProvider", "npu"),
        OnnxPlacement("OpenVINOExecutionProvider", "npu", "NPU.7"),
        OnnxPlacement("NoSuchProvider", "gpu"),
    ],
)
def test_a_missing_device_falls_back_to_the_cpu_and_says_why(bert: TinyBert, placement: OnnxPlacement) -> None:
    session = open_model(bert.model_file, sha256=bert.sha256, placement=placement)

    assert session.report.asked == str(placement)
    assert session.report.running == "CPU"
    assert session.report.fallback_reason
    plain = open_model(bert.model_file, sha256=bert.sha256)
    np.testing.assert_allclose(session.run(FEEDS)[0], plain.run(FEEDS)[0], atol=1e-5)


def test_memory_is_given_back_on_whatever_device_it_runs(bert: TinyBert) -> None:
    for placement in (CPU, OnnxPlacement("CUDAExecutionProvider", "gpu")):
        session = open_model(bert.model_file, sha256=bert.sha256, placement=placement, keeps_memory=False)
        options = session.native.get_session_options()
        assert not options.enable_mem_pattern
        assert options.get_session_config_entry("session.use_env_allocators") == "1"
        kept = open_model(bert.model_file, sha256=bert.sha256)
        np.testing.assert_array_equal(session.run(FEEDS)[0], kept.run(FEEDS)[0])


def test_the_remote_provider_is_never_a_device() -> None:
    inventory = list_onnx_devices()

    assert "AzureExecutionProvider" not in {device.provider for device in inventory.devices}
    assert any(device.provider == CPU_PROVIDER and device.device_type == "cpu" for device in inventory.devices)


def test_the_optimised_graph_is_kept_and_gives_the_same(bert: TinyBert, tmp_path: Path) -> None:
    first = open_model(bert.model_file, sha256=bert.sha256, cache_dir=tmp_path)
    (kept,) = tmp_path.glob("*.graph")
    written = kept.stat().st_mtime_ns

    second = open_model(bert.model_file, sha256=bert.sha256, cache_dir=tmp_path)

    assert kept.stat().st_mtime_ns == written
    np.testing.assert_array_equal(first.run(FEEDS)[0], second.run(FEEDS)[0])


def test_a_damaged_cache_is_made_again(bert: TinyBert, tmp_path: Path) -> None:
    open_model(bert.model_file, sha256=bert.sha256, cache_dir=tmp_path)
    (kept,) = tmp_path.glob("*.graph")
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])

    open_model(bert.model_file, sha256=bert.sha256, cache_dir=tmp_path).run(FEEDS)

    assert kept.read_bytes() == whole


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written_costs_only_time(bert: TinyBert, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    open_model(bert.model_file, sha256=bert.sha256, cache_dir=tmp_path / "cache").run(FEEDS)


def test_a_cache_whose_folder_is_a_file_costs_only_time(bert: TinyBert, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    open_model(bert.model_file, sha256=bert.sha256, cache_dir=tmp_path / "cache").run(FEEDS)


def test_the_cache_keeps_the_newest_graphs_of_a_model(tmp_path: Path) -> None:
    cache = GraphCache(tmp_path)
    for number in range(7):
        assert cache.get_or_make("a" * 64, f"key {number}", lambda number=number: b"%d" % number) == b"%d" % number  # type: ignore[misc]  # a lambda's default has no type
    assert len(list(tmp_path.glob("*.graph"))) == 4
    cache.drop("a" * 64)
    assert not list(tmp_path.iterdir())


def test_a_model_without_a_hash_is_never_taken_for_another(tmp_path: Path) -> None:
    cache = GraphCache(tmp_path)
    assert cache.get_or_make("", "key", lambda: b"one") == b"one"
    assert cache.get_or_make("", "key", lambda: b"other") == b"other"
    assert not list(tmp_path.iterdir())


def test_missing_weights_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"gone\.onnx") as raised:
        open_model(tmp_path / "gone.onnx", sha256="0" * 64)
    assert "homebody models pull" in raised.value.hint


@pytest.mark.parametrize("cut", [0, 1, 100, 5000])
def test_truncated_files_are_damaged_weights(bert: TinyBert, tmp_path: Path, cut: int) -> None:
    file = tmp_path / "cut.onnx"
    file.write_bytes(bert.model_file.read_bytes()[:cut])
    with pytest.raises(WeightsDamaged, match=r"cut\.onnx"):
        open_model(file, sha256="1" * 64)


def test_a_graph_that_the_engine_refuses_is_damaged_weights() -> None:
    model = tiny_bert()
    model.graph.node[3].op_type = "NoSuchOperator"
    with pytest.raises(WeightsDamaged, match="refuses broken"):
        open_session(model.SerializeToString(), name="broken")
    with pytest.raises(WeightsDamaged, match="refuses broken"):
        optimise(model, "broken")


def test_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones((300, 4), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "leaky",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 300])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    file = tmp_path / "leaky.onnx"
    onnx.save(model, file, save_as_external_data=True, location="secret.bin", size_threshold=0)

    with pytest.raises(WeightsDamaged, match="another file"):
        read_model(file)


def test_weights_in_other_files_are_found_in_attributes_too(tmp_path: Path) -> None:
    hidden = numpy_helper.from_array(np.ones(4, np.float32), "hidden")
    hidden.ClearField("raw_data")
    hidden.data_location = TensorProto.EXTERNAL
    hidden.external_data.add(key="location", value="../../etc/passwd")
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=hidden)],
        "inner",
        [],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, [4])],
    )
    graph = helper.make_graph(
        [helper.make_node("If", ["condition"], ["y"], then_branch=inner, else_branch=inner)],
        "outer",
        [helper.make_tensor_value_info("condition", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
    )
    file = tmp_path / "nested.onnx"
    file.write_bytes(helper.make_model(graph).SerializeToString())

    with pytest.raises(WeightsDamaged, match="another file"):
        read_model(file)


def test_a_failing_run_is_an_engine_error(bert: TinyBert) -> None:
    session = open_model(bert.model_file, sha256=bert.sha256)
    wrong = {name: np.zeros((1, 1000), np.int64) for name in FEEDS}  # more positions than the model has
    with pytest.raises(EngineFailed, match=r"model\.onnx failed on CPU") as raised:
        session.run(wrong)
    assert raised.value.hint


def test_every_native_error_is_known() -> None:
    # If a new engine raises a new kind, the adapter translates it too, because it asks the engine for all.
    names = {error.__name__ for error in native_errors()}
    assert {"Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "RuntimeException"} <= names
    assert all(issubclass(error, Exception) for error in native_errors())


def test_nothing_is_written_to_the_terminal(bert: TinyBert, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    onnx_runtime()
    open_model(bert.model_file, sha256=bert.sha256, placement=OnnxPlacement("CUDAExecutionProvider", "gpu"))
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    with pytest.raises(WeightsDamaged):
        open_model(tmp_path / "bad.onnx", sha256="2" * 64)
    assert capfd.readouterr() == ("", "")


def test_a_placement_names_its_device() -> None:
    assert str(CPU) == "CPU"
    assert str(OnnxPlacement("OpenVINOExecutionProvider", "npu", "NPU")) == "NPU (OpenVINO)"
