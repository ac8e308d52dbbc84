"""Real engines on tiny models: chosen by path or from a catalogue, loaded, placed, let go."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.errors import EngineFailed, UnknownModel, WeightsDamaged, WeightsMissing
from models.weights import Weights
from pipelines.embedder_choice import choose_embedder
from pipelines.engine_room import EngineRoom
from pipelines.events import IndexDone, IndexProgress, Notice
from pipelines.factory import open_home
from pipelines.paths import HomePaths
from pipelines.settings import EmbedSettings, Settings
from pipelines.text_engines import TextEngines
from tests.fakes import ScriptedChatModel
from tests.small_models import model_file, small_catalog, small_entry
from tests.tiny_bert import write_tiny_bert
from tests.tiny_cross_encoder import write_tiny_cross_encoder
from tests.tiny_gguf_embedder import write_tiny_gguf_embedder


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As sentence-transformers saves an embedder with an ONNX backend."""
    folder = tmp_path_factory.mktemp("models") / "bert"
    write_tiny_bert(folder)
    (folder / "config.json").write_text(json.dumps({"hidden_size": 32, "max_position_embeddings": 64}))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "q ", "passage": "p "}}))
    return folder


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf_embedder(tmp_path_factory.mktemp("models") / "tiny.gguf")


def installed_reranker(paths: HomePaths) -> Weights:
    files = write_tiny_cross_encoder(paths.weights_dir / "tiny-cross-encoder")
    entry = small_entry(
        "tiny-cross-encoder",
        [model_file(each.name, each.read_bytes()) for each in (files.model_file, files.tokenizer_file)],
        tasks=["rerank"],
        format="onnx",
        default_order={"rerank": 1},
        reranking={"max_tokens": 64},
    )
    return Weights(paths.weights_dir, small_catalog(entry))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[EngineRoom]:
    paths = HomePaths(tmp_path / "home")
    made = EngineRoom(paths, Settings(embed=EmbedSettings(threads=1)), "cpu", weights=installed_reranker(paths))
    yield made
    made.close()


def test_the_installed_reranker_is_found_loaded_and_placed(room: EngineRoom) -> None:
    engines = TextEngines(room)
    assert engines.reranker_id() == "tiny-cross-encoder"
    planned = engines.reranker_placement()
    assert planned is not None
    assert (planned.task, planned.device, planned.arithmetic) == ("rerank", "CPU", "as shipped")
    scores = engines.reranker().scores("boiler lease", ["the cat", "the boiler"])
    assert scores[1] > scores[0]
    assert engines.reranker() is engines.reranker(), "loaded once"


def test_without_a_reranker_it_is_said_how_to_get_one(tmp_path: Path) -> None:
    engines = TextEngines(EngineRoom(HomePaths(tmp_path), Settings(), "cpu"))
    assert engines.reranker_id() == ""
    assert engines.reranker_placement() is None
    with pytest.raises(WeightsMissing) as missing:
        engines.reranker()
    assert "homebody models pull --for rerank" in missing.value.hint


def test_two_embedders_are_loaded_at_a_time_and_one_is_let_go(room: EngineRoom, bert_folder: Path, gguf: Path) -> None:
    engines = TextEngines(room)
    bert, llama = engines.embedder(str(bert_folder)), engines.embedder(str(gguf))
    assert {each.key.split(":")[0] for each in room.residents.loaded()} == {"embed"}
    assert (bert.dimension, bert.query_prefix, bert.max_tokens) == (32, "q ", 64)
    assert len(bert.sha256) == len(llama.sha256) == 64
    assert bert.sha256 != llama.sha256
    assert (bert.arithmetic, llama.arithmetic) == ("int8", "as shipped")
    assert engines.embedder(str(gguf)) is llama
    for each in (bert, llama):
        assert engines.token_counter(each.model_id)("the boiler") == each.count_tokens("the boiler")
        placed = engines.placement(each.model_id)
        assert placed is not None
        assert placed.device == "CPU"
    engines.let_go(str(bert_folder))
    assert len(room.residents.loaded()) == 1
    with pytest.raises(EngineFailed):
        bert.embed_passages(["the boiler"])
    assert llama.embed_query("the boiler").shape == (64,)


def test_an_embedder_computes_in_what_the_library_was_computed_in(room: EngineRoom, bert_folder: Path) -> None:
    engines = TextEngines(room)
    plain = engines.embedder(str(bert_folder), arithmetic="as shipped")
    assert plain.arithmetic == "as shipped"
    vector = plain.embed_query("the boiler")
    engines.let_go(str(bert_folder))
    integer = engines.embedder(str(bert_folder))
    assert integer.arithmetic == "int8"
    assert 0.98 < float(integer.embed_query("the boiler") @ vector) < 1.0


def test_one_embedder_is_loaded_once_however_it_is_asked_for(room: EngineRoom, bert_folder: Path) -> None:
    engines = TextEngines(room)
    liked_best = engines.embedder(str(bert_folder))
    assert engines.embedder(str(bert_folder), arithmetic=liked_best.arithmetic) is liked_best
    assert len(room.residents.loaded()) == 1
    plain = engines.embedder(str(bert_folder), arithmetic="as shipped")
    assert plain is not liked_best
    engines.let_go(str(bert_folder))
    assert room.residents.loaded() == ()


def test_files_that_are_no_embedder_are_refused_before_they_are_chosen(tmp_path: Path, gguf: Path) -> None:
    paths = HomePaths(tmp_path / "home")
    for name, error in {
        "no-such-model": UnknownModel,
        "qwen2.5-coder-0.5b-instruct-q4_k_m": WeightsMissing,
        str(tmp_path): WeightsMissing,
        str(tmp_path / "gone.gguf"): WeightsMissing,
    }.items():
        with pytest.raises(error):
            choose_embedder(paths, name)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(gguf.read_bytes()[:3000])
    with pytest.raises(WeightsDamaged):
        choose_embedder(paths, str(broken))
    assert not paths.settings_file.exists()


def test_a_library_goes_from_a_folders_embedder_to_a_gguf_one(tmp_path: Path, bert_folder: Path, gguf: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    for number, text in enumerate(["garlic in the garden", "the boiler was serviced in march", "monthly rent"]):
        (notes / f"{number}.txt").write_text(text)
    paths = HomePaths(tmp_path / "home")
    for chosen in (bert_folder, gguf):
        home = open_home(paths, choose_embedder(paths, str(chosen)), device="cpu", chat_model=ScriptedChatModel())
        try:
            events = list(home.index([notes], threading.Event()))
            assert isinstance(events[-1], IndexDone)
            assert not any("words" in event.text for event in events if isinstance(event, Notice))
            anew = [event for event in events if isinstance(event, IndexProgress) and event.phase == "re-embedding"]
            assert bool(anew) == (chosen == gguf)
            status = home.library()
            assert (status.embedder, status.chunks_embedded, status.next_embedder) == (str(chosen), 3, "")
            found = home.search("boiler serviced")
            assert found.notices == ()
            assert found.hits[0].path.endswith("1.txt")
            assert found.hits[0].vector_rank is not None
            assert home.engines().placement["embed"].device == "CPU"
        finally:
            home.close()
