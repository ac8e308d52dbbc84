from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from rag.path_text import path_text
from rag.readers.registry import accepts_name
from rag.walk import FoundFile, WalkProblem, walk
from tests.rag.walking import one_by_one


def walked(
    roots: Sequence[str | os.PathLike[str]],
    *,
    accepts: Callable[[str], bool] | None = None,
    exclude: Sequence[Path] = (),
    left_out: frozenset[str] = frozenset(),
    entered: Callable[[str], object] = lambda _folder: None,
) -> list[FoundFile | WalkProblem]:
    return one_by_one(walk(roots, accepts=accepts, exclude=exclude, left_out=left_out, entered=entered))


def everything(_: str) -> bool:
    return True


def found_in(root: Path, accepts: Callable[[str], bool] = everything) -> list[str]:
    """Paths below the root, `/` between; no problem may occur."""
    results = list(walked([root], accepts=accepts))
    assert not [each for each in results if isinstance(each, WalkProblem)]
    return [os.path.relpath(each.path, root) for each in results]


def problems_in(root: Path) -> list[WalkProblem]:
    return [each for each in walked([root], accepts=everything) if isinstance(each, WalkProblem)]


def make(root: Path, *names: str) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")


def test_files_come_sorted_with_size_and_time(tmp_path: Path) -> None:
    make(tmp_path, "b/z.txt", "b/a.txt", "a.txt", "c.txt")
    (tmp_path / "a.txt").write_text("four")
    first, *_ = found = list(walked([tmp_path], accepts=everything))
    assert [os.path.relpath(each.path, tmp_path) for each in found] == ["a.txt", "c.txt", "b/a.txt", "b/z.txt"]
    status = (tmp_path / "a.txt").stat()
    assert first == FoundFile(str(tmp_path / "a.txt"), 4, status.st_mtime_ns)


def test_a_root_may_be_a_file_of_any_name(tmp_path: Path) -> None:
    make(tmp_path, ".strange")
    (found,) = walked([tmp_path / ".strange"], accepts=lambda _: False)
    assert isinstance(found, FoundFile)


def test_a_missing_root_is_named_and_leaves_its_files_alone(tmp_path: Path) -> None:
    make(tmp_path, "here/a.txt")
    gone, file = walked([tmp_path / "gone", tmp_path / "here"], accepts=everything)
    assert isinstance(gone, WalkProblem)
    assert gone.path == str(tmp_path / "gone")
    assert gone.incomplete
    assert gone.hint
    assert isinstance(file, FoundFile)


def test_hidden_files_secrets_and_caches_are_not_entered(tmp_path: Path) -> None:
    make(
        tmp_path,
        ".ssh/id_ed25519",
        ".gnupg/key",
        ".env",
        ".git/config",
        ".mozilla/firefox/logins.json",
        "node_modules/x/readme.md",
        "src/__pycache__/a.txt",
        "venv/lib/a.txt",
        "kept/notes.txt",
    )
    assert found_in(tmp_path) == ["kept/notes.txt"]


def test_names_that_no_reader_takes_are_left_out(tmp_path: Path) -> None:
    make(
        tmp_path, "a.md", "A.PDF", "README", "program.exe", "notes.txt~", "#notes.txt#", "server.pem", "id_rsa", "x.swp"
    )
    assert found_in(tmp_path, accepts_name) == ["A.PDF", "README", "a.md"]


def test_homebodys_own_folder_is_left_out_and_refused_as_a_root(tmp_path: Path) -> None:
    make(tmp_path, "data/library.txt", "mine.txt")
    found = list(walked([tmp_path], accepts=everything, exclude=[tmp_path / "data"]))
    assert [each.path for each in found] == [str(tmp_path / "mine.txt")]
    (refused,) = walked([tmp_path / "data"], accepts=everything, exclude=[tmp_path / "data"])
    assert isinstance(refused, WalkProblem)


def test_links_are_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "outside/secret.txt", "root/a.txt")
    root = tmp_path / "root"
    (root / "loop").symlink_to(root)
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "file.txt").symlink_to(tmp_path / "outside" / "secret.txt")
    (root / "dangling.txt").symlink_to("nowhere")
    assert found_in(root) == ["a.txt"]


def test_a_root_that_is_a_link_is_resolved(tmp_path: Path) -> None:
    make(tmp_path, "real/a.txt")
    (tmp_path / "link").symlink_to("real")
    (found,) = walked([tmp_path / "link"], accepts=everything)
    assert found.path == str(tmp_path / "real" / "a.txt")


