"""Carry out the remedies of the doctor: each derived thing is made anew, and what no file can tell is kept.

In this order, since each needs the one before: the data folder's rights, the library file itself, its indexes of
words, its records, chromadb's copy, and last the files: indexing them again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import get_args

from pipelines.checkup import Check, Repair
from pipelines.chroma_child import CHROMA_CHILD_COMMAND
from pipelines.events import IndexDone, IndexEvent
from pipelines.home import Home
from pipelines.paths import HomePaths
from pipelines.settings import Settings
from pipelines.vector_store import chroma_place
from rag.chroma_store import ChromaStore
from rag.errors import LibraryError, LibraryLocked
from rag.library_db import LibraryDb
from rag.library_repair import rebuild_word_indexes, remove_orphans, replace_broken_file
from rag.writer_lock import WriterLock

NEEDS_INDEXING: frozenset[Repair] = frozenset({"replace file", "orphans", "index"})


def repairs_for(checks: Iterable[Check]) -> tuple[Repair, ...]:
    """What is to be carried out for these checks, once each, in the order in which it must be."""
    wanted = {check.repair for check in checks if check.status != "ok"}
    return tuple(repair for repair in get_args(Repair) if repair and repair in wanted)


def carry_out(
    repairs: Iterable[Repair],
    paths: HomePaths,
    settings: Settings,
    open_home: Callable[[], Home],
    stop: threading.Event,
) -> Iterator[str]:
    """Do it, and say what was done, a sentence a step. A second run repairs what the first left.

    Raises LibraryLocked while another homebody writes, ChromaFailed, StorageFull and other EXPECTED_ERRORS.
    """
    wanted = tuple(repairs)
    if "permissions" in wanted:
        paths.root.chmod(0o700)
        yield f"{paths.root} is yours alone now"
    lock = WriterLock(paths.lock_file)
    if not lock.acquire():
        raise LibraryLocked(
            f"nothing can be repaired now: {lock.holder()} has this library open", hint="close it and do it again"
        )
    try:
        yield from _repair_library(wanted, paths, settings, stop)
    finally:
        lock.release()
    if NEEDS_INDEXING.intersection(wanted) and not stop.is_set():
        yield from _index(open_home, stop)


def _repair_library(
    wanted: tuple[Repair, ...], paths: HomePaths, settings: Settings, stop: threading.Event
) -> Iterator[str]:
    if "replace file" in wanted:
        replaced = replace_broken_file(paths.library_file)
        yield (
            f"the damaged file is kept as {replaced.kept_as}; carried over: {replaced.conversations} conversations"
            f" with {replaced.turns} turns, {replaced.roots} folders to index"
        )
    with LibraryDb(paths.library_file) as library:
        # Records are removed through triggers that need whole indexes.
        if "word indexes" in wanted or "orphans" in wanted:
            rebuild_word_indexes(library)
            yield "the indexes of words were made anew from the texts"
        if "orphans" in wanted:
            remove_orphans(library)
            yield "records that belonged to nothing were removed"
        if "chroma" in wanted:
            store = ChromaStore(library, chroma_place(paths, settings), child_command=CHROMA_CHILD_COMMAND)
            try:
                told = 0
                for progress in store.rebuild(stop):
                    told = progress.done
            finally:
                store.close()
            yield f"chromadb's copy was built anew: {told:,} vectors, none embedded again"


def _index(open_home: Callable[[], Home], stop: threading.Event) -> Iterator[str]:
    home = open_home()
    try:
        if home.read_only_because:
            raise LibraryError(f"the files cannot be indexed: {home.read_only_because}", hint="homebody index")
        roots = [Path(root) for root in home.library().roots]
        for event in home.index(roots, stop):
            if said := _said_of(event):
                yield said
    finally:
        home.close()


def _said_of(event: IndexEvent) -> str:
    if not isinstance(event, IndexDone):
        return ""
    report = event.report
    return (
        f"indexed again: {report.indexed:,} read, {report.unchanged:,} unchanged, {report.removed:,} gone,"
        f" {len(report.failed):,} failed"
    )
