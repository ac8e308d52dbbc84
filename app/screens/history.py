"""All conversations: find one, go on with it, give it another title, delete it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from app.keys import bindings
from app.messages import ConversationDeleted, ConversationRenamed, ConversationsListed, WorkFailed
from app.present import conversation_row, failure_of
from app.screens.dialogs import CleanInput, ConfirmDialog, LineDialog
from app.screens.home_screen import HomeScreen
from app.terminal_text import clean_line
from app.widgets.status_bar import StatusBar

if TYPE_CHECKING:
    from pipelines.home import ConversationSummary, Home


class HistoryScreen(HomeScreen):
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("history")]
    AUTO_FOCUS: ClassVar[str | None] = "#conversations"

    def __init__(self) -> None:
        super().__init__()
        self._conversations: list[ConversationSummary] = []

    def compose(self) -> ComposeResult:
        status = StatusBar()
        status.title = "Conversations"
        yield status
        yield CleanInput(placeholder="/ to search in questions and answers", id="search", compact=True)
        yield OptionList(id="conversations", markup=False)
        yield Static("", markup=False, id="nothing")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one("#nothing").display = False
        self.list_conversations()

    @property
    def _list(self) -> OptionList:
        return self.query_one("#conversations", OptionList)

    def list_conversations(self) -> None:
        if self.home is not None:
            self.find(self.home, self.query_one("#search", Input).value.strip())

    @work(thread=True, exclusive=True, group="find", exit_on_error=False)
    def find(self, home: Home, words: str) -> None:
        from pipelines.errors import EXPECTED_ERRORS

        try:
            found = home.conversations.search(words) if words else home.conversations.list()
        except EXPECTED_ERRORS as error:
            self.post_message(WorkFailed(failure_of(error)))
        else:
            self.post_message(ConversationsListed(words, found))

    def on_conversations_listed(self, event: ConversationsListed) -> None:
        event.stop()
        if event.searched != self.query_one("#search", Input).value.strip():
            return  # an answer to what was typed before
        at = self._list.highlighted or 0
        self._conversations = list(event.conversations)
        self._list.clear_options()
        self._list.add_options([Option(conversation_row(each)) for each in self._conversations])
        if self._conversations:
            self._list.highlighted = min(at, len(self._conversations) - 1)
        nothing = self.query_one("#nothing", Static)
        nothing.update("No conversation has these words." if event.searched else "No conversations yet.")
        nothing.display = not self._conversations

    @on(Input.Changed, "#search")
    def search_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.list_conversations()

    @on(Input.Submitted, "#search")
    def to_the_list(self, event: Input.Submitted) -> None:
        event.stop()
        self._list.focus()

    @on(OptionList.OptionSelected, "#conversations")
    def chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_resume()

    def _highlighted(self) -> ConversationSummary | None:
        at = self._list.highlighted
        return self._conversations[at] if at is not None and at < len(self._conversations) else None

    def action_resume(self) -> None:
        if (chosen := self._highlighted()) is not None:
            self.app.pop_screen()
            self.homebody.chat.resume(chosen.conversation_id, clean_line(chosen.title))

    @work(exclusive=True, group="dialog", exit_on_error=False)
    async def action_rename(self) -> None:
        chosen = self._highlighted()
        if chosen is None or self.home is None:
            return
        title = await self.app.push_screen_wait(LineDialog("A new title", clean_line(chosen.title)))
        if title:
            self.rename(self.home, chosen.conversation_id, title)

    @work(thread=True, exclusive=True, group="change", exit_on_error=False)
    def rename(self, home: Home, conversation_id: int, title: str) -> None:
        from pipelines.errors import EXPECTED_ERRORS

        try:
            home.conversations.rename(conversation_id, title)
        except EXPECTED_ERRORS as error:
            self.post_message(WorkFailed(failure_of(error)))
        else:
            self.post_message(ConversationRenamed(conversation_id, title))

    def on_conversation_renamed(self, event: ConversationRenamed) -> None:
        event.stop()
        self.homebody.chat.conversation_renamed(event.conversation_id, clean_line(event.title))
        self.list_conversations()

    @work(exclusive=True, group="dialog", exit_on_error=False)
    async def action_delete(self) -> None:
        chosen = self._highlighted()
        if chosen is None or self.home is None:
            return
        question = f"Delete “{clean_line(chosen.title) or 'Untitled'}”?"
        if await self.app.push_screen_wait(ConfirmDialog(question, "Its questions and answers go for good.")):
            self.delete(self.home, chosen.conversation_id)

    @work(thread=True, exclusive=True, group="change", exit_on_error=False)
    def delete(self, home: Home, conversation_id: int) -> None:
        from pipelines.errors import EXPECTED_ERRORS

        try:
            home.conversations.delete(conversation_id)
        except EXPECTED_ERRORS as error:
            self.post_message(WorkFailed(failure_of(error)))
        else:
            self.post_message(ConversationDeleted(conversation_id))

    async def on_conversation_deleted(self, event: ConversationDeleted) -> None:
        event.stop()
        await self.homebody.chat.conversation_deleted(event.conversation_id)
        self.list_conversations()

    def action_search(self) -> None:
        self.query_one("#search").focus()

    def action_close(self) -> None:
        search = self.query_one("#search", Input)
        if search.has_focus:
            search.value = ""
            self._list.focus()
        else:
            self.app.pop_screen()
