"""The hub source against a server that answers as the hub does, and misbehaves as networks do."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from models.catalog import ModelEntry
from models.checksum import Checksum
from models.errors import DownloadFailed, HashMismatch, NotAtSource, SourceUnreachable
from models.sources.hub import HubSource
from models.sources.source import FetchProgress, FileFetched, unfinished_path
from tests.conftest import PROJECT_ROOT
from tests.small_models import REVISION, model_file, noise, sha256, small_entry
from tests.weights_servers import COMMIT, HubServer, running_hub

MODEL = noise(3 * 2**20)
CONFIG = b'{"layers": 2}\n'


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with running_hub() as server:
        server.add("somebody/tiny/model.bin", MODEL)
        server.add("somebody/tiny/config.json", CONFIG, large=False)
        yield server


@pytest.fixture
def entry() -> ModelEntry:
    return small_entry("tiny", [model_file("model.bin", MODEL), {"name": "config.json"}], hub=True)


def source(hub: HubServer) -> HubSource:
    return HubSource(endpoint=hub.url, retry_wait_s=0)


def fetch(
    hub: HubServer, entry: ModelEntry, staging: Path, stop: threading.Event | None = None
) -> tuple[Sequence[FetchProgress], Sequence[FileFetched]]:
    events = list(source(hub).prepare(entry, entry.files, staging).run(stop or threading.Event()))
    return (
        [event for event in events if isinstance(event, FetchProgress)],
        [event for event in events if isinstance(event, FileFetched)],
    )


def content_requests(hub: HubServer) -> list[str]:
    return [each for each in hub.requests if "storage/somebody/tiny/model.bin" in each]


def test_files_come_with_the_hubs_own_checksums(hub: HubServer, entry: ModelEntry, tmp_path: Path) -> None:
    progress, files = fetch(hub, entry, tmp_path)
    assert [file.path.read_bytes() for file in files] == [MODEL, CONFIG]
    assert files[0].checksum == Checksum("sha256", sha256(MODEL))
    git_id = hashlib.sha1(b"blob %d\0" % len(CONFIG) + CONFIG, usedforsecurity=False).hexdigest()
    assert files[1].checksum == Checksum("git-sha1", git_id)
    done = [each.done_bytes for each in progress]
    assert done == sorted(done)
    assert done[-1] == progress[-1].total_bytes == len(MODEL) + len(CONFIG)


def test_nothing_but_the_pinned_files_is_asked_for(hub: HubServer, entry: ModelEntry, tmp_path: Path) -> None:
    fetch(hub, entry, tmp_path)
    assert all(REVISION in each or "/storage/" in each for each in hub.requests), hub.requests


def test_sizes_are_known_before_the_first_byte(hub: HubServer, entry: ModelEntry, tmp_path: Path) -> None:
    prepared = source(hub).prepare(entry, entry.files, tmp_path)
    assert prepared.download_bytes == prepared.disk_bytes == len(MODEL) + len(CONFIG)
    assert not any(each.startswith("GET") for each in hub.requests)


def test_an_unpinned_model_comes_from_one_commit(hub: HubServer, tmp_path: Path) -> None:
    unpinned = small_entry(
        "tiny", [{"name": "model.bin"}, {"name": "config.json"}], hub={"repository": "somebody/tiny"}
    )
    _, files = fetch(hub, unpinned, tmp_path)
    assert {file.revision for file in files} == {COMMIT}
    assert f"HEAD /somebody/tiny/resolve/{COMMIT}/config.json" in hub.requests


def test_a_cut_connection_is_taken_up_where_it_ended(hub: HubServer, entry: ModelEntry, tmp_path: Path) -> None:
    hub.cuts["somebody/tiny/model.bin"] = [2**20, 1]
    _, files = fetch(hub, entry, tmp_path)
    assert files[0].path.read_bytes() == MODEL
    starts = [int(each.rpartition(" ")[2]) for each in content_requests(hub) if " from " in each]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1] <= 2**20 + 1


def test_a_server_without_ranges_starts_over_and_the_file_is_right(
    hub: HubServer, entry: ModelEntry, tmp_path: Path
) -> None:
    hub.cuts["somebody/tiny/model.bin"] = [2**20]
    hub.ignores_ranges = True
    _, files = fetch(hub, entry, tmp_path)
    assert files[0].path.read_bytes() == MODEL


def test_a_connection_that_is_always_cut_gives_up_and_keeps_what_came(
    hub: HubServer, entry: ModelEntry, tmp_path: Path
) -> None:
    hub.cuts["somebody/tiny/model.bin"] = [2**20] + [0] * 20
    with pytest.raises(SourceUnreachable) as raised:
        fetch(hub, entry, tmp_path)
    assert "goes on where it stopped" in raised.value.hint
    kept = unfinished_path(tmp_path, "hub", entry.files[0]).stat().st_size
    assert 0 < kept <= 2**20

    hub.cuts.clear()
    hub.requests.clear()
    prepared = source(hub).prepare(entry, entry.files, tmp_path)
    assert prepared.download_bytes == len(MODEL) + len(CONFIG) - kept
    _, files = fetch(hub, entry, tmp_path)
    assert content_requests(hub)[-1].endswith(f" from {kept}")
    assert files[0].path.read_bytes() == MODEL


def test_stopping_keeps_what_came_and_the_next_try_goes_on(hub: HubServer, entry: ModelEntry, tmp_path: Path) -> None:
    stop = threading.Event()
    for event in source(hub).prepare(entry, entry.files, tmp_path).run(stop):
        assert isinstance(event, FetchProgress)
        if event.done_bytes:
            stop.set()
    kept = unfinished_path(tmp_path, "hub", entry.files[0]).stat().st_size
    assert kept > 0
    _, files = fetch(hub, entry, tmp_path)
    assert content_requests(hub)[-1].endswith(f" from {kept}")
    assert files[0].path.read_bytes() == MODEL


def test_a_half_file_of_another_content_is_not_continued(hub: HubServer, entry: ModelEntry, tmp_path: Path) -> None:
    hub.cuts["somebody/tiny/model.bin"] = [2**20] + [0] * 20
    with pytest.raises(SourceUnreachable):
        fetch(hub, entry, tmp_path)
    hub.cuts.clear()
    hub.requests.clear()
    other = noise(len(MODEL), seed=7)
    hub.add("somebody/tiny/model.bin", other)
    changed = small_entry("tiny", [model_file("model.bin", other)], hub=True)
    _, files = fetch(hub, changed, tmp_path)
    assert files[0].path.read_bytes() == other
    assert not any(" from " in each for each in content_requests(hub))


def test_another_hash_or_size_is_refused_before_it_is_fetched(hub: HubServer, tmp_path: Path) -> None:
    another = small_entry("tiny", [model_file("model.bin", MODEL) | {"sha256": "0" * 64}], hub=True)
    with pytest.raises(HashMismatch) as raised:
        source(hub).prepare(another, another.files, tmp_path)
    assert "0" * 64 in str(raised.value)
    assert sha256(MODEL) in str(raised.value)
    longer = small_entry("tiny", [model_file("model.bin", MODEL) | {"bytes": len(MODEL) + 1}], hub=True)
    with pytest.raises(HashMismatch, match="not fetched"):
        source(hub).prepare(longer, longer.files, tmp_path)
    assert not any(each.startswith("GET") for each in hub.requests)


def test_more_bytes_than_promised_are_refused(hub: HubServer, entry: ModelEntry, tmp_path: Path) -> None:
    hub.instead["somebody/tiny/model.bin"] = MODEL + noise(2**20)
    with pytest.raises(HashMismatch, match="more than"):
        fetch(hub, entry, tmp_path)


def test_a_file_that_nobody_vouches_for_is_not_fetched(hub: HubServer, tmp_path: Path) -> None:
    hub.without_etag = True
    unhashed = small_entry("tiny", [{"name": "model.bin"}], hub=True)
    with pytest.raises(DownloadFailed, match="no checksum") as raised:
        source(hub).prepare(unhashed, unhashed.files, tmp_path)
    assert "HF_ENDPOINT" in raised.value.hint


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NotAtSource), (401, NotAtSource), (403, NotAtSource), (500, SourceUnreachable), (503, SourceUnreachable)],
)
def test_what_a_status_means(
    hub: HubServer, entry: ModelEntry, tmp_path: Path, status: int, kind: type[DownloadFailed]
) -> None:
    hub.status = status
    with pytest.raises(kind, match=str(status)) as raised:
        source(hub).prepare(entry, entry.files, tmp_path)
    assert raised.value.hint


def test_a_missing_file_is_not_at_the_source(hub: HubServer, tmp_path: Path) -> None:
    missing = small_entry("tiny", [model_file("gone.bin", MODEL)], hub=True)
    with pytest.raises(NotAtSource, match=r"gone\.bin"):
        source(hub).prepare(missing, missing.files, tmp_path)


def test_a_model_that_is_not_on_the_hub_needs_no_connection(hub: HubServer, tmp_path: Path) -> None:
    elsewhere = small_entry("tiny", [model_file("model.bin", MODEL)])
    assert not source(hub).has(elsewhere)
    with pytest.raises(NotAtSource):
        source(hub).prepare(elsewhere, elsewhere.files, tmp_path)
    assert hub.requests == []


def test_a_refused_connection_is_unreachable(entry: ModelEntry, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else can take it
        refusing = HubSource(endpoint=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(SourceUnreachable):
            refusing.prepare(entry, entry.files, tmp_path)


def test_a_hub_that_never_answers_is_given_up(entry: ModelEntry, tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        source = HubSource(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", answer_within_s=0.2)
        with pytest.raises(SourceUnreachable):
            source.prepare(entry, entry.files, tmp_path)


@pytest.mark.parametrize("endpoint", ["http://host.invalid", "nonsense", "ftp://127.0.0.1", "http://"])
def test_an_endpoint_that_is_none_is_unreachable(entry: ModelEntry, tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(SourceUnreachable):
        HubSource(endpoint=endpoint).prepare(entry, entry.files, tmp_path)


def test_the_endpoint_setting_is_honoured_and_nothing_else_is_contacted(hub: HubServer, tmp_path: Path) -> None:
    """In a fresh interpreter: huggingface_hub reads HF_ENDPOINT when it is imported."""
    code = f"""
