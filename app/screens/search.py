"""A plain search: passages by words and meaning, with filters, and no model in between. A hit opens as a source."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Footer, Input, OptionList, Static

from app.keys import bindings
from app.messages import SearchDone, SearchFailed
from app.present import failure_of, hit_row
from app.query_completion import completion_of
from app.screens.dialogs import CleanInput
from app.screens.home_screen import HomeScreen
from app.terminal_text import clean_line
from app.widgets.filter_hints import FilterHints
from app.widgets.listing import Listing, Shown
from app.widgets.source_row import Sources
from app.widgets.status_bar import StatusBar
from app.wording import counted, place_within
from pipelines.turn import Citation

if TYPE_CHECKING:
    from pipelines.home import Home
    from pipelines.turn import Hit

HITS = 50
FIRST_WORDS = (
    'Words or a question; kind:pdf  in:~/notes  after:2025-01  author:name  "exact words"  -without  like:photo.jpg'
)
NOTHING = "Nothing in your files fits."


class QueryInput(CleanInput):
    """A line to type a query in: tab goes on with a filter, or with a path behind one."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "complete", "Complete", show=False)]

    def action_complete(self) -> None:
        behind = completion_of(self.value[: self.cursor_position])
        if behind is None:
            self.screen.focus_next()
        else:
            self.insert_text_at_cursor(behind)


class SearchScreen(HomeScreen):
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("search")]
    AUTO_FOCUS: ClassVar[str | None] = "#query"

    def __init__(self, query: str = "") -> None:
        super().__init__()
        self._first_query = query
        self._searched = ""
        self._hits: list[Hit] = []

    def compose(self) -> ComposeResult:
        status = StatusBar()
        status.title = "Search"
        yield status
        yield QueryInput(placeholder="What to look for", id="query", compact=True)
        yield FilterHints()
        yield Static(FIRST_WORDS, markup=False, id="search-note")
        yield Listing("hits", self._preview)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        if self._first_query:
            self._line.value = self._first_query
            self.search()

    @property
    def _line(self) -> Input:
        return self.query_one("#query", Input)

    @property
    def _list(self) -> OptionList:
        return self.query_one("#hits", OptionList)

    def _note(self, text: str) -> None:
        self.query_one("#search-note", Static).update(text)

    # --- searching ---

    @on(Input.Changed, "#query")
    def query_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.query_one(FilterHints).follow(event.value, self._line.cursor_position)

    @on(Input.Submitted, "#query")
    def query_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip() == self._searched and self._hits:
            self._list.focus()
        else:
            self.search()

    def search(self) -> None:
        query = self._line.value.strip()
        if query and self.home is not None:
            self._searched = query
            self._note("Searching …")
            self.find(self.home, query)

    @work(thread=True, exclusive=True, group="search", exit_on_error=False)
    def find(self, home: Home, query: str) -> None:
        from pipelines.errors import EXPECTED_ERRORS

        try:
            self.post_message(SearchDone(query, home.search(query, k=HITS)))
        except EXPECTED_ERRORS as error:
            self.post_message(SearchFailed(query, failure_of(error)))

    def on_search_done(self, event: SearchDone) -> None:
        event.stop()
        if event.query != self._searched:
            return
        result = event.result
        self._hits = list(result.hits)
        self.query_one(Listing).set_rows([hit_row(hit) for hit in self._hits])
        said = [NOTHING] if not self._hits else [f"{counted(len(self._hits), 'passage')} in {result.seconds:.2f} s"]
        self._note("\n".join([*said, *(f"{each.text} {each.hint}".strip() for each in result.notices)]))
        if self._hits:
            self._list.focus()

    def _preview(self, row: int) -> Shown:
        """A hit's file and place, and how it looks."""
        from pipelines.page_picture import picture_place

        hit = self._hits[row]
        name = clean_line(hit.path.rpartition("/")[2])
        where = place_within(hit.path, hit.chunk.locator)
        words = Content.styled(name, "bold") + (Content.styled(f" · {where}", "$text-muted") if where else "")
        return picture_place(hit.path, hit.kind, hit.chunk.locator, hit.chunk.text), words

    def on_search_failed(self, event: SearchFailed) -> None:
        event.stop()
        if event.query == self._searched:
            self._note("\n".join(part for part in (event.failure.text, event.failure.hint) if part))

    @on(OptionList.OptionSelected, "#hits")
    def open_hit(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        from app.screens.source import SourceScreen

        sources = Sources(tuple(map(_as_citation, self._hits)), looked_for=self._searched)
        self.app.push_screen(SourceScreen(sources, event.option_index))

    # --- keys ---

    def action_open(self) -> None:
        """Heard when neither the line nor the list has the focus."""
        self.search()

    def action_query(self) -> None:
        self._line.focus()

    def action_preview(self) -> None:
        self.query_one(Listing).toggle_preview()

    def action_close(self) -> None:
        if self._line.has_focus and self._hits:
            self._list.focus()
        else:
            self.app.pop_screen()


def _as_citation(hit: Hit) -> Citation:
    chunk = hit.chunk
    return Citation(hit.rank, chunk.chunk_id, hit.path, hit.kind, chunk.locator, chunk.text, supported=True)
