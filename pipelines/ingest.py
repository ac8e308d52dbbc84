"""Bring the library up to date with files and folders, and say how it goes.

    walk -> decide (size and time, then hash) -> read -> store words -> embed -> store vectors -> tell chromadb

Reading (a thread and the reader's process) and embedding (whoever iterates) overlap. Every step is stored in
one transaction and none is repeated: a run that is stopped or killed is finished by the next one, and the same
library comes out. Knows no user interface and no engine.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from pipelines.events import FileChanged, FileFailed, IndexDone, IndexEvent, IndexProgress, IndexReport, Notice
from pipelines.foreground import Foreground
from pipelines.ingest_embedding import IngestEmbedding
from pipelines.ingest_events import FileGoesOn, FileGrows, FileNotRead, FileRead, FileSettled, MembersGone
from pipelines.ingest_plan import Plan, RefuseName, Walk, make_plan, standing_for, unsupported_kind
from pipelines.ingest_reading import FileGone, ReadingThread
from pipelines.ingest_storing import FileReader, SplitBlocks, unsupported_label
from pipelines.library_embedders import Embedders
from rag.chroma_store import ChromaStore
from rag.documents import Documents
from rag.embedding_queue import NEXT_VECTORS, EmbeddingQueue
from rag.errors import ChromaFailed, StorageFull
from rag.keyword_merging import merge_parts
from rag.last_looks import LastLooks
from rag.library_db import LibraryDb
from rag.members import Members
from rag.path_text import path_text
from rag.roots import Roots

READING_WAIT_S = 0.2


@dataclass(slots=True)
class _Run:
    """The state of one run."""

    stop: threading.Event
    embedding: IngestEmbedding
    indexed: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: list[FileFailed] = field(default_factory=list)
    unsupported: Mapping[str, int] = field(default_factory=dict)
    chunks: int = 0
    files_done: int = 0
    files_total: int = 0
    large_file: str = ""
    """That is being read, and how much of it was."""
    read_share: float = 0.0
    path: str = ""
    """The last one that was told of."""
    growing: int = 0
    """Passages stored of a file that is not whole yet."""
    started_s: float = field(default_factory=time.monotonic)
    reading_since_s: float = 0.0

    def file_ended(self) -> None:
        """One of those on the disk."""
        self.files_done += 1
        self.large_file, self.read_share, self.growing = "", 0.0, 0

    def report(self) -> IndexReport:
        return IndexReport(
            indexed=self.indexed,
            unchanged=self.unchanged,
            removed=self.removed,
            failed=tuple(self.failed),
            unsupported=self.unsupported,
            chunks=self.chunks,
            seconds=time.monotonic() - self.started_s,
            stopped=self.stop.is_set(),
            broken_off=self.path if self.growing else "",
        )


class Ingest:
    """Indexes into one library. One run at a time, by the process that holds the writer lock."""

    def __init__(
        self,
        *,
        db: LibraryDb,
        walk: Walk,
        reader: FileReader,
        split: SplitBlocks,
        embedders: Embedders,
        chroma: ChromaStore | None,
        foreground: Foreground,
        reading_identity: str = "",
        readers: frozenset[str] = frozenset(),
        refuse_name: RefuseName = lambda _name: None,
        look: Callable[[threading.Event], Iterator[IndexEvent]] | None = None,
    ) -> None:
        """`reading_identity` changes when a file that failed is worth another try: the reader's limits, versions.
        `readers` are the names and versions there are: what others have read is read again. Files whose names
        `refuse_name` refuses are listed as not supported, without being opened.
        `look` gives pictures their vectors, when all words are stored and embedded, and may change what is said of
        them.
        `embedders` are asked once a run, and only when there is something to embed; where they raise ModelError
        (WeightsMissing, …) the run stores words only and says so.
        """
        self._db = db
        self._walk = walk
        self._reader = reader
        self._split = split
        self._embedders = embedders
        self._chroma = chroma
        self._foreground = foreground
        self._standing = standing_for(reading_identity, readers)
        self._refuse_name = refuse_name
        self._look = look
        self._documents = Documents(db)
        self._members = Members(db, self._documents)
        self._roots = Roots(db)
        self._last_looks = LastLooks(db)
        self._queue = EmbeddingQueue(db)
        self._next_queue = EmbeddingQueue(db, NEXT_VECTORS)

    def prefer(self, content_ids: Iterable[int]) -> None:
        """Embed these contents first from now on, instead of those preferred before. From any thread."""
        preferred = tuple(content_ids)
        self._queue.prefer(preferred)
        self._next_queue.prefer(preferred)

    def _new_run(self, stop: threading.Event) -> _Run:
        embedding = IngestEmbedding(self._db, self._embedders, self._queue, self._next_queue, self._foreground, stop)
        return _Run(stop, embedding)

    def run(
        self,
        roots: Iterable[str | os.PathLike[str]],
        stop: threading.Event,
        *,
        reembed: bool = False,
        named: bool = False,
        tell_chroma: bool = True,
    ) -> Iterator[IndexEvent]:
        """Index the files at and below `roots`; ends with IndexDone, also when `stop` was set.

        Without roots it only finishes what an earlier run left. A root that is not connected is reported and its
        files are kept; `named` says that the user asked for these roots by name, so what is there now counts.
        Where the library is to have another embedder (`reembed`: whichever is at hand), every vector is made anew
        while the old ones serve; passages are kept. Without `tell_chroma` that is left to who calls it.
        Raises EmbedderMismatch, StorageFull, LibraryDamaged; what was stored by then is whole and stays.
        """
        run = self._new_run(stop)
        plan = Plan()
        self._documents.clear_what_a_crash_left()
        yield from self._plan(run, plan, roots, named=named)
        if not stop.is_set():
            self._roots.add(plan.roots)
            self._roots.note_mounts(plan.roots)
            self._begin(run, plan)
            if run.embedding.is_due() or plan.to_read or reembed:
                yield from run.embedding.choose(reembed=reembed)
                yield from self._read_and_embed(run, plan)
                yield from run.embedding.finish()
        if not stop.is_set():
            # Only now, so that a file that was moved finds its passages at its old place.
            run.removed += self._documents.remove(plan.gone)
            if plan.look is not None:
                self._last_looks.keep(*plan.look)
            if tell_chroma:
                yield from self.tell_chroma(stop)
            self._put_words_together(stop)
        if self._look is not None and not stop.is_set():
            looked = False
            for event in self._look(stop):
                looked = True
                yield event
            if looked:
                yield from self._embed_descriptions(run)
            if looked and tell_chroma:
                yield from self.tell_chroma(stop)
        run.unsupported = self._documents.count_unsupported(plan.roots)
        yield IndexDone(run.report())

    def check(
        self, paths: Sequence[str], walk: Walk, unsure: Sequence[str], stop: threading.Event
    ) -> Iterator[IndexEvent]:
        """Look again at a few files and folders below roots, which `walk` finds; ends with IndexDone.

        Stores words only, so that they can be searched at once; `run` brings the vectors. What is at or below
        `unsure` is kept when it is not found. Raises as `run`.
        """
        run, plan = self._new_run(stop), Plan()
        yield from make_plan(
            self._documents,
            self._members,
            walk,
            paths,
            self._standing,
            plan,
            refuse_name=self._refuse_name,
            unsure=unsure,
        )
        run.failed = list(plan.problems)
        self._begin(run, plan)
        yield from (FileChanged(path_text(new), "moved") for _, new in plan.moved)
        if plan.to_read:
            yield from _told_as_changes(self._read_and_embed(run, plan))
        if not stop.is_set():
            run.removed += self._documents.remove(plan.gone)
            yield from (FileChanged(path_text(path), "removed") for path in plan.gone)
        yield IndexDone(run.report())

    def _begin(self, run: _Run, plan: Plan) -> None:
        """Store what the plan knows without reading a file."""
        if plan.moved:
            self._documents.move(plan.moved)
            run.indexed += len(plan.moved)
        if plan.to_read:
            self._documents.begin(plan.to_read)
        refused = ((file, error, unsupported_label(file.path, error)) for file, error in plan.unsupported)
        self._documents.record_failures(refused, unsupported_kind(self._standing))

    def _plan(
        self, run: _Run, plan: Plan, roots: Iterable[str | os.PathLike[str]], *, named: bool
    ) -> Iterator[IndexEvent]:
        resolved = list(dict.fromkeys(os.path.realpath(root) for root in roots))
        if not resolved:
            return
        away = {root: why for root in resolved if (why := self._roots.why_away(root, named=named))}
        for root, why in away.items():
            problem = FileFailed(path_text(root), why, "connect it; until then its files stay in the library")
            run.failed.append(problem)
            yield problem
        here = [root for root in resolved if root not in away]
        yield IndexProgress("walking", 0, 0)
        unsure = (*away, *self._roots.away_below(here))
        for event in make_plan(
            self._documents,
            self._members,
            self._walk,
            here,
            self._standing,
            plan,
            refuse_name=self._refuse_name,
            last_looks=self._last_looks,
            unsure=unsure,
        ):
            yield event
            if run.stop.is_set():
                break
        run.unchanged = plan.unchanged
        run.failed += [*plan.problems, *plan.still_failed]

    def _read_and_embed(self, run: _Run, plan: Plan) -> Iterator[IndexEvent]:
        """Embed what is complete while reading goes on, and the rest when it is over."""
        run.files_total, run.reading_since_s = len(plan.to_read), time.monotonic()
        with ReadingThread(
            self._documents, self._members, self._reader, self._standing, self._split, self._foreground
        ) as reading:
            reading.start(plan.to_read)
            while not run.stop.is_set():
                all_read = reading.finished
                yield from run.embedding.embed(
                    reading_goes_on=not all_read, meanwhile=lambda: self._take_read(run, reading, wait_s=0)
                )
                if all_read:
                    return
                yield from self._take_read(run, reading, wait_s=0 if run.embedding.has_more else READING_WAIT_S)
        yield from self._take_read(run, reading, wait_s=0)  # stopped: what was stored until the thread heard of it

    def _take_read(self, run: _Run, reading: ReadingThread, *, wait_s: float) -> Iterator[IndexEvent]:
        for event in reading.events(wait_s=wait_s):
            heard_s, length_s = 0.0, None
            match event:
                case Notice():
                    yield event
                    continue
                case MembersGone():
                    run.removed += event.count
                    continue
                case FileGone():
                    run.file_ended()
                    continue
                case FileGoesOn(path=path, share=share):
                    run.large_file, run.read_share = path, share
                    if not run.path.startswith(f"{path}/"):
                        run.path = path
                case FileSettled():
                    run.file_ended()
                case FileGrows():
                    run.path, run.growing = event.path, event.chunks
                    heard_s, length_s = event.heard_s, event.length_s
                case FileRead():
                    run.path, run.growing = event.path, 0
                    if not (event.is_inside or event.goes_on):
                        run.file_ended()
                    run.indexed += event.recorded.changed
                    run.unchanged += not event.recorded.changed
                    run.chunks += event.recorded.chunks_added
                    run.embedding.expect(event.recorded.chunks_added)
                case FileNotRead():
                    run.path, run.growing = event.failed.path, 0
                    if not event.is_inside:
                        run.file_ended()
                    if not event.is_unsupported:
                        run.failed.append(event.failed)
                        yield event.failed
            reached = run.files_done + run.read_share
            yield IndexProgress(
                "reading",
                run.files_done,
                run.files_total,
                run.path,
                run.chunks + run.growing,
                reached / max(time.monotonic() - run.reading_since_s, 1e-6),
                heard_s=heard_s,
                length_s=length_s,
                large_file=run.large_file,
                read_share=run.read_share,
            )

    def _embed_descriptions(self, run: _Run) -> Iterator[IndexEvent]:
        """Looking at pictures changed what is said of some: these passages are new ones."""
        if run.stop.is_set() or not run.embedding.is_due():
            return
        yield from run.embedding.choose(reembed=False)
        yield from run.embedding.embed(reading_goes_on=False, meanwhile=lambda: iter(()))
        yield from run.embedding.finish()

    def _put_words_together(self, stop: threading.Event) -> None:
        """As far as nobody is kept waiting: the next run goes on. Waiting here would keep who follows folders from
        seeing what changes in them."""
        with suppress(StorageFull):  # everything is stored; it is only slower to search
            for _ in merge_parts(self._db):
                if stop.is_set() or not self._foreground.is_free:
                    return

    def tell_chroma(self, stop: threading.Event) -> Iterator[IndexEvent]:
        """Tell chromadb what SQLite has and it has not. The first time it is opened, which takes seconds."""
        if self._chroma is None or not self._chroma.behind:
            return
        began_s = time.monotonic()
        yield IndexProgress("storing", 0, 0)
        try:
            for told in self._chroma.bring_in_step(stop):
                rate = told.done / max(time.monotonic() - began_s, 1e-6)
                yield IndexProgress("storing", told.done, told.total, rate_per_s=rate)
                self._foreground.wait_until_free(stop)
        except ChromaFailed as error:
            yield Notice(str(error), error.hint)


def _told_as_changes(events: Iterable[IndexEvent]) -> Iterator[IndexEvent]:
    """With a FileChanged for every file that was read, in place of the progress."""
    told = ""
    for event in events:
        match event:
            case IndexProgress(phase="reading", path=path):
                if path != told:
                    yield FileChanged(path, "read")
                told = path
            case FileFailed(path=path):
                told = path
                yield event
            case _:
                yield event
