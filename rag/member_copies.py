"""A file inside another one as a file of its own, for programs that know nothing of archives: viewers and players.

Copies lie in one folder, for their owner only, the latest MAX_COPIES_BYTES of them. Unpacking happens in a process of
its own, as untrusted as reading. Only kinds that a viewer or a player shows are copied: nothing that a desktop would
run, and no page that runs scripts.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import closing
from pathlib import Path, PurePath

from rag.error_frames import error_from_json
from rag.errors import FileChanges, ReadError, TooLarge, UnsupportedFile
from rag.member_opening import split_path
from rag.path_text import path_text
from rag.reader_process import Patience, ReaderProcess, WorkerLost
from rag.readers.contract import MEGABYTE, ReadLimits
from rag.readers.sniff import FORMAT_BY_EXTENSION

MAX_COPY_BYTES = 1024 * MEGABYTE
MAX_COPIES_BYTES = 2048 * MEGABYTE
SHOWN = frozenset(
    {"picture", "recording", "pdf", "docx", "pptx", "xlsx", "odt", "ods", "odp", "xls", "rtf", "csv", "text", "epub"}
)
"""Formats that are copied."""


class MemberCopies:
    """Safe to call from several threads and processes: a copy appears whole, or not at all."""

    def __init__(self, folder: Path, limits: ReadLimits, *, max_bytes: int = MAX_COPIES_BYTES) -> None:
        self._folder = folder
        self._limits = limits
        self._max_bytes = max_bytes

    def on_disk(self, path: str) -> str:
        """The path of a file that any program can open: the file's own, or that of a copy.

        Raises UnsupportedFile for a kind that is not copied, TooLarge, ReadError and those below it.
        """
        outer, inner = split_path(path)
        if not inner:
            return path
        name = PurePath(inner).name
        if FORMAT_BY_EXTENSION.get(PurePath(name).suffix[1:].lower()) not in SHOWN:
            raise UnsupportedFile(
                f"{path_text(name)} is not taken out of {path_text(PurePath(outer).name)} to be opened"
            )
        try:
            status = os.stat(outer)  # noqa: PTH116 - undecodable names are text here
            key = f"{path}\0{status.st_size}\0{status.st_mtime_ns}".encode("utf-8", "surrogateescape")
            copy = self._folder / hashlib.sha256(key).hexdigest()[:32] / name
            if copy.exists():
                os.utime(copy.parent)
            else:
                self._take_out(path, copy)
                self._make_room(copy.parent)
        except OSError as error:
            raise ReadError(
                f"{path_text(name)} could not be taken out: {(error.strerror or str(error)).lower()}",
                hint="free some space, or unpack the file around it",
            ) from error
        return str(copy)

    def _take_out(self, path: str, copy: Path) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=self._folder))
        try:
            with (unfinished / copy.name).open("xb") as target, closing(self._pieces(path)) as pieces:
                size_bytes = 0
                for piece in pieces:
                    size_bytes += len(piece)
                    if size_bytes > MAX_COPY_BYTES:
                        raise TooLarge(
                            f"{path_text(copy.name)} has more than {MAX_COPY_BYTES / MEGABYTE:,.0f} MB",
                            hint="unpack the file around it",
                        )
                    target.write(piece)
            (unfinished / copy.name).chmod(0o400)  # what is changed in it would be lost
            try:
                unfinished.rename(copy.parent)
            except OSError:
                if not copy.exists():  # otherwise somebody else was quicker
                    raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _pieces(self, path: str) -> Generator[bytes]:
        name = path_text(PurePath(path).name)
        process, patience = ReaderProcess(self._limits, "", worker="rag.member_worker"), Patience(self._limits)
        try:
            process.send({"path": path})
            while True:
                frame = process.next_frame(patience)
                match frame:
                    case {"piece": _, "payload": piece}:
                        yield piece
                    case {"done": _}:
                        return
                    case {"changed": _}:
                        raise FileChanges(f"{name} changes while it is being read", hint="index it again")
                    case {"error": told}:
                        raise error_from_json(told)
                    case _:
                        continue
        except WorkerLost as lost:
            raise lost.as_read_error(name, self._limits) from lost
        except ValueError as error:
            raise process.lost("protocol", str(error)).as_read_error(name, self._limits) from error
        finally:
            process.kill()

    def _make_room(self, newest: Path) -> None:
        """Delete the copies that were used longest ago."""
        folders = sorted(self._folder.iterdir(), key=lambda each: each.stat().st_mtime_ns, reverse=True)
        total = 0
        for each in folders:
            total += sum(file.stat().st_size for file in each.iterdir())
            if each != newest and total > self._max_bytes:
                shutil.rmtree(each, ignore_errors=True)
