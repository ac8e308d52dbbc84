from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.catalog import Catalog
from models.fit import ChatSpeed, Machine
from models.hardware import EngineBuild, Memory
from models.onnx_devices import OnnxPlugin
from models.placement import ModelNeeds, place
from models.profile import ChatRates, DeviceProfile, EmbedRates
from models.weights import Weights
from pipelines import doctor_home, doctor_library
from pipelines.checkup import Check, Subject, Terminal
from pipelines.doctor import check_network, report, run_checks
from pipelines.doctor_home import check_folder, check_settings, check_space, check_vision, check_weights
from pipelines.doctor_machine import (
    check_engines,
    check_instruction_sets,
    check_memory,
    check_offline,
    check_placements,
    check_profile,
    check_python,
    check_terminal,
)
from pipelines.offline_guard import Attempt
from pipelines.paths import HomePaths
from pipelines.settings import ChatSettings, EmbedSettings, Settings, SpeechSettings
from rag.library_db import LibraryDb
from scripts.make_tiny_vlm import write_mmproj, write_tiny_vlm
from tests.fakes import CountableEmbedder
from tests.machines import GB, inventory, nvidia_desktop, two_core_vm
from tests.rag.stored_library import embed_all, record
from tests.small_models import model_file, noise

EMBEDDER = b"an embedder's weights " * 50
CHATTER = noise(5000)


def catalog() -> Catalog:
    common = {"licence": "Apache-2.0", "upstream": "somebody"}
    embed = {
        "id": "embedder-a",
        "title": "An embedder",
        "tasks": ["embed"],
        "format": "onnx",
        "files": [model_file("model.onnx", EMBEDDER)],
        "hub": {"repository": "some/embedder"},
        "default_order": {"embed": 1},
        "embedding": {"dimension": 4, "max_tokens": 64},
    }
    chat = {
        "id": "chatter-a",
        "title": "A chat model",
        "tasks": ["chat"],
        "format": "onnx",  # so that no GGUF header is asked of noise
        "files": [model_file("chat.onnx", CHATTER)],
        "hub": {"repository": "some/chatter"},
        "default_order": {"chat": 1},
    }
    return Catalog.model_validate({"model": [embed | common, chat | common]})


@pytest.fixture
def home(tmp_path: Path) -> HomePaths:
    paths = HomePaths(tmp_path / "home")
    paths.create()
    for model_id, name, content in (
        ("embedder-a", "model.onnx", EMBEDDER),
        ("chatter-a", "chat.onnx", CHATTER),
    ):
        folder = paths.weights_dir / model_id
        folder.mkdir(parents=True)
        (folder / name).write_bytes(content)
    return paths


def subject(paths: HomePaths, **more: Any) -> Subject:
    hardware = more.pop("hardware", two_core_vm())
    return Subject(
        **(
            {
                "paths": paths,
                "settings": Settings(),
                "hardware": hardware,
                "profile": DeviceProfile(fingerprint=hardware.fingerprint()),
                "weights": Weights(paths.weights_dir, catalog()),
                "machine": Machine(hardware.memory.available_bytes, ChatSpeed.guess(physical_cores=2)),
                "placements": {"chat": place("chat", hardware, None, ModelNeeds("chatter-a", GB))},
                "offline": True,
                "terminal": Terminal(True, "utf-8", 100, "xterm-256color"),
            }
            | more
        )
    )


def by_name(checks: object) -> dict[str, Check]:
    return {check.name: check for check in checks}  # type: ignore[attr-defined]  # any iterable of checks


def fill_library(paths: HomePaths, *, vectors: bool = True, embedder: str = "embedder-a", sha256: str = "") -> None:
    """One passage, embedded by a fake under the name and hash of the embedder."""
    named = CountableEmbedder()
    named.model_id = embedder
    named.sha256 = sha256 or catalog().entry("embedder-a").files[0].sha256 or ""
    note = paths.root.parent / "one.md"
    note.write_text("a passage of words", encoding="utf-8")
    with LibraryDb(paths.library_file) as library:
        record(library, str(note), ["a passage of words"])
        if vectors:
            embed_all(library, named)


def test_a_whole_installation_is_well_and_examined_without_a_trace(home: HomePaths) -> None:
    fill_library(home)
    patient = subject(home)
    by_name(run_checks(patient))  # the first time weights are hashed and stamped
    before = {file: file.stat().st_mtime_ns for file in home.root.rglob("*") if file.suffix not in (".json", ".lock")}

    found = report(patient, run_checks(patient))

    assert found.worst in ("ok", "warn")
    assert {check.name for check in found.checks if check.status != "ok"} <= {"vectors", "disk space"}
    after = {file: file.stat().st_mtime_ns for file in home.root.rglob("*") if file.suffix not in (".json", ".lock")}
    kept = {file for file in after if not file.name.endswith(("-wal", "-shm"))}
    assert {file: after[file] for file in kept if file.is_file()} == {
        file: before[file] for file in kept if file.is_file()
    }