def test_only_regular_files_are_found(tmp_path: Path) -> None:
    make(tmp_path, "a.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as listening:
        address = tmp_path / "s.txt"
        listening.bind(str(address))
        assert found_in(tmp_path) == ["a.txt"]
    (problem,) = walked([tmp_path / "pipe.txt"], accepts=everything)
    assert isinstance(problem, WalkProblem)


@pytest.mark.parametrize(
    "name", [b"new\nline.txt", b"esc\x1b[31m.txt", "\u202egnp.txt".encode(), b"caf\xe9.txt", b"-rf .txt", b"a\tb.txt"]
)
def test_any_name_works(tmp_path: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"x")
    (found,) = walked([tmp_path], accepts=everything)
    assert isinstance(found, FoundFile)
    assert os.fsencode(found.path) == os.fsencode(tmp_path) + b"/" + name
    path_text(found.path).encode("utf-8")  # valid text
    with open(found.path, "rb") as stream:  # noqa: PTH123 (the path as it was found)
        assert stream.read() == b"x"


def test_path_text_escapes_only_what_is_not_utf8() -> None:
    assert path_text(b"/caf\xe9/caf\xc3\xa9") == "/caf\\xe9/café"
    assert path_text("/plain") == "/plain"


def test_ignore_files_nest_and_the_deepest_decides(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "keep.log", "build/out.txt", "sub/b.log", "sub/c.txt", "sub/deep/build/d.txt", "sub/e.log")
    (tmp_path / ".gitignore").write_text("*.log\n!keep.log\n/build/\n")
    (tmp_path / "sub" / ".gitignore").write_text("!e.log\nc.txt\n")
    assert found_in(tmp_path) == ["keep.log", "sub/e.log", "sub/deep/build/d.txt"]


def test_homebodyignore_wins_over_gitignore(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "b.txt")
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / ".homebodyignore").write_text("!a.log\nb.txt\n")
    assert found_in(tmp_path) == ["a.log"]


@pytest.mark.parametrize("line", ["*a*a*a*a*b", "[z-a]", "!"])
def test_a_pattern_that_cannot_be_used_is_said_and_the_others_hold(tmp_path: Path, line: str) -> None:
    make(tmp_path, "a" * 200, "b.log")
    (tmp_path / ".gitignore").write_text(f"{line}\n*.log\n")
    problem, file = walked([tmp_path], accepts=everything)
    assert isinstance(problem, WalkProblem)
    assert ".gitignore" in problem.reason
    assert not problem.incomplete
    assert isinstance(file, FoundFile)


def test_an_ignore_file_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    make(tmp_path, "root/a.txt")
    (tmp_path / "rules").write_text("*\n")
    (tmp_path / "root" / ".gitignore").symlink_to(tmp_path / "rules")
    problem, file = walked([tmp_path / "root"], accepts=everything)
    assert isinstance(problem, WalkProblem)
    assert isinstance(file, FoundFile)


def test_a_folder_that_vanishes_during_the_walk_is_named_and_incomplete(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "gone/b.txt", "kept/c.txt")
    walking = walk([tmp_path], accepts=everything)
    assert [file.path for file in one_by_one([next(walking)])] == [str(tmp_path / "a.txt")]
    (tmp_path / "gone" / "b.txt").unlink()
    (tmp_path / "gone").rmdir()
    problem, file = one_by_one(walking)
    assert isinstance(problem, WalkProblem)
    assert (problem.path, problem.incomplete) == (str(tmp_path / "gone"), True)
    assert file.path.endswith("kept/c.txt")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_listed_is_named_and_incomplete(tmp_path: Path) -> None:
    make(tmp_path, "closed/b.txt", "open/c.txt")
    (tmp_path / "closed").chmod(0)
    try:
        problem, file = walked([tmp_path], accepts=everything)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert isinstance(problem, WalkProblem)
    assert problem.incomplete
    assert file.path.endswith("open/c.txt")


def test_a_path_longer_than_the_system_takes_is_named_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "z/last.txt")
    monkeypatch.chdir(tmp_path)
    for _ in range(18):
        Path("d" * 240).mkdir()
        monkeypatch.chdir("d" * 240)
    found = list(walked([tmp_path], accepts=everything))
    assert any(isinstance(each, WalkProblem) and each.incomplete for each in found)
    assert found[-1].path.endswith("z/last.txt")


def test_a_file_below_two_roots_comes_once(tmp_path: Path) -> None:
    make(tmp_path, "a/b/c.txt", "a/d.txt")
    found = list(walked([tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "d.txt"], accepts=everything))
    assert sorted(os.path.relpath(each.path, tmp_path) for each in found) == ["a/b/c.txt", "a/d.txt"]


def test_what_was_taken_out_stays_out_below_a_root_and_not_as_a_root(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "b.txt", "sub/c.txt")
    left_out = frozenset({str(tmp_path / "b.txt"), str(tmp_path / "sub")})
    assert [each.path for each in walked([tmp_path], accepts=everything, left_out=left_out)] == [
        str(tmp_path / "a.txt")
    ]
    (found,) = walked([tmp_path / "sub"], accepts=everything, left_out=left_out)
    assert found.path == str(tmp_path / "sub" / "c.txt")


def test_every_folder_that_is_listed_is_told(tmp_path: Path) -> None:
    make(tmp_path, "a/b/c.txt", ".git/config", "node_modules/x.txt", "d/e.txt")
    folders: list[str] = []
    walked([tmp_path], accepts=lambda _: False, entered=folders.append)
    assert [os.path.relpath(each, tmp_path) for each in folders] == [".", "a", "a/b", "d"]
