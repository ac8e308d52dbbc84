"""What has changed below some folders since they were indexed: decided by size and time, without reading a file.

One read of the library and one comparison a file: this is all that indexing an unchanged folder costs.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pipelines.events import FileFailed, IndexProgress
from rag.documents import Documents, UnreadFile
from rag.errors import DamagedFile, EmptyFile, EncryptedFile, ReadError, TooLarge, UnsupportedFile
from rag.path_text import path_text
from rag.walk import FoundFile, WalkProblem

Walk = Callable[[Sequence[str]], Iterator[FoundFile | WalkProblem]]

PROGRESS_EVERY = 1000
"""Files; listing them takes some 10 ms."""

IN_THE_FILE = (UnsupportedFile, EncryptedFile, DamagedFile, EmptyFile, TooLarge)
"""Failures that lie in the file's bytes: another try of the same reader would end the same."""


@dataclass(slots=True)
class Plan:
    """What an indexing run has to do."""

    to_read: list[FoundFile] = field(default_factory=list)
    """New or changed files, in the walk's order."""
    unchanged: int = 0
    still_failed: list[FileFailed] = field(default_factory=list)
    """Files that failed before and are as they were."""
    problems: list[FileFailed] = field(default_factory=list)
    """Folders that could not be listed."""
    gone: list[str] = field(default_factory=list)
    """Files of the library that were not found where everything was listed."""
    roots: list[str] = field(default_factory=list)
    """The roots that are there, resolved."""


def failure_kind(error: ReadError, reading_identity: str) -> str:
    """How a failure is noted, so that `make_plan` can tell whether to try again."""
    if not isinstance(error, IN_THE_FILE):
        return ""  # the disk, the rights, the moment: the next run tries again
    return hashlib.sha256(f"{type(error).__name__}\n{reading_identity}".encode()).hexdigest()[:16] + (
        f" {type(error).__name__}"
    )


def _worth_another_try(before: UnreadFile, found: FoundFile, reading_identity: str) -> bool:
    if not before.failed or (before.size_bytes, before.mtime_ns) != (found.size_bytes, found.mtime_ns):
        return True
    digest, _, name = before.failure.partition(" ")
    return not name or digest != hashlib.sha256(f"{name}\n{reading_identity}".encode()).hexdigest()[:16]


def make_plan(
    documents: Documents, walk: Walk, roots: Sequence[str], reading_identity: str, plan: Plan
) -> Iterator[IndexProgress | FileFailed]:
    """Fill `plan` while walking; yields what to tell meanwhile. Writes nothing.

    `roots` are resolved paths. A generator that is closed early leaves a plan without `gone`.
    """
    not_seen = documents.read_files()
    unread = documents.unread_files()
    files_read = len(not_seen)
    changed: set[str] = set()
    incomplete: list[str] = []
    troubled: set[str] = set()
    for walked, found in enumerate(walk(roots), start=1):
        if not walked % PROGRESS_EVERY:
            yield IndexProgress("walking", walked, 0, path_text(found.path))
        try:
            # A FoundFile is a tuple: equal to what the library has of a file that was read and has not changed.
            not_seen.remove(found)  # type: ignore[arg-type]  # a problem is never equal
            continue
        except KeyError:
            pass
        if isinstance(found, WalkProblem):
            problem = FileFailed(path_text(found.path), found.reason, found.hint)
            plan.problems.append(problem)
            troubled.add(found.path)
            if found.incomplete:
                incomplete.append(found.path)
            yield problem
            continue
        before = unread.pop(found.path, None)
        if before is None or _worth_another_try(before, found, reading_identity):
            plan.to_read.append(found)
        else:
            plan.still_failed.append(FileFailed(path_text(found.path), before.reason, before.hint))
        changed.add(found.path)
    plan.unchanged = files_read - len(not_seen)
    plan.roots = [root for root in roots if root not in troubled]
    below = tuple(root.rstrip(os.sep) + os.sep for root in roots)
    unsure = tuple(path.rstrip(os.sep) + os.sep for path in incomplete)
    not_found = {*unread, *(path for path, _, _ in not_seen)} - changed
    plan.gone = sorted(
        path for path in not_found if (path + os.sep).startswith(below) and not (path + os.sep).startswith(unsure)
    )


__all__ = ["Plan", "Walk", "failure_kind", "make_plan"]
