"""`.gitignore` and `.homebodyignore`, as git reads them: nested, the deepest file that says something decides.

The files lie in the folders that are indexed, so they are untrusted: they are opened without following a
link, cut at a size, and a pattern whose regular expression could take seconds a name is refused by name.
Not read: ignore files above the folder given, and git's global ones. Who names a folder wants it.

Most names match nothing, and in most folders none does. That is told for a whole folder at once, by its names, before
any pattern is asked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from rag.path_text import path_text

IGNORE_FILES = (".gitignore", ".homebodyignore")
"""In one folder the later one wins."""

MAX_IGNORE_FILE_BYTES = 1 << 20
READ_BYTES = 1 << 16
MAX_PATTERNS = 10_000
"""In one folder; making one takes some 50 us."""
MAX_STARS_IN_A_SEGMENT = 3
"""`a*b*c*d`. A name of n characters costs up to n^stars steps: 4 stars and 200 characters took 20 s."""
_CLASSES = {
    "[:alpha:]": "a-zA-Z",
    "[:digit:]": "0-9",
    "[:alnum:]": "a-zA-Z0-9",
    "[:upper:]": "A-Z",
    "[:lower:]": "a-z",
    "[:xdigit:]": "0-9A-Fa-f",
    "[:space:]": " \t",
}
"""git's, as far as they are of letters."""
COMPILED_FILES_KEPT = 64
"""Many folders of a tree have the same ignore file."""


class IgnoreRules:
    """What the ignore files of one folder say, and, through `parent`, those of the folders above it."""

    __slots__ = ("_parent", "_patterns", "_prefix_length")

    def __init__(self, patterns: _Patterns, folder: str, parent: IgnoreRules | None) -> None:
        self._patterns = patterns
        self._prefix_length = len(folder.rstrip(os.sep)) + 1
        self._parent = parent

    def may_ignore(self, folder: str, names: Sequence[str]) -> bool:
        """Whether something with one of these names, in a folder at or below this one, may be left out.

        False is certain and costs next to nothing; names that begin with a dot are not asked about.
        """
        rules: IgnoreRules | None = self
        while rules is not None:
            if rules._patterns.may_match(folder[rules._prefix_length :], names):
                return True
            rules = rules._parent
        return False

    def ignores(self, path: str, *, is_dir: bool) -> bool:
        """Whether `path` (absolute, below this folder) is left out; no folder above it is."""
        folder, _, name = path.rpartition(os.sep)
        rules: IgnoreRules | None = self
        while rules is not None:
            if rules._patterns.may_match(folder[rules._prefix_length :], (name,)):
                verdict = rules._patterns.verdict(
                    _as_git_writes(path[rules._prefix_length :]) + ("/" if is_dir else "")
                )
                if verdict is not None:
                    return verdict
            rules = rules._parent
        return False


class _Pattern(NamedTuple):
    """One line of an ignore file."""

    line: str
    matches: Callable[[str], object]
    """Whether the pattern matches a path itself, not by a folder above it; a folder's path ends with a slash."""
    leaves_out: bool
    """False: it begins with `!`."""


class _Patterns:
    """The patterns of one folder's ignore files, wherever that folder is.

    A pattern can only match what its last segment matches. So names are looked up where that segment is a name, and
    one expression looks at all names for the segments with wildcards. `tmp/**` matches all names in a folder or none.
    """

    __slots__ = ("_folders", "_last_first", "_may_match_any", "_names", "_wildcards")

    def __init__(self, patterns: Sequence[_Pattern]) -> None:
        self._last_first = tuple(reversed(patterns))
        names: set[str] = set()
        wildcards: set[str] = set()
        self._folders: list[Callable[[str], object]] = []
        self._may_match_any = False
        for pattern in patterns:
            last = _last_segment(pattern.line)
            if not last or "\\" in pattern.line:
                self._may_match_any = True
            elif last == "**":
                self._folders.append(pattern.matches)
            elif _IS_NAME.fullmatch(last):
                names.add(last)
            elif last[0] != ".":  # hidden files are not found whatever is said about them
                wildcards.add("".join(map(_widely, _SEGMENT_PART.findall(last))))
        self._names = frozenset(names)
        self._wildcards = re.compile(_one_of(wildcards)) if wildcards else None

    def may_match(self, folder: str, names: Sequence[str]) -> bool:
        """`folder`, where the names are, is relative to the one of the ignore files."""
        if (
            self._may_match_any
            or not self._names.isdisjoint(names)
            or (self._wildcards is not None and self._wildcards.search(f"/{'//'.join(names)}/") is not None)
        ):
            return True
        some_folder = _as_git_writes(f"{folder}/x/".lstrip("/")) if self._folders else ""
        return any(matches(some_folder) for matches in self._folders)

    def verdict(self, path: str) -> bool | None:
        """True: left out; False: kept, whatever the folders above say; None: they decide."""
        for pattern in self._last_first:
            if pattern.matches(path):
                return pattern.leaves_out
        return None


_IS_NAME = re.compile(r"[^*?\[]+")
_SEGMENT_PART = re.compile(r"\*+|\?|\[[!^]?\]?[^\]]*\]|\[|[^*?\[]+")


