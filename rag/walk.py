"""Find the files below some folders: every regular file that may be read, once, in a stable order.

Opens no file but the ignore files; one `stat` a file, so that asking again about an unchanged folder costs
little more than listing it. Knows nothing of the library or of readers: which names are worth reading is
passed in.

Never followed: symbolic links, to files or to folders, inside the folders given (a link's target inside the
folder is found by its own name; one outside was not asked for). A root that is itself a link is resolved.
Never entered: hidden files and folders (they hold caches, keys and settings: `.ssh`, `.gnupg`, `.env`,
`.git`, `.venv`, browser profiles, `.cache`), the folders in EXCLUDED_FOLDERS, what `.gitignore` and
`.homebodyignore` say, and the folders passed as `exclude` (homebody's own). A root is always entered,
whatever its name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from rag.ignore_rules import IGNORE_FILES, IgnoreRules, read_ignore_rules

EXCLUDED_FOLDERS = frozenset(
    {
        # what programs make, and can make again
        "node_modules",
        "bower_components",
        "__pycache__",
        "__pypackages__",
        "site-packages",
        "venv",
        "virtualenv",
        "CMakeFiles",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
        # secrets that are not hidden
        "Keychains",
        "AppData",
        "Application Support",
    }
)

VIRTUAL_FOLDERS = frozenset({"/proc", "/sys", "/dev", "/run"})
"""Not files on a disk; listing or reading them can block or never end."""


class FoundFile(NamedTuple):
    """A regular file. A named tuple, since one is made for every file of every run: it costs a fifth."""

    path: str
    """Absolute, as `os.fsdecode` gives it: bytes that are not UTF-8 are surrogates. See `rag.path_text`."""
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class WalkProblem:
    """Something below the roots could not be listed; the walk went on."""

    path: str
    """The folder or file, as in FoundFile."""
    reason: str
    hint: str = ""
    incomplete: bool = False
    """Files at or below `path` may exist though they were not found: do not take them for deleted."""


def walk(
    roots: Iterable[str | os.PathLike[str]],
    *,
    accepts: Callable[[str], bool],
    exclude: Iterable[str | os.PathLike[str]] = (),
) -> Iterator[FoundFile | WalkProblem]:
    """Yield every file at or below the roots, sorted by name in each folder, files before folders.

    `accepts` is asked with each file's name (`rag.readers.registry.accepts_name`), but not for a root that is
    a file: who names it wants it read, or wants to hear why not. A file below two roots comes once. Memory
    grows with the depth and with single folders, not with the number of files, unless there are several roots.
    """
    root_paths = list(dict.fromkeys(os.path.realpath(root) for root in roots))
    excluded = {os.path.realpath(each) for each in exclude} | VIRTUAL_FOLDERS
    if len(root_paths) == 1:  # the usual case pays nothing for the others
        yield from _walk_root(root_paths[0], excluded, accepts)
        return
    seen: set[str] = set()
    for root in root_paths:
        for found in _walk_root(root, excluded, accepts):
            if isinstance(found, FoundFile):
                if found.path in seen:
                    continue
                seen.add(found.path)
            yield found


def _walk_root(root: str, excluded: set[str], accepts: Callable[[str], bool]) -> Iterator[FoundFile | WalkProblem]:
    try:
        status = Path(root).stat()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        problem = WalkProblem(
            root,
            "there is no such file or folder" if missing else _reason(error),
            "check the name; if it is on a drive, connect it" if missing else "check that you may read it",
            incomplete=True,
        )
        return iter((problem,))
    if any(root == each or root.startswith(each + os.sep) for each in excluded):
        return iter((WalkProblem(root, "this folder is never indexed", "name a folder of your own files"),))
    if stat.S_ISREG(status.st_mode):
        return iter((FoundFile(root, status.st_size, status.st_mtime_ns),))
    if stat.S_ISDIR(status.st_mode):
        return _walk_folders(root, excluded, accepts)
    return iter((WalkProblem(root, "it is neither a file nor a folder", "name a file or a folder"),))


def _walk_folders(root: str, excluded: set[str], accepts: Callable[[str], bool]) -> Iterator[FoundFile | WalkProblem]:
    pending: list[tuple[str, IgnoreRules | None]] = [(root, None)]
    while pending:
        folder, rules = pending.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=_entry_name)
        except OSError as error:
            yield _folder_problem(folder, error)
            continue
        ignore_files = [entry.name for entry in entries if entry.name in IGNORE_FILES]
        if ignore_files:
            rules, complaints = read_ignore_rules(folder, ignore_files, rules)
            for complaint in complaints:
                yield WalkProblem(folder, complaint, "correct the file")
        folders: list[tuple[str, IgnoreRules | None]] = []
        for entry in entries:
            name = entry.name
            if name[0] == ".":
                continue
            try:
                if entry.is_file(follow_symlinks=False):
                    if accepts(name) and (rules is None or not rules.ignores(entry.path, is_dir=False)):
                        status = entry.stat(follow_symlinks=False)
                        yield FoundFile(entry.path, status.st_size, status.st_mtime_ns)
                elif entry.is_dir(follow_symlinks=False):
                    if name in EXCLUDED_FOLDERS or entry.path in excluded:
                        continue
                    if rules is None or not rules.ignores(entry.path, is_dir=True):
                        folders.append((entry.path, rules))
            except FileNotFoundError:
                continue  # it went between listing and looking: it is gone, as if it had never been listed
            except OSError as error:
                yield WalkProblem(entry.path, _reason(error), "check that you may read it", incomplete=True)
        pending.extend(reversed(folders))


_entry_name = attrgetter("name")


def _folder_problem(folder: str, error: OSError) -> WalkProblem:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return WalkProblem(
            folder,
            "the folder went away while it was being listed",
            "index it again when it is back; until then its files stay in the library",
            incomplete=True,
        )
    return WalkProblem(
        folder,
        f"the folder cannot be listed: {_reason(error)}",
        "check that you may read it, or leave it out with a line in .homebodyignore",
        incomplete=True,
    )


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
