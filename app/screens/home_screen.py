"""What every screen of homebody shares: the way to the open Home, and one answer to unexpected errors."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

from textual.screen import ModalScreen, Screen, ScreenResultType
from textual.worker import Worker, WorkerState

from app.messages import Failure, WorkFailed

if TYPE_CHECKING:
    from app.homebody_app import HomebodyApp
    from pipelines.home import Home


class _OfHomebody(Screen[ScreenResultType]):
    """Mixed into screens and modal screens."""

    @property
    def homebody(self) -> HomebodyApp:
        return cast("HomebodyApp", self.app)

    @property
    def home(self) -> Home | None:
        """None until it is open."""
        return self.homebody.home

    def new_stop(self) -> threading.Event:
        """A fresh stop signal, which leaving homebody sets too."""
        return self.homebody.new_stop()

    def say(self, failure: Failure, *, severity: str = "warning") -> None:
        self.homebody.say(failure, severity=severity)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A worker ended with an error that its body did not expect: a bug, and the app stays up."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.work_broke(event.worker.group, event.worker.error)
            self.homebody.report_bug(event.worker.error)

    def work_broke(self, group: str, error: BaseException) -> None:
        """For screens that must put something in order when one of their workers broke."""

    def on_work_failed(self, event: WorkFailed) -> None:
        event.stop()
        self.say(event.failure)


class HomeScreen(_OfHomebody[None]):
    """A full screen."""


class HomeModal(ModalScreen[ScreenResultType], _OfHomebody[ScreenResultType]):
    """A screen over another. Textual takes a class's CSS from the first of its bases."""
