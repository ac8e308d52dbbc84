from __future__ import annotations

import os
from pathlib import Path

import pytest

from rag.walk import FoundFile, View, WalkProblem, walk
from rag.walk_changed import walk_changed
from tests.rag.walking import one_by_one


def everything(_: str) -> bool:
    return True


def make(root: Path, *names: str) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")


def seen(roots: list[Path], *paths: Path, left_out: frozenset[str] = frozenset()) -> list[str]:
    view = View(everything, left_out=left_out)
    found = one_by_one(walk_changed([str(root) for root in roots], [str(path) for path in paths], view))
    assert all(isinstance(each, FoundFile) for each in found)
    return [os.path.relpath(each.path, roots[0]) for each in found]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    make(
        root,
        "a.txt",
        "sub/b.txt",
        "sub/deep/c.txt",
        "sub/deep/skipped.log",
        ".hidden/d.txt",
        "node_modules/e.txt",
        "built/f.txt",
    )
    (root / ".gitignore").write_text("*.log\nbuilt/\n")
    (root / "sub" / ".homebodyignore").write_text("!kept.log\n")
    return root


def test_a_changed_path_is_seen_as_a_walk_of_everything_sees_it(tree: Path) -> None:
    """Every path below the root, one at a time: found exactly when the whole walk finds it."""
    whole = {each.path for each in one_by_one(walk([tree], accepts=everything))}
    make(tree, "sub/kept.log")
    whole.add(str(tree / "sub" / "kept.log"))
    for path in tree.rglob("*"):
        below = {each for each in whole if each == str(path) or each.startswith(f"{path}{os.sep}")}
        assert {str(tree / each) for each in seen([tree], path)} == below, path


def test_the_root_itself_is_walked(tree: Path) -> None:
    assert seen([tree], tree) == [
        os.path.relpath(each.path, tree) for each in one_by_one(walk([tree], accepts=everything))
    ]


def test_what_is_not_there_or_not_below_a_root_yields_nothing(tree: Path) -> None:
    make(tree.parent, "other/a.txt")
    assert seen([tree], tree / "gone.txt", tree / "gone" / "deep.txt", tree.parent / "other" / "a.txt") == []


def test_paths_within_each_other_come_once(tree: Path) -> None:
    assert seen([tree], tree / "sub", tree / "sub" / "b.txt") == ["sub/b.txt", "sub/deep/c.txt"]


def test_a_link_on_the_way_is_not_followed(tree: Path) -> None:
    (tree / "link").symlink_to(tree / "sub")
    (tree / "link.txt").symlink_to(tree / "a.txt")
    assert seen([tree], tree / "link", tree / "link" / "b.txt", tree / "link.txt") == []


def test_a_root_inside_a_hidden_folder_of_another_has_its_own_rules(tree: Path) -> None:
    assert seen([tree], tree / ".hidden" / "d.txt") == []
    assert seen([tree, tree / ".hidden"], tree / ".hidden" / "d.txt") == [".hidden/d.txt"]
    make(tree, "built/inner/x.log")
    assert seen([tree, tree / "built"], tree / "built" / "inner" / "x.log") == ["built/inner/x.log"]


def test_what_the_user_took_out_is_not_seen(tree: Path) -> None:
    sub = str(tree / "sub")
    assert seen([tree], tree / "sub" / "b.txt", tree, left_out=frozenset({sub})) == ["a.txt"]
    assert seen([tree / "sub"], tree / "sub" / "b.txt", left_out=frozenset({sub})) == ["b.txt"]


def test_a_folder_that_may_not_be_listed_is_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)  # the superuser may list everything
    (problem,) = walk_changed([str(tree)], [str(tree / "sub")], View(everything))
    assert isinstance(problem, WalkProblem)
    assert problem.incomplete