import threading, sys
from pathlib import Path
sys.addaudithook(lambda event, args: event == "socket.getaddrinfo" and print("looked up", args[0]))
from models.catalog import ModelEntry
from models.sources.hub import HubSource
entry = ModelEntry(id="tiny", title="", tasks=("speech",), format="ctranslate2", licence="", upstream="",
    files=({{"name": "model.bin"}},), hub={{"repository": "somebody/tiny"}})
fetched = list(HubSource().prepare(entry, entry.files, Path({str(tmp_path)!r})).run(threading.Event()))
print("fetched", fetched[-1].path)
"""
    environ = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf")}
    environ.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    looked_up = {line for line in done.stdout.splitlines() if line.startswith("looked up")}
    assert looked_up <= {"looked up 127.0.0.1", "looked up localhost"}
    assert (tmp_path / "model.bin").read_bytes() == MODEL
    assert all("/resolve/" in each or "/storage/" in each for each in hub.requests), hub.requests
    assert not (tmp_path / "hf").exists(), "nothing is written outside"


def test_the_offline_switch_of_the_library_is_respected(hub: HubServer, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from models.catalog import ModelEntry
from models.errors import SourceUnreachable
from models.sources.hub import HubSource
entry = ModelEntry(id="tiny", title="", tasks=("speech",), format="ctranslate2", licence="", upstream="",
    files=({{"name": "model.bin"}},), hub={{"repository": "somebody/tiny"}})
try:
    HubSource().prepare(entry, entry.files, Path({str(tmp_path)!r}))
except SourceUnreachable as error:
    print(error)
"""
    environ = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert "HF_HUB_OFFLINE" in done.stdout, done.stderr
    assert hub.requests == []
