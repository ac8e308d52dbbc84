from __future__ import annotations

import os
from pathlib import Path

import pytest

from rag.path_text import absolute_path, name_without_suffix, path_text, range_below


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a/b.txt", "b"), ("/a/.bashrc", ".bashrc"), ("/a/b.tar.gz", "b.tar"), ("/a.d/no", "no"), ("/z.zip/é.md", "é")],
)
def test_a_name_loses_its_last_suffix(path: str, name: str) -> None:
    assert name_without_suffix(path) == name


@pytest.mark.parametrize("folder", ["/", "/a", "/a/é", os.fsdecode(b"/a/\xff")])
def test_the_range_below_a_folder_holds_what_is_in_it_and_nothing_beside(folder: str) -> None:
    itself, first, past = range_below(folder)
    assert itself == os.fsencode(folder)
    inside = (b"x", b"\x01", b"\xff\xff", "ünder/x".encode())
    assert all(first <= itself.rstrip(b"/") + b"/" + each < past for each in inside)
    if folder != "/":
        assert not any(first <= itself + each < past for each in (b"", b"x", b"-", b".", b"0", b"\xff"))


def test_what_is_not_utf8_can_be_shown() -> None:
    assert path_text(b"/a/\xff\xc3\xa9") == "/a/\\xffé"


def test_a_path_is_shown_without_the_way_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "docs" / "link").symlink_to(tmp_path / "far" / "away")
    monkeypatch.chdir(tmp_path / "docs")
    assert absolute_path(Path("../x.jpg")) == tmp_path / "x.jpg"
    assert absolute_path(Path("../trip.zip/a/../b.jpg")) == tmp_path / "trip.zip" / "b.jpg"
    assert absolute_path(Path("./x.jpg")) == tmp_path / "docs" / "x.jpg"
    assert absolute_path(Path("link/x.jpg")) == tmp_path / "docs" / "link" / "x.jpg"
    assert absolute_path(Path("link/../x.jpg")) == tmp_path / "far" / "x.jpg"
    assert absolute_path(Path("/../x.jpg")) == Path("/x.jpg")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert absolute_path(Path("~/docs/../x.jpg")) == tmp_path / "x.jpg"
