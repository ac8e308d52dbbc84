"""The real engine on tiny GGUF embedders."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.embed_text_gguf import GgufTextEmbedder, GgufTokenCounter, read_gguf_embedder
from models.errors import DeviceUnavailable, EngineFailed, WeightsDamaged, WeightsMissing
from models.native_log import llama_library
from scripts.make_tiny_models import write_tiny_gguf
from tests.tiny_gguf_embedder import WIDTH, write_tiny_gguf_embedder

TEXTS = ["the boiler was serviced in march", "garlic", "the monthly rent", "the cat [SEP] the dog", "", "garlic"]


def make(path: Path, **more: object) -> GgufTextEmbedder:
    return GgufTextEmbedder(path, model_id="tiny", sha256="0" * 64, **more)  # type: ignore[arg-type]  # as a test says


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf_embedder(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def embedder(weights: Path) -> Iterator[GgufTextEmbedder]:
    made = make(weights)
    yield made
    made.close()


def test_vectors_are_of_length_1_in_the_order_given(embedder: GgufTextEmbedder) -> None:
    vectors = embedder.embed_passages(TEXTS)
    assert vectors.shape == (len(TEXTS), WIDTH)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert float(embedder.embed_query(text) @ vector) > 0.9999, text
    assert embedder.arithmetic == "as shipped"


def test_texts_with_the_same_words_are_near(embedder: GgufTextEmbedder) -> None:
    passages = embedder.embed_passages(["the old boiler was serviced", "garlic in the garden", "monthly rent"])
    for query, nearest in {"boiler serviced": 0, "planted garlic": 1, "rent": 2}.items():
        assert int(np.argmax(passages @ embedder.embed_query(query))) == nearest


def test_the_same_texts_give_the_same_vectors_and_groups(embedder: GgufTextEmbedder) -> None:
    texts = [f"{'boiler ' * (number % 40)}rent {number}" for number in range(150)]
    first = list(embedder.iter_passages(texts))
    again = list(embedder.iter_passages(texts))
    assert len(first) > 3
    assert sorted(int(index) for indices, _ in first for index in indices) == list(range(150))
    for (indices, vectors), (indices_again, vectors_again) in zip(first, again, strict=True):
        np.testing.assert_array_equal(indices, indices_again)
        np.testing.assert_array_equal(vectors, vectors_again)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_the_pooling_is_the_files(tmp_path: Path, pooling: str) -> None:
    path = write_tiny_gguf_embedder(tmp_path / f"{pooling}.gguf", pooling=pooling)
    made = make(path)
    assert made.pooling == pooling == read_gguf_embedder(path).pooling
    same_ends = made.embed_passages(["garlic rent", "boiler rent", "garlic cat"])
    assert np.isfinite(same_ends).all()
    made.close()


def test_a_long_text_is_cut_and_keeps_its_end_token(embedder: GgufTextEmbedder) -> None:
    long, longer = "garlic " * 200, "garlic " * 900
    assert embedder.count_tokens(long) == 200
    vectors = embedder.embed_passages([long, longer])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)


def test_prefixes_come_before_the_texts(weights: Path, embedder: GgufTextEmbedder) -> None:
    made = make(weights, query_prefix="rent ", passage_prefix="cat ")
    assert float(made.embed_query("garlic") @ embedder.embed_query("rent garlic")) > 0.9999
    assert float(made.embed_passages(["garlic"])[0] @ embedder.embed_query("cat garlic")) > 0.9999
    made.close()


def test_tokens_are_counted_without_the_weights(weights: Path, embedder: GgufTextEmbedder) -> None:
    counter = GgufTokenCounter(weights)
    for text in TEXTS:
        assert counter.count(text) == embedder.count_tokens(text)
    assert counter.count("garlic rent") == 2


def test_a_vocabulary_is_freed_with_its_counter(weights: Path) -> None:
    freed: list[int] = []
    free = llama_library().llama_model_free

    class Library:
        """llama.cpp's own, and who was freed."""

        def __getattr__(self, name: str) -> object:
            return getattr(llama_library(), name)

        def llama_model_free(self, model: int) -> None:
            freed.append(model)
            free(model)

    count = GgufTokenCounter(weights, library=Library()).count
    assert count("garlic rent") == 2
    assert freed == []
    del count
    gc.collect()
    assert len(freed) == 1


def test_threads_change_at_run_time_and_several_may_ask(embedder: GgufTextEmbedder) -> None:
    embedder.set_threads(2)
    assert embedder.threads == 2
    results: list[np.ndarray] = []

    def ask() -> None:
        results.append(embedder.embed_query("the boiler"))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    embedder.set_threads(1)
    assert len(results) == 5
    assert all(float(each @ results[0]) > 0.9999 for each in results)


def test_after_closing_it_refuses(weights: Path) -> None:
    made = make(weights)
    made.close()
    made.close()
    with pytest.raises(EngineFailed, match="closed"):
        made.embed_query("rent")


def test_what_is_no_embedder_is_refused(tmp_path: Path, weights: Path) -> None:
    chat = write_tiny_gguf(tmp_path / "chat.gguf")
    ranks = write_tiny_gguf_embedder(tmp_path / "rank.gguf", pooling="rank")
    silent = write_tiny_gguf_embedder(tmp_path / "none.gguf", pooling="none")
    for path in (chat, ranks, silent):
        with pytest.raises(WeightsDamaged, match=path.name):
            make(path)
    with pytest.raises(WeightsMissing):
        make(tmp_path / "nothing.gguf")
    content = weights.read_bytes()
    for name, damaged in {"cut": content[: len(content) // 2], "noise": b"GGUF" + b"\xff" * 400}.items():
        broken = tmp_path / f"{name}.gguf"
        broken.write_bytes(damaged)
        with pytest.raises(WeightsDamaged, match=name):
            make(broken)
    with pytest.raises(DeviceUnavailable):
        make(weights, device_names=("Quantum0",), n_gpu_layers=-1)
