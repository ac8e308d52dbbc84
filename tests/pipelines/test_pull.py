"""Getting weights, through the front door: scripted sources, then the real ones end to end."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from models.catalog import ModelEntry, ModelFile, load_catalog
from models.checksum import Checksum
from models.errors import (
    DownloadFailed,
    HashMismatch,
    NotAtSource,
    NotEnoughMemory,
    NotEnoughSpace,
    SourceUnreachable,
    UnknownModel,
    WeightsDamaged,
)
from models.fit import ChatSpeed, Machine
from models.sources.hub import HubSource
from models.sources.source import FetchEvent, FetchProgress, FileFetched, staged_path
from models.sources.wheels import WheelSource
from models.weights import PARTIAL_DIR, Weights
from pipelines.models_listing import installed_default, models_listing
from pipelines.pull import pull, sources_named
from pipelines.pull_events import (
    AlreadyInstalled,
    DefaultChosen,
    PullDone,
    PullEvent,
    PullProgress,
    PullStarted,
    PullStopped,
    SourceSkipped,
)
from pipelines.pull_one import Meter, free_bytes_at
from tests.small_models import model_file, noise, sha256, small_catalog, small_entry, wheel
from tests.weights_servers import HubServer, WheelIndex, running_hub, running_index

MODEL = noise(200_000)
CONFIG = b'{"layers": 2}\n'
FAST = Machine(free_memory_bytes=16 * 10**9, speed=ChatSpeed.guess(physical_cores=8))


class ScriptedSource:
    """Gives what was put into it, or raises what was enqueued; `history` has what it was asked for."""

    def __init__(self, name: str, **files: bytes) -> None:
        self.name = name
        self.files = files
        self.errors: list[Exception] = []
        self.checksums: dict[str, Checksum] = {}
        self.history: list[tuple[str, ...]] = []
        self.stop_after: int | None = None
        """Set the stop event after this many bytes."""

    def enqueue(self, error: Exception) -> None:
        self.errors.append(error)

    def has(self, entry: ModelEntry) -> bool:
        return entry.hub is not None if self.name == "hub" else True

    def prepare(self, entry: ModelEntry, files: Sequence[ModelFile], staging: Path) -> ScriptedFetch:
        self.history.append((entry.id, *(file.name for file in files)))
        if self.errors and not isinstance(self.errors[0], OSError):
            raise self.errors.pop(0)
        return ScriptedFetch(self, files, staging)


class ScriptedFetch:
    def __init__(self, source: ScriptedSource, files: Sequence[ModelFile], staging: Path) -> None:
        self._source, self._files, self._staging = source, files, staging

    @property
    def download_bytes(self) -> int:
        return sum(len(self._content(file)) for file in self._files)

    @property
    def disk_bytes(self) -> int:
        return 2 * self.download_bytes

    def _content(self, file: ModelFile) -> bytes:
        return self._source.files[file.name.replace(".", "_")]

    def run(self, stop: threading.Event) -> Iterator[FetchEvent]:
        if self._source.errors:
            raise self._source.errors.pop(0)
        done = 0
        for file in self._files:
            content = self._content(file)
            done += len(content)
            yield FetchProgress(file.name, done, self.download_bytes)
            if self._source.stop_after is not None and done >= self._source.stop_after:
                stop.set()
            if stop.is_set():
                return
            path = staged_path(self._staging, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            yield FileFetched(file.name, path, self._source.checksums.get(file.name))


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    files = [model_file("model.bin", MODEL), model_file("config.json", CONFIG)]
    return Weights(tmp_path / "models", small_catalog(small_entry("tiny", files, hub=True)))


def good(name: str) -> ScriptedSource:
    return ScriptedSource(name, model_bin=MODEL, config_json=CONFIG)


def run(
    weights: Weights,
    *sources: ScriptedSource,
    stop: threading.Event | None = None,
    free_bytes: Callable[[Path], int] = free_bytes_at,
) -> list[PullEvent]:
    return list(pull(["tiny"], weights=weights, machine=FAST, sources=sources, stop=stop, free_bytes=free_bytes))


def files_under(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def test_a_pull_installs_and_the_next_one_asks_nobody(weights: Weights) -> None:
    source = good("hub")
    events = run(weights, source)
    started = next(event for event in events if isinstance(event, PullStarted))
    assert (started.source, started.download_bytes) == ("hub", len(MODEL) + len(CONFIG))
    assert (started.licence, started.upstream) == ("MIT", "somebody/tiny")
    assert any(isinstance(event, PullProgress) for event in events)
    done = events[-1]
    assert isinstance(done, PullDone)
    assert done.path == weights.folder("tiny")
    assert weights.require("tiny").main_file.read_bytes() == MODEL
    assert files_under(weights.weights_dir) == {"tiny/model.bin", "tiny/config.json", "tiny/.verified.json"}

    events = run(weights, source)
    assert isinstance(events[-1], AlreadyInstalled)
    assert len(source.history) == 1


def test_unknown_ids_are_refused_before_anything_is_fetched(weights: Weights) -> None:
    source = good("hub")
    with pytest.raises(UnknownModel):
        list(pull(["tiny", "tinny"], weights=weights, machine=FAST, sources=[source]))
    assert source.history == []
    assert not weights.weights_dir.exists()


def test_the_next_source_is_asked_and_the_skipped_one_is_said(weights: Weights) -> None:
    hub, wheels = good("hub"), good("wheels")
    hub.enqueue(SourceUnreachable("no answer", hint="check"))
    events = run(weights, hub, wheels)
    assert SourceSkipped("tiny", "hub", "no answer") in events
    assert isinstance(events[-1], PullDone)
    assert events[-1].source == "wheels"


def test_a_source_that_did_not_answer_is_asked_once(tmp_path: Path) -> None:
    entries = [small_entry(name, [model_file("model.bin", MODEL)], hub=True) for name in ("one", "two")]
    weights = Weights(tmp_path / "models", small_catalog(*entries))
    hub, wheels = good("hub"), good("wheels")
    hub.enqueue(SourceUnreachable("no answer"))
    events = list(pull(["one", "two"], weights=weights, machine=FAST, sources=[hub, wheels]))
    assert len(hub.history) == 1
    assert len([event for event in events if isinstance(event, PullDone)]) == 2


def test_wrong_bytes_are_refused_and_leave_nothing(weights: Weights) -> None:
    wrong = noise(len(MODEL), seed=9)
    bad = ScriptedSource("wheels", model_bin=wrong, config_json=CONFIG)
    with pytest.raises(HashMismatch) as raised:
        run(weights, bad)
    assert sha256(MODEL) in str(raised.value)
    assert sha256(wrong) in str(raised.value)
    assert raised.value.hint
    assert files_under(weights.weights_dir) == set()
    assert weights.installed("tiny") is None
    assert not weights.staging_dir("tiny").exists()


def test_wrong_bytes_from_one_source_may_be_right_from_the_next(weights: Weights) -> None:
    bad = ScriptedSource("hub", model_bin=noise(5), config_json=CONFIG)
    events = run(weights, bad, good("wheels"))
    assert any(isinstance(event, SourceSkipped) and sha256(MODEL) in event.reason for event in events)
    assert weights.require("tiny").main_file.read_bytes() == MODEL


def test_when_all_fail_the_most_telling_reason_is_raised(weights: Weights) -> None:
    hub, wheels = good("hub"), good("wheels")
    hub.enqueue(SourceUnreachable("no answer"))
    wheels.enqueue(NotAtSource("no such wheel", hint="x"))
    with pytest.raises(NotAtSource, match="no such wheel"):
        run(weights, hub, wheels)


def test_only_the_damaged_file_is_fetched_again(weights: Weights) -> None:
    run(weights, good("hub"))
    weights.folder("tiny").joinpath("config.json").write_bytes(b'{"layers": 3}\n')
    with pytest.raises(WeightsDamaged):
        weights.require("tiny")
    source = good("hub")
    assert isinstance(run(weights, source)[-1], PullDone)
    assert source.history == [("tiny", "config.json")]
    weights.require("tiny")


def test_stopping_keeps_the_files_that_are_whole(weights: Weights) -> None:
    source = good("hub")
    source.stop_after = len(MODEL) + len(CONFIG)
    events = run(weights, source, stop=threading.Event())
    assert events[-1] == PullStopped("tiny")
    assert weights.installed("tiny") is None
    again = good("hub")
    assert isinstance(run(weights, again)[-1], PullDone)
    assert again.history == [("tiny", "config.json")], "model.bin was whole, and checked again"


def test_a_whole_file_that_was_damaged_since_is_fetched_again(weights: Weights) -> None:
    source = good("hub")
    source.stop_after = len(MODEL) + len(CONFIG)
    run(weights, source, stop=threading.Event())
    weights.staging_dir("tiny").joinpath("model.bin").write_bytes(noise(len(MODEL), seed=4))
    again = good("hub")
    run(weights, again)
    assert again.history == [("tiny", "model.bin", "config.json")]
    assert weights.require("tiny").main_file.read_bytes() == MODEL


def test_no_room_is_noticed_before_anything_is_fetched(weights: Weights) -> None:
    source = good("hub")
    with pytest.raises(NotEnoughSpace) as raised:
        run(weights, source, good("wheels"), free_bytes=lambda _: 3_000_000)
    assert "3 MB are free" in str(raised.value)
    assert "HOMEBODY_HOME" in raised.value.hint
    assert files_under(weights.weights_dir) == set()


def test_a_disk_that_fills_up_on_the_way_is_said_with_the_way_on(weights: Weights) -> None:
    source = good("hub")
    source.enqueue(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(NotEnoughSpace) as raised:
        run(weights, source)
    assert "goes on" in raised.value.hint


def test_a_folder_that_cannot_be_written_is_named(weights: Weights) -> None:
    weights.weights_dir.write_text("a file where the folder should be")
    with pytest.raises(DownloadFailed, match="models"):
        run(weights, good("hub"))


def test_what_nobody_vouches_for_takes_the_sources_checksum(tmp_path: Path) -> None:
    weights = Weights(tmp_path / "models", small_catalog(small_entry("tiny", [{"name": "model.bin"}], hub=True)))
    lying = ScriptedSource("hub", model_bin=MODEL)
    lying.checksums["model.bin"] = Checksum("sha256", "0" * 64)
    with pytest.raises(HashMismatch, match="0" * 64):
        run(weights, lying)
    silent = ScriptedSource("hub", model_bin=MODEL)
    with pytest.raises(HashMismatch, match="nothing says"):
        run(weights, silent)
    honest = ScriptedSource("hub", model_bin=MODEL)
    honest.checksums["model.bin"] = Checksum("sha256", sha256(MODEL))
    run(weights, honest)
    weights.require("tiny").main_file.write_bytes(noise(10))
    with pytest.raises(WeightsDamaged, match=sha256(MODEL)):
        weights.require("tiny")


def test_two_pulls_at_once_do_not_mix(weights: Weights) -> None:
    first = pull(["tiny"], weights=weights, machine=FAST, sources=[good("hub")])
    next(first)
    with pytest.raises(DownloadFailed, match="another homebody"):
        run(weights, good("hub"))
    assert isinstance(list(first)[-1], PullDone)
    assert isinstance(run(weights, good("hub"))[-1], AlreadyInstalled)


def test_a_path_that_is_not_there_is_no_source(tmp_path: Path) -> None:
    assert [source.name for source in sources_named("auto")] == ["hub", "wheels"]
    assert [source.name for source in sources_named(str(tmp_path))] == [str(tmp_path)]
    with pytest.raises(NotAtSource) as raised:
        sources_named("weels")
    assert "wheels" in raised.value.hint


# Defaults


@pytest.fixture
def chats(tmp_path: Path) -> Weights:
    """Two chat models: the better one is on the hub only."""
    better = small_entry(
        "better", [model_file("model.bin", MODEL)], hub=True, tasks=["chat"], default_order={"chat": 1}
    )
    simple_wheel = wheel(b"-", "simple", [("model.bin", "simple/model.bin", len(MODEL))])
    simple = small_entry(
        "simple", [model_file("model.bin", MODEL)], tasks=["chat"], default_order={"chat": 2}, wheels=[simple_wheel]
    )
    least = small_entry(
        "least", [model_file("model.bin", MODEL)], tasks=["chat"], default_order={"chat": 3}, wheels=[simple_wheel]
    )
    return Weights(tmp_path / "models", small_catalog(better, simple, least))


class FromWheels(ScriptedSource):
    def has(self, entry: ModelEntry) -> bool:
        return entry.in_wheels


def pull_chat(weights: Weights, *sources: ScriptedSource, machine: Machine = FAST) -> list[PullEvent]:
    return list(pull(tasks=["chat"], weights=weights, machine=machine, sources=sources))


def test_the_best_model_comes_from_the_hub_when_it_answers(chats: Weights) -> None:
    events = pull_chat(chats, good("hub"), FromWheels("wheels", model_bin=MODEL))
    assert isinstance(events[0], DefaultChosen)
    assert events[0].model_id == "better"
    assert chats.installed("better") is not None


def test_without_the_hub_the_best_of_the_wheels_is_taken_and_later_nobody_waits(chats: Weights) -> None:
    hub, wheels = good("hub"), FromWheels("wheels", model_bin=MODEL)
    hub.enqueue(SourceUnreachable("no answer"))
    events = pull_chat(chats, hub, wheels)
    assert [event.model_id for event in events if isinstance(event, DefaultChosen)] == ["better", "simple"]
    assert chats.installed("simple") is not None
    again = good("hub")
    assert isinstance(pull_chat(chats, again, wheels)[-1], AlreadyInstalled)
    assert again.history == []


def test_a_lesser_model_that_is_here_does_not_count(chats: Weights) -> None:
    wheels = FromWheels("wheels", model_bin=MODEL)
    list(pull(["least"], weights=chats, machine=FAST, sources=[wheels]))
    pull_chat(chats, wheels)
    assert chats.installed("simple") is not None


def test_a_better_model_that_was_measured_to_be_slow_is_kept(chats: Weights) -> None:
    wheels = FromWheels("wheels", model_bin=MODEL)
    list(pull(["simple"], weights=chats, machine=FAST, sources=[wheels]))
    crawling = Machine(FAST.free_memory_bytes, ChatSpeed(prefill_byte_rate=1, decode_bytes_per_s=1, measured=True))
    again = FromWheels("wheels", model_bin=MODEL)
    assert isinstance(pull_chat(chats, again, machine=crawling)[-1], AlreadyInstalled)
    assert again.history == []


def test_the_hub_alone_is_asked_though_a_lesser_model_is_here(chats: Weights) -> None:
    list(pull(["least"], weights=chats, machine=FAST, sources=[FromWheels("wheels", model_bin=MODEL)]))
    pull_chat(chats, good("hub"))
    assert chats.installed("better") is not None


def test_no_memory_for_any_model_is_said_with_the_number(chats: Weights) -> None:
    starved = Machine(free_memory_bytes=10**6, speed=FAST.speed)
    with pytest.raises(NotEnoughMemory, match=r"0\.0 GB"):
        pull_chat(chats, good("hub"), machine=starved)


def test_the_listing_says_what_is_here_and_what_would_be_used(chats: Weights) -> None:
    assert installed_default(chats, FAST, "chat") is None
    before = {each.entry.id: each for each in models_listing(chats, FAST)}
    assert not any(each.installed for each in before.values())
    assert before["better"].default_for == ("chat",)
    assert before["better"].sources == ("hub",)
    assert before["simple"].sources == ("wheels",)

    list(pull(["least"], weights=chats, machine=FAST, sources=[FromWheels("wheels", model_bin=MODEL)]))
    after = {each.entry.id: each for each in models_listing(chats, FAST)}
    assert after["least"].installed
    assert after["least"].default_for == ("chat",)
    shown = after["least"].to_json()
    assert (shown["id"], shown["installed"], shown["fits"]) == ("least", True, True)
    assert shown["reason"]


def test_the_listing_of_the_real_catalogue_covers_every_model(tmp_path: Path) -> None:
    listing = models_listing(Weights(tmp_path), FAST)
    assert [each.entry.id for each in listing] == list(load_catalog().ids)
    assert [each.entry.id for each in models_listing(Weights(tmp_path), FAST, tasks=["embed"])] == [
        "all-minilm-l6-v2-int8",
        "multilingual-e5-small-int8",
        "bge-small-en-v1.5-q8_0",
        "nomic-embed-text-v1.5-q8_0",
    ]


# The meter


def test_rate_and_time_left_ignore_what_an_earlier_try_left() -> None:
    now = 0.0
    meter = Meter(clock=lambda: now)
    shown = meter.progress("tiny", FetchProgress("f", 600, 1000))
    assert shown is not None
    assert (shown.bytes_per_s, shown.eta_s) == (0.0, None)
    now = 2.0
    shown = meter.progress("tiny", FetchProgress("f", 800, 1000))
    assert shown is not None
    assert (shown.bytes_per_s, shown.eta_s) == (100.0, 2.0)


def test_progress_is_throttled_but_the_last_is_shown() -> None:
    meter = Meter(clock=lambda: 0.0)
    assert meter.progress("tiny", FetchProgress("f", 1, 1000)) is not None
    assert meter.progress("tiny", FetchProgress("f", 2, 1000)) is None
    assert meter.progress("tiny", FetchProgress("f", 1000, 1000)) is not None


def test_free_space_is_asked_of_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    assert free_bytes_at(tmp_path / "not" / "yet") > 0


# End to end


@pytest.fixture
def index() -> Iterator[WheelIndex]:
    with running_index() as server:
        yield server


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with running_hub() as server:
        yield server


def test_auto_falls_through_to_wheels_when_the_hub_refuses(index: WheelIndex, tmp_path: Path) -> None:
    made = index.add("tiny-weights", {"tiny_weights/model.bin": MODEL})
    ride = wheel(made, "tiny-weights", [("model.bin", "tiny_weights/model.bin", len(MODEL))])
    entry = small_entry("tiny", [model_file("model.bin", MODEL)], hub=True, wheels=[ride])
    weights = Weights(tmp_path / "models", small_catalog(entry))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        sources = (
            HubSource(endpoint=f"http://127.0.0.1:{taken.getsockname()[1]}"),
            WheelSource(environ=index.environ()),
        )
        events = list(pull(["tiny"], weights=weights, machine=FAST, sources=sources))
    assert any(isinstance(event, SourceSkipped) and event.source == "hub" for event in events)
    assert isinstance(events[-1], PullDone)
    assert weights.require("tiny").main_file.read_bytes() == MODEL
    assert files_under(weights.weights_dir) == {"tiny/model.bin", "tiny/.verified.json"}


def test_a_joined_file_that_is_not_the_catalogues_leaves_nothing(index: WheelIndex, tmp_path: Path) -> None:
    """The wheel is the pinned one, and still its content is not what the catalogue wants."""
    made = index.add("tiny-weights", {"tiny_weights/model.bin": noise(len(MODEL), seed=8)})
    ride = wheel(made, "tiny-weights", [("model.bin", "tiny_weights/model.bin", len(MODEL))])
    weights = Weights(
        tmp_path / "models", small_catalog(small_entry("tiny", [model_file("model.bin", MODEL)], wheels=[ride]))
    )
    with pytest.raises(HashMismatch, match=sha256(MODEL)):
        list(pull(["tiny"], weights=weights, machine=FAST, sources=[WheelSource(environ=index.environ())]))
    assert files_under(weights.weights_dir) == set()
    assert not (weights.weights_dir / PARTIAL_DIR / "tiny").exists()


def test_the_hub_gives_files_that_only_it_vouches_for(hub: HubServer, tmp_path: Path) -> None:
    hub.add("somebody/tiny/model.bin", MODEL)
    hub.add("somebody/tiny/config.json", CONFIG, large=False)
    entry = small_entry("tiny", [model_file("model.bin", MODEL), {"name": "config.json"}], hub=True)
    weights = Weights(tmp_path / "models", small_catalog(entry))
    hub.instead["somebody/tiny/config.json"] = CONFIG.replace(b"2", b"3")
    with pytest.raises(HashMismatch, match="git-sha1"):
        list(pull(["tiny"], weights=weights, machine=FAST, sources=[HubSource(endpoint=hub.url)]))
    hub.instead.clear()
    list(pull(["tiny"], weights=weights, machine=FAST, sources=[HubSource(endpoint=hub.url)]))
    assert weights.require("tiny").path("config.json").read_bytes() == CONFIG


@pytest.mark.weights
def test_the_embedder_from_a_folder_of_real_weights(weights_dir: Path, tmp_path: Path) -> None:
    weights = Weights(tmp_path / "models")
    events = list(pull(["all-minilm-l6-v2-int8"], weights=weights, machine=FAST, source=str(weights_dir)))
    assert isinstance(events[-1], PullDone)
    assert weights.require("all-minilm-l6-v2-int8").path("tokenizer.json").is_file()
