from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest

from models.embed_text_onnx import OnnxTextEmbedder
from models.errors import EngineFailed, WeightsDamaged, WeightsMissing
from models.integer_graph import integer_encoder
from models.onnx_devices import onnx_runtime
from models.onnx_session import OnnxPlacement
from tests.tiny_bert import TinyBert, tiny_bert, write_tiny_bert

TEXTS = [
    "the boiler was serviced in march",
    "bread",
    "a much longer text about bread and flour, water and salt",
    "",
    "the cat sat on the mat [SEP] and slept",
    "bread",
]
MINILM = "all-minilm-l6-v2-int8"
MINILM_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> TinyBert:
    return write_tiny_bert(tmp_path_factory.mktemp("bert"))


def make(bert: TinyBert, **more: object) -> OnnxTextEmbedder:
    options = {"model_id": "tiny-bert", "dimension": 32, "max_tokens": 48} | more
    return OnnxTextEmbedder(
        model_file=bert.model_file,
        tokenizer_file=bert.tokenizer_file,
        sha256=bert.sha256,
        **options,  # type: ignore[arg-type]  # whatever a test names
    )


@pytest.fixture(scope="module")
def embedder(bert: TinyBert) -> Iterator[OnnxTextEmbedder]:
    made = make(bert)
    yield made
    made.close()


def test_vectors_are_of_length_1_in_the_order_given(embedder: OnnxTextEmbedder) -> None:
    vectors = embedder.embed_passages(TEXTS)

    assert vectors.shape == (len(TEXTS), 32)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors[1], vectors[5])
    for text, vector in zip(TEXTS, vectors, strict=True):
        np.testing.assert_array_equal(embedder.embed_query(text), vector)


def test_a_graph_without_token_types_is_fed_without_them(tmp_path: Path) -> None:
    files = write_tiny_bert(tmp_path, token_types=False)
    for integer in (True, False):
        made = make(files, integer=integer, query_prefix="query: ", passage_prefix="passage: ")
        assert float(made.embed_query("bread") @ make(files, integer=integer).embed_query("query: bread")) > 0.9999
        assert float(made.embed_passages(["bread"])[0] @ made.embed_query("bread")) < 0.9999
        made.close()


