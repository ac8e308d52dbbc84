"""Files that homebody carries itself: small ones that no package index has apart."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from models.catalog import ModelEntry, ModelFile
from models.errors import NotAtSource
from models.sources.source import (
    FetchEvent,
    FileFetched,
    disk_errors_named,
    flush_and_rename,
    staged_path,
    unfinished_path,
)


class PackagedSource:
    """`models/data/<model id>/<file>`, read through importlib: it works from a wheel and from a zip as well."""

    name = "packaged"

    def has(self, entry: ModelEntry) -> bool:
        return all(file.packaged for file in entry.files)

    def prepare(self, entry: ModelEntry, files: Sequence[ModelFile], staging: Path) -> PackagedFetch:
        """Raises NotAtSource when this copy of homebody lacks one of the files."""
        found = tuple((file, _resource(entry, file)) for file in files)
        for file, resource in found:
            if not resource.is_file():
                raise NotAtSource(f"this homebody does not carry {entry.id}/{file.name}", hint="install homebody again")
        return PackagedFetch(found, staging)


class PackagedFetch:
    download_bytes = 0

    def __init__(self, found: Sequence[tuple[ModelFile, Traversable]], staging: Path) -> None:
        self._found = found
        self._staging = staging

    @property
    def disk_bytes(self) -> int:
        return sum(file.bytes_or_guess for file, _ in self._found)

    def run(self, stop: threading.Event) -> Iterator[FetchEvent]:
        for file, resource in self._found:
            if stop.is_set():
                return
            unfinished, finished = unfinished_path(self._staging, "packaged", file), staged_path(self._staging, file)
            with disk_errors_named(self._staging):
                unfinished.parent.mkdir(parents=True, exist_ok=True)
                unfinished.write_bytes(resource.read_bytes())
                flush_and_rename(unfinished, finished)
            yield FileFetched(file.name, finished)


def _resource(entry: ModelEntry, file: ModelFile) -> Traversable:
    return resources.files("models").joinpath("data", entry.id, *file.name.split("/"))
