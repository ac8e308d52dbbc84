"""Handing files to the system's programs: the commands, never started."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.messages import Failure
from app.players import player_command
from app.system_viewer import NO_OPENER, Desktop, command_for, exec_of, open_in_system_viewer, program_name


class ScriptedDesktop(Desktop):
    """Uses the programs it was told to; remembers what was started and opened."""

    def __init__(self, program: Sequence[str] = (), *, platform: str = "linux", installed: Sequence[str] = ()) -> None:
        super().__init__(platform)
        self.program = list(program)
        self.installed = set(installed)
        self.history: list[list[str]] = []
        self.error: OSError | None = None

    def default_program(self, path: str) -> list[str]:  # noqa: ARG002
        return self.program

    def exists(self, program: str) -> bool:
        return program in self.installed

    def start(self, command: Sequence[str]) -> None:
        if self.error is not None:
            raise self.error
        self.history.append(list(command))


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (["evince"], ["evince", "--page-index=3", "/x/a b.pdf"]),
        (["/usr/bin/okular"], ["/usr/bin/okular", "-p", "3", "/x/a b.pdf"]),
        (["zathura"], ["zathura", "-P", "3", "/x/a b.pdf"]),
        (["env", "GDK_BACKEND=x11", "atril"], ["env", "GDK_BACKEND=x11", "atril", "--page-index=3", "/x/a b.pdf"]),
        (["firefox", "--new-window"], ["firefox", "file:///x/a%20b.pdf#page=3"]),
        (["some-viewer"], []),
        (["flatpak", "run", "org.gnome.Evince"], []),
        ([], []),
    ],
)
def test_pages_are_named_as_each_viewer_takes_them(program: list[str], expected: list[str]) -> None:
    assert command_for("/x/a b.pdf", page=3, line=None, desktop=ScriptedDesktop(program)) == expected


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (["code", "--new-window"], ["code", "-g", "/x/a.py:12"]),
        (["gedit"], ["gedit", "/x/a.py", "+12"]),
        (["kate"], ["kate", "-l", "12", "/x/a.py"]),
        (["vim"], []),
    ],
)
def test_lines_are_named_as_each_editor_takes_them(program: list[str], expected: list[str]) -> None:
    assert command_for("/x/a.py", page=None, line=12, desktop=ScriptedDesktop(program)) == expected


def test_other_systems_have_their_own_viewers() -> None:
    skim = "/Applications/Skim.app/Contents/SharedSupport/displayline"
    mac = ScriptedDesktop(platform="darwin", installed=[skim])
    assert command_for("/x/a.pdf", page=3, line=None, desktop=mac) == [skim, "-r", "3", "/x/a.pdf"]
    assert command_for("/x/a.pdf", page=3, line=None, desktop=ScriptedDesktop(platform="darwin")) == []
    windows = ScriptedDesktop(platform="win32", installed=["SumatraPDF"])
    assert command_for("/x/a.pdf", page=3, line=None, desktop=windows) == ["SumatraPDF", "-page", "3", "/x/a.pdf"]


def test_desktop_entries_are_read_without_their_field_codes() -> None:
    entry = "[Desktop Entry]\nName=Viewer\nExec=env A=1 /usr/bin/evince %U\n[Desktop Action new]\nExec=evince --new\n"
    assert exec_of(entry) == ["env", "A=1", "/usr/bin/evince"]
    assert exec_of("[Desktop Entry]\nExec='unclosed") == []
    assert exec_of("") == []
    assert program_name("org.gnome.Evince") == "evince"
    assert program_name("C:\\Tools\\SumatraPDF.exe") == "sumatrapdf"


@pytest.mark.skipif(sys.platform == "win32", reason="xdg-open is Linux's")
def test_a_file_is_opened_at_its_page_or_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "-rf $(touch x).pdf"
    file.write_bytes(b"%PDF-")
    desktop = ScriptedDesktop(["okular"])
    assert open_in_system_viewer(file.name, page=2, desktop=desktop) is None
    assert open_in_system_viewer(str(file), desktop=desktop) is None
    assert desktop.history == [["okular", "-p", "2", str(file)], ["xdg-open", str(file)]]


@pytest.mark.skipif(sys.platform == "win32", reason="xdg-open is Linux's")
def test_for_a_file_inside_another_the_outer_one_is_opened_and_that_is_said(tmp_path: Path) -> None:
    archive = tmp_path / "letters.zip"
    archive.write_bytes(b"PK")
    desktop = ScriptedDesktop(["okular"])
    said = open_in_system_viewer(f"{archive}/2024/march.pdf", page=2, desktop=desktop)
    assert said == Failure("letters.zip is opened; what is cited is inside it: 2024/march.pdf")
    assert desktop.history == [["xdg-open", str(archive)]]


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    desktop = ScriptedDesktop()
    said = open_in_system_viewer(str(tmp_path / "gone.pdf"), page=2, desktop=desktop)
    assert said is not None
    assert "no longer there" in said.text
    file = tmp_path / "a\x1b[31m.pdf"
    file.write_bytes(b"x")
    desktop.program = ["okular"]
    for error, hint in (
        (FileNotFoundError(2, "No such file or directory"), NO_OPENER),
        (PermissionError(13, "Permission denied"), "Permission denied"),
    ):
        desktop.error = error
        said = open_in_system_viewer(str(file), page=2, desktop=desktop)
        assert said is not None
        assert "\x1b" not in said.text
        assert said.hint == hint


@pytest.mark.parametrize(
    ("program", "installed", "expected"),
    [
        (["mpv", "--force-window"], [], ["mpv", "--start=11.50", "--end=15.50", "--"]),
        ([], ["ffplay"], ["ffplay", "-autoexit", "-nodisp", "-loglevel", "quiet", "-ss", "11.50", "-t", "4.00", "-i"]),
        (["/usr/bin/totem"], ["vlc"], ["vlc", "--start-time=11.50", "--stop-time=15.50", "--play-and-exit"]),
        (
            ["flatpak", "run", "io.mpv.Mpv"],
            ["mplayer"],
            ["mplayer", "-really-quiet", "-ss", "11.50", "-endpos", "4.00"],
        ),
        (["totem"], [], ["xdg-open"]),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="xdg-open is Linux's")
def test_a_stretch_of_a_recording_is_played(
    tmp_path: Path, program: list[str], installed: list[str], expected: list[str]
) -> None:
    file = tmp_path / "a memo.m4a"
    file.write_bytes(b"x")
    desktop = ScriptedDesktop(program, installed=installed)
    assert open_in_system_viewer(str(file), start_s=12.0, end_s=15.0, desktop=desktop) is None
    assert desktop.history == [[*expected, str(file)]]
    assert player_command("/x/a.mp3", 0.2, None, ScriptedDesktop(["mpv"]), program_name) == [
        "mpv",
        "--start=0.00",
        "--",
        "/x/a.mp3",
    ]


def test_this_machine_can_be_asked_without_harm(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x")
    assert isinstance(Desktop().default_program(str(file)), list)
