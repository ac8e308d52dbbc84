"""Open a file with the program the user's system has for it, at a page, a line or a second where that one can.

Only ever called for a key the user pressed, or a command they gave. The desktop says which program it uses for the
file; of those known here the way to name a page or a line is known too (`PAGE_VIEWERS`, `LINE_EDITORS`). Programs are
started by argument lists, never through a shell, and paths are absolute: one that begins with a dash is no option.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from app.messages import Failure
from app.players import player_command
from app.terminal_text import clean_line

ASK_TIMEOUT_S = 5.0
"""For the desktop to say which program it uses."""

NO_OPENER = "the program that opens files (xdg-open, of xdg-utils) is not installed"

Arguments = Callable[[str, int], list[str]]
"""A path and a page or line to the arguments behind the program's name."""


def _file_url(path: str, page: int) -> list[str]:
    return [f"{Path(path).as_uri()}#page={page}"]


PAGE_VIEWERS: Mapping[str, Arguments] = {
    "evince": lambda path, page: [f"--page-index={page}", path],
    "papers": lambda path, page: [f"--page-index={page}", path],
    "atril": lambda path, page: [f"--page-index={page}", path],
    "xreader": lambda path, page: [f"--page-index={page}", path],
    "okular": lambda path, page: ["-p", str(page), path],
    "zathura": lambda path, page: ["-P", str(page), path],
    "qpdfview": lambda path, page: [f"{path}#{page}"],
    "xpdf": lambda path, page: [path, str(page)],
    "mupdf": lambda path, page: [path, str(page)],
    "sioyek": lambda path, page: ["--page", str(page), path],
    "sumatrapdf": lambda path, page: ["-page", str(page), path],
    "acrord32": lambda path, page: ["/A", f"page={page}", path],
    "firefox": _file_url,
    "firefox-esr": _file_url,
    "chromium": _file_url,
    "chromium-browser": _file_url,
    "google-chrome": _file_url,
    "google-chrome-stable": _file_url,
    "brave-browser": _file_url,
    "microsoft-edge": _file_url,
    "msedge": _file_url,
    "chrome": _file_url,
}
"""By the program's name, lower case, without `.exe`."""

LINE_EDITORS: Mapping[str, Arguments] = {
    "code": lambda path, line: ["-g", f"{path}:{line}"],
    "codium": lambda path, line: ["-g", f"{path}:{line}"],
    "code-insiders": lambda path, line: ["-g", f"{path}:{line}"],
    "cursor": lambda path, line: ["-g", f"{path}:{line}"],
    "zed": lambda path, line: [f"{path}:{line}"],
    "subl": lambda path, line: [f"{path}:{line}"],
    "sublime_text": lambda path, line: [f"{path}:{line}"],
    "gedit": lambda path, line: [path, f"+{line}"],
    "gnome-text-editor": lambda path, line: [path, f"+{line}"],
    "xed": lambda path, line: [path, f"+{line}"],
    "pluma": lambda path, line: [path, f"+{line}"],
    "mousepad": lambda path, line: [f"--line={line}", path],
    "kate": lambda path, line: ["-l", str(line), path],
    "kwrite": lambda path, line: ["-l", str(line), path],
    "geany": lambda path, line: ["-l", str(line), path],
    "gvim": lambda path, line: [f"+{line}", path],
    "emacsclient": lambda path, line: ["-n", f"+{line}", path],
    "notepad++": lambda path, line: [f"-n{line}", path],
}

_SKIM = "/Applications/Skim.app/Contents/SharedSupport/displayline"


