"""Saved conversations: list, search, read again, rename, delete, export; and the record of a turn as it happens.

Turns the library's stored rows into what the app shows and into what a prompt is built from. Knows nothing of
models or of screens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pipelines.conversation_pictures import ShownPicture
from pipelines.errors import NoSuchConversation
from pipelines.home import ConversationSummary, SavedTurn
from pipelines.passages import Passage
from pipelines.turn import Answer, CheckedSentence, Citation, Evidence, Timings
from rag.conversation_store import ConversationStore, StoredCitation, StoredConversation, StoredTurn
from rag.errors import LibraryLocked

TITLE_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Sources:
    """What a turn's message shows a model, apart from the question."""

    passages: tuple[Passage, ...] = ()
    pictures: tuple[ShownPicture, ...] = ()


@dataclass(frozen=True, slots=True)
class PastTurn:
    """An older turn as the next prompt needs it."""

    question: str
    user_message: str
    """Word by word as the model read it, passages included: repeating it costs nothing while its state is kept."""
    answer_text: str
    passages: tuple[Passage, ...] = ()
    """Those that `user_message` shows."""
    pictures: tuple[ShownPicture, ...] = ()
    """Those that the model saw before the message's text."""
    search_query: str = ""
    """What was looked for; a follow-up that says only "and how much was it?" builds on it."""


class SavedConversations:
    """Satisfies `pipelines.home.Conversations`. Thread-safe, as the store is.

    Made for writing it first gives every turn that a dead process left running its true end, so it must be
    made by the one writer only, before the first question.
    """

    def __init__(self, store: ConversationStore, *, forget_prompts: Callable[[], None] = lambda: None) -> None:
        """`forget_prompts` is called when a conversation was deleted: engines keep what they have read, too."""
        self._store = store
        self._forget_prompts = forget_prompts
        self.interrupted_turns = 0 if store.read_only else store.mark_interrupted()
        """Answers that an earlier process did not finish; their text is kept."""

    @property
    def read_only(self) -> bool:
        return self._store.read_only

    # pipelines.home.Conversations

    def list(self, *, limit: int = 200) -> Sequence[ConversationSummary]:
        return [_summary(each) for each in self._store.latest(limit=limit)]

    def search(self, words: str, *, limit: int = 50) -> Sequence[ConversationSummary]:
        return [_summary(each) for each in self._store.search(words, limit=limit)]

    def turns(self, conversation_id: int) -> Sequence[SavedTurn]:
        self._require(conversation_id)
        return [_saved_turn(each) for each in self._store.turns(conversation_id)]

    def rename(self, conversation_id: int, title: str) -> None:
        """Raises NoSuchConversation, and LibraryLocked when this home is read-only."""
        self._refuse_if_read_only()
        if not self._store.rename(conversation_id, conversation_title(title)):
            raise _no_such(conversation_id)

    def delete(self, conversation_id: int) -> None:
        """Raises NoSuchConversation, and LibraryLocked when this home is read-only."""
        self._refuse_if_read_only()
        if not self._store.delete(conversation_id):
            raise _no_such(conversation_id)
        self._forget_prompts()

    def export_markdown(self, conversation_id: int) -> str:
        """The conversation as a document: questions quoted, citations numbered, unsupported sentences marked."""
        conversation = self._require(conversation_id)
        started = datetime.fromtimestamp(conversation.created_at_s).strftime("%Y-%m-%d %H:%M")
        parts = [f"# {conversation.title}", f"Started {started}."]
        for turn in self.turns(conversation_id):
            parts.append("\n".join(f"> {line}".rstrip() for line in turn.question.splitlines() or [""]))
            parts.append(marked_answer(turn.answer_text, turn.sentences) or "(no answer)")
            if turn.finish not in ("stop", "running"):
                parts.append(f"*({_FINISH_IN_WORDS[turn.finish]})*")
            if turn.citations:
                parts.append("\n".join(_source_line(each) for each in turn.citations))
        return "\n\n".join(parts) + "\n"

    # What answering needs

    def history(self, conversation_id: int) -> Sequence[PastTurn]:
        """The turns that have an answer, oldest first. Raises NoSuchConversation."""
        self._require(conversation_id)
        return [
            PastTurn(
                question=turn.question,
                user_message=turn.user_message or turn.question,
                answer_text=turn.answer_text,
                passages=tuple(Passage.from_json(each) for each in turn.details.get("passages", ())),
                pictures=tuple(ShownPicture.from_json(each) for each in turn.details.get("pictures", ())),
                search_query=str(turn.details.get("search_query", "")),
            )
            for turn in self._store.turns(conversation_id)
            if turn.answer_text
        ]

    def begin(self, question: str, conversation_id: int | None) -> RunningTurn:
        """Save the question. Raises NoSuchConversation."""
        begun = self._store.begin_turn(question, conversation_id=conversation_id, title=conversation_title(question))
        if begun is None:
            assert conversation_id is not None  # a new one is always made
            raise _no_such(conversation_id)
        return RunningTurn(self._store, *begun)

    def _require(self, conversation_id: int) -> StoredConversation:
        conversation = self._store.conversation(conversation_id)
        if conversation is None:
            raise _no_such(conversation_id)
        return conversation

    def _refuse_if_read_only(self) -> None:
        if self.read_only:
            raise LibraryLocked(
                "this library is open for reading only, so conversations stay as they are",
                hint="close the other homebody, or change it there",
            )


