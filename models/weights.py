"""Which weights are installed, and whether they are what the catalogue says.

Layout: `<weights folder>/<model id>/<file>`; `.partial/<model id>/` beside them holds what a pull has so far. A
file's SHA-256 is checked before its first use; a stamp (size, mtime, hash) in the model's folder spares reading a
gigabyte at every start, and is void as soon as size or mtime change. Knows nothing of where files come from.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from models.catalog import Catalog, ModelEntry, ModelFile, load_catalog
from models.checksum import FileStamp, OnBytes, sha256_of
from models.errors import WeightsDamaged, WeightsMissing
from models.gguf_header import GgufHeader, read_gguf_header
from models.user_gguf import model_in_folder

PARTIAL_DIR = ".partial"
STAMP_FILE = ".verified.json"


class Stamp(BaseModel):
    """What is known of the files in one model's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    files: dict[str, FileStamp]
    source: str = ""
    """Where they came from; empty when they were put there by hand."""
    revision: str = ""
    """The hub's commit, where there is one."""


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """Weights of the catalogue that are on this disk."""

    entry: ModelEntry
    folder: Path

    @property
    def id(self) -> str:
        return self.entry.id

    @property
    def main_file(self) -> Path:
        """The file that an engine is given; engines that take a folder use `folder`."""
        return self.folder / self.entry.files[0].name

    @property
    def bytes_on_disk(self) -> int:
        return sum((self.folder / file.name).stat().st_size for file in self.entry.files)

    def path(self, name: str) -> Path:
        """The path of one file of the model, by its name in the catalogue."""
        return self.folder / self.entry.file(name).name


@dataclass(frozen=True, slots=True)
class UserGguf:
    """A GGUF file of the user's own: no catalogue vouches for it, its header was checked."""

    path: Path
    header: GgufHeader


