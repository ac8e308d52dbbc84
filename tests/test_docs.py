"""The documents say what is so: the file map is the disk, and the commands that are named exist.

A file map is the block between `<!-- file map -->` and `<!-- end of file map -->`: indented names, folders with a
slash, each followed by what it is.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import PROJECT_ROOT

README = PROJECT_ROOT / "README.md"
DOCUMENTS = [name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md") if (PROJECT_ROOT / name).exists()]
MAPPED_FOLDERS = ("app", "pipelines", "rag", "models", "scripts")

_MAP = re.compile(r"<!-- file map -->\n(.*?)<!-- end of file map -->", re.DOTALL)
_ENTRY = re.compile(r"^(?P<indent> *)(?P<name>[\w.*-]+/?)(?:\s{2,}(?P<what>.*))?$")
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)")
_COMMAND = re.compile(r"(?<![\w./-])homebody ((?:[a-z]+)(?: [a-z]+)?)")


def mapped_files(text: str) -> dict[str, str]:
    """Path -> what the map says of it, from the block between the markers."""
    block = _MAP.search(text)
    assert block is not None, "README.md has no <!-- file map --> … <!-- end of file map -->"
    entries: dict[str, str] = {}
    folders: list[tuple[int, str]] = []
    for line in block[1].splitlines():
        entry = _ENTRY.match(line)
        if entry is None or line.startswith("```"):
            continue
        indent, name = len(entry["indent"]), entry["name"]
        while folders and folders[-1][0] >= indent:
            folders.pop()
        path = "".join(folder for _, folder in folders) + name
        if name.endswith("/"):
            folders.append((indent, name))
        entries[path] = entry["what"] or ""
    return entries


def tracked_files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    return [path for path in listed.stdout.split("\0") if path]


def test_the_parser_reads_a_map() -> None:
    text = """
<!-- file map -->
```
app/               the only place that draws
  cli.py           the commands
  commands/        one family a file
    ask.py         answers
  console.py       output
```
<!-- end of file map -->
"""
    assert mapped_files(text) == {
        "app/": "the only place that draws",
        "app/cli.py": "the commands",
        "app/commands/": "one family a file",
        "app/commands/ask.py": "answers",
        "app/console.py": "output",
    }


@pytest.mark.skipif(not README.exists(), reason="there is no README.md yet")
def test_the_file_map_is_what_is_on_the_disk() -> None:
    mapped = mapped_files(README.read_text(encoding="utf-8"))
    for path in mapped:
        assert list(PROJECT_ROOT.glob(path.rstrip("/"))), f"the file map has {path}, the disk has not"
    modules = [
        path
        for path in tracked_files()
        if path.split("/")[0] in MAPPED_FOLDERS and path.endswith((".py", ".sh")) and not path.endswith("__init__.py")
    ]
    assert modules
    files = [pattern for pattern in mapped if not pattern.endswith("/")]
    unmapped = [path for path in modules if not any(Path(path).match(pattern) for pattern in files)]
    assert unmapped == [], "these are not in README.md's file map"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    text = (PROJECT_ROOT / name).read_text(encoding="utf-8")
    broken = [target for target in _LINK.findall(text) if not (PROJECT_ROOT / target.strip()).exists()]
    assert broken == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_that_are_named_exist(name: str) -> None:
    """Only in code: prose may say that homebody answers."""
    from typer.main import get_command

    from app.cli import cli

    groups = get_command(cli).commands  # type: ignore[attr-defined]  # typer hides its groups
    text = _MAP.sub("", (PROJECT_ROOT / name).read_text(encoding="utf-8"))  # the map is prose in a code block
    code = "\n".join([*re.findall(r"```.*?```", text, re.DOTALL), *re.findall(r"`[^`\n]+`", text)])
    for words in _COMMAND.findall(code):
        first, _, second = words.partition(" ")
        assert first in groups, f"{name} names `homebody {words}`"
        inner = getattr(groups[first], "commands", None)
        if inner and second:
            assert second in inner, f"{name} names `homebody {words}`"
