"""The composition root: the one place that names concrete classes and joins them into a Home.

`open_home` costs milliseconds: it opens the library file and takes the writer's lock if it may. Engines, readers
and chromadb are loaded when something first needs them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.chat import ChatModel
from models.errors import ModelError, WeightsMissing
from models.image_encoder import ImageEncoder
from models.labels import Labeller
from models.microphone import Microphone, SystemMicrophone
from models.ocr import OcrEngine
from models.speech import SpeechModel
from pipelines import settings_file
from pipelines.answer import AnswerPipeline
from pipelines.attachments import read_attachment
from pipelines.chroma_child import CHROMA_CHILD_COMMAND
from pipelines.conversation_pictures import ConversationPictures
from pipelines.conversations import SavedConversations
from pipelines.dictate import DictationEvent
from pipelines.engines import Engines
from pipelines.events import AnswerEvent, IndexEvent, Notice, SearchResult
from pipelines.finding import Finding
from pipelines.followed_roots import FollowedRoots
from pipelines.foreground import BatteryWatch, Foreground
from pipelines.home import EnginesStatus, Home, LibraryStatus, PassageView
from pipelines.image_indexing import ImageIndexing
from pipelines.ingest import Ingest
from pipelines.library_embedders import LibraryEmbedders
from pipelines.look import Look
from pipelines.page_picture import PagePictures
from pipelines.paths import HomePaths
from pipelines.picture_labelling import PictureLabelling
from pipelines.picture_seeing import DESCRIPTION
from pipelines.senses import Senses
from pipelines.settings import DeviceChoice, Settings
from pipelines.spare_cores import SpareCores
from pipelines.transcribe import TranscribeEvent
from pipelines.turn import Turn
from pipelines.vector_store import chroma_place
from pipelines.watch import Watch
from rag.chroma_store import ChromaStore
from rag.chunking import Chunker
from rag.conversation_store import ConversationStore
from rag.documents import Documents
from rag.embed_first import embed_first
from rag.embedder_change import change_under_way
from rag.errors import LibraryError, LibraryLocked, UnsupportedFile
from rag.image_vectors import ImageVectors
from rag.library_db import LibraryDb
from rag.listing import count_library, list_documents, list_roots
from rag.passages import Passages
from rag.path_text import absolute_path, path_text
from rag.picture_labels import PictureLabels
from rag.ports import Reranker, TextEmbedder
from rag.query import ParsedQuery, parse_query
from rag.readers.registry import READER_VERSIONS, refuse_name
from rag.records import ChunkDraft, DocumentRow, Hit, ReadDocument
from rag.roots import Roots
from rag.vectors import Vectors
from rag.walk import FileRow, View, WalkProblem, walk
from rag.writer_lock import WriterLock

CLOSE_WAIT_S = 5.0
"""For indexing to come to a safe point when homebody is left."""


def open_home(
    paths: HomePaths,
    settings: Settings,
    *,
    device: DeviceChoice | None = None,
    write: bool = True,
    chat_model: ChatModel | None = None,
    embedder: TextEmbedder | None = None,
    other_embedders: Sequence[TextEmbedder] = (),
    reranker: Reranker | None = None,
    ocr: OcrEngine | None = None,
    labeller: Labeller | None = None,
    recogniser: SpeechModel | None = None,
    image_encoder: ImageEncoder | None = None,
    microphone: Microphone | None = None,
) -> Home:
    """Open the data folder. `device` overrides the settings'; engines given replace the real ones (tests); `embedder`
    is the default, `other_embedders` are installed too.

    With `write` the lock is taken where nobody else holds it; otherwise the Home is read-only and says why.
    A library that does not exist yet is made, also for reading. Raises LibraryError and those below it.
    """
    embedders = (*([embedder] if embedder is not None else []), *other_embedders)
    engines = Engines(
        paths,
        settings,
        device=device,
        chat_model=chat_model,
        embedders=embedders,
        reranker=reranker,
        ocr=ocr,
        labeller=labeller,
        recogniser=recogniser,
        image_encoder=image_encoder,
    )
    return HomeOnThisMachine(paths, settings, engines, write=write, microphone=microphone or SystemMicrophone())


class HomeOnThisMachine:
    """Satisfies `pipelines.home.Home` with the real parts."""

    def __init__(
        self, paths: HomePaths, settings: Settings, engines: Engines, *, write: bool, microphone: Microphone
    ) -> None:
        self.paths = paths
        self._settings = settings
        self._engines = engines
        self._closed = False
        self._foreground = Foreground(
            held=BatteryWatch().is_low if settings.device.profile == "quiet" else lambda: False,
            share=(lambda _engine: None) if settings.embed.threads else SpareCores().share,
        )
        self._senses = Senses(paths, settings, engines, self._foreground, microphone)
        self._indexing = threading.Lock()
        self._watch: Watch | None = None
        try:
            paths.create()
        except OSError as error:
            raise LibraryError(
                f"the data folder {paths.root} cannot be used ({error.strerror or error})",
                hint="free its path, or name another folder: HOMEBODY_HOME=/somewhere/else",
            ) from error
        self._lock = WriterLock(paths.lock_file)
        may_write = (write or not paths.library_file.exists()) and self._lock.acquire()
        self.read_only_because = "" if may_write else self._why_read_only(asked_to_write=write)
        try:
            self._db = self._open_library(read_only=not may_write)
            self.conversations = SavedConversations(ConversationStore(self._db), forget_prompts=engines.forget_prompts)
        except BaseException:
            self._lock.release()
            raise

    def _open_library(self, *, read_only: bool) -> LibraryDb:
        db = LibraryDb(self.paths.library_file, read_only=read_only)
        if not db.behind:
            return db
        db.close()
        # An older homebody's: whoever opens it first brings its tables up to date, also one that only reads.
        if not self._lock.acquire():
            raise LibraryLocked(
                f"{self._lock.holder()}, an older homebody, has this library open", hint="close it and do it again"
            )
        try:
            LibraryDb(self.paths.library_file).close()
        finally:
            self._lock.release()
        return LibraryDb(self.paths.library_file, read_only=True)

    def _why_read_only(self, *, asked_to_write: bool) -> str:
        if not asked_to_write:
            return "opened for reading only"
        return f"{self._lock.holder()} has this library open for writing"

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def pages(self) -> PagePictures:
        return self._senses.pages

    # ------------------------------------------------------------------ parts, made when first needed

    @cached_property
    def _chroma(self) -> ChromaStore:
        return ChromaStore(self._db, chroma_place(self.paths, self._settings), child_command=CHROMA_CHILD_COMMAND)

    @cached_property
    def _vectors(self) -> Vectors:
        return Vectors(self._db, self._chroma, exact_up_to=self._settings.library.exact_search_up_to_chunks)

    @cached_property
    def _finding(self) -> Finding:
        return Finding(
            db=self._db,
            vectors=self._vectors,
            image_vectors=self._image_vectors,
            embedders=self._embedders,
            engines=self._engines,
            settings=self._settings.search,
            draw=self._senses.pixels,
        )

    @cached_property
    def _embedders(self) -> LibraryEmbedders:
        return LibraryEmbedders(self._db, self._engines.text)

    @cached_property
    def _chunker(self) -> Chunker:
        return Chunker(self._embedders.token_counter(), self._settings.library.chunk_tokens)

    def _split(self, document: ReadDocument) -> Sequence[ChunkDraft]:
        return self._chunker.split(document)

    @cached_property
    def _ingest(self) -> Ingest:
        return Ingest(
            db=self._db,
            walk=self._walk,
            reader=self._senses.reader(),
            reading_identity=self._senses.identity(),
            readers=READER_VERSIONS,
            refuse_name=refuse_name,
            split=lambda blocks: self._chunker.split_blocks(blocks),
            embedders=self._embedders,
            chroma=self._chroma,
            foreground=self._foreground,
            look=self._look_at_pictures,
        )

    @cached_property
    def _image_vectors(self) -> ImageVectors:
        return ImageVectors(self._db)

    def _look_at_pictures(self, stop: threading.Event) -> Iterator[IndexEvent]:
        yield from self._image_indexing.run(stop)
        yield from self._picture_labelling.run(stop)

    @cached_property
    def _picture_labelling(self) -> PictureLabelling:
        labels = PictureLabels(self._db, DESCRIPTION, lambda text: self._chunker.count_tokens(text))
        return PictureLabelling(labels, self._image_vectors, self._senses.own_labels, self._foreground)

    @cached_property
    def _image_indexing(self) -> ImageIndexing:
        clip = self._engines.clip
        return ImageIndexing(
            self._image_vectors, self._senses.files, self._foreground, model_id=clip.model_id, encoder=clip.encoder
        )

    def _walk(self, roots: Sequence[str]) -> Iterator[list[FileRow] | WalkProblem]:
        return walk(roots, exclude=[self.paths.root], left_out=Roots(self._db).left_out())

    def _view(self) -> View:
        return View(exclude=[self.paths.root], left_out=Roots(self._db).left_out())

    @cached_property
    def _answering(self) -> AnswerPipeline:
        return AnswerPipeline(
            settings=self._settings,
            search=lambda query, k: self._find(query, k=k)[0],
            chat=self._engines.chat_voice(),
            seeing=self._engines.seeing_voice,
            pictures=ConversationPictures(read_attachment, self._senses.describe),
            conversations=self.conversations,
            split=self._split,
            embed=self._embed if self._embedders.serving_id() else None,
            foreground=self._foreground,
            observe=self._engines.observe,
            placement=lambda: self._engines.placements_of_an_answer(self._embedders.serving_id()),
            library_is_empty=lambda: count_library(self._db).documents == 0,
        )

    # ------------------------------------------------------------------ asking

    def answer(self, turn: Turn, stop: threading.Event) -> Iterator[AnswerEvent]:
        for event in self._answering.answer(turn, stop):
            yield from self._engines.new_notices()
            yield event

    def search(
        self, query: str, *, k: int = 10, kinds: Collection[str] | None = None, like: Path | None = None
    ) -> SearchResult:
        started_s = time.perf_counter()
        parsed = parse_query(query).and_kinds(kinds or ())
        if like is not None:
            parsed = replace(parsed, like=os.fspath(absolute_path(like)))
        with self._foreground.busy():
            hits, notices = self._find(parsed, k=k, join=True)
        return SearchResult(tuple(hits), time.perf_counter() - started_s, notices)

    def _find(self, query: ParsedQuery, *, k: int, join: bool = False) -> tuple[list[Hit], tuple[Notice, ...]]:
        hits, notices = self._finding.find(query, k=k, join=join)
        if "_ingest" in self.__dict__:  # what is asked next is likely there too
            self._ingest.prefer(embed_first(self._db, [hit.chunk.content_id for hit in hits]))
        return hits, notices

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._embedders.to_search_with().embed_passages(texts)

    def transcribe(
        self, path: Path, stop: threading.Event, *, exact_words: bool = False
    ) -> Iterator[TranscribeEvent | Notice]:
        return self._senses.transcribe(absolute_path(path), stop, exact_words=exact_words)

    def dictate(self, stop: threading.Event) -> Iterator[DictationEvent]:
        return self._senses.dictate(stop)

    def look(self, path: Path, stop: threading.Event, *, labels: Sequence[str] = ()) -> Look:
        return self._senses.look(path, stop, labels=labels)

    # ------------------------------------------------------------------ the library

    def index(
        self, roots: Iterable[Path], stop: threading.Event, *, reembed: bool = False, named: bool = True
    ) -> Iterator[IndexEvent]:
        """Raises LibraryLocked when another process writes, or when this one is indexing already."""
        with self._only_writer():
            yield from self._ingest.run([os.fspath(root) for root in roots], stop, reembed=reembed, named=named)

    def follow(self, stop: threading.Event) -> Iterator[IndexEvent]:
        with self._only_writer():
            roots, poll_s = Roots(self._db), self._settings.library.poll_s
            followed = FollowedRoots(roots, view=self._view, poll_s=poll_s)
            self._watch = Watch(ingest=self._ingest, roots=roots, followed=followed, view=self._view, poll_s=poll_s)
            try:
                yield from self._watch.run(stop)
            finally:
                self._watch = None

    def look_again(self, roots: Iterable[Path] = ()) -> bool:
        if (watch := self._watch) is None:
            return False
        watch.look_again(roots)
        return True

    @contextmanager
    def _only_writer(self) -> Iterator[None]:
        """Raises LibraryLocked."""
        if self.read_only_because:
            raise LibraryLocked(
                f"the library cannot be changed now: {self.read_only_because}",
                hint="index from there, or close it and do it again",
            )
        if not self._indexing.acquire(blocking=False):
            raise LibraryLocked("indexing is under way", hint="wait for it to finish, or stop it")
        try:
            yield
        finally:
            self._indexing.release()

    def on_disk(self, path: str) -> str:
        try:
            return self._senses.copies.on_disk(path)
        except UnsupportedFile:
            return path

    def passage(self, chunk_id: int, *, before: int = 2, after: int = 2) -> PassageView | None:
        around = Passages(self._db).around(chunk_id, before=before, after=after)
        if around is None:
            return None
        cited, chunks = around
        ordinal = cited.chunk.ordinal
        return PassageView(
            path=cited.path,
            title=cited.title,
            kind=cited.kind,
            before=tuple(chunk for chunk in chunks if chunk.ordinal < ordinal),
            cited=cited.chunk,
            after=tuple(chunk for chunk in chunks if chunk.ordinal > ordinal),
            author=cited.author,
            written_at_s=cited.written_at_s,
            modified_at_s=cited.modified_at_s,
        )

    def library(self) -> LibraryStatus:
        roots = Roots(self._db)
        counts, change = count_library(self._db), change_under_way(self._db)
        return LibraryStatus(
            roots=list_roots(self._db),
            documents=counts.documents,
            failed=counts.failed,
            chunks=counts.chunks,
            chunks_embedded=counts.chunks_embedded,
            embedder=self._embedders.serving_id(),
            vector_store=self._vectors.describe(),
            away={root.path: root.away for root in roots.listed() if root.away},
            unsupported=Documents(self._db).count_unsupported(),
            left_out=tuple(map(path_text, sorted(roots.left_out()))),
            next_embedder=change.to.model_id if change is not None else "",
            chunks_reembedded=change.embedded if change is not None else 0,
        )

    def documents(self, *, containing: str = "", limit: int = 1000, only_failed: bool = False) -> Sequence[DocumentRow]:
        asked = parse_query(containing)
        return list_documents(
            self._db, containing=asked.text, filters=asked.filters, limit=limit, only_failed=only_failed
        )

    def forget(self, root: Path) -> int:
        if self.read_only_because:
            raise LibraryLocked(
                f"the library cannot be changed now: {self.read_only_because}", hint="close it and do it again"
            )
        watch = self._watch
        return Roots(self._db).forget(root) if watch is None else watch.forget(root)

    # ------------------------------------------------------------------ engines

    def engines(self) -> EnginesStatus:
        return self._engines.status(self._embedders.serving_id())

    def warm_up(self, stop: threading.Event) -> Iterator[Notice]:
        """Load what the first question needs, while the user still types it. Missing weights are said, not raised.

        Work in the background waits meanwhile: an engine may be measured now, once for all.
        """
        self._vectors.warm_up()
        try:
            if not stop.is_set():
                with self._foreground.busy():
                    self._embedders.to_search_with()
        except ModelError as error:
            yield Notice(str(error), error.hint)
        try:
            if not stop.is_set():
                model_id = self._engines.chat_model_id
                yield Notice(f"loading {model_id}")
                with self._foreground.busy(), self._engines.chat():
                    pass
        except WeightsMissing as error:
            yield Notice(str(error), error.hint)
        yield from self._engines.new_notices()

    def set_theme(self, theme: str) -> None:
        self._settings = settings_file.set_value(self.paths.settings_file, "look", "theme", theme)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        # Whoever indexes or follows was told to stop; what it is in the middle of must not lose the library.
        self._indexing.acquire(timeout=CLOSE_WAIT_S)
        self._engines.close()
        self._senses.close()
        if "_vectors" in self.__dict__:
            self._vectors.close()
        self._db.close()
        self._lock.release()


__all__ = ["HomeOnThisMachine", "open_home"]
