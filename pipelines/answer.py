"""Answer one question: find what the files say, build the prompt, stream the model's words, check them, keep all.

The question is saved before anything else happens, the answer about once a second while it streams, so that a crash
loses at most its last second. Pictures go to a model that sees, where there is one (`sight.py`). Knows nothing of
screens, of files on disk or of which engines run: it is handed a search, a loan of a chat model, and yields events.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from models.chat import ChatModel, GenerationOptions, PictureProgress, PromptProgress, TextDelta, Usage
from models.errors import PromptTooLong
from pipelines.answer_record import AnswerRecord
from pipelines.conversation_pictures import ConversationPictures, ShownPicture
from pipelines.conversations import PastTurn, SavedConversations
from pipelines.errors import EXPECTED_ERRORS, EmptyQuestion, FileNotUsable
from pipelines.events import AnswerDone, AnswerEvent, EngineLoading, Notice, PromptBuilt, Retrieved, TurnStarted
from pipelines.excerpts import Embed, Split, rank_excerpts, split_long_question, take_whole
from pipelines.foreground import Foreground
from pipelines.grounding import check
from pipelines.passages import Passage
from pipelines.prompt import BuiltPrompt, PromptBuilder, PromptLimits, PromptPictures
from pipelines.question import Need, conversation_speaks_of, fitting, place_of_last, understand
from pipelines.settings import Settings
from pipelines.sight import Eyesight, Sight, Voice
from pipelines.turn import Answer, Attachment, Placement, Timings, Turn
from rag.query import ParsedQuery, parse_query
from rag.records import Hit

NOTHING_FOUND = "Your files don't say anything about this."
"""Said by the program itself, without a model, when no passage fits the question."""

CHARACTERS_PER_TOKEN = 4
"""A rough measure of when a question is too long to be one; exact counting comes later, with the model."""
LONG_QUESTION_SHARE = 0.25
"""Of the context; a longer question is taken for a pasted text."""
MIN_LONG_QUESTION_CHARACTERS = 2000
CLEARLY_NEARER = 0.1
"""By cosine; see `_news`."""

SearchLibrary = Callable[[ParsedQuery, int], Sequence[Hit]]
"""A query and how many passages are wanted; best first."""


@dataclass(slots=True)
class _Spoken:
    """What the model has said so far, and when it began."""

    usage: Usage | None = None
    first_word_at_s: float | None = None
    model: str = ""


class AnswerPipeline:
    """Answers questions. One at a time per chat model: borrowing it waits for whoever has it."""

    def __init__(
        self,
        *,
        settings: Settings,
        search: SearchLibrary,
        chat: Voice,
        conversations: SavedConversations,
        split: Split,
        embed: Embed | None = None,
        foreground: Foreground | None = None,
        seeing: Callable[[], Voice | None] = lambda: None,
        pictures: ConversationPictures | None = None,
        observe: Callable[[str, Usage], None] = lambda _model, _usage: None,
        placement: Callable[[], dict[str, Placement]] = dict,
        library_is_empty: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`split` cuts a long attachment (`rag.chunking.Chunker.split`). `embed`, where there is an embedder, ranks
        such passages and settles what words leave open in grounding. `seeing` gives the model that is shown pictures,
        and `pictures` keeps them; `observe` is told how each answer of a model went. `clock` counts seconds.
        """
        self._settings = settings
        self._search = search
        self._conversations = conversations
        self._split = split
        self._embed = embed
        self._foreground = foreground or Foreground()
        self._chat = chat
        self._eyesight = Eyesight(chat, seeing=seeing, pictures=pictures)
        self._observe = observe
        self._placement = placement
        self._library_is_empty = library_is_empty
        self._clock = clock

    def answer(self, turn: Turn, stop: threading.Event) -> Iterator[AnswerEvent]:
        """Answer one question; see `pipelines.home.Home.answer`.

        Yields TurnStarted, Retrieved, PromptBuilt, PromptProgress and TextDelta, Notices between them, and
        AnswerDone last, also when it was stopped. Closing the iterator stops it too. A failed turn keeps the text
        that there was and is marked. Raises EmptyQuestion, FileNotUsable, NoSuchConversation, and what the engines and
        the library raise.
        """
        started_s = self._clock()
        typed = turn.question.strip()
        if not typed:
            raise EmptyQuestion("nothing was asked", hint="type a question")
        # What chooses the files is for the search; the model is asked the rest.
        asked = parse_query(typed) if turn.use_library else ParsedQuery(typed)
        if not asked.text:
            raise EmptyQuestion("nothing was asked beside the filters", hint="`homebody search` lists what they choose")
        if turn.attachments and not any(each.text.strip() or each.pictures for each in turn.attachments):
            names = ", ".join(attachment.name for attachment in turn.attachments)
            raise FileNotUsable(f"{names}: there is no text in it", hint="give a file with text, or ask without it")
        history: Sequence[PastTurn] = ()
        if turn.conversation_id is not None:
            history = self._conversations.history(turn.conversation_id)
        record = AnswerRecord.begin(self._conversations, turn, typed, clock=self._clock)
        try:
            yield TurnStarted(record.conversation_id, record.turn_id)
            yield from record.notices()
            yield from self._answer(turn, asked, history, record, stop, started_s)
        except (GeneratorExit, KeyboardInterrupt):
            record.break_off("stopped")
            raise
        except EXPECTED_ERRORS as error:
            record.break_off("failed", reason=str(error))
            raise
        finally:
            record.break_off("failed", reason="an error in homebody; see the log")  # nothing when it has ended

    def _answer(
        self,
        turn: Turn,
        asked: ParsedQuery,
        history: Sequence[PastTurn],
        record: AnswerRecord,
        stop: threading.Event,
        started_s: float,
    ) -> Iterator[AnswerEvent]:
        question = asked.text
        sight = self._eyesight.look(turn.attachments, history, stop)
        yield from sight.notices
        attachments = sight.texts
        if len(question) > self._long_question_characters():
            question, pasted = split_long_question(question)
            attachments = (*attachments, pasted)
            yield Notice(
                f"The question is a long text: it is searched for “{_shortened(question)}”, not read whole.",
                "ask in one or two sentences, before or after the text",
            )
        need = understand(question, history)
        place = asked if asked.restricted or not need.leans_on_last else place_of_last(history)
        hits: list[Hit] = []
        with self._foreground.busy():
            if turn.use_library:
                hits, retrieved = self._retrieve(need, place)
                yield retrieved
                if not hits and place.restricted:
                    yield Notice(
                        "Only the files that the filters choose were looked at.", "leave the filters out to look at all"
                    )
                if not hits and not attachments and not sight.sees and not _may_be_talked_about(need, history):
                    yield from self._say_nothing_found(question, record, started_s)
                    return
            if stop.is_set():
                yield AnswerDone(self._done(record, started_s, _Spoken(), (), question, finish="stopped"))
                return
            if model_id := sight.voice.to_load():
                yield EngineLoading(model_id, "chat")
            asks_files = bool(attachments) or (turn.use_library and (bool(hits) or not need.is_talk))
            with sight.voice.borrow() as model:
                builder = self._builder(model, sight, history, question, asks_files=asks_files)
                yield from _pages_left_out(sight, builder)
                prompt, notices = self._build(builder, question, attachments, _news(hits, need, builder))
                yield from notices
                yield PromptBuilt(
                    len(prompt.new_passages), prompt.passages_left_out, prompt.turns_left_out, prompt.prompt_tokens
                )
                record.asks(prompt, search_query=need.query, model=model.model_id)
                spoken = _Spoken(model=model.model_id)
                yield from self._speak(model, prompt, turn, record, spoken, stop)
            seen = self._found_on(prompt.visible_pictures, record, stop)
            found = dict.fromkeys(each.as_passage() for each in seen if each.text)
            sources = (*prompt.visible_passages, *found)
            answer = self._done(record, started_s, spoken, sources, question, pictures=seen)
        if not answer.text.strip() and answer.finish != "stopped":
            yield _nothing_written(answer)
        yield from record.notices()
        yield AnswerDone(answer)

    def _retrieve(self, need: Need, place: ParsedQuery) -> tuple[list[Hit], Retrieved]:
        """`place` says which files are looked at. "Sum up kind:pdf after:yesterday" names them and nothing else."""
        started_s = self._clock()
        hits: list[Hit] = []
        if not need.is_talk:
            found = self._search(place.looking_for(need.query), self._settings.answer.passages)
            hits = fitting(found, need.query)
        elif place.filters and not need.leans_on_last:
            hits = list(self._search(place.looking_for(""), self._settings.answer.passages))
        return hits, Retrieved(tuple(hits), self._clock() - started_s)

    def _builder(
        self, model: ChatModel, sight: Sight, history: Sequence[PastTurn], question: str, *, asks_files: bool
    ) -> PromptBuilder:
        """With as many pages of each file as there is room for, but at least one. Raises PromptTooLong."""
        pictures, limits = _shown(sight), self._limits(sight)
        while True:
            try:
                return PromptBuilder(model, limits, history, question, asks_files=asks_files, pictures=pictures)
            except PromptTooLong:
                if pictures is None or (fewer := pictures.without_last_page()) is None:
                    raise
                pictures = fewer

    def _build(
        self, builder: PromptBuilder, question: str, attachments: Sequence[Attachment], hits: Sequence[Hit]
    ) -> tuple[BuiltPrompt, list[Notice]]:
        notices: list[Notice] = []
        excerpts = take_whole(attachments)
        if not builder.fits_whole(excerpts.passages):
            excerpts = rank_excerpts(attachments, question, split=self._split, embed=self._embed)
        prompt = builder.build([*excerpts.passages, *map(Passage.from_hit, hits)])
        read = sum(1 for passage in prompt.new_passages if passage.chunk_id is None)
        if not excerpts.whole and read < len(excerpts.passages):
            notices.append(_part_read(attachments, read, len(excerpts.passages)))
        if prompt.dropped_now:
            notices.append(
                Notice(
                    f"The conversation has outgrown the model's context: its first {prompt.turns_left_out} turns are"
                    " no longer read.",
                    "a larger chat.context_tokens in the settings keeps more, and takes more memory",
                )
            )
        return prompt, notices

    def _speak(
        self,
        model: ChatModel,
        prompt: BuiltPrompt,
        turn: Turn,
        record: AnswerRecord,
        spoken: _Spoken,
        stop: threading.Event,
    ) -> Iterator[AnswerEvent]:
        """The one loop over a model's events. Costs a list append and a look at the clock a token."""
        chat = self._settings.chat
        options = GenerationOptions(
            max_tokens=turn.max_tokens or chat.max_tokens,
            temperature=chat.temperature,
            repeat_penalty=chat.repeat_penalty,
        )
        for event in model.stream(prompt.messages, options, stop):
            if isinstance(event, TextDelta):
                if spoken.first_word_at_s is None:
                    spoken.first_word_at_s = self._clock()
                record.add(event.text)
                yield event
            elif isinstance(event, PromptProgress | PictureProgress):
                yield event
            else:
                spoken.usage = event
                self._observe(spoken.model, event)

    def _found_on(
        self, pictures: Sequence[ShownPicture], record: AnswerRecord, stop: threading.Event
    ) -> tuple[ShownPicture, ...]:
        """The pictures that the model saw, with what the program itself finds on them: what the answer is held
        against. Looked at once a picture, after the answer is written: nobody waits for its first word."""
        keeper = self._eyesight.pictures
        if keeper is None or not pictures or stop.is_set():
            return tuple(pictures)
        found: list[ShownPicture] = []
        for each in pictures:
            # What is found is of the whole file: its other pages are not looked at anew.
            same = next((known for known in found if each.is_page_with(known)), None)
            found.append(replace(each, text=same.text) if same is not None else keeper.text_of(each, stop))
        record.found_on(found)
        return tuple(found)

    def _say_nothing_found(self, question: str, record: AnswerRecord, started_s: float) -> Iterator[AnswerEvent]:
        if self._library_is_empty():
            yield Notice("No file has been indexed yet.", "run: homebody index PATH")
        record.add(NOTHING_FOUND)
        spoken = _Spoken(first_word_at_s=self._clock())
        yield TextDelta(NOTHING_FOUND)
        answer = self._done(record, started_s, spoken, (), question)
        yield from record.notices()
        yield AnswerDone(answer)

    def _done(
        self,
        record: AnswerRecord,
        started_s: float,
        spoken: _Spoken,
        sources: Sequence[Passage],
        question: str,
        *,
        pictures: Sequence[ShownPicture] = (),
        finish: str = "",
    ) -> Answer:
        """Check the whole answer, save it, and say how long everything took."""
        text = record.text
        checked = check(text, sources, question=question, embed=self._embed)
        usage = spoken.usage or Usage(0, 0, 0.0, 0, 0.0, "stopped" if finish == "stopped" else "stop")
        ended_s = self._clock()
        answer = Answer(
            text=text,
            sentences=checked.sentences,
            citations=checked.citations,
            grounded=checked.grounded,
            found_nothing=checked.found_nothing,
            model=spoken.model,
            finish=usage.finish,
            timings=Timings(
                ttft_s=(spoken.first_word_at_s or ended_s) - started_s,
                prompt_tokens=usage.prompt_tokens,
                cached_tokens=usage.cached_tokens,
                prefill_s=usage.prefill_s,
                decode_tokens=usage.decode_tokens,
                decode_tokens_per_s=usage.decode_tokens_per_s,
                total_s=ended_s - started_s,
            ),
            placement=self._placement(),
            pictures=tuple(dict.fromkeys(each.path for each in pictures)),
            conversation_id=record.conversation_id,
            turn_id=record.turn_id,
        )
        record.end(answer)
        return answer

    def _limits(self, sight: Sight) -> PromptLimits:
        return PromptLimits(
            passages=self._settings.answer.passages,
            max_tokens=self._settings.chat.max_tokens,
            first_word_s=self._settings.answer.first_word_s,
            prefill_tokens_per_s=sight.voice.prefill_tokens_per_s(),
        )

    def _long_question_characters(self) -> int:
        tokens = LONG_QUESTION_SHARE * self._settings.chat.context_tokens
        if (rate := self._chat.prefill_tokens_per_s()) > 0:
            tokens = min(tokens, rate * self._settings.answer.first_word_s)
        return max(MIN_LONG_QUESTION_CHARACTERS, int(tokens * CHARACTERS_PER_TOKEN))


