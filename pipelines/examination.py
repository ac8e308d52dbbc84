"""What `homebody doctor` needs: the installation as a subject of the checks, and the main job run under watch.

Composes what `doctor.py` examines. The main job runs in a data folder of its own, with the user's weights, so that
looking changes nothing of theirs.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from models.placement import TaskPlacement
from pipelines import offline_guard, settings_file
from pipelines.checkup import Check, Subject, Terminal
from pipelines.doctor import check_network
from pipelines.engines import Engines
from pipelines.errors import SettingsInvalid
from pipelines.home import Home
from pipelines.paths import HomePaths
from pipelines.settings import DeviceChoice, Settings
from pipelines.turn import Turn

_log = logging.getLogger(__name__)

JOB_DOCUMENT: Final = "The harbour of Lindau was built in 1856. Its lighthouse is 33 metres high.\n"
JOB_QUESTION: Final = "How high is the lighthouse?"
JOB_MAX_TOKENS: Final = 24
SAMPLE_EVERY_S: Final = 0.05


def subject_of(
    paths: HomePaths, *, device: DeviceChoice | None, terminal: Terminal, environ: Mapping[str, str] = os.environ
) -> Subject:
    """The installation in this data folder. Looks at the hardware; loads no model and writes nothing."""
    settings, settings_error = Settings(), None
    try:
        settings = settings_file.load(paths.settings_file, environ)
    except SettingsInvalid as error:
        settings_error = (str(error), error.hint)
    engines = Engines(paths, settings, device=device)
    placements: dict[str, TaskPlacement] = {
        str(task): placement for task, placement in engines.task_placements().items()
    }
    return Subject(
        paths=paths,
        settings=settings,
        hardware=engines.hardware,
        profile=engines.profile.current,
        weights=engines.weights,
        machine=engines.machine(),
        placements=placements,
        offline=offline_guard.is_installed(),
        terminal=terminal,
        settings_error=settings_error,
    )


@dataclass(slots=True)
class SocketWatch:
    """Network sockets of this process and its children, native code's too, as the system lists them."""

    seen: set[str] = field(default_factory=set)
    """`program: local -> remote`, beyond loopback only."""
    samples: int = 0
    failure: str = ""

    @contextmanager
    def running(self) -> Iterator[None]:
        done = threading.Event()

        def watch() -> None:
            while True:
                self.sample()
                if self.failure or done.wait(SAMPLE_EVERY_S):
                    return

        thread = threading.Thread(target=watch, name="sockets", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def sample(self) -> None:
        import psutil

        try:
            mine = psutil.Process()
            for process in [mine, *mine.children(recursive=True)]:
                try:
                    connections = process.net_connections(kind="inet")
                except psutil.NoSuchProcess:  # a child that ended meanwhile
                    continue
                for each in connections:
                    ends = [end.ip for end in (each.laddr, each.raddr) if end]
                    if not all(offline_guard.is_this_machine(ip) for ip in ends):
                        remote = f"{each.raddr.ip}:{each.raddr.port}" if each.raddr else "listening"
                        self.seen.add(f"process {process.pid}: {remote}")
            self.samples += 1
        except (psutil.Error, OSError) as error:
            self.failure = f"{type(error).__name__}: {error}"


def check_main_job(
    paths: HomePaths, settings: Settings, open_home: Callable[[HomePaths, Settings], Home]
) -> Iterator[Check]:
    """Index a document, search it, ask about it, all anew; then say what reached for the network meanwhile.

    Raises EXPECTED_ERRORS when the job itself fails.
    """
    before = len(offline_guard.attempts())
    watch = SocketWatch()
    with _borrowed_home(paths) as borrowed, watch.running():
        home = open_home(borrowed, settings)
        try:
            job = _main_job(home, borrowed.root / "documents")
        finally:
            home.close()
    yield check_network(offline_guard.attempts()[before:], job=job)
    if watch.failure or not watch.samples:
        yield Check("sockets", "warn", f"this system does not list sockets ({watch.failure})")
    elif watch.seen:
        listed = "; ".join(sorted(watch.seen)[:5])
        yield Check("sockets", "fail", f"{job}: sockets beyond this machine were open: {listed}", "please report it")
    else:
        yield Check("sockets", "ok", f"{job}: no socket beyond this machine in {watch.samples} looks, native code too")


@contextmanager
def _borrowed_home(paths: HomePaths) -> Iterator[HomePaths]:
    """A data folder that is gone afterwards, with the weights and the measurements of the real one."""
    with tempfile.TemporaryDirectory(prefix="homebody-doctor-") as name:
        borrowed = HomePaths(Path(name))
        if paths.weights_dir.is_dir():
            borrowed.weights_dir.symlink_to(paths.weights_dir.resolve(), target_is_directory=True)
        if paths.profile_file.is_file():
            borrowed.profile_file.write_bytes(paths.profile_file.read_bytes())
        yield borrowed


def _main_job(home: Home, folder: Path) -> str:
    """Do it; returns what was done, in words."""
    folder.mkdir()
    (folder / "lindau.md").write_text(JOB_DOCUMENT, encoding="utf-8")
    stop = threading.Event()
    for _ in home.index([folder], stop):
        pass
    home.search(JOB_QUESTION)
    missing = {notice.text for notice in home.engines().missing}
    if not home.engines().chat_model:
        return f"indexing and searching, without a model ({'; '.join(sorted(missing))})"
    for _ in home.answer(Turn(JOB_QUESTION, max_tokens=JOB_MAX_TOKENS, save=False), stop):
        pass
    return "indexing, searching and answering"


__all__ = ["SocketWatch", "check_main_job", "subject_of"]
