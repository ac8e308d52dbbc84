from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.errors import EngineFailed, WeightsDamaged, WeightsMissing
from models.onnx_session import OnnxPlacement
from models.rerank_onnx import OnnxReranker
from tests.tiny_bert import TinyBert, write_tiny_bert
from tests.tiny_cross_encoder import WORDS, expected_score, write_tiny_cross_encoder

QUERY = "when was the boiler serviced"
PASSAGES = [
    "the cat planted garlic in the garden",
    "the boiler was serviced in march",
    "monthly rent",
    "of old boiler",
    "the boiler was serviced",
]


def make(files: TinyBert, **more: object) -> OnnxReranker:
    options = {"model_id": "tiny", "max_tokens": 64} | more
    return OnnxReranker(
        model_file=files.model_file,
        tokenizer_file=files.tokenizer_file,
        sha256=files.sha256,
        **options,  # type: ignore[arg-type]  # whatever a test names
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TinyBert:
    return write_tiny_cross_encoder(tmp_path_factory.mktemp("cross"))


@pytest.fixture(scope="module")
def reranker(files: TinyBert) -> Iterator[OnnxReranker]:
    made = make(files)
    yield made
    made.close()


def test_what_answers_the_question_comes_first(reranker: OnnxReranker) -> None:
    scores = reranker.scores(QUERY, PASSAGES)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [expected_score(QUERY, passage) for passage in PASSAGES], atol=1e-3)
    assert [PASSAGES[index] for index in np.argsort(-scores)[:2]] == [PASSAGES[4], PASSAGES[1]]


def test_a_score_depends_on_neither_neighbours_nor_order_nor_threads(reranker: OnnxReranker) -> None:
    chance = random.Random(3)
    passages = [" ".join(chance.choices(WORDS, k=chance.randint(1, 50))) for _ in range(90)]
    whole = reranker.scores(QUERY, passages)
    np.testing.assert_array_equal(reranker.scores(QUERY, passages[::-1]), whole[::-1])
    np.testing.assert_array_equal(reranker.scores(QUERY, passages[7:8]), whole[7:8])
    reranker.set_threads(3)
    try:
        assert reranker.threads == 3
        np.testing.assert_array_equal(reranker.scores(QUERY, passages), whole)
    finally:
        reranker.set_threads(1)


def test_nothing_to_rank_is_no_work(reranker: OnnxReranker) -> None:
    assert reranker.scores(QUERY, []).shape == (0,)
    assert reranker.scores("", [""]).shape == (1,)


def test_two_outputs_are_the_odds_of_relevant_over_irrelevant(tmp_path: Path) -> None:
    reranker = make(write_tiny_cross_encoder(tmp_path, outputs=2))
    np.testing.assert_allclose(
        reranker.scores(QUERY, PASSAGES), [expected_score(QUERY, each) for each in PASSAGES], atol=1e-3
    )
    reranker.close()


def test_a_long_passage_is_cut_and_a_long_question_leaves_room_for_it(files: TinyBert) -> None:
    reranker = make(files, max_tokens=20)
    long = "boiler " + "cat " * 500
    (score,) = reranker.scores("boiler", [long])
    assert 0.05 < score < 0.3, "its beginning was read"
    (score,) = reranker.scores("the " * 3000 + "boiler", ["the"])
    assert score == pytest.approx(1, abs=1e-2)
    reranker.close()


def test_several_threads_may_ask_at_once(reranker: OnnxReranker) -> None:
    results: list[np.ndarray] = []

    def ask() -> None:
        results.append(reranker.scores(QUERY, PASSAGES))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    assert all(np.array_equal(each, results[0]) for each in results)


def test_a_device_that_is_not_here_is_said_and_the_cpu_does_it(files: TinyBert) -> None:
    reranker = make(files, placement=OnnxPlacement("QNNExecutionProvider", "npu"))
    assert reranker.report.running == "CPU"
    assert reranker.report.fallback_reason
    assert np.argmax(reranker.scores(QUERY, PASSAGES)) == 4
    reranker.close()


def test_after_closing_it_refuses(files: TinyBert) -> None:
    reranker = make(files)
    reranker.close()
    reranker.close()
    with pytest.raises(EngineFailed, match="closed"):
        reranker.scores(QUERY, PASSAGES)


def test_models_of_other_kinds_are_refused(tmp_path: Path) -> None:
    for name, files in {
        "an embedder": write_tiny_bert(tmp_path / "bert"),
        "a classifier": write_tiny_cross_encoder(tmp_path / "five", outputs=5),
    }.items():
        with pytest.raises(WeightsDamaged, match="rank") as refused:
            make(files)
        assert "cross-encoder" in refused.value.hint, name


def test_files_that_are_not_there_or_no_model(files: TinyBert, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing):
        make(TinyBert(tmp_path / "none.onnx", files.tokenizer_file, "0" * 64))
    content = files.model_file.read_bytes()
    for name, damaged in {"cut": content[: len(content) // 2], "empty": b"", "noise": b"\x08\xff" * 500}.items():
        broken = tmp_path / f"{name}.onnx"
        broken.write_bytes(damaged)
        with pytest.raises(WeightsDamaged, match=name):
            make(TinyBert(broken, files.tokenizer_file, name * 20))
    no_tokenizer = tmp_path / "tokenizer.json"
    no_tokenizer.write_text("{}")
    with pytest.raises(WeightsDamaged, match="tokenizer"):
        make(TinyBert(files.model_file, no_tokenizer, files.sha256))