def _news(hits: Sequence[Hit], need: Need, builder: PromptBuilder) -> Sequence[Hit]:
    """What a follow-up needs besides the passages that the conversation shows already.

    "And when is it due?" finds whatever is due; nearest to the question in the prompt, it would draw the model away
    from the matter. So where a passage that is shown fits the follow-up, only clearly nearer ones are added.
    """
    shown = [hit for hit in hits if builder.is_shown(Passage.from_hit(hit))]
    if not need.leans_on_last or not shown:
        return hits
    line = max(hit.cosine or 0.0 for hit in shown) + CLEARLY_NEARER
    return [hit for hit in hits if (hit.cosine or 0.0) >= line]


def _shown(sight: Sight) -> PromptPictures | None:
    """None for a model that does not see."""
    if not sight.sees:
        return None
    new = zip(sight.new, sight.texts_of_new, strict=True)
    return PromptPictures(tuple(ShownPicture.of(picture, text) for picture, text in new), sight.images)


def _pages_left_out(sight: Sight, builder: PromptBuilder) -> Iterator[Notice]:
    """For each file of which the model sees only some pages."""
    pages = {picture.path: picture.pages for picture in sight.new}
    for path, count in pages.items():
        shown = sum(each.path == path for each in builder.new_pictures)
        if shown < count:
            seen = "page 1" if shown == 1 else f"pages 1 to {shown}"
            yield Notice(
                f"{path}: the model sees {seen} of {count}.", "to ask about another, save it as a file of its own"
            )


def _may_be_talked_about(need: Need, history: Sequence[PastTurn]) -> bool:
    """Talk, or something that the conversation so far is about: the model may answer without new passages."""
    return need.is_talk or (bool(history) and (need.leans_on_last or conversation_speaks_of(need.stems, history)))


def _shortened(text: str, characters: int = 80) -> str:
    line = " ".join(text.split())
    return line if len(line) <= characters else f"{line[: characters - 1]}…"


def _nothing_written(answer: Answer) -> Notice:
    return Notice(
        f"{answer.model} wrote no answer.",
        "ask in other words, or choose another model that sees: homebody models list --for vision"
        if answer.pictures
        else "ask in other words, or choose another model: homebody models list --for chat",
    )


def _part_read(attachments: Sequence[Attachment], read: int, of: int) -> Notice:
    names = ", ".join(attachment.name for attachment in attachments)
    return Notice(
        f"{names}: {read} of {of} passages are read, the best for the question.",
        "a larger answer.first_word_s in the settings reads more, and takes longer",
    )


__all__ = ["NOTHING_FOUND", "AnswerPipeline", "SearchLibrary"]