@pytest.mark.parametrize("pooling", ["cls", "last"])
def test_one_token_stands_for_the_text_where_the_model_wants_it(bert: TinyBert, pooling: str) -> None:
    made, mean = make(bert, pooling=pooling), make(bert)
    vectors = made.embed_passages(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert float(vectors[0] @ mean.embed_query(TEXTS[0])) < 0.999
    made.close()
    mean.close()


def test_a_vector_does_not_depend_on_its_neighbours_or_on_threads(embedder: OnnxTextEmbedder) -> None:
    texts = [f"{'word ' * (number % 7)}{number}" for number in range(60)]
    whole = embedder.embed_passages(texts)
    np.testing.assert_array_equal(embedder.embed_passages(texts[40:]), whole[40:])
    embedder.set_threads(3)
    try:
        assert embedder.threads == 3
        np.testing.assert_array_equal(embedder.embed_passages(texts), whole)
    finally:
        embedder.set_threads(1)


@pytest.mark.parametrize("threads", [1, 2])
def test_passages_come_in_groups_longest_first(embedder: OnnxTextEmbedder, threads: int) -> None:
    texts = ["x" * (number % 40 + 1) for number in range(120)]
    embedder.set_threads(threads)
    groups = list(embedder.iter_passages(texts))
    embedder.set_threads(1)

    assert len(groups) > 2
    indices = np.concatenate([each for each, _ in groups])
    assert sorted(indices) == list(range(120))
    lengths = [len(texts[index]) for index in indices]
    assert all(before >= after for before, after in pairwise(lengths))
    assert all(len(each) == len(vectors) for each, vectors in groups)


def test_a_generator_can_be_left_and_threads_changed_in_the_middle(embedder: OnnxTextEmbedder) -> None:
    texts = ["y" * 40 for _ in range(120)]
    embedder.set_threads(4)
    passages = embedder.iter_passages(texts)
    next(passages)
    embedder.set_threads(1)
    next(passages)
    passages.close()
    assert embedder.embed_passages(["still well"]).shape == (1, 32)


def test_nothing_in_gives_nothing_out(embedder: OnnxTextEmbedder) -> None:
    assert embedder.embed_passages([]).shape == (0, 32)
    assert list(embedder.iter_passages([])) == []


def test_long_texts_are_cut_and_special_tokens_in_a_text_are_text(embedder: OnnxTextEmbedder) -> None:
    assert embedder.count_tokens("[SEP]") == 5
    assert embedder.count_tokens("z" * 1000) == 1000
    assert len(embedder.token_ids(["z" * 1000])[0]) == 48
    np.testing.assert_array_equal(embedder.embed_query("z" * 46), embedder.embed_query("z" * 1000))


def test_prefixes_go_before_queries_and_passages(bert: TinyBert, embedder: OnnxTextEmbedder) -> None:
    prefixed = make(bert, query_prefix="query: ", passage_prefix="passage: ")
    np.testing.assert_array_equal(prefixed.embed_query("rain"), embedder.embed_query("query: rain"))
    np.testing.assert_array_equal(prefixed.embed_passages(["rain"])[0], embedder.embed_query("passage: rain"))
    prefixed.close()


@pytest.mark.parametrize("stored_int8", [True, False])
def test_integer_arithmetic_agrees_with_the_file(tmp_path: Path, stored_int8: bool) -> None:
    bert = write_tiny_bert(tmp_path, stored_int8=stored_int8)
    integer, plain = make(bert), make(bert, integer=False)

    assert (integer.arithmetic, plain.arithmetic) == ("int8", "as shipped")
    cosines = (integer.embed_passages(TEXTS) * plain.embed_passages(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.995
    integer.close()
    plain.close()


def test_padding_does_not_change_a_vector(bert: TinyBert) -> None:
    plain = make(bert, integer=False)
    ids = plain.token_ids(TEXTS)
    together = plain._vectors(plain._session, ids)
    np.testing.assert_allclose(together, plain.embed_passages(TEXTS), atol=1e-5)
    plain.close()


@pytest.mark.parametrize("spoilt", ["tanh", "no norm", "renamed"])
def test_what_is_not_plainly_bert_is_not_rewritten(spoilt: str) -> None:
    model = tiny_bert()
    if spoilt == "tanh":
        next(node for node in model.graph.node if node.op_type == "Erf").op_type = "Tanh"
    elif spoilt == "no norm":
        next(node for node in model.graph.node if node.op_type == "LayerNormalization").op_type = "Identity"
    else:
        for tensor in model.graph.initializer:
            tensor.name = tensor.name.replace(".query.bias", ".q.bias")
        for node in model.graph.node:
            node.input[:] = [name.replace(".query.bias", ".q.bias") for name in node.input]
    assert integer_encoder(model) is None


def test_a_model_that_cannot_be_rewritten_runs_as_shipped(tmp_path: Path) -> None:
    bert = write_tiny_bert(tmp_path / "model")
    model = onnx.load(bert.model_file)
    for tensor in model.graph.initializer:
        tensor.name = tensor.name.replace(".query.bias", ".q.bias")
    for node in model.graph.node:
        node.input[:] = [name.replace(".query.bias", ".q.bias") for name in node.input]
    onnx.save(model, bert.model_file)
    for _ in range(2):  # the second time from the cache
        embedder = make(bert, cache_dir=tmp_path / "cache")
        assert embedder.arithmetic == "as shipped"
        assert embedder.embed_passages(["well"]).shape == (1, 32)
        embedder.close()


def test_the_rewritten_graph_is_kept(bert: TinyBert, tmp_path: Path) -> None:
    first = make(bert, cache_dir=tmp_path)
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    second = make(bert, cache_dir=tmp_path)
    assert len(kept) == 1
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == kept
    np.testing.assert_array_equal(first.embed_query("same"), second.embed_query("same"))
    first.close()
    second.close()


def test_a_wrong_dimension_is_an_engine_error(bert: TinyBert) -> None:
    wrong = make(bert, dimension=384)
    with pytest.raises(EngineFailed, match="another size"):
        wrong.embed_query("x")
    wrong.close()


def test_a_closed_embedder_says_so(bert: TinyBert) -> None:
    closed = make(bert)
    closed.close()
    closed.close()
    with pytest.raises(EngineFailed, match="closed"):
        closed.embed_query("x")


def test_a_missing_device_is_said_and_the_cpu_works(bert: TinyBert) -> None:
    embedder = make(bert, placement=OnnxPlacement("QNNExecutionProvider", "npu"))
    assert embedder.report.asked == "NPU (QNN)"
    assert embedder.report.running == "CPU"
    assert "NPU" in embedder.report.fallback_reason
    assert embedder.arithmetic == "int8"
    embedder.close()


@pytest.mark.parametrize(
    ("content", "error"), [(None, WeightsMissing), (b"{", WeightsDamaged), (b"\xff", WeightsDamaged)]
)
def test_a_tokenizer_that_cannot_be_read(
    bert: TinyBert, tmp_path: Path, content: bytes | None, error: type[Exception]
) -> None:
    file = tmp_path / "tokenizer.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(error, match=r"tokenizer\.json"):
        make(TinyBert(bert.model_file, file, bert.sha256))


def test_queries_do_not_wait_for_passages(embedder: OnnxTextEmbedder) -> None:
    answered = threading.Event()
    passages = embedder.iter_passages(["y" * 40 for _ in range(200)])
    next(passages)

    def ask() -> None:
        embedder.embed_query("now")
        answered.set()

    thread = threading.Thread(target=ask)
    thread.start()
    assert answered.wait(30)
    thread.join()
    passages.close()


@pytest.mark.skipif(
    "OpenVINOExecutionProvider" not in onnx_runtime().get_available_providers()
    and importlib.util.find_spec("onnxruntime_ep_openvino") is None,
    reason="needs OpenVINO's provider: pip install onnxruntime-openvino, or onnxruntime-ep-openvino beside onnxruntime",
)
def test_openvino_really_runs_or_says_why_not(bert: TinyBert) -> None:
    plain = make(bert, integer=False)
    cpu = make(bert, placement=OnnxPlacement("OpenVINOExecutionProvider", "cpu", "CPU"))
    npu = make(bert, placement=OnnxPlacement("OpenVINOExecutionProvider", "npu", "NPU"))

    if cpu.report.running == "CPU (OpenVINO)":
        assert cpu.report.fallback_reason == ""
        assert cpu.report.share > 0.5
    else:  # the plug-in is installed and offers no device on this machine
        assert cpu.report.fallback_reason
    cosines = (cpu.embed_passages(TEXTS) * plain.embed_passages(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.99
    assert npu.report.running in ("NPU (OpenVINO)", "CPU")
    assert bool(npu.report.fallback_reason) == (npu.report.running == "CPU")
    for each in (plain, cpu, npu):
        each.close()


@pytest.mark.weights
def test_minilm_puts_meaning_side_by_side(weights_dir: Path, tmp_path: Path) -> None:
    folder = weights_dir / MINILM
    if not folder.is_dir():
        pytest.skip(f"get it: homebody models pull {MINILM}")
    bert = TinyBert(folder / "model.onnx", folder / "tokenizer.json", MINILM_SHA256)
    options = {"model_id": MINILM, "dimension": 384, "max_tokens": 256, "cache_dir": tmp_path}
    integer, plain = make(bert, **options), make(bert, integer=False, **options)
    texts = [
        "The heating boiler must be serviced every spring.",
        "Whip the cream and fold it into the chocolate.",
        "def add(a, b):\n    return a + b",
        "Der Hund schläft. 狗在睡觉。 " * 40,
        "",
    ]
    vectors = integer.embed_passages(texts)

    assert integer.arithmetic == "int8"
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (vectors * plain.embed_passages(texts)).sum(axis=1)[:-1].min() > 0.99  # no text, no meaning
    assert int(np.argmax(vectors @ integer.embed_query("When is maintenance of the furnace due?"))) == 0
    assert int(np.argmax(vectors @ integer.embed_query("a dessert recipe"))) == 1
    assert int(np.argmax(vectors @ integer.embed_query("Python function for a sum"))) == 2
    integer.close()
    plain.close()
