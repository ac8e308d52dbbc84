"""Find the files below some folders: every regular file that may be read, once, in a stable order.

Opens no file but the ignore files; one `stat` a file, so that asking again about an unchanged folder costs
little more than listing it. Knows nothing of the library or of readers.

Never followed: symbolic links, to files or to folders, inside the folders given (a link's target inside the
folder is found by its own name; one outside was not asked for). A root that is itself a link is resolved.
Never entered: hidden files and folders (they hold caches, keys and settings: `.ssh`, `.gnupg`, `.env`,
`.git`, `.venv`, browser profiles, `.cache`), the folders in EXCLUDED_FOLDERS, what `.gitignore` and
`.homebodyignore` say, the folders passed as `exclude` (homebody's own), and what is passed as `left_out` (taken
out by the user). A root is always entered, whatever its name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from rag.ignore_rules import IGNORE_FILES, IgnoreRules, read_ignore_rules
from rag.mounted import is_below

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
    """A regular file. A tuple, so that it is equal to a `FileRow`."""

    path: str
    """Absolute, as `os.fsdecode` gives it: bytes that are not UTF-8 are surrogates. See `rag.path_text`."""
    size_bytes: int
    mtime_ns: int


FileRow = tuple[str, int, int]
"""Path, size and time of a file as in FoundFile, without its class: one is made for every file of every run."""


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
    accepts: Callable[[str], bool] | None = None,
    exclude: Iterable[str | os.PathLike[str]] = (),
    left_out: frozenset[str] = frozenset(),
    entered: Callable[[str], object] = lambda _folder: None,
) -> Iterator[list[FileRow] | WalkProblem]:
    """Yield every file at or below the roots, a list a folder in no order; the folders in the order of their names.

    `accepts` is asked with each file's name, but not for a root that is a file: who names it wants it read, or
    wants to hear why not. Which kinds are read is not asked here: the others are listed with a reason. A file
    below two roots comes once. Memory grows with the depth and with single folders, not with the number of
    files, unless there are several roots.
    `left_out` are absolute paths that are passed over below a root, and do not count for a root of that name.
    `entered` is told every folder right before it is listed.
    """
    root_paths = list(dict.fromkeys(os.path.realpath(root) for root in roots))
    view = View(accepts, exclude, left_out, entered)
    if len(root_paths) == 1:  # the usual case pays nothing for the others
        yield from _walk_root(root_paths[0], view)
        return
    seen: set[str] = set()
    for root in root_paths:
        for found in _walk_root(root, view):
            if isinstance(found, list):
                found = [row for row in found if row[0] not in seen]
                seen.update(row[0] for row in found)
            yield found


class View:
    """What may be seen below a root, apart from what ignore files say."""

    __slots__ = ("accepts", "entered", "excluded", "left_out")

    def __init__(
        self,
        accepts: Callable[[str], bool] | None = None,
        exclude: Iterable[str | os.PathLike[str]] = (),
        left_out: frozenset[str] = frozenset(),
        entered: Callable[[str], object] = lambda _folder: None,
    ) -> None:
        self.accepts = accepts
        self.excluded = {os.path.realpath(each) for each in exclude} | VIRTUAL_FOLDERS
        self.left_out = left_out
        self.entered = entered

    def has_folder(self, name: str, path: str) -> bool:
        """Whether a folder below a root is entered, as far as its name says."""
        return (
            name[0] != "." and name not in EXCLUDED_FOLDERS and path not in self.excluded and path not in self.left_out
        )

    def has_file(self, name: str, path: str) -> bool:
        """Whether a file below a root is found, as far as its name says."""
        return (
            name[0] != "."
            and (self.accepts is None or self.accepts(name))
            and (not self.left_out or path not in self.left_out)
        )


def _walk_root(root: str, view: View) -> Iterator[list[FileRow] | WalkProblem]:
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
    if any(is_below(root, each) for each in view.excluded):
        return iter((WalkProblem(root, "this folder is never indexed", "name a folder of your own files"),))
    if stat.S_ISREG(status.st_mode):
        return iter(([(root, status.st_size, status.st_mtime_ns)],))
    if stat.S_ISDIR(status.st_mode):
        return walk_folder(root, None, view)
    return iter((WalkProblem(root, "it is neither a file nor a folder", "name a file or a folder"),))


def walk_folder(folder: str, rules: IgnoreRules | None, view: View) -> Iterator[list[FileRow] | WalkProblem]:
    """Every file below a folder, whatever its own name; `rules` are those of the folders above it."""
    pending: list[tuple[str, IgnoreRules | None]] = [(folder, rules)]
    while pending:
        folder, rules = pending.pop()
        view.entered(folder)
        try:
            files, folders, problems = _look_into(folder, rules, view)
        except OSError as error:
            yield _folder_problem(folder, error)
            continue
        yield from problems
        if files:
            yield files
        folders.sort(key=_path_of, reverse=True)  # the last one is taken first
        pending.extend(folders)


def _look_into(
    folder: str, rules: IgnoreRules | None, view: View
) -> tuple[list[FileRow], list[tuple[str, IgnoreRules | None]], list[WalkProblem]]:
    """What is in one folder: files, folders with the rules that hold for them, and what could not be looked at.

    Raises OSError when the folder cannot be listed.
    """
    files: list[FileRow] = []
    folders: list[tuple[str, IgnoreRules | None]] = []
    problems: list[WalkProblem] = []
    is_seen = view.has_file if view.accepts is not None or view.left_out else None
    above = folder.rstrip(os.sep) + os.sep
    with _listed(folder) as entries:
        ignore_files = [entry.name for entry in entries if entry.name in IGNORE_FILES]
        if ignore_files:
            rules, complaints = read_ignore_rules(folder, ignore_files, rules)
            problems += (WalkProblem(folder, complaint, "correct the file") for complaint in complaints)
        may_ignore = rules is not None and rules.may_ignore(folder, [entry.name for entry in entries])
        for entry in entries:  # the hot loop: a few hundred ns a file beside its stat
            name = entry.name
            if name[0] == ".":
                continue
            try:
                if entry.is_file(follow_symlinks=False):
                    path = above + name
                    if is_seen is not None and not is_seen(name, path):
                        continue
                    if may_ignore and rules is not None and rules.ignores(path, is_dir=False):
                        continue
                    status = entry.stat(follow_symlinks=False)
                    files.append((path, status.st_size, status.st_mtime_ns))
                elif entry.is_dir(follow_symlinks=False):
                    path = above + name
                    if view.has_folder(name, path) and not (
                        may_ignore and rules is not None and rules.ignores(path, is_dir=True)
                    ):
                        folders.append((path, rules))
            except FileNotFoundError:
                continue  # it went between listing and looking: it is gone, as if it had never been listed
            except OSError as error:
                problem = WalkProblem(above + name, _reason(error), "check that you may read it", incomplete=True)
                problems.append(problem)
    return files, folders, problems


_BY_DESCRIPTOR = os.scandir in os.supports_fd


@contextmanager
def _listed(folder: str) -> Iterator[list[os.DirEntry[str]]]:
    """The entries of a folder; they can be looked at inside the block.

    Where the system can, below an open folder: its path is not looked up again for every file, and no link that is
    put in its place is followed. Raises OSError.
    """
    if not _BY_DESCRIPTOR:
        with os.scandir(folder) as listing:
            entries = list(listing)
        yield entries
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        with os.scandir(descriptor) as below:
            entries = list(below)
        yield entries
    finally:
        os.close(descriptor)


_path_of = itemgetter(0)


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
