"""Which program plays a stretch of a recording, and how it is told where to begin and to end.

The desktop's own player is taken where it is known here, otherwise a known one that is installed. Pure but for asking
the desktop; nothing is started here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

LEAD_S = 0.5
"""Played before and after what is cited: the ear needs a moment, and a recogniser's times are not exact."""

PlayArguments = Callable[[str, float, float | None], list[str]]
"""A path, where to begin and where to end, to the arguments behind the program's name."""


class AsksDesktop(Protocol):
    """`app.system_viewer.Desktop`."""

    def default_program(self, path: str) -> list[str]: ...

    def exists(self, program: str) -> bool: ...


def _mpv(path: str, start_s: float, end_s: float | None) -> list[str]:
    return [f"--start={start_s:.2f}", *([f"--end={end_s:.2f}"] if end_s is not None else []), "--", path]


def _vlc(path: str, start_s: float, end_s: float | None) -> list[str]:
    until = [f"--stop-time={end_s:.2f}", "--play-and-exit"] if end_s is not None else []
    return [f"--start-time={start_s:.2f}", *until, path]


def _ffplay(path: str, start_s: float, end_s: float | None) -> list[str]:
    until = ["-t", f"{end_s - start_s:.2f}"] if end_s is not None else []
    return ["-autoexit", "-nodisp", "-loglevel", "quiet", "-ss", f"{start_s:.2f}", *until, "-i", path]


def _mplayer(path: str, start_s: float, end_s: float | None) -> list[str]:
    until = ["-endpos", f"{end_s - start_s:.2f}"] if end_s is not None else []
    return ["-really-quiet", "-ss", f"{start_s:.2f}", *until, path]


PLAYERS: Mapping[str, PlayArguments] = {
    "mpv": _mpv,
    "celluloid": lambda path, start_s, _end_s: [f"--mpv-options=start={start_s:.2f}", path],
    "iina": lambda path, start_s, _end_s: [f"--mpv-start={start_s:.2f}", path],
    "vlc": _vlc,
    "ffplay": _ffplay,
    "mplayer": _mplayer,
}
"""By the program's name; the first installed one is taken where the desktop's is none of them."""


def player_command(
    path: str, start_s: float, end_s: float | None, desktop: AsksDesktop, name_of: Callable[[str], str]
) -> list[str]:
    """The command that plays a recording from `start_s` to `end_s`; empty where no player is known."""
    begin_s = max(0.0, start_s - LEAD_S)
    until_s = None if end_s is None else end_s + LEAD_S
    program = desktop.default_program(path)
    if not (program[:1] and name_of(program[0]) == "flatpak"):
        for position, word in enumerate(program):
            if (arguments := PLAYERS.get(name_of(word))) is not None:
                return [*program[: position + 1], *arguments(path, begin_s, until_s)]
    for name, arguments in PLAYERS.items():
        if desktop.exists(name):
            return [name, *arguments(path, begin_s, until_s)]
    return []
