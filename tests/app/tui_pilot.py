"""How the tests of the terminal UI start it, wait for it, and read what it drew."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, cast

from textual.filter import LineFilter
from textual.pilot import Pilot
from textual.worker import WorkerCancelled

from app.homebody_app import HomebodyApp
from tests.app.fake_home import FakeHome

if TYPE_CHECKING:
    from pipelines.home import Home

DEADLINE_S = 60.0


def opening(home: FakeHome) -> Callable[[], Home]:
    return lambda: cast("Home", home)


class AppWithoutLastGate(HomebodyApp):
    """Without the control filter, so that a test sees what the screens themselves let through."""

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [each for each in super().get_line_filters() if each is not self._control_filter]


@asynccontextmanager
async def running(
    home: FakeHome, *, size: tuple[int, int] = (80, 24), app_type: type[HomebodyApp] = HomebodyApp
) -> AsyncIterator[tuple[HomebodyApp, Pilot[None]]]:
    """The app with this home open, idle."""
    app = app_type(opening(home))
    async with app.run_test(size=size) as pilot:
        await wait_until(pilot, lambda: app.home is not None)
        await settle(pilot)
        yield app, pilot


async def settle(pilot: Pilot[None]) -> None:
    """Until no worker runs and every message is handled."""
    for _ in range(3):
        with suppress(WorkerCancelled):  # a newer worker of its group took over
            await pilot.app.workers.wait_for_complete()
        await pilot.pause()


async def wait_until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {DEADLINE_S:.0f} s in vain; on the screen:\n{screen_text(pilot.app)}")
        await pilot.pause(0.01)


async def ask(pilot: Pilot[None], question: str) -> None:
    """Write a question and send it; returns at once."""
    app = pilot.app
    assert isinstance(app, HomebodyApp)
    app.chat.composer.focus()
    app.chat.composer.text = question
    await pilot.press("enter")


def is_at_chat(app: HomebodyApp) -> bool:
    return app.screen is app.chat


def screen_text(app: object) -> str:
    """What is drawn on the screen right now, line by line."""
    assert isinstance(app, HomebodyApp)
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)


def flat_text(app: object) -> str:
    """The same with every run of white space as one space: for text that the screen wraps."""
    return " ".join(screen_text(app).split())


def notices(app: HomebodyApp) -> str:
    """The notices that are up."""
    return "\n".join(each.message for each in app._notifications)
