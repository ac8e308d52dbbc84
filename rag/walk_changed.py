"""Find what is at a few paths below some roots, as a walk of the whole roots would have found it.

For following changes: it costs what the paths cost, not what the roots do. Knows nothing of the library.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath

from rag.ignore_rules import IGNORE_FILES, IgnoreRules, read_ignore_rules
from rag.mounted import is_below
from rag.walk import FileRow, View, WalkProblem, walk_folder


def walk_changed(roots: Sequence[str], paths: Iterable[str], view: View) -> Iterator[list[FileRow] | WalkProblem]:
    """Yield the files at or below the paths (absolute, no links in them), each once, as `walk` does.

    A path that is not there, or that a walk of its root would not come by, yields nothing.
    """
    rules_in: dict[tuple[str, str], IgnoreRules | None] = {}
    seen: set[str] = set()
    for path in paths:
        for root in roots:
            if is_below(path, root):
                for found in _at(root, path, view, rules_in):
                    if isinstance(found, list):
                        found = [row for row in found if row[0] not in seen]
                        seen.update(row[0] for row in found)
                    yield found


def _at(
    root: str, path: str, view: View, rules_in: dict[tuple[str, str], IgnoreRules | None]
) -> Iterator[list[FileRow] | WalkProblem]:
    try:
        status = Path(path).lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        yield WalkProblem(path, (error.strerror or str(error)).lower(), "check that you may read it", incomplete=True)
        return
    is_dir = stat.S_ISDIR(status.st_mode)
    if not is_dir and not stat.S_ISREG(status.st_mode):
        return
    rules: IgnoreRules | None = None
    if path != root:
        rest = PurePath(path).relative_to(root).parts
        folder = root.rstrip(os.sep)
        for name in rest[:-1]:
            rules = _rules_of(root, folder or os.sep, rules, rules_in)
            folder = folder + os.sep + name
            if not _is_entered(folder, name, rules, view):
                return
        rules = _rules_of(root, folder or os.sep, rules, rules_in)
        name = rest[-1]
        visible = view.has_folder(name, path) if is_dir else view.has_file(name, path)
        if not visible or (rules is not None and rules.ignores(path, is_dir=is_dir)):
            return
    if is_dir:
        yield from walk_folder(path, rules, view)
    else:
        yield [(path, status.st_size, status.st_mtime_ns)]


def _is_entered(folder: str, name: str, rules: IgnoreRules | None, view: View) -> bool:
    if not view.has_folder(name, folder) or (rules is not None and rules.ignores(folder, is_dir=True)):
        return False
    try:
        return stat.S_ISDIR(Path(folder).lstat().st_mode)
    except OSError:
        return False


def _rules_of(
    root: str, folder: str, above: IgnoreRules | None, rules_in: dict[tuple[str, str], IgnoreRules | None]
) -> IgnoreRules | None:
    """The rules that hold in a folder, read once for all paths. What is wrong with them a full walk tells."""
    key = (root, folder)
    if key not in rules_in:
        names = [name for name in IGNORE_FILES if os.path.lexists(f"{folder}{os.sep}{name}")]
        rules_in[key] = read_ignore_rules(folder, names, above)[0] if names else above
    return rules_in[key]
