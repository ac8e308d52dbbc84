"""`.gitignore` and `.homebodyignore`, as git reads them: nested, the deepest file that says something decides.

The files lie in the folders that are indexed, so they are untrusted: they are opened without following a
link, cut at a size, and a pattern whose regular expression could take seconds a name is refused by name.
Not read: ignore files above the folder given, and git's global ones. Who names a folder wants it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag.path_text import path_text

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILES = (".gitignore", ".homebodyignore")
"""In one folder the later one wins."""

MAX_IGNORE_FILE_BYTES = 1 << 20
MAX_STARS_IN_A_SEGMENT = 3
"""`a*b*c*d`. A name of n characters costs up to n^stars steps: 4 stars and 200 characters took 20 s."""


class IgnoreRules:
    """What the ignore files of one folder say, and, through `parent`, those of the folders above it."""

    __slots__ = ("_endings", "_names", "_others", "_parent", "_prefix_length", "_spec")

    def __init__(self, lines: Sequence[str], folder: str, parent: IgnoreRules | None) -> None:
        from pathspec import GitIgnoreSpec

        self._spec = GitIgnoreSpec.from_lines(lines, backend="simple")
        # Most names match nothing. That is told far sooner by looking them up, where patterns are plain names or
        # endings, and by one expression for all other patterns, than by asking the patterns one after the other.
        plain = [line for line in lines if _PLAIN_NAME.fullmatch(line)]
        endings = [line for line in lines if _ENDING.fullmatch(line)]
        others = [line for line in lines if line not in plain and line not in endings]
        self._names = frozenset(line.rstrip("/") for line in plain)
        self._endings = frozenset(line[1:] for line in endings)
        self._others = _one_expression(GitIgnoreSpec.from_lines(others, backend="simple"))
        self._prefix_length = len(folder.rstrip(os.sep)) + 1
        self._parent = parent

    def ignores(self, path: str, *, is_dir: bool) -> bool:
        """Whether `path` (absolute, below this folder) is left out; no folder above it is."""
        name = path[path.rfind(os.sep) + 1 :]
        ending = name[name.rfind(".") :]
        rules: IgnoreRules | None = self
        while rules is not None:
            relative = path[rules._prefix_length :]
            if os.sep != "/":
                relative = relative.replace(os.sep, "/")
            if is_dir:
                relative += "/"
            if (
                ending in rules._endings
                or name in rules._names
                or (rules._others is not None and rules._others.match(relative))
            ):
                verdict = rules._spec.check_file(relative).include
                if verdict is not None:
                    return verdict
            rules = rules._parent
        return False


_PLAIN_NAME = re.compile(r"[\w.+@-]+/?")
"""`node_modules/`, `Thumbs.db`: the last part of a path decides, since no folder above it is left out."""
_ENDING = re.compile(r"\*\.[\w+-]+")
"""`*.log`."""


def _one_expression(spec: GitIgnoreSpec) -> re.Pattern[str] | None:
    """Matches what one of the patterns matches: their expressions side by side, the groups without their names."""
    expressions = [
        re.sub(r"\(\?P<\w+>", "(?:", pattern.regex.pattern)
        for pattern in spec.patterns
        if pattern.include is not None and pattern.regex is not None
    ]
    return re.compile("|".join(f"(?:{each})" for each in expressions)) if expressions else None


def read_ignore_rules(
    folder: str, names: Sequence[str], parent: IgnoreRules | None
) -> tuple[IgnoreRules | None, list[str]]:
    """The rules that hold in `folder`, given which of IGNORE_FILES (`names`) it has.

    Returns the rules (the parent's when there is nothing new) and what was wrong with the files, a line each.
    """
    from pathspec import GitIgnoreSpec
    from pathspec.patterns.gitignore import GitIgnorePatternError

    accepted: list[str] = []
    problems: list[str] = []
    for name in IGNORE_FILES:
        if name not in names:
            continue
        try:
            lines = _read_lines(Path(folder, name))
        except OSError as error:
            problems.append(f"{name} cannot be read: {error.strerror or error}")
            continue
        for line in lines:
            if any(len(re.findall(r"\*+", segment)) > MAX_STARS_IN_A_SEGMENT for segment in line.split("/")):
                problems.append(f"{name}: the pattern {path_text(line[:60])!r} has too many stars, it is not used")
                continue
            try:
                GitIgnoreSpec.from_lines([line], backend="simple")
            except (GitIgnorePatternError, re.error):
                problems.append(f"{name}: {path_text(line[:60])!r} is not a pattern, it is not used")
                continue
            accepted.append(line)
    if not accepted:
        return parent, problems
    return IgnoreRules(accepted, folder, parent), problems


def _read_lines(file: Path) -> list[str]:
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as stream:
        content = stream.read(MAX_IGNORE_FILE_BYTES)
    # As file names are decoded, so that a pattern in another encoding matches the name in that encoding.
    return os.fsdecode(content.removeprefix(b"\xef\xbb\xbf")).splitlines()
