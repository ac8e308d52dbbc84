"""A citation opened at its place: the passage marked in its surroundings, the file and the place named."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content, Span
from textual.widgets import Footer, Static

from app.keys import bindings
from app.messages import Failure, PassageLoaded, WorkFailed
from app.present import failure_of
from app.screens.home_screen import HomeScreen
from app.terminal_text import clean, clean_line
from app.widgets.status_bar import StatusBar
from app.wording import short_path

if TYPE_CHECKING:
    from pipelines.home import Home, PassageView
    from pipelines.turn import Citation

LOST = "This passage has left the library since. This is what was quoted:"
HEADING_SEPARATOR = " / "
FROM_ATTACHMENT = "This came with the question and is not in the library. This is what was quoted:"
NEAREST = "The nearest passage to a claim that nothing supports."


class SourceScreen(HomeScreen):
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("source")]

    def __init__(self, citations: tuple[Citation, ...], index: int) -> None:
        super().__init__()
        self._citations = citations
        self._index = index

    def compose(self) -> ComposeResult:
        yield StatusBar()
        yield Static("", markup=False, id="source-head")
        yield VerticalScroll(id="passages")
        yield Footer(show_command_palette=False)

    @property
    def cited(self) -> Citation:
        return self._citations[self._index]

    def on_mount(self) -> None:
        self.show_citation()

    def show_citation(self) -> None:
        """Name the source at once; the passage follows from a thread."""
        cited = self.cited
        self.query_one(StatusBar).title = f"Source {self._index + 1} of {len(self._citations)}"
        place = clean_line(str(cited.locator))
        path = short_path(cited.path)
        number = f"[{cited.n}] "
        head = f"{number}{path}" + (f" · {place}" if place else "")
        if not cited.supported:
            head += f"\n{NEAREST}"
        spans = [Span(0, len(number), "$text-accent bold"), Span(len(number), len(number) + len(path), "bold")]
        self.query_one("#source-head", Static).update(Content(head, spans=spans))
        if cited.chunk_id is None:
            self.post_message(PassageLoaded(self._index, None))
        elif self.home is not None:
            self.load_passage(self.home, cited.chunk_id, self._index)

    @work(thread=True, exclusive=True, group="passage", exit_on_error=False)
    def load_passage(self, home: Home, chunk_id: int, index: int) -> None:
        from pipelines.errors import EXPECTED_ERRORS

        try:
            self.post_message(PassageLoaded(index, home.passage(chunk_id)))
        except EXPECTED_ERRORS as error:
            self.post_message(WorkFailed(failure_of(error)))

    async def on_passage_loaded(self, event: PassageLoaded) -> None:
        event.stop()
        if event.index != self._index:
            return  # the user is at another citation by now
        passages = self.query_one("#passages", VerticalScroll)
        await passages.remove_children()
        if event.passage is None:
            why = FROM_ATTACHMENT if self.cited.chunk_id is None else LOST
            marked = Static(clean(self.cited.quote), markup=False, classes="passage -cited")
            await passages.mount(Static(why, markup=False, classes="passage -why"), marked)
        else:
            marked = await self._mount_passages(passages, event.passage)
        passages.scroll_to_widget(marked, animate=False, center=True)

    async def _mount_passages(self, passages: VerticalScroll, view: PassageView) -> Static:
        marked = Static(
            _with_quote(clean(view.cited.text), clean(self.cited.quote)), markup=False, classes="passage -cited"
        )
        around = [
            *(Static(clean(chunk.text), markup=False, classes="passage") for chunk in view.before),
            marked,
            *(Static(clean(chunk.text), markup=False, classes="passage") for chunk in view.after),
        ]
        headings = [clean_line(heading) for heading in view.cited.heading_path]
        title = clean_line(view.title)
        above = HEADING_SEPARATOR.join(
            part for part in (headings if headings[:1] == [title] else [title, *headings]) if part
        )
        if above:
            await passages.mount(Static(above, markup=False, classes="passage -why"))
        await passages.mount_all(around)
        return marked

    def action_next(self) -> None:
        self._go_to(self._index + 1)

    def action_previous(self) -> None:
        self._go_to(self._index - 1)

    def _go_to(self, index: int) -> None:
        if 0 <= index < len(self._citations):
            self._index = index
            self.show_citation()

    def action_open(self) -> None:
        self.open_file(self.cited.path)

    @work(thread=True, exclusive=True, group="viewer", exit_on_error=False)
    def open_file(self, path: str) -> None:
        from app.system_viewer import open_in_system_viewer

        if failure := open_in_system_viewer(path):
            self.post_message(WorkFailed(failure))

    def action_copy(self) -> None:
        cited = self.cited
        place = clean_line(str(cited.locator))
        text = f"{clean(cited.quote)}\n— {clean_line(cited.path)}" + (f", {place}" if place else "")
        self.app.copy_to_clipboard(text)
        self.say(Failure("Copied the passage and where it stands."), severity="information")

    def action_close(self) -> None:
        self.app.pop_screen()


def _with_quote(passage: str, quote: str) -> Content:
    """The passage with the quoted stretch made to stand out, where it is found, whatever its line breaks."""
    words = quote.split()
    found = re.search(r"\s+".join(map(re.escape, words)), passage) if words else None
    if found is None:
        return Content(passage)
    return Content(passage, spans=[Span(found.start(), found.end(), "bold $text-accent")])
