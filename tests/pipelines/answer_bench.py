"""What the tests of answering share: a library file of conversations, a scripted model, a scripted search."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.answer import AnswerPipeline
from pipelines.conversations import SavedConversations
from pipelines.events import AnswerDone, AnswerEvent, Notice
from pipelines.settings import AnswerSettings, ChatSettings, Settings
from pipelines.sight import Voice
from pipelines.turn import Answer, Turn
from rag.chunking import Chunker
from rag.conversation_store import ConversationStore
from rag.library_db import LibraryDb
from rag.query import ParsedQuery
from rag.records import Chunk, Hit, Locator
from tests.fakes import CountableEmbedder, ScriptedChatModel

RENT = "The monthly rent is 940 euros, due on the third working day. The deposit is two months' rent."
BIKE = "Bought the grey touring bike at Lindner on 14 May 2022. It cost 1,249.00 EUR with the rack."


def hit(text: str, path: str = "/home/me/notes.md", *, chunk_id: int = 1, cosine: float | None = None) -> Hit:
    chunk = Chunk(chunk_id, 1, 0, text, (), Locator(line=3))
    return Hit(rank=1, score=1.0, chunk=chunk, path=path, title=path.rpartition("/")[2], kind="text", cosine=cosine)


class ScriptedSearch:
    """Finds what it was given, for every query; remembers the queries."""

    def __init__(self, *hits: Hit) -> None:
        self.hits: list[Hit] = list(hits)
        self.error: Exception | None = None
        self.history: list[str] = []
        self.places: list[ParsedQuery] = []
        """The queries with their filters."""

    def __call__(self, query: ParsedQuery, k: int) -> Sequence[Hit]:
        self.history.append(query.text)
        self.places.append(query)
        if self.error is not None:
            raise self.error
        return self.hits[:k]


class Clock:
    """Stands still unless told to go on."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass
class Bench:
    """One pipeline with everything scripted around it."""

    folder: Path
    chat: ScriptedChatModel = field(default_factory=ScriptedChatModel)
    search: ScriptedSearch = field(default_factory=ScriptedSearch)
    clock: Clock = field(default_factory=Clock)
    embedder: CountableEmbedder = field(default_factory=CountableEmbedder)
    settings: Settings = field(
        default_factory=lambda: Settings(chat=ChatSettings(max_tokens=100), answer=AnswerSettings(passages=4))
    )
    prefill_tokens_per_s: float = 0.0
    chat_to_load: str = ""
    library_is_empty: bool = False
    read_only: bool = False

    def __post_init__(self) -> None:
        self.db = LibraryDb(self.folder / "library.sqlite")
        if self.read_only:
            self.db.close()
            self.db = LibraryDb(self.folder / "library.sqlite", read_only=True)
        self.store = ConversationStore(self.db)
        self.conversations = SavedConversations(self.store)
        self.pipeline = AnswerPipeline(
            settings=self.settings,
            search=self.search,
            chat=Voice(self.chat.lend, lambda: self.chat_to_load, lambda: self.prefill_tokens_per_s),
            conversations=self.conversations,
            split=Chunker(self.embedder.count_tokens, 40).split,
            embed=self.embedder.embed_passages,
            library_is_empty=lambda: self.library_is_empty,
            clock=self.clock,
        )

    def events(self, turn: Turn, stop: threading.Event | None = None) -> list[AnswerEvent]:
        return list(self.pipeline.answer(turn, stop or threading.Event()))

    def ask(self, question: str, conversation_id: int | None = None) -> Answer:
        return answer_of(self.events(Turn(question, conversation_id)))


def answer_of(events: Sequence[AnswerEvent]) -> Answer:
    assert isinstance(events[-1], AnswerDone)
    return events[-1].answer


def notices_of(events: Sequence[AnswerEvent]) -> list[str]:
    return [event.text for event in events if isinstance(event, Notice)]
