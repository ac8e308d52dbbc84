"""Sources on this machine: a folder, and what homebody carries itself."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from models.catalog import ModelEntry, load_catalog
from models.errors import HashMismatch, NotAtSource
from models.sources.folder import FolderSource
from models.sources.packaged import PackagedSource
from models.sources.source import FetchEvent, FetchProgress, FileFetched, WeightsSource
from tests.small_models import model_file, noise, sha256, small_entry

MODEL = noise(9 * 2**20)
CONFIG = b"{}\n"


@pytest.fixture
def entry() -> ModelEntry:
    return small_entry(
        "tiny",
        [model_file("visual/model.bin", MODEL, hub_path="onnx/model_int8.bin"), model_file("config.json", CONFIG)],
        hub=True,
    )


def fetch(source: WeightsSource, entry: ModelEntry, staging: Path) -> list[FetchEvent]:
    return list(source.prepare(entry, entry.files, staging).run(threading.Event()))


def put(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.mark.parametrize(
    "names",
    [
        {"tiny/visual/model.bin": MODEL, "tiny/config.json": CONFIG},
        {"visual/model.bin": MODEL, "config.json": CONFIG},
        {"model.bin": MODEL, "config.json": CONFIG},
        {"onnx/model_int8.bin": MODEL, "config.json": CONFIG},
        {"model_int8.bin": MODEL, "config.json": CONFIG},
    ],
)
def test_a_folder_is_searched_by_id_by_name_and_by_the_hubs_name(
    tmp_path: Path, entry: ModelEntry, names: dict[str, bytes]
) -> None:
    source = FolderSource(put(tmp_path / "stick", names))
    assert source.has(entry)
    events = fetch(source, entry, tmp_path / "staging")
    assert {event.file: event.path.read_bytes() for event in events if isinstance(event, FileFetched)} == {
        "visual/model.bin": MODEL,
        "config.json": CONFIG,
    }
    done = [event.done_bytes for event in events if isinstance(event, FetchProgress)]
    assert done == sorted(done)
    assert done[-1] == len(MODEL) + len(CONFIG)
    assert len(list((tmp_path / "stick").rglob("*.bin"))) == 1, "copied, not moved"


def test_one_file_can_be_named_itself(tmp_path: Path) -> None:
    single = small_entry("tiny", [model_file("model.bin", MODEL)])
    source = FolderSource(put(tmp_path, {"model.bin": MODEL}) / "model.bin")
    events = fetch(source, single, tmp_path / "staging")
    assert isinstance(events[-1], FileFetched)
    assert events[-1].path.read_bytes() == MODEL


def test_what_the_folder_lacks_is_named(tmp_path: Path, entry: ModelEntry) -> None:
    source = FolderSource(put(tmp_path / "stick", {"model.bin": MODEL}))
    assert not source.has(entry)
    with pytest.raises(NotAtSource, match=r"config\.json") as raised:
        source.prepare(entry, entry.files, tmp_path / "staging")
    assert "tiny/config.json" in raised.value.hint


def test_a_wrong_size_is_refused_before_copying(tmp_path: Path, entry: ModelEntry) -> None:
    source = FolderSource(put(tmp_path / "stick", {"model.bin": MODEL[:-1], "config.json": CONFIG}))
    with pytest.raises(HashMismatch, match="not copied"):
        source.prepare(entry, entry.files, tmp_path / "staging")
    assert not (tmp_path / "staging").exists()


def test_copying_stops_when_it_is_told_to(tmp_path: Path, entry: ModelEntry) -> None:
    source = FolderSource(put(tmp_path / "stick", {"model.bin": MODEL, "config.json": CONFIG}))
    stop = threading.Event()
    events = []
    for event in source.prepare(entry, entry.files, tmp_path / "staging").run(stop):
        events.append(event)
        stop.set()
    assert len(events) == 1


def test_the_embedders_tokenizer_is_carried(tmp_path: Path) -> None:
    entry = load_catalog().entry("all-minilm-l6-v2-int8")
    carried = [file for file in entry.files if file.packaged]
    assert [file.name for file in carried] == ["tokenizer.json"]
    (event,) = PackagedSource().prepare(entry, carried, tmp_path).run(threading.Event())
    assert isinstance(event, FileFetched)
    assert sha256(event.path.read_bytes()) == carried[0].sha256


def test_a_file_that_is_not_carried_after_all(tmp_path: Path) -> None:
    entry = small_entry("absent", [model_file("x.json", CONFIG, packaged=True)])
    with pytest.raises(NotAtSource, match=r"x\.json"):
        PackagedSource().prepare(entry, entry.files, tmp_path)