class Desktop:
    """What the system says and does: which program it uses for a file, and starting one."""

    def __init__(self, platform: str = sys.platform) -> None:
        self.platform = platform

    def default_program(self, path: str) -> list[str]:
        """The command line of the desktop's program for this file, without the file; empty where it does not say."""
        if self.platform in ("win32", "darwin") or shutil.which("xdg-mime") is None:
            return []
        mime = self._told(["xdg-mime", "query", "filetype", path])
        entry = self._told(["xdg-mime", "query", "default", mime]) if mime else ""
        file = _desktop_file(entry) if entry else None
        return exec_of(file.read_text("utf-8", "replace")) if file else []

    def _told(self, command: Sequence[str]) -> str:
        try:
            asked = subprocess.run(
                command, capture_output=True, text=True, timeout=ASK_TIMEOUT_S, stdin=subprocess.DEVNULL, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return asked.stdout.strip().partition("\n")[0]

    def exists(self, program: str) -> bool:
        return shutil.which(program) is not None

    def start(self, command: Sequence[str]) -> None:
        """Start a program that goes on when homebody ends. Raises OSError."""
        subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def open(self, path: str) -> None:
        """As a double click does. Raises OSError."""
        if self.platform == "win32":
            os.startfile(path)  # type: ignore[attr-defined,unused-ignore]  # Windows only
        else:
            self.start(["open" if self.platform == "darwin" else "xdg-open", path])


def open_in_system_viewer(
    path: str,
    *,
    page: int | None = None,
    line: int | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
    desktop: Desktop | None = None,
) -> Failure | None:
    """Start the viewer, or the player for a stretch of a recording, and return at once.

    Returns what the user should know, in words: what kept it from starting, or that it shows the file around the one
    that was asked for; otherwise None.
    """
    desktop = desktop or Desktop()
    file = _existing(path)
    if file is None:
        return Failure(f"{clean_line(path)} is no longer there.", "update the library: F3, then u")
    is_inside = str(file) != str(Path(path).absolute())
    if is_inside:
        page = line = start_s = None
    try:
        if start_s is not None:
            command = player_command(str(file), start_s, end_s, desktop, program_name)
        else:
            command = command_for(str(file), page=page, line=line, desktop=desktop)
        if command:
            desktop.start(command)
        else:
            desktop.open(str(file))
    except FileNotFoundError:
        return Failure(f"No program could be started for {clean_line(path)}.", NO_OPENER)
    except OSError as error:
        return Failure(f"No program could be started for {clean_line(path)}.", clean_line(error.strerror or str(error)))
    if is_inside:
        inner = clean_line(str(Path(path).absolute())[len(str(file)) + 1 :])
        return Failure(f"{clean_line(file.name)} is opened; what is cited is inside it: {inner}")
    return None


def command_for(path: str, *, page: int | None, line: int | None, desktop: Desktop) -> list[str]:
    """The command that opens a file at a page or a line; empty where that is not known how."""
    if page is None and line is None:
        return []
    if desktop.platform == "darwin":
        # Preview takes no page on its command line; Skim does.
        return [_SKIM, "-r", str(page), path] if page is not None and desktop.exists(_SKIM) else []
    known, place = (PAGE_VIEWERS, page) if page is not None else (LINE_EDITORS, line)
    assert place is not None
    program = desktop.default_program(path)
    if program[:1] and program_name(program[0]) == "flatpak":
        return []  # it hands files into its sandbox only in its own way
    for position, word in enumerate(program):
        # `env VAR=1 evince`, `flatpak run … org.gnome.Evince`, `/usr/bin/evince`: the last part of a word names it.
        if (arguments := known.get(program_name(word))) is not None:
            return [*program[: position + 1], *arguments(path, place)]
    if desktop.platform == "win32" and page is not None and desktop.exists("SumatraPDF"):
        return ["SumatraPDF", *PAGE_VIEWERS["sumatrapdf"](path, page)]
    return []


def program_name(word: str) -> str:
    """`/usr/bin/evince` and `org.gnome.Evince` are both `evince`."""
    name = word.replace("\\", "/").rsplit("/", 1)[-1].lower().removesuffix(".exe")
    if name.count(".") >= 2 and name not in PAGE_VIEWERS:
        name = {"org.gnome.texteditor": "gnome-text-editor"}.get(name, name.rsplit(".", 1)[-1])
    return name


def exec_of(entry: str) -> list[str]:
    """The command line of a desktop entry, without its field codes (`%U`) and what goes with them."""
    for each in entry.splitlines():
        if each.startswith("Exec="):
            try:
                words = shlex.split(each.removeprefix("Exec="))
            except ValueError:
                return []
            return [word for word in words if not (word.startswith("%") or word in ("@@u", "@@"))]
    return []


def _desktop_file(name: str) -> Path | None:
    """A desktop entry by its name, the user's own first."""
    if "/" in name or not name.endswith(".desktop"):
        return None
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    for folder in [home, *(os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")]:
        file = Path(folder) / "applications" / name
        if file.is_file():
            return file
    return None


def _existing(path: str) -> Path | None:
    """The file itself, or for one inside an archive or a mail the file on the disk that holds it."""
    absolute = Path(path).absolute()
    for each in (absolute, *absolute.parents):
        try:
            if each.is_file():
                return each
            if each.exists():
                return None  # a folder: what stood in it is gone
        except OSError:
            return None
    return None