_ANYTHING = "[^/]*"


def _widely(part: str) -> str:
    """What matches at least what a part of a segment matches, without its slashes."""
    if part[0] == "*" or part == "[":
        return _ANYTHING
    return "[^/]" if part[0] in "?[" else re.escape(part)


def _one_of(segments: Iterable[str]) -> str:
    """What finds one of these in names with a slash before and behind each.

    Most begin with a star, and of these most go on with a dot: an expression that begins with the dot is tried in few
    places.
    """
    begun, ended, dotted = [], [], []
    for segment in sorted(segments):
        end = segment.removeprefix(_ANYTHING)
        if end == segment:
            begun.append(segment)
        elif end.startswith("\\."):
            dotted.append(end[2:])
        else:
            ended.append(end)
    found = (f"/(?:{'|'.join(begun)})/", f"(?:{'|'.join(ended)})/", f"\\.(?:{'|'.join(dotted)})/")
    return "|".join(each for each, some in zip(found, (begun, ended, dotted), strict=True) if some)


def _as_git_writes(path: str) -> str:
    return path if os.sep == "/" else path.replace(os.sep, "/")


def read_ignore_rules(
    folder: str, names: Sequence[str], parent: IgnoreRules | None
) -> tuple[IgnoreRules | None, Sequence[str]]:
    """The rules that hold in `folder`, given which of IGNORE_FILES (`names`) it has.

    Returns the rules (the parent's when there is nothing new) and what was wrong with the files, a line each.
    """
    contents: list[tuple[str, bytes]] = []
    unreadable: list[str] = []
    for name in IGNORE_FILES:
        if name not in names:
            continue
        try:
            contents.append((name, _read(f"{folder.rstrip(os.sep)}{os.sep}{name}")))
        except OSError as error:
            unreadable.append(f"{name} cannot be read: {error.strerror or error}")
    patterns, problems = _patterns_of(tuple(contents))
    return parent if patterns is None else IgnoreRules(patterns, folder, parent), (*unreadable, *problems)


@lru_cache(maxsize=COMPILED_FILES_KEPT)
def _patterns_of(contents: tuple[tuple[str, bytes], ...]) -> tuple[_Patterns | None, tuple[str, ...]]:
    """The patterns in ignore files, given by name and content; and what was wrong with them."""
    patterns: list[_Pattern] = []
    problems: list[str] = []
    for name, content in contents:
        # As file names are decoded, so that a pattern in another encoding matches the name in that encoding.
        for line in os.fsdecode(content.removeprefix(b"\xef\xbb\xbf")).splitlines():
            if len(patterns) == MAX_PATTERNS:
                problems.append(f"{name}: only the first {MAX_PATTERNS:,} patterns are used")
                break
            try:
                pattern = _pattern_of(line)
            except ValueError as error:
                problems.append(f"{name}: {path_text(line[:60])!r} {error}, it is not used")
                continue
            if pattern is not None:
                patterns.append(pattern)
    return _Patterns(patterns) if patterns else None, tuple(problems)


def _pattern_of(line: str) -> _Pattern | None:
    """What a line says; None for a comment. Raises ValueError, in words that follow the line."""
    from pathspec import GitIgnoreSpec
    from pathspec.patterns.gitignore import GitIgnorePatternError

    if any(len(re.findall(r"\*+", segment)) > MAX_STARS_IN_A_SEGMENT for segment in line.split("/")):
        raise ValueError("has too many stars")
    for named, characters in _CLASSES.items():
        line = line.replace(named, characters)
    if "[[" in line or "[:" in line:
        raise ValueError("has a class of characters that is not known")
    try:
        made = GitIgnoreSpec.from_lines([line], backend="simple").patterns
    except (GitIgnorePatternError, re.error):
        raise ValueError("is not a pattern") from None
    if not made or made[0].include is None or made[0].regex is None:
        return None
    return _Pattern(
        line, re.compile(_of_whole_paths(line, made[0].regex.pattern), re.DOTALL).fullmatch, made[0].include
    )


def _last_segment(line: str) -> str:
    return line.rstrip().removeprefix("!").rstrip("/").rpartition("/")[2]


def _of_whole_paths(line: str, expression: str) -> str:
    """pathspec's expressions also match what is below a folder that matches: what lies below one that was left out
    is never asked about, and one that was kept (`!*/`) says nothing about what is in it."""
    expression = re.sub(r"\(\?P<\w+>", "(?:", expression)
    of_folders = line.rstrip().endswith("/")
    if not expression.startswith("^"):  # *, */, ** and **/
        return ".+/" if of_folders else ".+"
    if _last_segment(line) == "**":  # it ends with the slash that everything comes behind
        return expression + (".+/" if of_folders else ".+")
    return expression


def _read(file: str) -> bytes:
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        content = b""
        while len(content) < MAX_IGNORE_FILE_BYTES and (more := os.read(descriptor, READ_BYTES)):
            content += more
        return content[:MAX_IGNORE_FILE_BYTES]
    finally:
        os.close(descriptor)
