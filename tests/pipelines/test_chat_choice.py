"""Which model answers, and which one is shown pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.catalog import ModelEntry, load_catalog
from models.errors import WeightsDamaged, WeightsMissing
from models.fit import needed_for_pictures_bytes, needed_memory_bytes
from models.weights import Weights
from pipelines.chat_choice import ChatChoices
from pipelines.engine_room import EngineRoom
from pipelines.paths import HomePaths
from pipelines.settings import ChatSettings, Settings
from scripts.make_tiny_models import write_tiny_gguf
from scripts.make_tiny_vlm import VlmSize, write_mmproj, write_tiny_vlm
from tests.small_models import model_file, small_catalog, small_entry

Choose = Callable[..., ChatChoices]


def entry(model_id: str, tasks: list[str], *files: Path) -> ModelEntry:
    listed = [model_file(each.name, each.read_bytes()) for each in files]
    order = dict.fromkeys(tasks, 1)
    return small_entry(model_id, listed, tasks=tasks, format="gguf", default_order=order, hub=True)


@pytest.fixture
def choose(tmp_path: Path) -> Choose:
    """Choices on a machine where `blind` reads texts, `eyes` sees, and `both` does both."""
    source = tmp_path / "source"
    source.mkdir()
    model, mmproj = write_tiny_vlm(source, "smolvlm")
    text = write_tiny_gguf(source / "blind.gguf")
    catalog = small_catalog(
        entry("blind", ["chat"], text),
        entry("eyes", ["vision"], model, mmproj),
        entry("both", ["chat", "vision"], model, mmproj),
    )

    def choices(*installed: str, without: str = "", **chat: Any) -> ChatChoices:
        paths = HomePaths(tmp_path / "home")
        for model_id in installed:
            folder = paths.weights_dir / model_id
            folder.mkdir(parents=True)
            for file in catalog.entry(model_id).files:
                if file.name != without:
                    (folder / file.name).write_bytes((source / file.name).read_bytes())
        settings = Settings(chat=ChatSettings(**chat))
        return ChatChoices(EngineRoom(paths, settings, "cpu", weights=Weights(paths.weights_dir, catalog)))

    return choices


def test_a_model_for_pictures_beside_one_for_texts(choose: Choose) -> None:
    choices = choose("blind", "eyes")
    assert (choices.chat.model_id, choices.chat.sees) == ("blind", False)
    assert choices.seeing is not None
    assert (choices.seeing.model_id, choices.seeing.sees) == ("eyes", True)
    assert choices.seeing.mmproj is not None
    assert choices.seeing.mmproj.name == "mmproj-smolvlm.gguf"
    assert not choices.seeing.is_users_own


def test_a_chat_model_that_sees_is_shown_the_pictures(choose: Choose) -> None:
    choices = choose("both", "eyes")
    assert choices.seeing is choices.chat
    assert choices.chat.needed_bytes > needed_for_pictures_bytes()


def test_only_one_for_pictures_is_here(choose: Choose) -> None:
    choices = choose("eyes")
    with pytest.raises(WeightsMissing, match="no chat model"):
        _ = choices.chat
    assert choices.seeing is not None


def test_none_sees(choose: Choose) -> None:
    assert choose("blind").seeing is None


def test_a_model_without_its_mmproj_file_is_not_installed(choose: Choose) -> None:
    choices = choose("blind", "eyes", without="mmproj-smolvlm.gguf")
    assert choices.seeing is None


def test_the_one_that_the_settings_name(choose: Choose) -> None:
    choices = choose("both", "eyes", model="both", vision_model="eyes")
    assert choices.seeing is not None
    assert (choices.chat.model_id, choices.seeing.model_id) == ("both", "eyes")


def test_a_folder_of_the_users_own(choose: Choose, tmp_path: Path) -> None:
    choices = choose(model=str(tmp_path / "own"))
    (tmp_path / "own").mkdir()
    model, mmproj = write_tiny_vlm(tmp_path / "own", "gemma")
    assert (choices.chat.path, choices.chat.mmproj, choices.chat.is_users_own) == (model, mmproj, True)
    assert choices.seeing is choices.chat


def test_a_stray_mmproj_matters_for_pictures_only(choose: Choose, tmp_path: Path) -> None:
    text = write_tiny_gguf(tmp_path / "downloads.gguf")
    write_mmproj(tmp_path / "mmproj-of-another.gguf", size=VlmSize(width=128))
    choices = choose(model=str(text))
    assert choices.chat.model_id == "downloads"
    with pytest.raises(WeightsDamaged, match="does not belong to"):
        _ = choices.seeing


def test_every_model_of_the_catalogue_that_sees_has_both_files() -> None:
    seeing = load_catalog().for_task("vision")
    assert {"smolvlm2-500m-q8_0", "qwen3.5-0.8b-q8_0", "qwen3.5-2b-q4_k_m", "qwen3.5-4b-q4_k_m"} <= {
        each.id for each in seeing
    }
    for each in seeing:
        assert each.projector is not None
        assert each.projector != each.files[0]
        assert each.projector.bytes_or_guess > 10**8
        assert needed_memory_bytes(each) > each.bytes + needed_for_pictures_bytes()
    assert load_catalog().entry("qwen2.5-coder-0.5b-instruct-q4_k_m").projector is None
