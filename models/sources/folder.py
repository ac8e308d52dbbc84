"""Weights from a folder or a file on this machine: a stick, a share, another installation. Copied, never linked."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from models.catalog import ModelEntry, ModelFile
from models.errors import HashMismatch, NotAtSource
from models.sources.source import (
    FetchEvent,
    FetchProgress,
    FileFetched,
    disk_errors_named,
    flush_and_rename,
    staged_path,
    unfinished_path,
)

COPY_BYTES = 4 * 2**20


class FolderSource:
    """Finds a file as `<folder>/<model id>/<name>`, `<folder>/<name>`, or under its name at the hub."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser()

    @property
    def name(self) -> str:
        return str(self.path)

    def has(self, entry: ModelEntry) -> bool:
        return all(file.packaged or self._find(entry, file) is not None for file in entry.files)

    def prepare(self, entry: ModelEntry, files: Sequence[ModelFile], staging: Path) -> FolderFetch:
        """Raises NotAtSource, and HashMismatch when already the size is wrong."""
        found = []
        for file in files:
            if (path := self._find(entry, file)) is None:
                raise NotAtSource(
                    f"{self.name!r} has no {file.name} of {entry.id}",
                    hint=f"it is looked for as {entry.id}/{file.name} and as {PurePosixPath(file.name).name}",
                )
            size = path.stat().st_size
            if file.bytes is not None and size != file.bytes:
                raise HashMismatch(
                    f"{str(path)!r} has {size:,} bytes, the catalogue says {file.bytes:,}: not copied",
                    hint="the file is another one, or damaged",
                )
            found.append((file, path, size))
        return FolderFetch(found, staging)

    def _find(self, entry: ModelEntry, file: ModelFile) -> Path | None:
        names = (file.name, file.path_at_hub, PurePosixPath(file.name).name, PurePosixPath(file.path_at_hub).name)
        if self.path.is_file():
            return self.path if self.path.name in names else None
        places = (folder / name for name in names for folder in (self.path / entry.id, self.path))
        return next((place for place in places if place.is_file()), None)


class FolderFetch:
    def __init__(self, found: Sequence[tuple[ModelFile, Path, int]], staging: Path) -> None:
        self._found = found
        self._staging = staging

    @property
    def download_bytes(self) -> int:
        return sum(size for _, _, size in self._found)

    @property
    def disk_bytes(self) -> int:
        return self.download_bytes

    def run(self, stop: threading.Event) -> Iterator[FetchEvent]:
        done = 0
        for file, path, _ in self._found:
            unfinished, finished = unfinished_path(self._staging, "folder", file), staged_path(self._staging, file)
            with disk_errors_named(self._staging):
                unfinished.parent.mkdir(parents=True, exist_ok=True)
                with path.open("rb") as original, unfinished.open("wb") as copy:
                    while block := original.read(COPY_BYTES):
                        if stop.is_set():
                            return
                        copy.write(block)
                        done += len(block)
                        yield FetchProgress(file.name, done, self.download_bytes)
                flush_and_rename(unfinished, finished)
            yield FileFetched(file.name, finished)
