"""The terminal application: screens, themes and keys. It does no work; screens own their workers.

Nothing here or in the first screen imports an engine, the library or pydantic: the first frame is drawn, then
a thread opens the Home that everything else is asked of.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from textual import work
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.filter import LineFilter
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from app.control_filter import ControlFilter
from app.hang_up import end_with_terminal
from app.keys import KEYS, bindings
from app.messages import EnginesSeen, Failure, FollowEnded, FollowStep, HomeFailed, HomeOpened, WarmUpStep
from app.screens.chat import ChatScreen
from app.terminal_pictures import Protocol, TerminalPictures, ask_terminal
from app.terminal_text import clean
from app.themes import DARK, LIGHT, THEMES

if TYPE_CHECKING:
    from app.follow_log import FollowLog
    from app.screens.library import LibraryScreen
    from pipelines.events import IndexEvent
    from pipelines.home import Home

log = logging.getLogger("homebody.app")

LEAVE_TWICE_WITHIN_S = 2.0


def run_app(open_home: Callable[[], Home]) -> int:
    """Run the terminal UI until the user leaves; returns the exit code.

    `open_home` is called in a thread after the first frame. What it opened is closed at the end.
    """
    end_with_terminal()
    app = HomebodyApp(open_home, ask_terminal())  # before Textual listens to the keyboard
    try:
        app.run()
    finally:
        if app.home is not None:
            app.home.close()
    return app.return_code or 0


class HomebodyApp(App[None]):
    TITLE = "homebody"
    CSS_PATH = Path(__file__).parent / "styles" / "homebody.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("everywhere")]
    ENABLE_COMMAND_PALETTE = True
    # For the style sheet. The keys of a conversation take 82 columns, those of a picture in a source 87.
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (88, "-wide")]  # noqa: RUF012 (Textual declares them so)
    VERTICAL_BREAKPOINTS = [(0, "-low"), (20, "-high")]  # noqa: RUF012

    def __init__(self, open_home: Callable[[], Home], terminal_pictures: TerminalPictures | None = None) -> None:
        """`terminal_pictures`: what the terminal can show beside characters; nothing where it was not asked."""
        super().__init__()
        self.home: Home | None = None
        self.terminal_pictures = terminal_pictures or TerminalPictures()
        self._open_home = open_home
        self._stops: set[threading.Event] = set()
        self._warm_up_stop = threading.Event()
        self._indexing = ""
        self._follow_stop = threading.Event()
        self._follow_log: FollowLog | None = None
        self._warming = ""
        self._leave_asked = False
        self._control_filter = ControlFilter()
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DARK.name

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), self._control_filter]

    def get_default_screen(self) -> ChatScreen:
        return ChatScreen()

    @property
    def picture_protocol(self) -> Protocol:
        """How pictures are drawn, as the settings and the terminal have it."""
        chosen = self.terminal_pictures.chosen(self.home.settings.look.pictures if self.home else "auto")
        # kitty's placeholders carry the picture's number in their colour, so that must come through as it is.
        exact = self.console.color_system == "truecolor" and not self.no_color
        return "blocks" if chosen == "kitty" and not exact else chosen

    @property
    def chat(self) -> ChatScreen:
        """The conversation, which is always at the bottom of the stack."""
        screen = self.screen_stack[0]
        assert isinstance(screen, ChatScreen)
        return screen

    # --- opening ---

    def on_mount(self) -> None:
        self.call_after_refresh(self.open)

    @work(thread=True, exclusive=True, group="open", exit_on_error=False)
    def open(self) -> None:
        home = None
        try:
            home = self._open_home()
        except Exception as error:  # outermost frame: what is expected can only be told apart after importing it
            from app.present import failure_of
            from pipelines.errors import EXPECTED_ERRORS

            if not isinstance(error, EXPECTED_ERRORS):
                raise
            self.post_message(HomeFailed(failure_of(error)))
        if home is not None:
            self.post_message(HomeOpened(home))
        # What the first answer needs, imported here and not while a user waits for it to be drawn.
        import app.widgets.turn_view  # noqa: F401

    async def on_home_opened(self, event: HomeOpened) -> None:
        self.home = event.home
        self.theme = event.home.settings.look.theme
        await self.chat.home_opened(event.home)
        self.look_at_engines()
        self._warm_up_stop = self.new_stop()
        self.warm_up(event.home, self._warm_up_stop)
        self.start_following()

    def on_home_failed(self, event: HomeFailed) -> None:
        self.chat.home_failed(event.failure)
        self.say(event.failure, severity="error")

    def look_at_engines(self) -> None:
        """Ask again what runs where, for the status bar."""
        if self.home is not None:
            self.see_engines(self.home)

    @work(thread=True, exclusive=True, group="engines", exit_on_error=False)
    def see_engines(self, home: Home) -> None:
        from app.present import failure_of
        from pipelines.errors import EXPECTED_ERRORS

        try:
            self.post_message(EnginesSeen(home.engines(), home.library()))
        except EXPECTED_ERRORS as error:
            log.warning("the engines could not be asked: %s", failure_of(error).text)

    def on_engines_seen(self, event: EnginesSeen) -> None:
        from app.present import engine_label

        self.chat.status.engine = engine_label(event.engines)
        self.chat.engines_seen(event.engines, event.library)

    @work(thread=True, exclusive=True, group="warm-up", exit_on_error=False)
    def warm_up(self, home: Home, stop: threading.Event) -> None:
        from app.present import failure_of, notice
        from pipelines.errors import EXPECTED_ERRORS

        try:
            for said in home.warm_up(stop):
                self.post_message(WarmUpStep(notice(said).text))
                if stop.is_set():
                    break
        except EXPECTED_ERRORS as error:  # the first answer will say it, with its hint
            log.warning("warming up ended early: %s", failure_of(error).text)
        self.post_message(WarmUpStep(""))

    def on_warm_up_step(self, event: WarmUpStep) -> None:
        self._warming = event.text.splitlines()[0] if event.text else ""
        self._show_activity()
        if not event.text:
            self.look_at_engines()

    def stop_warming_up(self) -> None:
        """A question needs the engines now, and loads what it needs itself."""
        self._warm_up_stop.set()
        self._warming = ""
        self._show_activity()

    # --- following the library's folders ---

    @property
    def follow_log(self) -> FollowLog | None:
        """What following has said; None where it never began."""
        return self._follow_log

    @property
    def is_following(self) -> bool:
        return self._follow_log is not None and not self._follow_log.is_ended

    def start_following(self) -> None:
        """From now on, as the settings want it."""
        home = self.home
        if home is None or self.is_following or home.read_only_because or not home.settings.library.follow:
            return
        from app.follow_log import FollowLog

        self._follow_log = self._follow_log or FollowLog()
        self._follow_log.begin()
        self._follow_stop = self.new_stop()
        self.follow(home, self._follow_stop)

    def stop_following(self) -> None:
        self._follow_stop.set()

    @work(thread=True, exclusive=True, group="follow", exit_on_error=False)
    def follow(self, home: Home, stop: threading.Event) -> None:
        from app.present import failure_of
        from pipelines.errors import EXPECTED_ERRORS
        from pipelines.events import IndexProgress

        try:
            for event in home.follow(stop):
                self.post_message(FollowStep(event, is_progress=isinstance(event, IndexProgress)))
        except EXPECTED_ERRORS as error:
            self.post_message(FollowEnded(failure_of(error)))
        else:
            self.post_message(FollowEnded(Failure("The folders are not followed.", "u follows them again")))

    def on_follow_step(self, event: FollowStep) -> None:
        if self._follow_log is not None:
            self._follow_log.take(event.event)
        self._followed(event.event)

    def on_follow_ended(self, event: FollowEnded) -> None:
        if self._follow_log is not None:
            self._follow_log.end(event.failure)
        self._followed(None)

    def _followed(self, event: IndexEvent | None) -> None:
        from app.present import notice
        from pipelines.events import IndexDone, Notice

        if isinstance(event, Notice):
            self.say(notice(event), severity="information")
        self._show_activity()
        if self.is_screen_installed("library"):
            self.library_screen().followed(changed=event is None or isinstance(event, IndexDone))

    # --- what screens share ---

    def new_stop(self) -> threading.Event:
        """A stop signal that leaving homebody sets too, so that no thread outlives it."""
        stop = threading.Event()
        self._stops = {each for each in self._stops if not each.is_set()}
        self._stops.add(stop)
        return stop

    def stop_everything(self) -> None:
        for stop in self._stops:
            stop.set()

    def on_unmount(self) -> None:
        """However homebody is left: Python waits for its threads, so they are told before it does."""
        self.stop_everything()

    def say(self, failure: Failure, *, severity: str = "warning") -> None:
        """A short notice; its text is shown as it is, never as markup."""
        levels: dict[str, Literal["information", "warning", "error"]] = {
            "information": "information",
            "warning": "warning",
            "error": "error",
        }
        text = "\n".join(part for part in (failure.text, failure.hint) if part)
        self.notify(text, severity=levels[severity], markup=False)

    def indexing(self, activity: str) -> None:
        """Told by the library screen while it indexes."""
        self._indexing = activity
        self._show_activity()

    def _show_activity(self) -> None:
        following = self._follow_log.activity if self._follow_log is not None else ""
        self.chat.status.activity = self._indexing or following or self._warming

    # --- when something breaks ---

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            if event.worker.group == "follow":
                self.post_message(FollowEnded(Failure("Following the folders broke off.", "u goes on from there")))
            self.report_bug(event.worker.error)

    def report_bug(self, error: BaseException) -> None:
        """The one place for errors that nobody expected: the log gets all of it, the user one notice."""
        log.error("unexpected error in a worker", exc_info=error)
        from app.screens.text_modal import TextModal

        if isinstance(self.screen, TextModal):
            return  # one notice is enough
        where = f"\nThe details are in {clean(str(self.home.paths.log_file))}." if self.home is not None else ""
        summary = clean(f"{type(error).__name__}: {error}")
        self.push_screen(
            TextModal(
                "Something went wrong inside homebody", f"{summary}\n{where}\nhomebody goes on; nothing was lost."
            )
        )

    # --- keys ---

    def _goes_to(self, screen_type: type[Screen[None]]) -> bool:
        """Whether a screen may be opened from here: not over itself, not over a question to the user."""
        return not self.screen.is_modal and not isinstance(self.screen, screen_type)

    def _back_to_chat(self) -> None:
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def action_help(self) -> None:
        from app.screens.help import HelpScreen

        if self._goes_to(HelpScreen):
            self.push_screen(HelpScreen())

    def action_history(self) -> None:
        from app.screens.history import HistoryScreen

        if self._goes_to(HistoryScreen) and self._needs_home():
            self._back_to_chat()
            self.push_screen(HistoryScreen())

    def action_library(self) -> None:
        from app.screens.library import LibraryScreen

        if self._goes_to(LibraryScreen) and self._needs_home():
            self._back_to_chat()
            self.push_screen(self.library_screen())

    def library_screen(self) -> LibraryScreen:
        """Installed once, so that it goes on indexing while it is not shown."""
        from app.screens.library import LibraryScreen

        if not self.is_screen_installed("library"):
            self.install_screen(LibraryScreen(), "library")
        screen = self.get_screen("library")
        assert isinstance(screen, LibraryScreen)
        return screen

    def action_search(self, query: str = "") -> None:
        from app.screens.search import SearchScreen

        if self._goes_to(SearchScreen) and self._needs_home():
            self._back_to_chat()
            self.push_screen(SearchScreen(query))

    def action_engines(self) -> None:
        from app.screens.engines import EnginesScreen

        if self._goes_to(EnginesScreen) and self._needs_home():
            self.push_screen(EnginesScreen())

    def _needs_home(self) -> bool:
        if self.home is None:
            self.say(Failure("The library is not open yet."), severity="information")
        return self.home is not None

    def action_switch_theme(self) -> None:
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name
        if self.home is not None:
            self.remember_theme(self.home, self.theme)

    @work(thread=True, exclusive=True, group="theme", exit_on_error=False)
    def remember_theme(self, home: Home, theme: str) -> None:
        from app.present import failure_of
        from pipelines.errors import EXPECTED_ERRORS

        try:
            home.set_theme(theme)
        except EXPECTED_ERRORS as error:
            log.warning("the theme was not remembered: %s", failure_of(error).text)

    async def action_interrupt(self) -> None:
        """Ctrl+C: copy a selection; else stop an answer; else leave, when pressed twice."""
        if selected := self.screen.get_selected_text():
            self.copy_to_clipboard(clean(selected))
            self.say(Failure("Copied."), severity="information")
        elif self.chat.is_answering:
            await self.chat.action_stop()
        elif self._leave_asked:
            self.exit()
        else:
            self._leave_asked = True
            self.set_timer(LEAVE_TWICE_WITHIN_S, self._forget_leaving)
            self.say(Failure("Press Ctrl+C again to leave."), severity="information")

    def _forget_leaving(self) -> None:
        self._leave_asked = False

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:  # noqa: ARG002
        """Every action of the registry that makes sense from anywhere."""
        for each in KEYS:
            if each.in_palette:
                yield SystemCommand(each.label, each.help, lambda each=each: self._run_command(each.place, each.action))

    async def _run_command(self, place: str, action: str) -> None:
        if place == "conversation":
            self._back_to_chat()
            await self.run_action(action, self.chat)
        else:
            await self.run_action(action, self)
