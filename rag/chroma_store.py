"""chromadb's copy of the vectors: kept in step with SQLite, checked before it is trusted, replaced when damaged.

A damaged HNSW segment can go unnoticed or take the process down, so this process opens the folder only after a
child process (`chroma_child.py`) has opened it, compared it with SQLite and survived. The child also writes:
whatever chromadb does to a process, it does to that one. What does not pass is renamed to `<folder>.damaged`
and built anew from SQLite, which needs no embedder.

One process at a time has the folder open: the child, or this one for asking; only the process that holds the
writer lock may use a folder. A Chroma server (`chroma_place.ChromaServer`) is treated alike, by the same code, but
may be asked by every process; of a collection that does not pass nothing is kept.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rag.chroma_files import forget_sums
from rag.chroma_place import (
    UNREACHABLE_HINT,
    ChromaFolder,
    ChromaPlace,
    ChromaServer,
    chroma_troubles,
    close_client,
    open_collection,
)
from rag.errors import ChromaFailed, ChromaUnreachable, LibraryError
from rag.identity import stored_identity
from rag.library_db import LibraryDb

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection

_log = logging.getLogger(__name__)

CHILD_COMMAND = (sys.executable, "-P", "-m", "rag.chroma_child")
"""-P: what lies in the folder that homebody is started in is never imported."""
ROOM_BYTES = 64 * 2**20
"""With less free space than this a failed write is put down to the disk, not to damage."""

ENDED_FROM_OUTSIDE = frozenset(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGKILL") if hasattr(signal, name)
)
"""By the system or the user; chromadb itself dies of others."""


@dataclass(frozen=True, slots=True)
class ChromaProgress:
    done: int
    total: int
    """Changes to be told to chromadb."""


class _ChildFailed(Exception):
    """The child ended without having finished; the text says how."""


class _ChildEnded(_ChildFailed):
    """Somebody else ended it: that says nothing about the folder."""


class ChromaStore:
    """chromadb's collection for this library. Thread-safe.

    Opening and writing block for seconds; `query` never waits for them.
    """

    def __init__(self, db: LibraryDb, place: ChromaPlace, *, child_command: Sequence[str] = CHILD_COMMAND) -> None:
        self._db = db
        self._place = place
        self._child_command = tuple(child_command)
        self._working = threading.Lock()
        """Held while a child has the folder, or while this process opens it."""
        self._client: Client | None = None
        self._collection: Collection | None = None
        self._asking = threading.Lock()
        """Held while the open collection is asked or closed."""
        self._why_not_ready = "chromadb has not been opened yet"
        self._opener: threading.Thread | None = None
        self._stop = threading.Event()
        self._child: subprocess.Popen[str] | None = None

    @property
    def ready(self) -> bool:
        """Checked, open, and in step with SQLite."""
        return self._collection is not None and not self.behind

    @property
    def behind(self) -> bool:
        """Whether SQLite has changes that chromadb has not been told of."""
        return bool(self._db.query("SELECT 1 FROM chroma_pending LIMIT 1"))

    @property
    def why_not_ready(self) -> str:
        """In a few words, for the status."""
        if self._collection is not None:
            return "chromadb has not been told of the latest changes yet"
        return self._why_not_ready

    def query(self, vector: NDArray[np.float32], limit: int) -> list[tuple[int, float]] | None:
        """(chunk id, cosine) of the nearest passages, best first; None while chromadb cannot answer.

        `vector` has shape (dimension,) and length 1.
        """
        with self._asking:
            if self._collection is None or self.behind:
                return None
            try:
                found = self._collection.query(
                    query_embeddings=vector[np.newaxis, :],
                    n_results=limit,
                    include=["distances"],
                )
            except chroma_troubles() as error:
                _log.warning("chromadb at %s failed to answer: %s", self._place, error)
                self._collection = None  # the client is closed with the next check
                self._why_not_ready = "chromadb failed to answer and is being checked"
                return None
        distances = found["distances"]
        assert distances is not None
        return [
            (int(chunk_id), 1.0 - distance) for chunk_id, distance in zip(found["ids"][0], distances[0], strict=True)
        ]

    def open_in_background(self) -> None:
        """Check, bring in step and open, in a thread of its own. Does nothing while one is at it already."""
        with self._asking:
            if self._stop.is_set() or (self._opener is not None and self._opener.is_alive()):
                return
            if self._db.read_only and isinstance(self._place, ChromaFolder):
                self._why_not_ready = "chromadb belongs to the homebody that writes"
                return
            if self._collection is not None and not self.behind:
                return
            self._opener = threading.Thread(target=self._open, name="chroma-opener", daemon=True)
            self._opener.start()

    def wait_until_opened(self, timeout_s: float) -> bool:
        """Wait for `open_in_background` to end; returns whether chromadb answers now."""
        if self._opener is not None:
            self._opener.join(timeout_s)
        return self.ready

    def _open(self) -> None:
        try:
            if not self._db.read_only:
                for _ in self.bring_in_step(self._stop):
                    pass
            with self._working:
                if not self._stop.is_set():
                    self._open_checked()
        except LibraryError as error:
            self._why_not_ready = str(error)
            _log.warning("chromadb does not answer: %s", error)

    def _open_checked(self) -> None:
        identity = stored_identity(self._db)
        if identity is None:
            return
        try:
            client, collection = open_collection(self._db, self._place, identity)
        except chroma_troubles() as error:
            raise ChromaFailed(f"chromadb at {self._place} cannot be opened ({error})") from error
        with self._asking:
            self._client, self._collection = client, collection

    def bring_in_step(self, stop: threading.Event) -> Iterator[ChromaProgress]:
        """Check the folder against SQLite and tell it what is pending; the caller sets the pace by iterating.

        A folder that does not pass is put aside and rebuilt. Does nothing for a library without vectors.
        Raises ChromaFailed when that did not work either, or for want of space; the work is then still pending.
        """
        with self._working:
            self._close_collection()
            if stored_identity(self._db) is None:
                return
            try:
                yield from self._run_child(stop)
                return
            except _ChildFailed as failure:
                if stop.is_set() or self._stop.is_set():
                    return
                if isinstance(failure, _ChildEnded):
                    raise ChromaFailed(
                        f"telling chromadb was cut short ({failure})", hint="index again: it goes on where it was"
                    ) from failure
                if shutil.disk_usage(self._db.file.parent).free < ROOM_BYTES:
                    raise ChromaFailed(
                        f"there is no space left for chromadb's copy of the vectors at {self._place}",
                        hint="free some space and index again; until then search compares with every vector",
                    ) from failure
                _log.warning("%s did not pass (%s): it is put aside and built anew", self._place, failure)
                self._why_not_ready = "chromadb's copy was damaged and is being rebuilt"
            self._put_aside()
            try:
                yield from self._run_child(stop)
            except _ChildFailed as failure:
                raise ChromaFailed(
                    f"chromadb could not be brought in step ({failure})",
                    hint="search compares with every vector instead; see the log",
                ) from failure

    def _run_child(self, stop: threading.Event, *more: str) -> Iterator[ChromaProgress]:
        """Raises _ChildFailed. A child that is stopped in the middle leaves the rest pending."""
        self._why_not_ready = "chromadb is being checked"
        if isinstance(self._place, ChromaFolder):
            self._place.path.parent.mkdir(parents=True, exist_ok=True)
        packages = str(Path(__file__).resolve().parent.parent)
        paths = [packages, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "ANONYMIZED_TELEMETRY": "False"}
        # Beside the library file, not in the system's temporary one: homebody writes nothing elsewhere. It has no name.
        with tempfile.TemporaryFile(dir=self._db.file.parent) as complaints:
            child = subprocess.Popen(
                [*self._child_command, str(self._db.file), str(self._place), *more],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                env=environment,
                start_new_session=True,  # Ctrl-C is for this process; the child sees its standard input end
            )
            assert child.stdin is not None
            assert child.stdout is not None
            self._child = child
            try:
                finished = False
                for line in child.stdout:
                    said: dict[str, Any] = json.loads(line)
                    if "unreachable" in said:
                        raise ChromaUnreachable(
                            said["unreachable"],
                            hint=UNREACHABLE_HINT,
                        )
                    if "damaged" in said:
                        raise _ChildFailed(said["damaged"])
                    finished = said.get("finished", False)
                    if stop.is_set():
                        return
                    if "done" in said:
                        yield ChromaProgress(said["done"], said["total"])
                        if stop.is_set():
                            return
                        _tell(child.stdin, "go on")
                if -child.wait() in ENDED_FROM_OUTSIDE:
                    raise _ChildEnded(_how_it_ended(child.returncode))
                if child.returncode != 0 or not finished:
                    raise _ChildFailed(f"{_how_it_ended(child.returncode)}{_last_line(complaints)}")
            except json.JSONDecodeError as error:
                raise _ChildFailed("it said something that cannot be understood") from error
            finally:
                self._child = None
                child.kill()
                child.wait()
                child.stdout.close()
                with suppress(BrokenPipeError):  # what it was told last was never read
                    child.stdin.close()

    def _put_aside(self) -> None:
        """Rename the folder and keep the latest such one, or delete the server's collection; then nothing is told."""
        if isinstance(self._place, ChromaServer):
            self._delete_collection()
        else:
            forget_sums(self._place.path)
        if isinstance(self._place, ChromaFolder) and self._place.path.exists():
            folder = self._place.path
            aside = folder.with_name(folder.name + ".damaged")
            shutil.rmtree(aside, ignore_errors=True)
            try:
                folder.rename(aside)
            except OSError as error:
                raise ChromaFailed(
                    f"{folder} is damaged and cannot be renamed ({error.strerror or error})",
                    hint="delete it: it is rebuilt from the library file",
                ) from error
        with self._db.transaction() as connection:
            connection.execute("DELETE FROM chroma_pending")
            connection.execute("INSERT INTO chroma_pending SELECT chunk_id, 'add' FROM vectors")

    def _delete_collection(self) -> None:
        identity = stored_identity(self._db)
        if identity is None:
            return
        try:
            client, collection = open_collection(self._db, self._place, identity)
            client.delete_collection(collection.name)
            close_client(self._place, client)
        except chroma_troubles() as error:
            raise ChromaFailed(f"the Chroma server at {self._place} refuses ({error})", hint="see its log") from error

    def check(self, stop: threading.Event) -> str:
        """Compare it with SQLite, in a child process, changing nothing; what is wrong, or empty. 2 s and more.

        Raises ChromaUnreachable.
        """
        with self._working:
            self._close_collection()
            if stored_identity(self._db) is None:
                return ""
            try:
                for _ in self._run_child(stop, "check"):
                    pass
            except _ChildFailed as failure:
                return str(failure)
            return ""

    def rebuild(self, stop: threading.Event) -> Iterator[ChromaProgress]:
        """Put what there is aside and build it anew from SQLite, without embedding. Raises ChromaFailed."""
        with self._working:
            self._close_collection()
            self._put_aside()
        yield from self.bring_in_step(stop)

    def _close_collection(self) -> None:
        with self._asking:
            client, self._client, self._collection = self._client, None, None
            if client is not None:
                close_client(self._place, client)

    def close(self) -> None:
        """Stop background work and close the folder. Safe to call twice."""
        self._stop.set()
        if (child := self._child) is not None:
            child.kill()
        if self._opener is not None:
            self._opener.join()
        self._close_collection()


def _tell(pipe: IO[str], text: str) -> None:
    with suppress(BrokenPipeError):  # it has ended: its exit code says how
        pipe.write(text + "\n")
        pipe.flush()


def _how_it_ended(exit_code: int) -> str:
    return f"killed by signal {-exit_code}" if exit_code < 0 else f"ended with code {exit_code}"


def _last_line(complaints: IO[bytes]) -> str:
    complaints.seek(0)
    lines = complaints.read().decode("utf-8", "replace").strip().splitlines()
    for line in lines:
        _log.debug("chroma child: %s", line)
    return f": {lines[-1]}" if lines else ""
