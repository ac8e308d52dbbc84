"""Command lines through the front door with a Home of fakes, and what came out of them."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from app.cli import run
from app.console import Console
from app.invocation import Invocation
from app.options import Device
from pipelines.events import IndexEvent, SearchResult
from pipelines.home import Home
from pipelines.model_shelf import ModelShelf
from pipelines.paths import HomePaths
from pipelines.settings import Settings
from rag.records import Hit
from tests.app.fake_home import FakeHome, chunk

HOSTILE = "\x1b[31mred\x1b]52;c;eA==\x07\u202e"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ScriptedHome(FakeHome):
    """The terminal UI's fake, that can also be searched."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.searches: list[tuple[str, int, Collection[str] | None]] = []
        self.results: list[SearchResult | Exception] = []
        self.liked: list[Path | None] = []
        self.reembedded: list[bool] = []
        self.named: list[bool] = []

    def search(
        self, query: str, *, k: int = 10, kinds: Collection[str] | None = None, like: Path | None = None
    ) -> SearchResult:
        self.searches.append((query, k, kinds))
        self.liked.append(like)
        result = self.results.pop(0) if self.results else SearchResult((), 0.01)
        if isinstance(result, Exception):
            raise result
        return result

    def index(
        self, roots: Iterable[Path], stop: threading.Event, *, reembed: bool = False, named: bool = True
    ) -> Iterator[IndexEvent]:
        self.reembedded.append(reembed)
        self.named.append(named)
        return super().index(roots, stop)


class Shell:
    """Runs command lines and keeps what came out of them."""

    def __init__(self, root: Path) -> None:
        self.home = ScriptedHome(root)
        self.paths = HomePaths(root)
        self.shelf: ModelShelf | None = None
        self.opened: list[tuple[Settings, str | None, bool]] = []
        self.out = ""
        self.err = ""

    def __call__(
        self,
        *arguments: str,
        stdin: io.StringIO | None = None,
        terminal: bool = False,
        environ: dict[str, str] | None = None,
    ) -> int:
        out, err = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
        invocation = Invocation(
            self.paths,
            Console(out, err, {}),
            environ=environ or {},
            stdin=stdin,
            opener=self._open,
            shelf_opener=self._open_shelf,
        )
        status = run(arguments, invocation)
        self.out, self.err = out.getvalue(), err.getvalue()
        return status

    def _open(self, paths: HomePaths, settings: Settings, *, device: Device | None, write: bool) -> Home:
        assert paths == self.paths
        self.opened.append((settings, device, write))
        return self.home

    def _open_shelf(self, paths: HomePaths, settings: Settings) -> ModelShelf:
        assert (paths, settings) == (self.paths, Settings())
        assert self.shelf is not None
        return self.shelf

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        assert self.out.count("\n") == 1
        return json.loads(self.out)


def hit(rank: int, path: str, text: str, *, line: int = 1) -> Hit:
    return Hit(rank, 1 / rank, chunk(rank, text, line=line), path, Path(path).stem, "text")