class Weights:
    """The folder of weights. Looking writes nothing, except the stamp of a file that was just hashed."""

    def __init__(self, weights_dir: Path, catalog: Catalog | None = None) -> None:
        self.weights_dir = weights_dir
        self.catalog = catalog or load_catalog()

    def folder(self, model_id: str) -> Path:
        """Where the model's files are or would be. Raises UnknownModel."""
        return self.weights_dir / self.catalog.entry(model_id).id

    def staging_dir(self, model_id: str) -> Path:
        """Where a pull keeps what it has so far. Raises UnknownModel."""
        return self.weights_dir / PARTIAL_DIR / self.catalog.entry(model_id).id

    def installed(self, model_id: str) -> InstalledModel | None:
        """The model if all its files are there with the right sizes; hashes are `require`'s business.

        Raises UnknownModel.
        """
        entry = self.catalog.entry(model_id)
        folder = self.weights_dir / entry.id
        if any(self._size_fault(folder, file) for file in entry.files):
            return None
        return InstalledModel(entry, folder)

    def list_installed(self) -> tuple[InstalledModel, ...]:
        """Every installed model, in the order of the catalogue."""
        found = (self.installed(model_id) for model_id in self.catalog.ids)
        return tuple(model for model in found if model is not None)

    def require(self, model_id: str, on_bytes: OnBytes | None = None) -> InstalledModel:
        """The model, its files checked by SHA-256 unless the stamp says that this was done.

        Raises UnknownModel, WeightsMissing, WeightsDamaged.
        """
        return self._checked(model_id, on_bytes, trust_stamp=True)

    def verify(self, model_id: str, on_bytes: OnBytes | None = None) -> InstalledModel:
        """As `require`, reading every byte again whatever the stamp says."""
        return self._checked(model_id, on_bytes, trust_stamp=False)

    def faulty_files(self, model_id: str, on_bytes: OnBytes | None = None) -> tuple[ModelFile, ...]:
        """The files that are missing or not what they should be; empty when the model can be used.

        Raises UnknownModel.
        """
        entry = self.catalog.entry(model_id)
        return tuple(file for file, _ in self._faults(entry, on_bytes, trust_stamp=True))

    def remove(self, model_id: str) -> int:
        """Delete the model and what a pull has of it. Returns the bytes freed. Raises UnknownModel."""
        freed = 0
        for folder in (self.folder(model_id), self.staging_dir(model_id)):
            if folder.is_dir():
                freed += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
                shutil.rmtree(folder)
        return freed

    def adopt(
        self, model_id: str, staged: Mapping[str, tuple[Path, str]], *, source: str, revision: str = ""
    ) -> InstalledModel:
        """Move checked files (name -> path and SHA-256) into place, and stamp them.

        The files must be on the same file system. Each is renamed, so a crash leaves whole files; the stamp comes
        last. Raises OSError, and WeightsMissing when a file is still lacking.
        """
        entry = self.catalog.entry(model_id)
        folder = self.weights_dir / entry.id
        known = dict(self._read_stamp(folder).files)
        for name, (path, sha256) in staged.items():
            target = folder / entry.file(name).name
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
            _sync_folder(target.parent)
            known[name] = FileStamp.of(target, sha256)
        self._write_stamp(folder, Stamp(files=known, source=source, revision=revision))
        if (model := self.installed(model_id)) is None:
            raise self._missing(entry)
        return model

    def open_user_gguf(self, path: Path) -> UserGguf:
        """A GGUF file of the user's own, or the model in a folder with one. Raises WeightsMissing, WeightsDamaged."""
        file = model_in_folder(path) if path.is_dir() else path
        return UserGguf(file, read_gguf_header(file))

    def _checked(self, model_id: str, on_bytes: OnBytes | None, *, trust_stamp: bool) -> InstalledModel:
        entry = self.catalog.entry(model_id)
        folder = self.weights_dir / entry.id
        if not any((folder / file.name).exists() for file in entry.files):
            raise self._missing(entry)
        for file, fault in self._faults(entry, on_bytes, trust_stamp=trust_stamp):
            raise WeightsDamaged(
                f"{str(folder / file.name)!r} is not what the catalogue says: {fault}",
                hint=f"run: homebody models pull {entry.id}",
            )
        return InstalledModel(entry, folder)

    def _missing(self, entry: ModelEntry) -> WeightsMissing:
        return WeightsMissing(
            f"the weights of {entry.id} are not installed", hint=f"run: homebody models pull {entry.id}"
        )

    def _size_fault(self, folder: Path, file: ModelFile) -> str:
        path = folder / file.name
        if not path.is_file():
            return "it is missing"
        size = path.stat().st_size
        if file.bytes is not None and size != file.bytes:
            return f"it has {size:,} bytes, should have {file.bytes:,}"
        return "" if size else "it is empty"

    def _faults(
        self, entry: ModelEntry, on_bytes: OnBytes | None, *, trust_stamp: bool
    ) -> Iterator[tuple[ModelFile, str]]:
        """Each faulty file with what is wrong; stamps the good ones on the way."""
        folder = self.weights_dir / entry.id
        stamp = self._read_stamp(folder)
        known = dict(stamp.files)
        total = sum(file.bytes_or_guess for file in entry.files)
        done_before = 0
        for file in entry.files:
            if fault := self._size_fault(folder, file):
                yield file, fault
                continue
            path = folder / file.name
            stamped = known.get(file.name)
            wanted = file.sha256 or (stamped.sha256 if stamped is not None else None)
            if not (trust_stamp and stamped is not None and stamped == FileStamp.of(path, wanted or "")):
                found = sha256_of(path, _shifted(on_bytes, done_before, total))
                if wanted is not None and found != wanted:
                    yield file, f"its SHA-256 is {found}, should be {wanted}"
                    continue
                if fault := _header_fault(file, path):
                    yield file, fault
                    continue
                known[file.name] = FileStamp.of(path, found)
            done_before += file.bytes_or_guess
        if known != stamp.files:
            self._write_stamp(folder, stamp.model_copy(update={"files": known}))

    def _read_stamp(self, folder: Path) -> Stamp:
        try:
            return Stamp.model_validate_json((folder / STAMP_FILE).read_bytes())
        except (OSError, ValidationError):
            # No stamp, or one that cannot be read, only means that the files are hashed again.
            return Stamp(files={})

    def _write_stamp(self, folder: Path, stamp: Stamp) -> None:
        temporary = folder / (STAMP_FILE + ".new")
        try:
            temporary.write_text(stamp.model_dump_json(indent=1), encoding="utf-8")
            temporary.replace(folder / STAMP_FILE)
        except OSError:
            # A read-only folder of weights is fine: they are hashed at each start instead.
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _header_fault(file: ModelFile, path: Path) -> str:
    """A catalogue's hash vouches for a GGUF file; where it has none, the header must be sound."""
    if file.sha256 is not None or path.suffix != ".gguf":
        return ""
    try:
        read_gguf_header(path)
    except WeightsDamaged as error:
        return str(error)
    return ""


def _shifted(on_bytes: OnBytes | None, done_before: int, total: int) -> OnBytes | None:
    """Progress of one file told as progress of all."""
    if on_bytes is None:
        return None
    return lambda done, _: on_bytes(done_before + done, total)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; Windows has no such thing and needs none."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
