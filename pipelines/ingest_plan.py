"""What has changed below some folders since they were indexed: decided by size and time, without reading a file.

One read of the library and one comparison a file: this is all that indexing an unchanged folder costs.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from pipelines.events import FileFailed, IndexProgress
from rag.documents import Documents, UnreadFile
from rag.errors import DamagedFile, EmptyFile, EncryptedFile, NotNow, ReadError, TooLarge, UnsupportedFile
from rag.last_looks import FilesFound, LastLook, LastLooks, look_key
from rag.members import Members, Standing
from rag.path_text import path_text
from rag.temporary_names import is_temporary_name
from rag.walk import FileRow, FoundFile, WalkProblem

Walk = Callable[[Sequence[str]], Iterator[list[FileRow] | WalkProblem]]
"""`rag.walk.walk`: the files below some roots, a list a folder."""

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
    moved: list[tuple[str, str]] = field(default_factory=list)
    """Files that have another path now and are otherwise the same, (old, new): in neither of the lists above."""
    unsupported: list[tuple[FoundFile, ReadError]] = field(default_factory=list)
    """New files whose names say that no reader takes them."""
    roots: list[str] = field(default_factory=list)
    """The roots that are there, resolved."""
    look: tuple[bytes, LastLook] | None = None
    """This look and its key, where it found nothing to do."""


RefuseName = Callable[[str], None]
"""Raises UnsupportedFile for a name that says that no reader takes the file."""


def standing_for(reading_identity: str, readers: frozenset[str]) -> Standing:
    """What counts of earlier readings, for readers and limits as they are."""
    return Standing(readers, hashlib.sha256(reading_identity.encode()).hexdigest()[:16])


def failure_kind(error: ReadError, standing: Standing, *, is_inside: bool = False) -> str:
    """How a failure is noted, so that `make_plan` can tell whether to try again."""
    if isinstance(error, NotNow) or (not is_inside and not isinstance(error, IN_THE_FILE)):
        return ""  # the disk, the rights, the moment: the next run tries again
    return f"{standing.failure} {type(error).__name__}"


def unsupported_kind(standing: Standing) -> str:
    """How files that no reader takes are noted."""
    return f"{standing.failure} {UnsupportedFile.__name__}"


def _worth_another_try(before: UnreadFile, found: FoundFile, standing: Standing) -> bool:
    if not before.failed or (before.size_bytes, before.mtime_ns) != (found.size_bytes, found.mtime_ns):
        return True
    return not before.failure.startswith(standing.failure)


def make_plan(
    documents: Documents,
    members: Members,
    walk: Walk,
    roots: Sequence[str],
    standing: Standing,
    plan: Plan,
    *,
    refuse_name: RefuseName,
    last_looks: LastLooks | None = None,
    unsure: Sequence[str] = (),
) -> Iterator[IndexProgress | FileFailed]:
    """Fill `plan` while walking; yields what to tell meanwhile. Writes nothing but that a look begins.

    `roots` are resolved paths. With `last_looks` what is found is first compared with the last look at these roots;
    without, with what the library has at and below them: for a few paths of a large library. What is at or below
    `unsure` is not taken for gone when it is not found. A generator that is closed early leaves a plan without `gone`.
    """
    walked: Iterable[list[FileRow] | WalkProblem | IndexProgress] = _with_progress(walk(roots))
    key = look_key(roots, unsure, (standing.failure, *standing.readers))
    last = last_looks.of(key) if last_looks is not None else None
    if last is not None:
        listed: list[list[FileRow] | WalkProblem] = []
        for found_now in walked:
            if isinstance(found_now, IndexProgress):
                yield found_now
            else:
                listed.append(found_now)
        if _digest_of(listed) == last.found:
            plan.unchanged, plan.roots = last.unchanged, [*roots]
            plan.still_failed = [FileFailed(*failed) for failed in last.failed]
            return
        walked = listed
    if last_looks is not None:
        last_looks.begin(key)
    files_found = FilesFound()
    below = None if last_looks is not None else roots
    not_seen = documents.read_files(below)
    unsupported = documents.unsupported_files(unsupported_kind(standing), below)
    unread = documents.unread_files(below, but_unsupported=unsupported_kind(standing))
    if to_read_again := members.to_read_again(standing):
        again = {file for file in not_seen if file[0] in to_read_again}
        not_seen -= again
        unread.update((path, UnreadFile(size, mtime, False, "", "", "")) for path, size, mtime in again)
    known = frozenset(not_seen)
    inside = members.counts(below)
    named = frozenset(roots)
    changed: set[str] = set()
    incomplete: list[str] = []
    troubled: set[str] = set()
    for rows in walked:
        if isinstance(rows, IndexProgress):
            yield rows
            continue
        if isinstance(rows, WalkProblem):
            problem = FileFailed(path_text(rows.path), rows.reason, rows.hint)
            plan.problems.append(problem)
            troubled.add(rows.path)
            if rows.incomplete:
                incomplete.append(rows.path)
            yield problem
            continue
        files_found.add(rows)
        # One step for a whole folder of files that were read and have not changed.
        not_seen_before = len(not_seen)
        not_seen.difference_update(rows)
        if not_seen_before - len(not_seen) == len(rows):
            continue
        for row in sorted(row for row in rows if row not in known):
            found = FoundFile(*row)
            if found.path not in named:
                if row in unsupported:
                    unsupported.remove(row)
                    continue
                if is_temporary_name(PurePath(found.path).name):
                    continue
            before = unread.pop(found.path, None)
            if before is None or _worth_another_try(before, found, standing):
                refusal = None if found.path in named else _refusal(refuse_name, found)
                if refusal is None:
                    plan.to_read.append(found)
                else:
                    plan.unsupported.append((found, refusal))
            else:
                plan.still_failed.append(FileFailed(path_text(found.path), before.reason, before.hint))
            changed.add(found.path)
    plan.unchanged = len(known) - len(not_seen)
    if inside:
        _count_members(plan, members, known - not_seen, inside, below)
    plan.roots = [root for root in roots if root not in troubled]
    walked_below = tuple(root.rstrip(os.sep) + os.sep for root in roots)
    kept = tuple(path.rstrip(os.sep) + os.sep for path in (*incomplete, *unsure))

    def is_gone(path: str) -> bool:
        return path not in changed and (path + os.sep).startswith(walked_below) and not (path + os.sep).startswith(kept)

    read_and_gone = [file for file in not_seen if is_gone(file[0])]
    plan.moved = _moves(read_and_gone, plan.to_read)
    came_from, went_to = {old for old, _ in plan.moved}, {new for _, new in plan.moved}
    plan.to_read = [file for file in plan.to_read if file.path not in went_to]
    gone = {path for path, _, _ in (*read_and_gone, *filter(lambda file: is_gone(file[0]), unsupported))}
    gone.update(filter(is_gone, unread))
    plan.gone = sorted(gone - came_from)
    if last_looks is not None and not (plan.to_read or plan.moved or plan.gone or plan.unsupported or plan.problems):
        failed = tuple((each.path, each.reason, each.hint) for each in plan.still_failed)
        plan.look = key, LastLook(files_found.digest, plan.unchanged, failed)


def _with_progress(
    walked: Iterable[list[FileRow] | WalkProblem],
) -> Iterator[list[FileRow] | WalkProblem | IndexProgress]:
    files, next_progress = 0, PROGRESS_EVERY
    for found in walked:
        yield found
        if isinstance(found, list):
            files += len(found)
            if files >= next_progress:
                next_progress = files + PROGRESS_EVERY
                yield IndexProgress("walking", files, 0, path_text(found[-1][0]))


def _digest_of(walked: Iterable[list[FileRow] | WalkProblem]) -> bytes:
    """Of the files that were found; empty when something could not be listed."""
    files_found = FilesFound()
    for found in walked:
        if isinstance(found, WalkProblem):
            return b""
        files_found.add(found)
    return files_found.digest


def _refusal(refuse_name: RefuseName, found: FoundFile) -> UnsupportedFile | None:
    try:
        refuse_name(found.path)
    except UnsupportedFile as refusal:
        return refusal
    return None


def _count_members(
    plan: Plan,
    members: Members,
    unchanged: Collection[tuple[str, int, int]],
    inside: Mapping[tuple[str, int, int], int],
    below: Sequence[str] | None,
) -> None:
    """What is inside an unchanged file is unchanged, and what failed there fails."""
    plan.unchanged += sum(count for file, count in inside.items() if file in unchanged)
    paths = {path for path, _, _ in unchanged if path}
    plan.still_failed += [
        FileFailed(member.path, member.reason, member.hint)
        for outermost, member in members.failed(below)
        if outermost in paths
    ]


def _moves(gone: Sequence[tuple[str, int, int]], new: Sequence[FoundFile]) -> list[tuple[str, str]]:
    """Which of the new files were at another path before, known without reading them.

    A file that is gone and a new one with the same name, size and time of change to the nanosecond are the same
    file, when there is one of each. Times in whole seconds say too little: an archive gives all its files the
    same one. What is not recognised here is still recognised by its hash (`ReadingThread`).
    """
    if not gone or not new:
        return []
    places: dict[tuple[str, int, int], list[str]] = {}
    for path, size_bytes, mtime_ns in gone:
        if mtime_ns % 1_000_000_000:
            places.setdefault((PurePath(path).name, size_bytes, mtime_ns), []).append(path)
    moves: dict[str, list[str]] = {}
    for file in new:
        old = places.get((PurePath(file.path).name, file.size_bytes, file.mtime_ns))
        if old is not None and len(old) == 1:
            moves.setdefault(old[0], []).append(file.path)
    return [(path, new_paths[0]) for path, new_paths in moves.items() if len(new_paths) == 1]


__all__ = ["Plan", "RefuseName", "Walk", "failure_kind", "make_plan", "standing_for", "unsupported_kind"]
