"""A citation opened at its place: what is cited marked in its surroundings, or on a picture of its page.

Walks through what is cited together: the sources of an answer, with the sentences that rest on each, or the hits of a
search. Passages come in a window that follows the reader; a page's picture is drawn when it is asked for. A picture of
its own is shown first, with the text that was read on it one key away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content, Span
from textual.widgets import Footer, Static

from app.keys import bindings
from app.messages import Failure, MorePassagesLoaded, PageDrawn, PassageLoaded, WorkFailed
from app.passage_content import file_facts, passage_content
from app.present import failure_of
from app.screens.home_screen import HomeScreen
from app.terminal_text import clean, clean_line
from app.widgets.passage_list import PassageList
from app.widgets.picture import Picture
from app.widgets.status_bar import StatusBar
from app.wording import on_one_line, place_within, short_path

if TYPE_CHECKING:
    from app.widgets.passage_list import Edge
    from app.widgets.source_row import Sources
    from pipelines.home import Home, PassageView
    from pipelines.page_picture import PicturePlace
    from pipelines.turn import Citation, Locator

LOST = "This passage has left the library since. This is what was quoted:"
HEADING_SEPARATOR = " / "
FROM_ATTACHMENT = "This came with the question and is not in the library. This is what was quoted:"
NEAREST = "The nearest passage to a claim that nothing supports."
MORE_PASSAGES = 8
"""Asked for at once when the reader comes to an edge."""
MOST_CLAIMS = 3
MAX_CLAIM_CHARS = 300
MAX_NOTE_CHARS = 200
NOT_ON_PAGE = "The words that were quoted could not be found on this page."
OFF = Failure("Pictures are switched off in the settings.", "look.pictures there says how they are drawn")


class SourceScreen(HomeScreen):
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("source")]
    AUTO_FOCUS: ClassVar[str | None] = "#passages"

    def __init__(self, sources: Sources, index: int) -> None:
        super().__init__()
        self._sources = sources
        self._index = index
        self._shows_picture = False
        self._wants_picture: bool | None = None
        """What the user chose last; None before: then pictures are shown as such, and pages as text."""

    def compose(self) -> ComposeResult:
        yield StatusBar()
        yield Static("", markup=False, id="source-head")
        yield PassageList()
        yield Static("", markup=False, id="page-note")
        yield Picture()
        yield Footer(show_command_palette=False)

    @property
    def cited(self) -> Citation:
        return self._sources.citations[self._index]

    @property
    def _place(self) -> PicturePlace | None:
        """Where what is cited can be seen; None for what has no looks."""
        from pipelines.page_picture import picture_place

        cited = self.cited
        return picture_place(cited.path, cited.kind, cited.locator, cited.quote)

    def on_mount(self) -> None:
        self.show_citation()

    def show_citation(self) -> None:
        """Name the source at once; passage and picture follow from threads."""
        cited = self.cited
        self._show_head("")
        wants = cited.kind == "image" if self._wants_picture is None else self._wants_picture
        self._shows_picture = wants and self._place is not None and self.homebody.picture_protocol != "off"
        self._arrange()
        self.refresh_bindings()
        if cited.chunk_id is None:
            self.post_message(PassageLoaded(self._index, None))
        elif self.home is not None:
            self.load_passage(self.home, cited.chunk_id, self._index)
        if self._shows_picture:
            self._draw()

    def _show_head(self, facts: str) -> None:
        """Which source of how many, its file and place, what is known of the file, and what rests on it."""
        cited = self.cited
        what = "Passage" if self._sources.looked_for else "Source"
        self.query_one(StatusBar).title = f"{what} {self._index + 1} of {len(self._sources.citations)}"
        number = f"[{cited.n}] "
        path = short_path(cited.path)
        tail = "".join(f" · {part}" for part in (place_within(cited.path, cited.locator), facts) if part)
        pieces = [
            Content(
                number + path + tail,
                spans=[
                    Span(0, len(number), "$text-accent bold"),
                    Span(len(number), len(number) + len(path), "bold"),
                    Span(len(number) + len(path), len(number) + len(path) + len(tail), "$text-muted"),
                ],
            )
        ]
        if not cited.supported:
            pieces.append(Content.styled(NEAREST, "$text-warning"))
        claims = self._sources.claims(cited.n)
        pieces += [_claim(each) for each in claims[:MOST_CLAIMS]]
        if len(claims) > MOST_CLAIMS:
            pieces.append(Content.styled(f"and {len(claims) - MOST_CLAIMS} more sentences", "$text-muted"))
        self.query_one("#source-head", Static).update(Content("\n").join(pieces))

    # --- passages ---

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
        cited = self.cited
        passages = self.query_one(PassageList)
        view = event.passage
        if view is None:
            why = FROM_ATTACHMENT if cited.chunk_id is None else LOST
            await passages.show(cited.path, Content(clean(cited.quote)), above=why)
            return
        self._show_head(file_facts(view.path, view.author, view.written_at_s, view.modified_at_s))
        await passages.show(
            view.path,
            passage_content(view.cited, view.path, self._sources.quotes(cited), self._sources.looked_for),
            above=_headings(view),
            chunk_id=view.cited.chunk_id,
            before=view.before,
            after=view.after,
        )

    def on_passage_list_wanted(self, event: PassageList.Wanted) -> None:
        event.stop()
        if self.home is not None:
            self.load_more(self.home, event.edge, event.chunk_id, self._index)

    @work(thread=True, exclusive=True, group="more passages", exit_on_error=False)
    def load_more(self, home: Home, edge: Edge, chunk_id: int, index: int) -> None:
        from pipelines.errors import EXPECTED_ERRORS

        before, after = (MORE_PASSAGES, 0) if edge == "before" else (0, MORE_PASSAGES)
        try:
            view = home.passage(chunk_id, before=before, after=after)
        except EXPECTED_ERRORS as error:
            self.post_message(WorkFailed(failure_of(error)))
            return
        chunks = () if view is None else view.before if edge == "before" else view.after
        self.post_message(MorePassagesLoaded(index, edge, chunks))

    async def on_more_passages_loaded(self, event: MorePassagesLoaded) -> None:
        event.stop()
        if event.index == self._index:
            await self.query_one(PassageList).add(event.edge, event.chunks)

    # --- as a picture ---

    def action_picture(self) -> None:
        if self._place is None:
            self.say(Failure("Only pictures and pages of a PDF can be shown."), severity="information")
            return
        if not self._shows_picture and self.homebody.picture_protocol == "off":
            self.say(OFF, severity="information")
            return
        self._wants_picture = self._shows_picture = not self._shows_picture
        self._arrange()
        if self._shows_picture:
            self._draw()

    def _arrange(self) -> None:
        """Show the passages or the picture, and give it the keys."""
        picture = self.query_one(Picture)
        passages = self.query_one(PassageList)
        picture.display = self._shows_picture
        passages.display = not self._shows_picture
        self._note("")
        (picture if self._shows_picture else passages).focus()

    def _note(self, text: str) -> None:
        note = self.query_one("#page-note", Static)
        note.update(text)
        note.display = bool(text)

    def _draw(self) -> None:
        self.query_one(Picture).show(None)
        place = self._place
        if self.home is not None and place is not None:
            self._note(f"Drawing page {place.page} …" if place.page else "Drawing the picture …")
            self.draw_picture(self.home, place, self._index)

    @work(thread=True, exclusive=True, group="page", exit_on_error=False)
    def draw_picture(self, home: Home, place: PicturePlace, index: int) -> None:
        from pipelines.errors import EXPECTED_ERRORS

        try:
            self.post_message(PageDrawn(index, home.pages.picture(place)))
        except EXPECTED_ERRORS as error:
            self.post_message(PageDrawn(index, None, failure_of(error)))

    def on_page_drawn(self, event: PageDrawn) -> None:
        event.stop()
        if event.index != self._index or not self._shows_picture:
            return
        picture = event.picture
        if picture is None:
            self._shows_picture = False
            self._arrange()
            if event.failure is not None:
                self.say(event.failure)
            return
        if picture.is_paper:
            self._note("" if picture.lines else NOT_ON_PAGE)
        else:  # what is said about it cannot be read off it
            self._note(on_one_line(self.cited.quote, limit=MAX_NOTE_CHARS))
        self.query_one(Picture).show(picture.marked(), picture.focus, whole=not picture.is_paper)

    # --- keys ---

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A picture is offered where there is one."""
        if action == "picture":
            return self._place is not None
        return super().check_action(action, parameters)

    def action_next(self) -> None:
        self._go_to(self._index + 1)

    def action_previous(self) -> None:
        self._go_to(self._index - 1)

    def _go_to(self, index: int) -> None:
        if 0 <= index < len(self._sources.citations):
            self._index = index
            self.show_citation()

    def action_open(self) -> None:
        cited = self.cited
        self.open_file(cited.path, cited.locator)

    @work(thread=True, exclusive=True, group="viewer", exit_on_error=False)
    def open_file(self, path: str, at: Locator) -> None:
        """In its own program, at its place; of a file inside another a copy is opened."""
        from app.system_viewer import open_in_system_viewer
        from pipelines.errors import EXPECTED_ERRORS

        try:
            on_disk = self.home.on_disk(path) if self.home is not None else path
        except EXPECTED_ERRORS as error:
            self.post_message(WorkFailed(failure_of(error)))
            return
        if said := open_in_system_viewer(on_disk, page=at.page, line=at.line, start_s=at.start_s, end_s=at.end_s):
            self.post_message(WorkFailed(said))

    def action_copy(self) -> None:
        cited = self.cited
        place = place_within(cited.path, cited.locator)
        text = f"{clean(cited.quote)}\n— {clean_line(cited.path)}" + (f", {place}" if place else "")
        self.app.copy_to_clipboard(text)
        self.say(Failure("Copied the passage and where it stands."), severity="information")

    def action_close(self) -> None:
        self.app.pop_screen()


def _claim(sentence: str) -> Content:
    """A sentence of the answer that rests on the source."""
    return Content.styled(f"“{on_one_line(sentence, limit=MAX_CLAIM_CHARS)}”", "italic $text-muted")


def _headings(view: PassageView) -> str:
    """The document's title and the headings that the passage stands under."""
    headings = [clean_line(heading) for heading in view.cited.heading_path]
    title = clean_line(view.title)
    return HEADING_SEPARATOR.join(
        part for part in (headings if headings[:1] == [title] else [title, *headings]) if part
    )
