"""One run of the command line: where things are kept, the streams, the device asked for, and how a Home is opened.

Commands get everything through this value, so that a test can hand them a Home made of fakes and streams of its own.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Protocol, TextIO

from app.console import Console
from app.options import Device
from pipelines.paths import HomePaths

if TYPE_CHECKING:
    from pipelines.home import Home
    from pipelines.model_shelf import ModelShelf
    from pipelines.settings import Settings


class HomeOpener(Protocol):
    """`pipelines.factory.open_home`, or a test's own."""

    def __call__(self, paths: HomePaths, settings: Settings, *, device: Device | None, write: bool) -> Home: ...


def open_real_home(paths: HomePaths, settings: Settings, *, device: Device | None, write: bool) -> Home:
    from pipelines.factory import open_home

    return open_home(paths, settings, device=device, write=write)


def open_real_shelf(paths: HomePaths, settings: Settings) -> ModelShelf:
    from pipelines.model_shelf import open_shelf

    return open_shelf(paths, settings)


@dataclass(slots=True)
class Invocation:
    paths: HomePaths
    console: Console
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    stdin: TextIO | None = None
    """None when standard input was closed."""
    device: Device | None = None
    """`--device`; None leaves it to the settings."""
    opener: HomeOpener = open_real_home
    shelf_opener: Callable[[HomePaths, Settings], ModelShelf] = open_real_shelf
    give_way: Callable[[], None] = lambda: None
    """Lowers this process's priority, before work that others should not feel."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set by the first Ctrl-C while work is under way; commands end at the next safe point."""

    @classmethod
    def of_process(cls) -> Invocation:
        from pipelines.foreground import give_way

        return cls(HomePaths.from_environment(), Console.of_process(), stdin=sys.stdin, give_way=give_way)

    def settings(self) -> Settings:
        """Raises SettingsInvalid."""
        from pipelines import settings_file

        return settings_file.load(self.paths.settings_file, self.environ)

    def shelf(self) -> ModelShelf:
        """The weights of this machine."""
        return self.shelf_opener(self.paths, self.settings())

    @contextmanager
    def home(self, *, write: bool, chat_model: str = "") -> Iterator[Home]:
        """The open Home; closed at the end, whatever happens. `chat_model` overrides the settings' one.

        Raises EXPECTED_ERRORS.
        """
        settings = self.settings()
        if chat_model:
            settings = settings.model_copy(update={"chat": settings.chat.model_copy(update={"model": chat_model})})
        opened = self.opener(self.paths, settings, device=self.device, write=write)
        try:
            yield opened
        finally:
            opened.close()

    @contextmanager
    def stoppable(self) -> Iterator[threading.Event]:
        """The first Ctrl-C, or SIGTERM, sets the stop signal, so that work ends whole; the second ends it at once.

        Elsewhere than in the main thread, where signals are not delivered, this only hands out the signal.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self.stop
            return

        def on_interrupt(_number: int, _frame: FrameType | None) -> None:
            if self.stop.is_set():
                raise KeyboardInterrupt
            self.stop.set()

        before = {number: signal.signal(number, on_interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self.stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
