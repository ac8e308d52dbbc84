"""What is left out of a folder, beside what git leaves out of it."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from rag.ignore_rules import MAX_PATTERNS, read_ignore_rules
from rag.walk import walk
from tests.rag.walking import one_by_one

NAMES = ("a", "b", "tmp", "build", "a.log", "b.log", "x.pyc", "x.pyd", "note.txt", "[a]", "a b", "ab.tar.gz")
PATTERNS = (
    *(
        "a",
        "b/",
        "/a",
        "tmp/",
        "*.log",
        "!b.log",
        "*.py[cd]",
        "**/tmp/**",
        "build/**",
        "/build/",
        "a/b",
        "a/*",
        "**/a/b",
    ),
    *(
        "?",
        "[ab].log",
        "a*",
        "*b*",
        "!/a",
        "!tmp/",
        r"\[a\]",
        "a\\ b",
        "*.tar.*",
        "# a",
        "tmp/*.log",
        "[!a]",
        "*",
        "!*/",
    ),
    *("note.txt  ", "/tmp/*/b", "**/b.log", "x.py[a-d]", "*.gz", "", "!note.txt", "a/**/b", "[[:alpha:]].log"),
)
TREES = 20


def make_tree(root: Path, chance: random.Random) -> None:
    """Folders of folders and files with the names above, and ignore files in some of them."""
    folders = [root]
    for _ in range(12):
        folder = chance.choice(folders) / chance.choice(NAMES)
        if not folder.exists():
            folder.mkdir()
            folders.append(folder)
    for folder in folders:
        for name in chance.sample(NAMES, 7):
            if not (folder / name).exists():
                (folder / name).write_text("x")
        if folder == root or chance.random() < 0.3:
            lines = chance.sample(PATTERNS, chance.randint(1, 6))
            (folder / ".gitignore").write_text("\n".join(lines) + "\n")


def kept_by_git(root: Path) -> list[str]:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "-q", "."], cwd=root, check=True, env=environment)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
        env=environment,
    ).stdout
    return sorted(name for name in map(os.fsdecode, listed.split(b"\0")) if name and name != ".gitignore")


def kept_here(root: Path) -> list[str]:
    found = one_by_one(walk([root]))
    return sorted(os.path.relpath(each.path, root) for each in found)


def said_in(root: Path) -> str:
    files = sorted(root.rglob(".gitignore"))
    return "\n".join(f"{file.parent.relative_to(root)}: {file.read_text().splitlines()}" for file in files)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is what it is compared with")
@pytest.mark.parametrize("seed", range(TREES))
def test_what_git_ignores_is_left_out_and_nothing_else(tmp_path: Path, seed: int) -> None:
    make_tree(tmp_path, random.Random(seed))
    kept = [name for name in kept_by_git(tmp_path) if not os.path.basename(name).startswith(".")]  # noqa: PTH119
    assert kept_here(tmp_path) == kept, said_in(tmp_path)


def test_only_what_a_list_of_exceptions_names_is_found_in_the_folders_it_keeps(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.md", "b.txt", "sub/c.md", "sub/d.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".homebodyignore").write_text("*\n!*/\n!*.md\n")
    assert kept_here(tmp_path) == ["a.md", "sub/c.md"]


def test_what_is_inside_a_folder_may_be_left_out_but_for_one_file(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    for name in ("tmp/a.txt", "tmp/keep.txt", "b.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".gitignore").write_text("tmp/**\n!tmp/keep.txt\n")
    assert kept_here(tmp_path) == ["b.txt", "tmp/keep.txt"]


def test_a_class_of_characters_that_nobody_knows_is_said(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("[[:runes:]].txt\n*.log\n")
    rules, (problem,) = read_ignore_rules(str(tmp_path), [".gitignore"], None)
    assert rules is not None
    assert rules.ignores(str(tmp_path / "a.log"), is_dir=False)
    assert "[[:runes:]].txt" in problem


def test_of_very_many_patterns_the_first_are_used(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("\n".join(f"{number}.txt" for number in range(MAX_PATTERNS + 5)))
    rules, (problem,) = read_ignore_rules(str(tmp_path), [".gitignore"], None)
    assert rules is not None
    assert rules.ignores(str(tmp_path / f"{MAX_PATTERNS - 1}.txt"), is_dir=False)
    assert not rules.ignores(str(tmp_path / f"{MAX_PATTERNS}.txt"), is_dir=False)
    assert f"{MAX_PATTERNS:,}" in problem


def test_a_folder_in_which_nothing_can_match_is_told_by_its_names_alone(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.log\nbuild/\n/docs/*.pdf\ntmp/**\n.cache\n")
    rules, _ = read_ignore_rules(str(tmp_path), [".gitignore"], None)
    assert rules is not None
    sub = str(tmp_path / "sub")
    assert not rules.may_ignore(sub, ["a.txt", "b.md", "log"])
    assert rules.may_ignore(sub, ["a.txt", "b.log"])
    assert rules.may_ignore(sub, ["build"])
    assert rules.may_ignore(str(tmp_path / "tmp"), ["a.txt"])
