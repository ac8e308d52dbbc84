"""A follower of real folders in a thread, for tests: everything is real but the embedder; chromadb is left out.

with Follower(tmp_path) as follower:
    follower.until(lambda: follower.finds("the ferry"))
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from pipelines.events import FileChanged, Following, IndexEvent, Notice
from pipelines.followed_roots import FollowedRoots
from pipelines.foreground import Foreground
from pipelines.ingest import Ingest
from pipelines.library_embedders import OnlyEmbedder
from pipelines.watch import Watch
from rag.chunking import Chunker
from rag.folder_watch import FolderWatch
from rag.keyword_index import KeywordIndex
from rag.library_db import LibraryDb
from rag.listing import list_documents
from rag.mounted import Mount
from rag.readers.contract import ReadLimits
from rag.readers.registry import READER_VERSIONS, reading_identity, refuse_name
from rag.reading import Decide, DocumentReader, Part
from rag.roots import Roots
from rag.walk import View, walk
from tests.fakes import CountableEmbedder

DEADLINE_S = 30.0
Found = TypeVar("Found")


class CountingReader:
    """The real reader; remembers what it was asked for."""

    def __init__(self) -> None:
        self._reader = DocumentReader()
        self.history: list[str] = []

    def stream(self, path: str, decide: Decide, stop: threading.Event) -> Generator[Part]:
        self.history.append(Path(path).name)
        return self._reader.stream(path, decide, stop)

    def close(self) -> None:
        self._reader.close()


class Follower:
    def __init__(
        self,
        folder: Path,
        *,
        open_watch: Callable[[], FolderWatch] = FolderWatch,
        mounted: Callable[[], tuple[Mount, ...]] = lambda: (),
        poll_s: float = 3600.0,
    ) -> None:
        self.db = LibraryDb(folder / "library.sqlite")
        self.roots = Roots(self.db)
        self.reader = CountingReader()
        self.embedder = CountableEmbedder()
        self.foreground = Foreground()
        self.events: list[IndexEvent] = []
        self.error: BaseException | None = None
        limits = ReadLimits()
        self.ingest = Ingest(
            db=self.db,
            walk=lambda roots: walk(roots, left_out=self.roots.left_out()),
            reader=self.reader,
            split=Chunker(self.embedder.count_tokens, 60).split_blocks,
            embedders=OnlyEmbedder(lambda: self.embedder),
            chroma=None,
            foreground=self.foreground,
            reading_identity=reading_identity(limits),
            readers=READER_VERSIONS,
            refuse_name=refuse_name,
        )
        self.watch = Watch(
            ingest=self.ingest,
            roots=self.roots,
            followed=FollowedRoots(
                self.roots, view=self._view, poll_s=poll_s, open_watch=open_watch, mounted=mounted, look_s=0.2
            ),
            view=self._view,
            poll_s=poll_s,
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="following")

    def _view(self) -> View:
        return View(left_out=self.roots.left_out())

    def _run(self) -> None:
        try:
            for event in self.watch.run(self._stop):
                self.events.append(event)
        except BaseException as error:  # the test's own thread raises it
            self.error = error

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "following did not stop"
        self.reader.close()
        self.db.close()
        if self.error is not None and error is None:
            raise self.error

    # --- asking ---

    def add(self, *roots: Path) -> None:
        """Add roots and wait until they were looked through."""
        self.watch.look_again(roots)
        self.until(lambda: {str(root) for root in roots} <= set(self.roots.paths()))
        self.quiet()

    def quiet(self) -> None:
        """Until a file made for this in every root that is a folder was noticed: all before it has been, too."""
        for root in self.roots.paths():
            if Path(root).is_dir() and not self.roots.why_away(root):
                self._leave_and_take_a_mark(Path(root, "quiet.txt"))

    def _leave_and_take_a_mark(self, mark: Path) -> None:
        mark.write_text(f"mark {time.monotonic_ns()}")
        self.until(lambda: self.document(mark) == "embedded")
        mark.unlink()
        self.until(lambda: self.document(mark) is None)

    def until(self, condition: Callable[[], Found]) -> Found:
        deadline_s = time.monotonic() + DEADLINE_S
        while not (found := condition()):
            if self.error is not None:
                raise self.error
            assert time.monotonic() < deadline_s, f"waited in vain; {self.files()}; {self.events[-10:]}"
            threading.Event().wait(0.01)
        return found

    def finds(self, words: str) -> bool:
        """Whether some passage is found by these words."""
        return bool(KeywordIndex(self.db).containing(words))

    def document(self, path: Path) -> str | None:
        """The state of a file, None when the library has no such file."""
        return next((row.state for row in list_documents(self.db) if row.path == str(path)), None)

    def files(self) -> list[str]:
        return [Path(row.path).name for row in list_documents(self.db)]

    def changes(self) -> list[tuple[str, str]]:
        return [(Path(event.path).name, event.change) for event in self.events if isinstance(event, FileChanged)]

    def notices(self) -> list[Notice]:
        return [event for event in self.events if isinstance(event, Notice)]

    def following(self) -> Following:
        return [event for event in self.events if isinstance(event, Following)][-1]


class ScriptedWatch(FolderWatch):
    """Tells what the test says, and watches nothing."""

    def __init__(self, *, fails: Exception | None = None) -> None:
        super().__init__(whole_trees=False)
        self.fails = fails
        self.followed: list[str] = []
        self.closed = False

    def follow(self, folders: Sequence[str]) -> list[str]:  # type: ignore[override]  # the test has a list
        if self.fails is not None:
            raise self.fails
        new = [each for each in folders if each not in self.followed]
        self.followed += new
        return new

    def tell(self, *paths: Path) -> None:
        for path in paths:
            self._told.put(str(path))

    def lose(self) -> None:
        self._told.put(None)

    def close(self) -> None:
        self.closed = True
