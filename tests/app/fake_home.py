"""A Home that says what it was told to, for tests of the terminal UI. No engine, no file, no clock.

    home.enqueue("The harbour ", "was built in 1874.", done(citations=...))

A string is a TextDelta, an exception is raised, a threading.Event is waited for (or the stop signal), any other
value is yielded as the event it is. Without an AnswerDone at the end one is made of the words so far. What was
asked is in `history`.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from pipelines.dictate import DictationEvent
from pipelines.errors import NoSuchConversation, ReadError
from pipelines.events import (
    AnswerDone,
    AnswerEvent,
    IndexDone,
    IndexEvent,
    IndexReport,
    Notice,
    SearchResult,
    TextDelta,
    TurnStarted,
)
from pipelines.home import ConversationSummary, EnginesStatus, LibraryStatus, PassageView, SavedTurn
from pipelines.look import Look
from pipelines.page_picture import PagePicture, PicturePlace
from pipelines.paths import HomePaths
from pipelines.settings import LibrarySettings, LookSettings, Settings
from pipelines.transcribe import TranscribeEvent
from pipelines.turn import Answer, CheckedSentence, Citation, Locator, Placement, Timings, Turn
from rag.records import Chunk, DocumentRow, DocumentState, Hit

Scripted = str | Exception | threading.Event | AnswerEvent
ScriptedIndex = Exception | threading.Event | IndexEvent

TIMINGS = Timings(
    ttft_s=0.8,
    prompt_tokens=900,
    cached_tokens=400,
    prefill_s=0.6,
    decode_tokens=40,
    decode_tokens_per_s=20.0,
    total_s=2.8,
)


def citation(
    n: int, path: str = "/files/harbour.md", *, quote: str = "", line: int = 12, supported: bool = True
) -> Citation:
    return Citation(n, 100 + n, path, "text", Locator(line=line), quote or f"quote number {n}", supported)


def sentence(
    text: str, part: str, *citations: int, supported: bool = True, terms: tuple[str, ...] = ()
) -> CheckedSentence:
    """The sentence `part` of `text`."""
    start = text.index(part)
    return CheckedSentence(start, start + len(part), citations, supported, terms)


def done(
    text: str,
    *,
    sentences: Sequence[CheckedSentence] = (),
    citations: Sequence[Citation] = (),
    finish: str = "stop",
    found_nothing: bool = False,
) -> AnswerDone:
    return AnswerDone(
        Answer(
            text=text,
            sentences=tuple(sentences),
            citations=tuple(citations),
            grounded=all(each.supported for each in sentences),
            found_nothing=found_nothing,
            model="tiny-chat",
            finish="stopped" if finish == "stopped" else "length" if finish == "length" else "stop",
            timings=TIMINGS,
        )
    )


def chunk(chunk_id: int, text: str, *, line: int = 1, headings: tuple[str, ...] = ()) -> Chunk:
    return Chunk(chunk_id, 1, chunk_id, text, headings, Locator(line=line))


def document(
    path: str, state: DocumentState = "embedded", *, reason: str = "", hint: str = "", chunks: int = 3
) -> DocumentRow:
    embedded = chunks if state == "embedded" else 0
    return DocumentRow(path, Path(path).stem, "text", state, reason, 1234, chunks, embedded, hint)


class FakeConversations:
    def __init__(self) -> None:
        self.kept: dict[int, tuple[str, list[SavedTurn], float]] = {}
        self.searched: list[str] = []

    def add(self, title: str, turns: Sequence[tuple[str, str]], *, updated_at_s: float = 0.0) -> int:
        conversation_id = len(self.kept) + 1
        saved = [
            SavedTurn(number, question, text, "stop", (), (), "tiny-chat", updated_at_s)
            for number, (question, text) in enumerate(turns, start=1)
        ]
        self.kept[conversation_id] = (title, saved, updated_at_s)
        return conversation_id

    def list(self, *, limit: int = 200) -> Sequence[ConversationSummary]:
        newest_first = sorted(self.kept.items(), key=lambda item: item[1][2], reverse=True)
        return [
            ConversationSummary(conversation_id, title, len(turns), updated_at_s)
            for conversation_id, (title, turns, updated_at_s) in newest_first
        ][:limit]

    def search(self, words: str, *, limit: int = 50) -> Sequence[ConversationSummary]:
        self.searched.append(words)
        return [each for each in self.list() if words.casefold() in each.title.casefold()][:limit]

    def turns(self, conversation_id: int) -> Sequence[SavedTurn]:
        if conversation_id not in self.kept:
            raise NoSuchConversation(f"no conversation {conversation_id}", hint="F2 lists them")
        return self.kept[conversation_id][1]

    def rename(self, conversation_id: int, title: str) -> None:
        _, turns, updated_at_s = self.kept[conversation_id]
        self.kept[conversation_id] = (title, turns, updated_at_s)

    def delete(self, conversation_id: int) -> None:
        del self.kept[conversation_id]

    def export_markdown(self, conversation_id: int) -> str:
        return f"# {self.kept[conversation_id][0]}\n"


class FakePages:
    """Pages and pictures, by path and number; those that are not known cannot be read."""

    def __init__(self) -> None:
        self.pictures: dict[tuple[str, int | None], PagePicture | Exception] = {}
        self.history: list[PicturePlace] = []
        """Each picture that was asked for at its full size."""
        self.glanced_at: list[PicturePlace] = []
        """Each small one."""

    def picture(self, place: PicturePlace) -> PagePicture:
        self.history.append(place)
        return self._found(place)

    def thumbnail(self, place: PicturePlace) -> PagePicture:
        self.glanced_at.append(place)
        return self._found(place)

    def _found(self, place: PicturePlace) -> PagePicture:
        found = self.pictures.get((place.path, place.page)) or ReadError(f"{place.path} is not there")
        if isinstance(found, Exception):
            raise found
        return found

    def place_citations(self, citations: Sequence[Citation]) -> tuple[Citation, ...]:
        return tuple(citations)

    def place_hits(self, hits: Sequence[Hit]) -> tuple[Hit, ...]:
        return tuple(hits)


class FakeHome:
    """See the module's first lines. Satisfies `pipelines.home.Home` by shape."""

    def __init__(
        self, root: Path = Path("/nowhere/homebody"), *, theme: str = "homebody-dark", follow: bool = False
    ) -> None:
        """Following never ends by itself, so that tests which wait for every worker do without."""
        self.paths = HomePaths(root)
        light = theme == "homebody-light"
        self.settings = Settings(
            look=LookSettings(theme="homebody-light" if light else "homebody-dark"),
            library=LibrarySettings(follow=follow),
        )
        self.conversations = FakeConversations()
        self.history: list[Turn] = []
        self.indexed: list[list[Path]] = []
        self.forgotten: list[Path] = []
        self.themes: list[str] = []
        self.closed = 0
        self.ended: list[str] = []
        """Answers and indexing runs that came to their end in their thread, in order."""
        self.read_only = ""
        self.passages: dict[int, PassageView] = {}
        self.heard: list[TranscribeEvent | Notice | Exception] = []
        """What every recording says."""
        self.listened_to: list[Path] = []
        self.exact_words: list[bool] = []
        self.spoken: list[DictationEvent | Exception | threading.Event] = []
        """What every dictation hears."""
        self.dictations = 0
        self.found: deque[SearchResult | Exception] = deque()
        """What the next searches find."""
        self.looked_for: list[str] = []
        self.looked_at: list[Path] = []
        self.copies: dict[str, str] = {}
        """Of files inside others, by their paths."""
        self.looked_for_labels: list[tuple[str, ...]] = []
        """Pictures."""
        self.seen: deque[Look | Exception] = deque()
        self.pages = FakePages()
        self.files: list[DocumentRow] = []
        self.roots: tuple[str, ...] = ("/files",)
        self.missing: tuple[Notice, ...] = ()
        self.away: dict[str, str] = {}
        self.left_out: tuple[str, ...] = ()
        self.unsupported: dict[str, int] = {}
        self.looked_again: list[list[Path]] = []
        self.following = 0
        """How many follow now."""
        self.broken: Exception | None = None
        """Raised by every look at the library."""
        self._answers: deque[tuple[Scripted, ...]] = deque()
        self._index_runs: deque[tuple[ScriptedIndex, ...]] = deque()
        self._follow_events: queue.SimpleQueue[Exception | IndexEvent] = queue.SimpleQueue()

    def enqueue(self, *events: Scripted) -> None:
        """One answer."""
        self._answers.append(events)

    def enqueue_index(self, *events: ScriptedIndex) -> None:
        """One indexing run."""
        self._index_runs.append(events)

    def tell_followers(self, *events: Exception | IndexEvent) -> None:
        """What following says next; an exception ends it."""
        for event in events:
            self._follow_events.put(event)

    @property
    def read_only_because(self) -> str:
        return self.read_only

    def answer(self, turn: Turn, stop: threading.Event) -> Iterator[AnswerEvent]:
        self.history.append(turn)
        script = self._answers.popleft() if self._answers else ("An answer.",)
        yield TurnStarted(turn.conversation_id or 7, len(self.history))
        said = ""
        for event in script:
            if stop.is_set():
                break
            match event:
                case str():
                    said += event
                    yield TextDelta(event)
                case threading.Event():
                    _wait_for(event, stop)
                case Exception():
                    raise event
                case AnswerDone():
                    yield event
                    return
                case _:
                    yield event
        self.ended.append("answer")
        yield done(said, finish="stopped" if stop.is_set() else "stop")

    def index(
        self,
        roots: Iterable[Path],
        stop: threading.Event,
        *,
        reembed: bool = False,  # noqa: ARG002
        named: bool = True,  # noqa: ARG002
    ) -> Iterator[IndexEvent]:
        self.indexed.append(list(roots))
        script = self._index_runs.popleft() if self._index_runs else ()
        for event in script:
            if stop.is_set():
                break
            match event:
                case threading.Event():
                    _wait_for(event, stop)
                case Exception():
                    raise event
                case _:
                    yield event
        self.ended.append("index")
        yield IndexDone(IndexReport(1, 0, 0, (), 3, 0.5, stopped=stop.is_set()))

    def follow(self, stop: threading.Event) -> Iterator[IndexEvent]:
        self.following += 1
        try:
            while not stop.is_set():
                try:
                    event = self._follow_events.get(timeout=0.01)
                except queue.Empty:
                    continue
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.following -= 1
            self.ended.append("follow")

    def look_again(self, roots: Iterable[Path] = ()) -> bool:
        if self.following:
            self.looked_again.append(list(roots))
        return bool(self.following)

    def dictate(self, stop: threading.Event) -> Iterator[DictationEvent]:
        """Says what `spoken` has, waits for its events (or the stop signal), and ends when it has no more."""
        self.dictations += 1
        for event in self.spoken:
            if isinstance(event, Exception):
                raise event
            if isinstance(event, threading.Event):
                while not event.wait(0.01) and not stop.is_set():
                    pass
            else:
                yield event

    def transcribe(
        self, path: Path, stop: threading.Event, *, exact_words: bool = False
    ) -> Iterator[TranscribeEvent | Notice]:
        self.listened_to.append(path)
        self.exact_words.append(exact_words)
        for event in self.heard:
            if isinstance(event, Exception):
                raise event
            if stop.is_set():
                return
            yield event

    def on_disk(self, path: str) -> str:
        return self.copies.get(path, path)

    def look(self, path: Path, stop: threading.Event, *, labels: Sequence[str] = ()) -> Look:  # noqa: ARG002
        self.looked_at.append(path)
        self.looked_for_labels.append(tuple(labels))
        seen = self.seen.popleft()
        if isinstance(seen, Exception):
            raise seen
        return seen

    def search(
        self,
        query: str,
        *,
        k: int = 10,  # noqa: ARG002
        kinds: Collection[str] | None = None,  # noqa: ARG002
        like: Path | None = None,
    ) -> SearchResult:
        self.looked_for.append(query if like is None else f"{query} like {like}".strip())
        result = self.found.popleft() if self.found else SearchResult((), 0.01)
        if isinstance(result, Exception):
            raise result
        return result

    def passage(self, chunk_id: int, *, before: int = 2, after: int = 2) -> PassageView | None:  # noqa: ARG002
        return self.passages.get(chunk_id)

    def library(self) -> LibraryStatus:
        if self.broken is not None:
            raise self.broken
        failed = sum(each.state == "failed" for each in self.files)
        chunks = sum(each.chunk_count for each in self.files)
        embedded = sum(each.embedded_count for each in self.files)
        return LibraryStatus(
            self.roots,
            len(self.files),
            failed,
            chunks,
            embedded,
            "tiny-embed",
            "exact, 12 vectors",
            away=self.away,
            left_out=self.left_out,
            unsupported=self.unsupported,
        )

    def documents(self, *, containing: str = "", limit: int = 1000, only_failed: bool = False) -> Sequence[DocumentRow]:
        files = [each for each in self.files if each.state == "failed" or not only_failed]
        return [each for each in files if containing in each.path][:limit]

    def forget(self, root: Path) -> int:
        self.forgotten.append(root)
        before = len(self.files)
        self.files = [each for each in self.files if not each.path.startswith(str(root))]
        return before - len(self.files)

    def engines(self) -> EnginesStatus:
        placement = {
            "chat": Placement("CPU, 2 threads", "there is no GPU, and two cores decode faster than one"),
            "embed": Placement("CPU, 1 thread", "leaves the other core to the answer"),
        }
        model = "" if self.missing else "tiny-chat"
        return EnginesStatus(model, bool(self.history), placement, self.missing)

    def warm_up(self, stop: threading.Event) -> Iterator[Notice]:  # noqa: ARG002
        yield Notice("Loading tiny-chat")

    def set_theme(self, theme: str) -> None:
        self.themes.append(theme)

    def close(self) -> None:
        self.closed += 1


def _wait_for(gate: threading.Event, stop: threading.Event) -> None:
    """Until the gate opens or the stop signal comes; a test that forgets both fails by its time limit."""
    while not gate.wait(0.01) and not stop.is_set():
        pass