def test_the_json_has_the_agreed_shape(home: HomePaths) -> None:
    patient = subject(home)
    document = json.loads(json.dumps(report(patient, run_checks(patient)).to_json()))

    assert set(document) == {"checks", "device", "placement"}
    assert all(set(each) == {"name", "status", "detail", "remedy"} for each in document["checks"])
    assert {each["status"] for each in document["checks"]} <= {"ok", "warn", "fail"}
    assert document["placement"]["chat"]["device"] == "CPU"
    assert document["placement"]["chat"]["reason"]
    assert document["device"]["cpu"]["usable_cores"] == 2
    names = [each["name"] for each in document["checks"]]
    assert len(names) == len(set(names))


def test_every_trouble_has_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    patient = subject(
        HomePaths(tmp_path / "file"),
        offline=False,
        terminal=Terminal(True, "ascii", 100, "xterm"),
        settings_error=("chat.modle: unknown key", "did you mean model?"),
        hardware=replace(two_core_vm(), memory=Memory(GB, GB // 100)),
    )
    troubles = [check for check in run_checks(patient) if check.status != "ok"]

    assert {"data folder", "settings", "chat weights", "embed weights", "offline", "terminal"} <= set(by_name(troubles))
    assert all(check.remedy for check in troubles)


def test_python_that_is_too_old() -> None:
    assert check_python((3, 12, 1), 64).status == "ok"
    assert check_python((3, 10, 9), 64).status == "fail"
    assert check_python((3, 12, 1), 32).status == "fail"


def test_the_data_folder_is_ours_alone(home: HomePaths) -> None:
    assert check_folder(subject(home)).status == "ok"
    home.root.chmod(0o755)
    shared = check_folder(subject(home))
    assert (shared.status, shared.remedy) == ("warn", f"chmod 700 '{home.root}'")
    assert check_folder(subject(HomePaths(home.root / "none" / "yet"))).status == "ok"
    assert check_space(subject(HomePaths(home.root / "none" / "yet"))).detail.endswith(str(home.root))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(home: HomePaths) -> None:
    home.root.chmod(0o500)
    assert check_folder(subject(home)).status == "fail"


def test_settings(home: HomePaths) -> None:
    assert "all defaults" in check_settings(subject(home)).detail
    home.settings_file.write_text("")
    assert "valid" in check_settings(subject(home)).detail


def test_weights_are_checked_by_their_bytes(home: HomePaths) -> None:
    assert check_weights(subject(home), "embed").status == "ok"
    file = home.weights_dir / "embedder-a" / "model.onnx"
    file.write_bytes(b"X" + EMBEDDER[1:])
    damaged = check_weights(subject(home), "embed")
    assert damaged.status == "fail"
    assert "model.onnx" in damaged.detail
    assert "homebody models pull embedder-a" in damaged.remedy
    file.unlink()
    assert check_weights(subject(home), "embed").remedy == "homebody models pull --for embed"
    named = Settings(embed=EmbedSettings(model="no-such"))
    assert check_weights(subject(home, settings=named), "embed").status == "fail"


def test_a_chat_file_of_the_user_s_own(home: HomePaths, tmp_path: Path) -> None:
    own = Settings(chat=ChatSettings(model=str(tmp_path / "mine.gguf")))
    assert check_weights(subject(home, settings=own), "chat").status == "fail"
    assert "not in the catalogue" in check_memory(subject(home, settings=own)).detail


def test_a_chat_model_in_a_folder_of_the_user_s_own(home: HomePaths, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    own = Settings(chat=ChatSettings(model=str(folder)))
    empty = check_weights(subject(home, settings=own), "chat")
    assert (empty.status, empty.remedy) == ("fail", "name the .gguf file itself")
    model, _ = write_tiny_vlm(folder, "gemma")
    assert check_weights(subject(home, settings=own), "chat") == Check("chat weights", "ok", f"{model}, your own file")


def test_every_task_has_its_weights_listed_and_some_may_be_missing(home: HomePaths) -> None:
    found = by_name(doctor_home.checks(subject(home)))
    listed = {name.removesuffix(" weights"): check for name, check in found.items() if name.endswith(" weights")}
    assert list(listed) == ["chat", "embed", "rerank", "clip", "speech", "vision"]
    assert {check.status for check in listed.values()} == {"ok"}
    for task in ("rerank", "clip", "speech", "vision"):
        assert listed[task].detail.startswith("none: ")
        assert f"homebody models pull --for {task}" in listed[task].detail
    named = subject(home, settings=Settings(speech=SpeechSettings(model="no-such")))
    assert check_weights(named, "speech").status == "fail"


def test_what_sees_pictures_is_told_with_an_mmproj_that_does_not_belong_to_it(home: HomePaths, tmp_path: Path) -> None:
    model, mmproj = write_tiny_vlm(tmp_path, "smolvlm")
    for settings in (ChatSettings(model=str(model)), ChatSettings(vision_model=str(tmp_path))):
        told = check_vision(subject(home, settings=Settings(chat=settings)))
        assert (told.status, told.detail) == ("ok", f"{model} with {mmproj.name}, your own files")
    write_mmproj(mmproj, "qwen2vl")
    told = check_vision(subject(home, settings=Settings(chat=ChatSettings(model=str(model)))))
    assert told.status == "fail"
    assert "mmproj-smolvlm.gguf does not belong to smolvlm.gguf" in told.detail
    assert told.remedy
    mmproj.unlink()
    blind = check_vision(subject(home, settings=Settings(chat=ChatSettings(vision_model=str(model)))))
    assert (blind.status, blind.remedy[:28]) == ("fail", "name a model that reads pict")
    assert check_vision(subject(home, settings=Settings(chat=ChatSettings(model=str(model))))).status == "ok"


@pytest.mark.parametrize(("free", "status"), [(20 * GB, "ok"), (120_000_000, "warn"), (10_000_000, "fail")])
def test_memory_against_the_chat_model(home: HomePaths, free: int, status: str) -> None:
    hardware = replace(two_core_vm(), memory=Memory(24 * GB, free))
    named = Settings(chat=ChatSettings(model="chatter-a"))
    assert check_memory(subject(home, hardware=hardware, settings=named)).status == status


def test_engines_and_plug_ins_say_how_they_are(home: HomePaths) -> None:
    plugins = (
        OnnxPlugin("onnxruntime-ep-openvino", "1.8.1", ("OpenVINOExecutionProvider",), 0),
        OnnxPlugin("onnxruntime-ep-rocm", "0.0.0", (), 0, failure="ImportError: nothing in it"),
        OnnxPlugin("onnxruntime-qnn", "2.7.0", ("QNNExecutionProvider",), 1),
    )
    machine = replace(
        two_core_vm(),
        onnx=inventory(plugins=plugins),
        engines=(EngineBuild("llama.cpp", "", failure="OSError: libllama.so"), two_core_vm().engines[1]),
    )
    checks = list(check_engines(subject(home, hardware=machine)))

    assert [check.status for check in checks] == ["fail", "ok", "ok", "warn", "ok"]
    assert "its hardware is not here" in checks[2].detail


def test_a_generic_build_is_named_with_the_way_out(home: HomePaths) -> None:
    generic = check_instruction_sets(subject(home, hardware=nvidia_desktop()))
    assert generic.status == "warn"
    assert "AVX512_VNNI" in generic.detail
    assert "GGML_NATIVE" in generic.remedy
    assert check_instruction_sets(subject(home)).status == "ok"


def test_a_fallback_is_said_with_its_reason_and_remedy(home: HomePaths) -> None:
    fallen = place("embed", two_core_vm(), None, ModelNeeds("embedder-a"), device="npu")
    patient = subject(home, placements={"embed": fallen})
    (check,) = check_placements(patient)

    assert check.status == "warn"
    assert "asked for npu, running on CPU" in check.detail
    assert check.remedy
    assert report(patient, [check]).placement["embed"]["fallback"]["asked"] == "npu"


def test_the_profile_is_told(home: HomePaths) -> None:
    assert "not measured yet" in check_profile(subject(home)).detail
    measured = DeviceProfile(
        fingerprint="x",
        chat={"m": ChatRates(prefill_tokens_per_s=74, decode_tokens_per_s=22, threads=2, threads_batch=2)},
        embed={"e": EmbedRates(tokens_per_s=3000, threads=2)},
    )
    detail = check_profile(subject(home, profile=measured)).detail
    assert detail == "m reads 74 and writes 22 tokens/s; e embeds 3000 tokens/s"


@pytest.mark.parametrize(
    ("terminal", "status"),
    [
        (Terminal(True, "utf-8", 100, "xterm-256color"), "ok"),
        (Terminal(False, "utf-8", 80, ""), "ok"),
        (Terminal(True, "utf-8", 80, "dumb"), "warn"),
        (Terminal(True, "ANSI_X3.4-1968", 80, "xterm"), "warn"),
        (Terminal(True, "UTF-8", 20, "xterm"), "warn"),
    ],
)
def test_terminals(home: HomePaths, terminal: Terminal, status: str) -> None:
    assert check_terminal(subject(home, terminal=terminal)).status == status


def test_the_guard_must_be_on(home: HomePaths) -> None:
    assert check_offline(subject(home)).status == "ok"
    assert check_offline(subject(home, offline=False)).status == "fail"


def test_an_empty_library_is_well(home: HomePaths) -> None:
    (check,) = doctor_library.checks(subject(home))
    assert (check.name, check.status) == ("library", "ok")


def test_a_library_in_step(home: HomePaths) -> None:
    fill_library(home)
    checks = by_name(doctor_library.checks(subject(home)))
    assert {check.status for check in checks.values()} == {"ok"}
    assert "1 passages" in checks["library"].detail
    assert "1 changes to come" in checks["vectors"].detail


def test_passages_without_vectors_are_told(home: HomePaths) -> None:
    fill_library(home, vectors=False)
    checks = by_name(doctor_library.checks(subject(home)))
    assert checks["vectors"].status == "warn"
    assert "found by words" in checks["vectors"].detail
    assert checks["library embedder"].detail == "no vectors yet"


@pytest.mark.parametrize(("embedder", "sha256"), [("embedder-b", ""), ("embedder-a", "f" * 64)])
def test_another_embedder_than_the_library_s(home: HomePaths, embedder: str, sha256: str) -> None:
    fill_library(home, embedder=embedder, sha256=sha256)
    check = by_name(doctor_library.checks(subject(home)))["library embedder"]
    assert check.status == "fail"
    assert "homebody index --reembed" in check.remedy


def test_a_library_whose_embedder_is_gone(home: HomePaths) -> None:
    fill_library(home)
    (home.weights_dir / "embedder-a" / "model.onnx").unlink()
    check = by_name(doctor_library.checks(subject(home)))["library embedder"]
    assert (check.status, check.remedy) == ("fail", "homebody models pull embedder-a")


def test_an_embedder_that_was_chosen_and_not_indexed_with(home: HomePaths) -> None:
    fill_library(home)
    chosen = Settings(embed=EmbedSettings(model="embedder-b"))
    check = by_name(doctor_library.checks(subject(home, settings=chosen)))["library embedder"]
    assert (check.status, check.repair) == ("fail", "index")
    assert "embedder-b is chosen" in check.detail


def test_an_own_embedder_that_is_gone_is_told_although_another_is_installed(home: HomePaths) -> None:
    fill_library(home, embedder="embedder-b")
    check = by_name(doctor_library.checks(subject(home)))["library embedder"]
    assert (check.status, check.repair) == ("fail", ""), (
        "only words are found, and indexing alone would not change that"
    )
    assert "embedder-b, which is not installed" in check.detail


def test_a_damaged_library_is_found(home: HomePaths) -> None:
    home.library_file.write_bytes(b"this is no database at all" * 100)
    (check,) = doctor_library.checks(subject(home))
    assert check.status == "fail"
    assert check.remedy


def test_a_library_with_a_broken_page_is_found(home: HomePaths) -> None:
    fill_library(home)
    with sqlite3.connect(home.library_file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page_size = int(connection.execute("PRAGMA page_size").fetchone()[0])
    connection.close()
    content = bytearray(home.library_file.read_bytes())
    for page in range(4, len(content) // page_size):
        content[page * page_size : page * page_size + 64] = b"\xff" * 64
    home.library_file.write_bytes(content)

    checks = list(doctor_library.checks(subject(home)))

    assert checks[0].status == "fail"
    assert checks[0].remedy


def test_a_library_of_a_newer_homebody(home: HomePaths) -> None:
    fill_library(home)
    connection = sqlite3.connect(home.library_file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    (check,) = doctor_library.checks(subject(home))
    assert check.status == "fail"
    assert "newer" in check.detail


def test_the_network_check_lists_what_was_attempted() -> None:
    assert check_network([], job="one question").status == "ok"
    attempt = Attempt("socket.connect", "203.0.113.7:443", "leaky.py:3 in call", refused=True)
    leaked = check_network([attempt] * 7, job="one question")
    assert leaked.status == "fail"
    assert "203.0.113.7:443" in leaked.detail
    assert "and 2 more" in leaked.detail
