"""What workers post to their screens: values only, so that every change of state happens in a handler.

Light on purpose: imported before the first frame, so the pipelines' types are for the type checker only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from app.widgets.passage_list import Edge
    from pipelines.dictate import DictationEvent
    from pipelines.events import AnswerEvent, IndexEvent, SearchResult
    from pipelines.home import (
        Chunk,
        ConversationSummary,
        DocumentRow,
        EnginesStatus,
        Home,
        LibraryStatus,
        PassageView,
        SavedTurn,
    )
    from pipelines.page_picture import PagePicture


@dataclass(frozen=True, slots=True)
class Failure:
    """An error in words, cleaned for the screen."""

    text: str
    hint: str = ""


class HomeOpened(Message):
    def __init__(self, home: Home) -> None:
        super().__init__()
        self.home = home


class HomeFailed(Message):
    def __init__(self, failure: Failure) -> None:
        super().__init__()
        self.failure = failure


class EnginesSeen(Message):
    def __init__(self, engines: EnginesStatus, library: LibraryStatus) -> None:
        super().__init__()
        self.engines = engines
        self.library = library


class WarmUpStep(Message):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class AnswerText(Message):
    """Some more of the answer: a batch of tokens, posted by time."""

    def __init__(self, turn_key: int, text: str) -> None:
        super().__init__()
        self.turn_key = turn_key
        self.text = text


class AnswerStep(Message):
    """Every other event of an answer. A newer progress replaces an older one that nobody has seen yet."""

    def __init__(self, turn_key: int, event: AnswerEvent, *, is_progress: bool = False) -> None:
        super().__init__()
        self.turn_key = turn_key
        self.event = event
        self.is_progress = is_progress

    def can_replace(self, message: Message) -> bool:
        return (
            isinstance(message, AnswerStep)
            and self.is_progress
            and message.is_progress
            and message.turn_key == self.turn_key
        )


class AnswerFailed(Message):
    def __init__(self, turn_key: int, failure: Failure) -> None:
        super().__init__()
        self.turn_key = turn_key
        self.failure = failure


class DictationStep(Message):
    """Dictation says something. A newer level, or a newer text, replaces an older one that nobody has seen yet."""

    def __init__(self, event: DictationEvent) -> None:
        super().__init__()
        self.event = event

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, DictationStep) and type(message.event) is type(self.event)


class DictationEnded(Message):
    def __init__(self, failure: Failure | None = None) -> None:
        super().__init__()
        self.failure = failure


class ConversationLoaded(Message):
    def __init__(self, conversation_id: int, title: str, turns: Sequence[SavedTurn]) -> None:
        super().__init__()
        self.conversation_id = conversation_id
        self.title = title
        self.turns = turns


class ConversationRenamed(Message):
    def __init__(self, conversation_id: int, title: str) -> None:
        super().__init__()
        self.conversation_id = conversation_id
        self.title = title


class ConversationDeleted(Message):
    def __init__(self, conversation_id: int) -> None:
        super().__init__()
        self.conversation_id = conversation_id


class ConversationsListed(Message):
    def __init__(self, searched: str, conversations: Sequence[ConversationSummary]) -> None:
        super().__init__()
        self.searched = searched
        self.conversations = conversations


class LibraryListed(Message):
    """The library as it is now; a newer listing replaces an older one."""

    def __init__(self, status: LibraryStatus, documents: Sequence[DocumentRow], asked: tuple[str, bool]) -> None:
        """`asked`: a part of the path, and whether only files that could not be read are listed."""
        super().__init__()
        self.status = status
        self.documents = documents
        self.asked = asked

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, LibraryListed)


class _IngestStep(Message):
    """A newer progress replaces an older one that nobody has seen yet."""

    def __init__(self, event: IndexEvent, *, is_progress: bool = False) -> None:
        super().__init__()
        self.event = event
        self.is_progress = is_progress

    def can_replace(self, message: Message) -> bool:
        return (
            isinstance(message, _IngestStep)
            and type(message) is type(self)
            and self.is_progress
            and message.is_progress
        )


class IndexStep(_IngestStep):
    """Indexing what was asked for says something."""


class IndexEnded(Message):
    def __init__(self, failure: Failure | None = None) -> None:
        super().__init__()
        self.failure = failure


class FollowStep(_IngestStep):
    """Following the folders says something."""


class FollowEnded(Message):
    def __init__(self, failure: Failure) -> None:
        super().__init__()
        self.failure = failure


class PassageLoaded(Message):
    def __init__(self, index: int, passage: PassageView | None) -> None:
        super().__init__()
        self.index = index
        self.passage = passage


class MorePassagesLoaded(Message):
    """More of the document around a passage: the next ones beyond an edge, in order; none at its end."""

    def __init__(self, index: int, edge: Edge, chunks: Sequence[Chunk]) -> None:
        super().__init__()
        self.index = index
        self.edge: Edge = edge
        self.chunks = chunks


class PageDrawn(Message):
    """A page as a picture, or why there is none."""

    def __init__(self, index: int, picture: PagePicture | None, failure: Failure | None = None) -> None:
        super().__init__()
        self.index = index
        self.picture = picture
        self.failure = failure


class SearchDone(Message):
    def __init__(self, query: str, result: SearchResult) -> None:
        super().__init__()
        self.query = query
        self.result = result


class SearchFailed(Message):
    def __init__(self, query: str, failure: Failure) -> None:
        super().__init__()
        self.query = query
        self.failure = failure


class WorkFailed(Message):
    """Something smaller than an answer or an indexing run did not work; shown as a notice."""

    def __init__(self, failure: Failure) -> None:
        super().__init__()
        self.failure = failure