class RunningTurn:
    """One turn's row while its answer is being written."""

    def __init__(self, store: ConversationStore, conversation_id: int, turn_id: int) -> None:
        self._store = store
        self.conversation_id = conversation_id
        self.turn_id = turn_id

    def asks(self, user_message: str, sources: Sources, *, search_query: str, model: str) -> None:
        """What the model is about to read; also remembered if the answer never ends."""
        self._store.write_user_message(
            self.turn_id, user_message, model=model, details=_prompt_details(sources, search_query)
        )

    def has_said(self, answer_text: str) -> None:
        self._store.write_answer(self.turn_id, answer_text)

    def done(self, answer: Answer, sources: Sources, *, search_query: str) -> None:
        self._store.end_turn(
            self.turn_id,
            answer_text=answer.text,
            finish=answer.finish,
            model=answer.model,
            details={
                **_prompt_details(sources, search_query),
                "sentences": [_sentence_to_json(each) for each in answer.sentences],
                "grounded": answer.grounded,
                "found_nothing": answer.found_nothing,
                "timings": answer.timings.to_json(),
                "placement": {
                    task: {"device": each.device, "reason": each.reason} for task, each in answer.placement.items()
                },
            },
            citations=[
                StoredCitation(c.n, c.chunk_id, c.path, c.kind, c.locator, c.quote, c.supported)
                for c in answer.citations
            ],
        )

    def broken_off(
        self,
        answer_text: str,
        sources: Sources,
        *,
        finish: Literal["stopped", "failed"],
        search_query: str,
        model: str,
        reason: str,
    ) -> None:
        """The text so far stays; the turn is marked."""
        self._store.end_turn(
            self.turn_id,
            answer_text=answer_text,
            finish=finish,
            model=model,
            details={**_prompt_details(sources, search_query), "reason": reason},
        )


def conversation_title(question: str) -> str:
    """The beginning of the first question, in one line, cut between words."""
    # A question may be a pasted book: only its beginning is looked at.
    line = " ".join(question[: TITLE_CHARACTERS * 20].split())
    if len(line) <= TITLE_CHARACTERS:
        return line or "Untitled"
    cut = line[: TITLE_CHARACTERS - 1]
    return f"{cut.rpartition(' ')[0] or cut}…"


def marked_answer(text: str, sentences: Sequence[CheckedSentence]) -> str:
    """The answer with `[1]` after each supported sentence and `[no source]` after each that has none."""
    pieces: list[str] = []
    done = 0
    for sentence in sentences:
        pieces.append(text[done : sentence.end])
        if not sentence.supported:
            pieces.append(" [no source]")
        elif sentence.citations:
            pieces.append(" " + "".join(f"[{n}]" for n in sentence.citations))
        done = sentence.end
    pieces.append(text[done:])
    return "".join(pieces)


_FINISH_IN_WORDS = {
    "length": "cut off at the length limit",
    "stopped": "stopped",
    "failed": "failed",
    "interrupted": "interrupted: homebody ended before the answer did",
}


def _source_line(citation: Citation) -> str:
    place = str(citation.locator)
    quote = " ".join(citation.quote.split())
    nearest = "" if citation.supported else " (nearest passage; it does not say this)"
    return f"[{citation.n}] {citation.path}{f', {place}' if place else ''}{nearest}: “{quote}”  "


def _summary(stored: StoredConversation) -> ConversationSummary:
    return ConversationSummary(stored.conversation_id, stored.title, stored.turns, stored.updated_at_s)


def _saved_turn(stored: StoredTurn) -> SavedTurn:
    timings = stored.details.get("timings")
    return SavedTurn(
        turn_id=stored.turn_id,
        question=stored.question,
        answer_text=stored.answer_text,
        finish=stored.finish,
        sentences=tuple(_sentence_from_json(each) for each in stored.details.get("sentences", ())),
        citations=tuple(
            Citation(c.n, c.chunk_id, c.path, c.kind, c.locator, c.quote, c.supported) for c in stored.citations
        ),
        model=stored.model,
        asked_at_s=stored.asked_at_s,
        found_nothing=bool(stored.details.get("found_nothing", False)),
        timings=Timings.from_json(timings) if timings else None,
    )


def _prompt_details(sources: Sources, search_query: str) -> dict[str, Any]:
    return {
        "passages": [each.to_json() for each in sources.passages],
        "pictures": [each.to_json() for each in sources.pictures],
        "search_query": search_query,
    }


def _sentence_to_json(sentence: CheckedSentence) -> dict[str, Any]:
    return {
        "start": sentence.start,
        "end": sentence.end,
        "citations": list(sentence.citations),
        "supported": sentence.supported,
        "unsupported_terms": list(sentence.unsupported_terms),
        "evidence": [each.to_json() for each in sentence.evidence],
    }


def _sentence_from_json(stored: dict[str, Any]) -> CheckedSentence:
    return CheckedSentence(
        start=stored["start"],
        end=stored["end"],
        citations=tuple(stored["citations"]),
        supported=stored["supported"],
        unsupported_terms=tuple(stored["unsupported_terms"]),
        evidence=tuple(
            Evidence(each["n"], each["span"][0], each["span"][1], each["quote"])
            for each in stored.get("evidence", ())  # turns saved before 0.2 have none
        ),
    )


def _no_such(conversation_id: int) -> NoSuchConversation:
    return NoSuchConversation(
        f"there is no conversation {conversation_id}", hint="`homebody chats list` shows those that there are"
    )


__all__ = ["PastTurn", "RunningTurn", "SavedConversations", "Sources", "conversation_title", "marked_answer"]
