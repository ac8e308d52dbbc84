"""What watchfiles tells, on this system."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.errors import WatchFailed
from rag.folder_watch import LATELY_AT_LEAST, FolderWatch, as_watch_failed

DEADLINE_S = 20.0


@pytest.fixture(params=[False, True], ids=["folder by folder", "whole trees"])
def watch(request: pytest.FixtureRequest) -> Iterator[FolderWatch]:
    made = FolderWatch(whole_trees=request.param)
    yield made
    made.close()


def told(watch: FolderWatch, *wanted: Path) -> set[str]:
    """What is told until everything wanted was."""
    paths: set[str] = set()
    deadline_s = time.monotonic() + DEADLINE_S
    while not {str(each) for each in wanted} <= paths:
        assert time.monotonic() < deadline_s, f"told only {paths}"
        more, lost = watch.take(0.05)
        assert not lost
        paths |= more
    return paths


def test_changes_are_told(watch: FolderWatch, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    assert watch.follow([str(tmp_path)]) == [str(tmp_path)]
    assert watch.follow([str(tmp_path)]) == []
    (tmp_path / "a.txt").write_text("y")
    (tmp_path / "b.txt").write_text("y")
    told(watch, tmp_path / "a.txt", tmp_path / "b.txt")
    (tmp_path / "b.txt").rename(tmp_path / "c.txt")
    (tmp_path / "a.txt").unlink()
    told(watch, tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "c.txt")


def test_a_link_is_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    watch = FolderWatch(whole_trees=False)
    watch.follow([str(tmp_path / "root")])
    (tmp_path / "outside" / "secret.txt").write_text("x")
    (tmp_path / "root" / "a.txt").write_text("x")
    assert told(watch, tmp_path / "root" / "a.txt") == {str(tmp_path / "root" / "a.txt")}
    watch.close()


def test_a_folder_that_was_made_anew_is_watched_anew(tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    watch = FolderWatch(whole_trees=False)
    watch.follow([str(tmp_path), str(folder)])
    folder.rmdir()
    told(watch, folder)
    folder.mkdir()
    told(watch, folder)
    assert watch.follow([str(tmp_path), str(folder)]) == [str(folder)]
    (folder / "a.txt").write_text("x")
    told(watch, folder / "a.txt")
    watch.close()


def test_a_name_that_is_not_utf8_breaks_the_watch_off_and_is_no_error(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9")
    try:
        (tmp_path / odd).mkdir()
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    watch = FolderWatch(whole_trees=False)
    assert watch.follow([str(tmp_path), str(tmp_path / odd)]) == [str(tmp_path)]
    (tmp_path / f"{odd}.txt").write_text("x")
    deadline_s = time.monotonic() + DEADLINE_S
    while not watch.take(0.05)[1]:
        assert time.monotonic() < deadline_s
    watch.close()
    watch.close()


def test_very_many_folders_that_come_later_are_watched_too(tmp_path: Path) -> None:
    watch = FolderWatch(whole_trees=False)
    watch.follow([str(tmp_path)])
    for number in range(0, LATELY_AT_LEAST + 20, 10):
        folders = [tmp_path / f"{each}" for each in range(number, number + 10)]
        for folder in folders:
            folder.mkdir()
        if number in (0, 10, LATELY_AT_LEAST - 10, LATELY_AT_LEAST + 10):
            watch.follow([str(each) for each in tmp_path.iterdir()])
    for number in (0, 19, LATELY_AT_LEAST + 19):
        (tmp_path / f"{number}" / "a.txt").write_text("x")
        told(watch, tmp_path / f"{number}" / "a.txt")
    watch.close()


def test_a_folder_that_is_not_there_is_not_watched(tmp_path: Path) -> None:
    watch = FolderWatch(whole_trees=False)
    assert watch.follow([str(tmp_path / "gone")]) == []
    watch.close()


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ('OS file watch limit reached. about ["/x"] (Error { kind: MaxFilesWatch })', "max_user_watches"),
        ("Error creating recommended watcher: Too many open files (os error 24)", "max_user_instances"),
        ("something else", "looked through"),
    ],
)
@pytest.mark.skipif(not os.path.exists("/proc/sys/fs/inotify"), reason="these limits are Linux's")  # noqa: PTH110
def test_a_limit_of_the_system_says_how_to_raise_it(said: str, remedy: str) -> None:
    failed = as_watch_failed(OSError(said))
    assert isinstance(failed, WatchFailed)
    assert remedy in failed.hint
