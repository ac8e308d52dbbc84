"""The conversation: the first screen, and the one that is always there.

Owns the answer's worker and all state of the conversation. The pipeline does the work; this decides what is
asked, in which conversation, and where a question goes that came to nothing.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Footer, Static

from app.answer_work import Asked, answer
from app.keys import bindings
from app.messages import (
    AnswerFailed,
    AnswerStep,
    AnswerText,
    ConversationLoaded,
    DictationEnded,
    DictationStep,
    Failure,
    WorkFailed,
)
from app.screens.home_screen import HomeScreen
from app.terminal_text import clean
from app.widgets.composer import Composer
from app.widgets.draft_pictures import DraftPictures
from app.widgets.filter_hints import FilterHints
from app.widgets.microphone import HeldKey, MicrophoneLine
from app.widgets.status_bar import StatusBar
from app.widgets.transcript import Transcript

if TYPE_CHECKING:
    from app.widgets.source_row import ShowSource, Sources
    from app.widgets.turn_view import TurnView
    from pipelines.events import AnswerDone
    from pipelines.home import EnginesStatus, Home, LibraryStatus

SEARCH_COMMAND = "/search"
OPENING = "Opening your library…"
WELCOME = (
    "Ask something about your files.\n"
    "Every sentence of the answer shows where it comes from, or that nothing supports it."
)
NO_FILES = "homebody knows no files yet.\nPress F3 for the library, then a, to add a folder."
BROKE = Failure("Something went wrong inside homebody; this answer could not be finished.")


class ChatScreen(HomeScreen):
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("conversation")]
    AUTO_FOCUS: ClassVar[str | None] = "#composer"

    def __init__(self) -> None:
        super().__init__()
        self.status = StatusBar()
        self.transcript = Transcript()
        self.composer = Composer()
        self._draft_pictures = DraftPictures()
        self.conversation_id: int | None = None
        self._answering: Asked | None = None
        self._waiting: Asked | None = None
        """Asked before the library was open; answered as soon as it is."""
        self._stop = threading.Event()
        self._dictate_key = HeldKey()
        self._dictation_stop: threading.Event | None = None
        """Of the dictation that is going on."""
        self._stopping = False
        self._cursor_blinks = True

    def compose(self) -> ComposeResult:
        yield self.status
        yield self.transcript
        with Vertical(id="ask"):
            yield Static("", markup=False, id="pastes")
            yield self._draft_pictures
            yield MicrophoneLine()
            yield self.composer
            yield FilterHints()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one("#pastes").display = False
        self.transcript.show_welcome(OPENING)

    @property
    def is_answering(self) -> bool:
        return self._answering is not None

    @property
    def _answering_is_shown(self) -> bool:
        """False when the user went to another conversation while it was being stopped."""
        return self._answering is not None and self.transcript.turn(self._answering.turn_key) is not None

    # --- what the app tells ---

    async def home_opened(self, home: Home) -> None:
        await self._draft_pictures.follow(self.composer.text)
        self.transcript.show_welcome(WELCOME)
        if home.read_only_because:
            self.transcript.show_welcome(f"{WELCOME}\n\nRead only: {clean(home.read_only_because)}")
        if self._waiting is not None:
            asked, self._waiting = self._waiting, None
            self._start(home, asked)

    def home_failed(self, failure: Failure) -> None:
        self.transcript.show_welcome(
            "\n".join(part for part in ("homebody could not open its library.", failure.text, failure.hint) if part)
        )

    def engines_seen(self, engines: EnginesStatus, library: LibraryStatus) -> None:
        """What is installed and what the library holds, for the first words a user reads."""
        from app.present import missing_weights
        from app.wording import counted

        home = self.home
        parts = [WELCOME, f"{counted(library.documents, 'file')} in the library."] if library.documents else [NO_FILES]
        if home is not None and home.read_only_because:
            parts.append(f"Read only: {clean(home.read_only_because)}")
        parts += [f"{said.text}\n{said.hint}".strip() for said in missing_weights(engines)]
        self.transcript.show_welcome("\n\n".join(parts))

    # --- asking ---

    @on(Composer.Submitted)
    async def ask(self, event: Composer.Submitted) -> None:
        event.stop()
        command, _, query = event.text.partition(" ")
        if command == SEARCH_COMMAND:
            self.homebody.action_search(query.strip())
            return
        await self._ask(event.text, event.pastes)

    @on(Composer.Changed)
    async def composer_changed(self, event: Composer.Changed) -> None:
        event.stop()
        await self._draft_pictures.follow(self.composer.text)
        before_cursor = self.composer.text_before_cursor
        self.query_one(FilterHints).follow(self.composer.text, len(before_cursor))

    async def _ask(self, question: str, pastes: tuple[str, ...]) -> None:
        if self._waiting is not None or (self._answering is not None and self._answering_is_shown):
            self.composer.give_back(question, pastes)
            self.say(Failure("The answer before is still being written.", "esc stops it"), severity="information")
            return
        turn = await self.transcript.add(question)
        turn.pastes = pastes
        if not self.status.title:
            from app.present import title_of

            self.status.title = title_of(question)
        asked = Asked(turn.key, question, pastes, self.conversation_id)
        if self.home is None or self._answering is not None:
            self._waiting = asked
            self.refresh_bindings()
            turn.show_phase("Waiting for the library to open" if self.home is None else "Waiting for the engine")
            return
        self._start(self.home, asked)

    def _start(self, home: Home, asked: Asked) -> None:
        self._answering = asked
        self._stopping = False
        # A blinking cursor is drawn twice a second, in time that the model can use.
        self._cursor_blinks, self.composer.cursor_blink = self.composer.cursor_blink, False
        self.refresh_bindings()
        self._stop = self.new_stop()
        self.homebody.stop_warming_up()
        if turn := self.transcript.turn(asked.turn_key):
            turn.show_phase("Thinking")
        self.write_answer(home, asked, self._stop)

    @work(thread=True, exclusive=True, group="answer", exit_on_error=False)
    def write_answer(self, home: Home, asked: Asked, stop: threading.Event) -> None:
        answer(home, asked, stop, self.post_message)

    async def on_answer_text(self, event: AnswerText) -> None:
        event.stop()
        if turn := self.transcript.turn(event.turn_key):
            await turn.add_text(event.text)

    async def on_answer_step(self, event: AnswerStep) -> None:
        event.stop()
        from app.present import notice, phase
        from pipelines.events import AnswerDone, Notice, TurnStarted

        turn = self.transcript.turn(event.turn_key)
        if turn is None:  # the user is in another conversation meanwhile
            if isinstance(event.event, AnswerDone):
                self._ended(event.turn_key)
            return
        match event.event:
            case AnswerDone():
                await self._answered(turn, event.event)
                return
            case TurnStarted(conversation_id=conversation_id) if conversation_id is not None:
                self.conversation_id = conversation_id
            case Notice():
                turn.add_notice(notice(event.event))
        if not self._stopping and (shown := phase(event.event)):
            turn.show_phase(shown)

    async def _answered(self, turn: TurnView, done: AnswerDone) -> None:
        asked = self._ended(turn.key)
        if done.answer.finish == "stopped" and not done.answer.text.strip():
            await self.transcript.take_out(turn)
            self._give_back(asked)
        else:
            await turn.finish(done.answer)
        self.homebody.look_at_engines()

    async def on_answer_failed(self, event: AnswerFailed) -> None:
        event.stop()
        await self._failed(event.turn_key, event.failure)

    async def _failed(self, turn_key: int, failure: Failure) -> None:
        asked = self._ended(turn_key)
        if turn := self.transcript.turn(turn_key):
            await turn.fail(failure)
        else:
            self.say(failure)
        self._give_back(asked)

    def work_broke(self, group: str, error: BaseException) -> None:  # noqa: ARG002 (the app reports it)
        if group == "dictation":
            self._dictation_over()
        if group == "answer" and self._answering is not None:
            self.post_message(AnswerFailed(self._answering.turn_key, BROKE))

    def _ended(self, turn_key: int) -> Asked | None:
        """The turn is over, however it went; returns what was asked."""
        asked = self._answering
        if asked is None or asked.turn_key != turn_key:
            return None
        self._answering = None
        self._stopping = False
        self.composer.cursor_blink = self._cursor_blinks
        self.refresh_bindings()
        if self._waiting is not None and self.home is not None:
            waiting, self._waiting = self._waiting, None
            self._start(self.home, waiting)
        return asked

    def _give_back(self, asked: Asked | None) -> None:
        if asked is not None:
            self.composer.give_back(asked.question, asked.pastes)

    @on(Composer.PastesChanged)
    def show_pastes(self, event: Composer.PastesChanged) -> None:
        event.stop()
        line = self.query_one("#pastes", Static)
        line.display = bool(event.pastes)
        sizes = ", ".join(f"pasted text ({len(text):,} characters)" for text in event.pastes)
        line.update(f"Attached: {sizes} · ctrl+x takes it away")

    # --- dictation ---

    def action_dictate(self) -> None:
        """Begin, or end what began; a key that is held is told again and again, and neither."""
        match self._dictate_key.press(is_running=self._dictation_stop is not None):
            case "start" if self.home is not None:
                self.composer.begin_dictation()
                self.query_one(MicrophoneLine).begin()
                self._dictation_stop = self.new_stop()
                self.refresh_bindings()
                self.listen(self.home, self._dictation_stop)
            case "stop":
                self._end_dictation()
            case _:
                pass

    def _end_dictation(self) -> None:
        """The last words follow."""
        if self._dictation_stop is not None and not self._dictation_stop.is_set():
            self._dictation_stop.set()
            self.query_one(MicrophoneLine).finish()

    @work(thread=True, exclusive=True, group="dictation", exit_on_error=False)
    def listen(self, home: Home, stop: threading.Event) -> None:
        from app.present import failure_of
        from pipelines.errors import EXPECTED_ERRORS

        try:
            for event in home.dictate(stop):
                self.post_message(DictationStep(event))
        except EXPECTED_ERRORS as error:
            self.post_message(DictationEnded(failure_of(error)))
        else:
            self.post_message(DictationEnded())

    def on_dictation_step(self, event: DictationStep) -> None:
        event.stop()
        from pipelines.dictate import Listening

        stop = self._dictation_stop
        if stop is None:
            return
        if not isinstance(event.event, Listening):
            self.composer.show_dictated(event.event.text)
        elif not stop.is_set():
            self.query_one(MicrophoneLine).hear(event.event.level, event.event.seconds)
            if self._dictate_key.was_released:
                self._end_dictation()

    def on_dictation_ended(self, event: DictationEnded) -> None:
        event.stop()
        self._dictation_over()
        if event.failure is not None:
            self.say(event.failure)

    def _dictation_over(self) -> None:
        self._dictation_stop = None
        self.composer.end_dictation()
        self.query_one(MicrophoneLine).end()
        self.refresh_bindings()

    # --- keys ---

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Stop is offered while there is something to stop."""
        if action == "stop":
            return self._answering is not None or self._waiting is not None or self._dictation_stop is not None
        return super().check_action(action, parameters)

    async def action_stop(self) -> None:
        if self._dictation_stop is not None:
            self._end_dictation()
        elif self._waiting is not None:
            asked, self._waiting = self._waiting, None
            self.refresh_bindings()
            if turn := self.transcript.turn(asked.turn_key):
                await self.transcript.take_out(turn)
            self._give_back(asked)
        elif self._answering is not None and not self._stopping:
            self._stopping = True
            self._stop.set()
            if (turn := self.transcript.turn(self._answering.turn_key)) and not turn.text:
                turn.show_phase("Stopping")

    async def action_new_conversation(self) -> None:
        self._stop.set()
        self.conversation_id = None
        self.status.title = ""
        await self.transcript.load(())
        self.composer.focus()

    async def action_ask_again(self) -> None:
        if turns := self.transcript.turns:
            await self._ask(turns[-1].question, turns[-1].pastes)

    def action_copy_answer(self) -> None:
        turn = next((turn for turn in reversed(self.transcript.turns) if turn.text), None)
        if turn is None:
            self.say(Failure("There is no answer to copy yet."), severity="information")
            return
        copied = turn.copied()
        self.app.copy_to_clipboard(copied)
        self.say(Failure(f"Copied {len(copied):,} characters."), severity="information")

    def action_sources(self) -> None:
        for turn in reversed(self.transcript.turns):
            if turn.citations:
                self.open_source(turn.sources, 0)
                return
        self.say(Failure("No answer here has sources yet."), severity="information")

    def on_show_source(self, event: ShowSource) -> None:
        event.stop()
        self.open_source(event.sources, event.index)

    def open_source(self, sources: Sources, index: int) -> None:
        from app.screens.source import SourceScreen

        self.app.push_screen(SourceScreen(sources, index))

    def action_focus_composer(self) -> None:
        self.composer.focus()

    async def action_earlier(self) -> None:
        await self.transcript.show_earlier()

    def action_scroll_up(self) -> None:
        self.transcript.scroll_up(animate=False)

    def action_scroll_down(self) -> None:
        self.transcript.scroll_down(animate=False)

    def action_page_up(self) -> None:
        self.transcript.scroll_page_up(animate=False)

    def action_page_down(self) -> None:
        self.transcript.scroll_page_down(animate=False)

    # --- conversations ---

    def resume(self, conversation_id: int, title: str) -> None:
        """Go on with a conversation from the library."""
        if self.home is not None:
            self._stop.set()
            self.load_conversation(self.home, conversation_id, title)

    @work(thread=True, exclusive=True, group="conversation", exit_on_error=False)
    def load_conversation(self, home: Home, conversation_id: int, title: str) -> None:
        from app.present import failure_of
        from pipelines.errors import EXPECTED_ERRORS

        try:
            turns = home.conversations.turns(conversation_id)
        except EXPECTED_ERRORS as error:
            self.post_message(WorkFailed(failure_of(error)))
        else:
            self.post_message(ConversationLoaded(conversation_id, title, turns))

    async def on_conversation_loaded(self, event: ConversationLoaded) -> None:
        event.stop()
        self.conversation_id = event.conversation_id
        self.status.title = event.title
        await self.transcript.load(event.turns)
        self.composer.remember([turn.question for turn in event.turns])
        self.composer.focus()

    async def conversation_deleted(self, conversation_id: int) -> None:
        if conversation_id == self.conversation_id:
            await self.action_new_conversation()

    def conversation_renamed(self, conversation_id: int, title: str) -> None:
        if conversation_id == self.conversation_id:
            self.status.title = title
