"""The library: which files homebody knows, in what state, and indexing them while the conversation goes on.

Installed once and kept: leaving it does not end the indexing that it owns.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Footer, Input, OptionList, Static

from app.keys import bindings
from app.messages import Failure, IndexEnded, IndexStep, LibraryListed, WorkFailed
from app.present import (
    document_facts,
    document_row,
    failure_of,
    index_activity,
    index_report,
    library_head,
    notice,
)
from app.screens.dialogs import CleanInput, ConfirmDialog, PathDialog
from app.screens.home_screen import HomeScreen
from app.terminal_text import clean
from app.widgets.filter_hints import FilterHints
from app.widgets.listing import Listing, Shown
from app.widgets.status_bar import StatusBar
from app.wording import index_progress, short_path
from pipelines.events import FileFailed, IndexDone, IndexProgress, Notice

if TYPE_CHECKING:
    from pipelines.home import DocumentRow, Home, LibraryStatus

MOST_DOCUMENTS = 5000
"""So many are listed, which takes half a second to draw; the filter finds the others."""
MOST_WHILE_INDEXING = 1000
"""Then the list is drawn again and again."""
LIST_AGAIN_AFTER_S = 2.0
"""While indexing, the list follows at this pace."""


class LibraryScreen(HomeScreen):
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("library")]
    AUTO_FOCUS: ClassVar[str | None] = "#documents"

    def __init__(self) -> None:
        super().__init__()
        self._documents: list[DocumentRow] = []
        self._status: LibraryStatus | None = None
        self._stop = threading.Event()
        self._indexing = False
        self._changed = False
        """Following changed the library since it was listed."""
        self._waiting: list[Path] = []
        """Added while another run goes on; read right after it."""
        self._failed = 0
        self._only_failed = False

    def compose(self) -> ComposeResult:
        status = StatusBar()
        status.title = "Library"
        yield status
        yield Static("", markup=False, id="library-head")
        yield Static("", markup=False, id="index-progress")
        yield CleanInput(
            placeholder="/ filters: part of a path  kind:picture  in:~/scans  after:2025", id="filter", compact=True
        )
        yield FilterHints()
        yield Listing("documents", self._preview)
        yield Static("", markup=False, id="nothing")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one("#index-progress").display = False
        self.query_one("#nothing").display = False
        self.set_interval(LIST_AGAIN_AFTER_S, self._follow)

    def on_screen_resume(self) -> None:
        self.list_documents()

    def _follow(self) -> None:
        if self.is_current and (self._indexing or self._changed):
            self._changed = False
            self.list_documents()

    def followed(self, *, changed: bool) -> None:
        """Following said something; `changed`: the list is another one now."""
        self._changed = self._changed or changed
        if self.is_mounted:
            self._show_head()

    @property
    def _list(self) -> OptionList:
        return self.query_one("#documents", OptionList)

    @property
    def _containing(self) -> str:
        return self.query_one("#filter", Input).value.strip()

    # --- what is listed ---

    def list_documents(self) -> None:
        if self.home is not None:
            most = MOST_WHILE_INDEXING if self._indexing else MOST_DOCUMENTS
            self.look(self.home, self._containing, most, only_failed=self._only_failed)

    @work(thread=True, exclusive=True, group="look", exit_on_error=False)
    def look(self, home: Home, containing: str, most: int, *, only_failed: bool) -> None:
        from pipelines.errors import EXPECTED_ERRORS, QueryNotUnderstood

        try:
            documents = home.documents(containing=containing, limit=most, only_failed=only_failed)
            self.post_message(LibraryListed(home.library(), documents, (containing, only_failed)))
        except QueryNotUnderstood:
            return  # a filter that is half written: the line below it says what may come
        except EXPECTED_ERRORS as error:
            self.post_message(WorkFailed(failure_of(error)))

    def on_library_listed(self, event: LibraryListed) -> None:
        event.stop()
        if event.asked != (self._containing, self._only_failed):
            return
        self._status = event.status
        self._show_documents(list(event.documents))
        self._show_head()

    def _show_head(self) -> None:
        if self._status is None:
            return
        lines = library_head(self._status)
        if self.home is not None and self.home.read_only_because:
            lines.append(f"Read only: {clean(self.home.read_only_because)}")
        elif self.homebody.follow_log is not None:
            lines += self.homebody.follow_log.lines()
        is_all_asked_for = not self._containing and not self._only_failed
        if is_all_asked_for and MOST_WHILE_INDEXING <= len(self._documents) < self._status.documents:
            lines.append(f"The first {len(self._documents):,} are listed; / finds the others.")
        self.query_one("#library-head", Static).update("\n".join(lines))

    def _show_documents(self, documents: list[DocumentRow]) -> None:
        if documents != self._documents:
            at = self._place_of_highlighted(documents)
            self._documents = documents
            self.query_one(Listing).set_rows([document_row(each) for each in documents], at)
        nothing = self.query_one("#nothing", Static)
        if self._only_failed:
            nothing.update("Every file could be read.")
        else:
            nothing.update("No file fits this." if self._containing else "Press a to add a folder.")
        nothing.display = not documents

    def _place_of_highlighted(self, documents: Sequence[DocumentRow]) -> int:
        """In a new list: of the same file, or about where it was."""
        at = self._list.highlighted or 0
        if at < len(self._documents):
            path = self._documents[at].path
            return next((row for row, each in enumerate(documents) if each.path == path), at)
        return at

    def _preview(self, row: int) -> Shown:
        """A file, and how it looks."""
        from pipelines.page_picture import picture_place

        document = self._documents[row]
        # What could not be read is not tried again by everyone who passes by: its reason stands there.
        is_read = document.state not in ("failed", "unsupported")
        return picture_place(document.path, document.kind) if is_read else None, document_facts(document)

    @on(Input.Changed, "#filter")
    def filter_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.query_one(FilterHints).follow(event.value, event.input.cursor_position)
        self.list_documents()

    @on(Input.Submitted, "#filter")
    def to_the_list(self, event: Input.Submitted) -> None:
        event.stop()
        self._list.focus()

    @on(OptionList.OptionSelected, "#documents")
    def show_document(self, event: OptionList.OptionSelected) -> None:
        """Everything about one file, the whole path, the reason and what to do included."""
        event.stop()
        from app.screens.text_modal import TextModal

        row = self._documents[event.option_index]
        size = f"{row.size_bytes:,} bytes"
        passages = f"{row.chunk_count:,} passages, {row.embedded_count:,} embedded"
        facts = f"{row.kind} · {size} · {passages}"
        lines = [clean(row.title), short_path(row.path), facts, clean(row.reason), clean(row.hint)]
        self.app.push_screen(TextModal("A file of the library", "\n".join(line for line in lines if line)))

    # --- indexing ---

    @property
    def is_indexing(self) -> bool:
        return self._indexing

    def start_indexing(self, roots: list[Path], *, named: bool = True) -> None:
        """Bring the library up to date with these; those that come while it runs wait their turn."""
        if self.home is None or not roots:
            return
        if self._indexing:
            self._waiting += [root for root in roots if root not in self._waiting]
            self.say(Failure("Still indexing; this comes right after."), severity="information")
            return
        self._indexing = True
        self._failed = 0
        self._stop = self.new_stop()
        self._show_progress("Looking for files")
        self.homebody.indexing("indexing")
        self.index(self.home, roots, self._stop, named=named)

    @work(thread=True, exclusive=True, group="index", exit_on_error=False)
    def index(self, home: Home, roots: list[Path], stop: threading.Event, *, named: bool) -> None:
        from pipelines.errors import EXPECTED_ERRORS

        try:
            for event in home.index(roots, stop, named=named):
                self.post_message(IndexStep(event, is_progress=isinstance(event, IndexProgress)))
        except EXPECTED_ERRORS as error:
            self.post_message(IndexEnded(failure_of(error)))
        else:
            self.post_message(IndexEnded())

    def on_index_step(self, event: IndexStep) -> None:
        event.stop()
        match event.event:
            case IndexProgress() as progress:
                name = f"\n{short_path(progress.path)}" if progress.path else ""
                self._show_progress(index_progress(progress) + name)
                self.homebody.indexing(index_activity(progress))
            case FileFailed():
                self._failed += 1
            case Notice() as said:
                self.say(notice(said), severity="information")
            case IndexDone(report=report):
                self._show_progress(index_report(report))
                self.say(Failure(index_report(report)), severity="information")

    def on_index_ended(self, event: IndexEnded) -> None:
        event.stop()
        self._indexing = False
        self.homebody.indexing("")
        if event.failure is not None:
            self._show_progress("\n".join(part for part in (event.failure.text, event.failure.hint) if part))
            self.say(event.failure, severity="error")
        self.list_documents()
        self.homebody.look_at_engines()
        if self._waiting:
            roots, self._waiting = self._waiting, []
            self.start_indexing(roots)

    def work_broke(self, group: str, error: BaseException) -> None:  # noqa: ARG002 (the app reports it)
        if group == "index":
            self.post_message(IndexEnded(Failure("Indexing broke off.", "what was done stays; u goes on from there")))

    def _show_progress(self, text: str) -> None:
        line = self.query_one("#index-progress", Static)
        line.update(text)
        line.display = bool(text)

    # --- keys ---

    def _may_write(self) -> bool:
        if self.home is not None and self.home.read_only_because:
            self.say(Failure("This library is open read only.", clean(self.home.read_only_because)))
            return False
        return self.home is not None

    @work(exclusive=True, group="dialog", exit_on_error=False)
    async def action_add(self) -> None:
        if not self._may_write():
            return
        named = await self.app.push_screen_wait(PathDialog("A folder or file to add", "~/"))
        if not named:
            return
        root = Path(named).expanduser().absolute()
        if not root.exists():
            self.say(Failure(f"{short_path(str(root))} does not exist."))
            return
        self._bring_in([root])

    def action_update(self) -> None:
        if not self._may_write():
            return
        roots = [Path(root) for root in self._status.roots] if self._status else []
        if self.homebody.is_following:
            self._bring_in([])
        elif self.homebody.follow_log is not None:
            self.homebody.start_following()
        elif roots:
            self.start_indexing(roots, named=False)
        else:
            self.say(Failure("There is no folder to update yet.", "a adds one"), severity="information")

    def _bring_in(self, roots: list[Path]) -> None:
        """Through the one who follows, where somebody does; without roots: look through all that there is."""
        if self.home is not None and self.homebody.is_following:
            self.look_again(self.home, roots)
        elif roots:
            self.start_indexing(roots)

    @work(thread=True, group="look-again", exit_on_error=False)
    def look_again(self, home: Home, roots: list[Path]) -> None:
        from pipelines.errors import EXPECTED_ERRORS

        try:
            home.look_again(roots)
        except EXPECTED_ERRORS as error:
            self.post_message(WorkFailed(failure_of(error)))

    def action_only_failed(self) -> None:
        self._only_failed = not self._only_failed
        self.query_one(StatusBar).title = "Library · only what could not be read" if self._only_failed else "Library"
        self.list_documents()

    def action_stop(self) -> None:
        if self.homebody.is_following:
            self.homebody.stop_following()
        if self._indexing:
            self._waiting.clear()
            self._stop.set()
            self._show_progress("Stopping at the next safe point…")

    @work(exclusive=True, group="dialog", exit_on_error=False)
    async def action_forget(self) -> None:
        if not self._may_write() or self.home is None or self._status is None or not self._status.roots:
            return
        roots = self._status.roots
        initial = roots[0] if len(roots) == 1 else ""
        named = await self.app.push_screen_wait(PathDialog("A folder or file to take out", initial))
        if not named:
            return
        root = Path(named).expanduser().absolute()
        question = f"Take {short_path(str(root))} out of the library?"
        if await self.app.push_screen_wait(ConfirmDialog(question, "The files stay where they are.")):
            self.forget(self.home, root)

    @work(thread=True, exclusive=True, group="forget", exit_on_error=False)
    def forget(self, home: Home, root: Path) -> None:
        from pipelines.errors import EXPECTED_ERRORS

        try:
            left = home.forget(root)
        except EXPECTED_ERRORS as error:
            self.post_message(WorkFailed(failure_of(error)))
            return
        said = (
            f"{left:,} files left the library." if left else f"Nothing under {short_path(str(root))} is in the library."
        )
        self.post_message(IndexStep(Notice(said)))
        self.post_message(IndexEnded())

    def action_preview(self) -> None:
        self.query_one(Listing).toggle_preview()

    def action_filter(self) -> None:
        self.query_one("#filter").focus()

    def action_close(self) -> None:
        filter_input = self.query_one("#filter", Input)
        if filter_input.has_focus:
            filter_input.value = ""
            self._list.focus()
        else:
            self.app.pop_screen()
