"""Open a file by its path, on the disk or inside another file: an attachment, an entry of an archive, at any depth.

The path of a file inside another is the one it was indexed under (`rag.members`). Nothing is unpacked to disk: what
is around it is gone through again, counted and bounded as when it was indexed. For the worker processes only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import PurePath

from rag.errors import ReadError, TooLarge
from rag.member_budget import Budget, Exhausted, open_member
from rag.member_paths import MemberPaths
from rag.path_text import path_text
from rag.readers.contract import OpenedFile, Reader, ReadLimits, open_regular

ChooseReader = Callable[[OpenedFile], tuple[Reader, str]]


@contextmanager
def open_anywhere(
    path: str, limits: ReadLimits, choose_reader: ChooseReader
) -> Iterator[tuple[OpenedFile, OpenedFile]]:
    """The file, and the one on the disk that holds it: the same for most.

    Raises ReadError and those below it, also for what is read of the file in the block.
    """
    outer_path, inner = split_path(path)
    with ExitStack() as opened:
        on_disk = open_regular(outer_path)
        opened.enter_context(on_disk.stream)
        try:
            file = on_disk
            if inner:
                limits = replace(limits, draws=False, listens=False)
                file = _descend(on_disk, inner, limits, choose_reader, Budget.of(on_disk, limits), opened, depth=1)
            yield file, on_disk
        except Exhausted as exhausted:
            raise exhausted.error from exhausted


def split_path(path: str) -> tuple[str, str]:
    """The file on the disk that a path leads to or into, and the path inside it; empty where it is that file."""
    outer = path
    while not _exists(outer):
        above = os.path.dirname(outer)  # noqa: PTH120 - undecodable names are text here
        if above == outer:
            return path, ""
        outer = above
    if outer == path or not _is_file(outer):
        return path, ""
    return outer, path[len(outer) + 1 :]


def _descend(
    outer: OpenedFile,
    inner: str,
    limits: ReadLimits,
    choose_reader: ChooseReader,
    budget: Budget,
    opened: ExitStack,
    *,
    depth: int,
) -> OpenedFile:
    if depth > limits.max_nesting:
        raise TooLarge(
            f"{path_text(PurePath(inner).name)} lies in more than {limits.max_nesting} files inside each other",
            hint="unpack the outer ones, and index the folder",
        )
    reader, _ = choose_reader(outer)
    reading = reader(outer, limits)
    for _ in reading.blocks:  # its members come when its own text is exhausted
        pass
    paths = MemberPaths()
    for member in reading.members:
        budget.spend_member()
        told = paths.take(member.path)
        if told == inner:
            return opened.enter_context(open_member(member, f"{outer.path}/{told}", budget, limits))
        if inner.startswith(f"{told}/"):
            file = opened.enter_context(open_member(member, f"{outer.path}/{told}", budget, limits))
            return _descend(file, inner[len(told) + 1 :], limits, choose_reader, budget, opened, depth=depth + 1)
    raise ReadError(
        f"{path_text(PurePath(inner).name)} is not in {outer.name}", hint="it has changed since: index it again"
    )


def _exists(path: str) -> bool:
    try:
        os.lstat(path)
    except (OSError, ValueError):
        return False
    return True


def _is_file(path: str) -> bool:
    return stat.S_ISREG(os.lstat(path).st_mode)
