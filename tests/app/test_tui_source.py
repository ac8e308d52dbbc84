"""The source screen: evidence, a window over a long document, the page as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from PIL import Image

from app.picture_drawing import QUADRANTS
from app.screens.source import SourceScreen
from app.widgets.passage_list import MOST_MOUNTED, PassageList, PassageView
from app.widgets.picture import Picture
from pipelines.errors import ReadError
from pipelines.home import PassageView as StoredPassage
from pipelines.page_picture import PagePicture, PicturePlace
from pipelines.turn import Citation, Evidence, Locator
from rag.records import Chunk
from tests.app.fake_home import TIMINGS, FakeHome, done, sentence
from tests.app.tui_pilot import ask, flat_text, notices, running, screen_text, settle, wait_until

TEXT = "The pier is from 1874. It was repaired in 1901."
PDF = "/files/harbour.pdf"


class LongDocument(FakeHome):
    """A home whose only document has any number of passages."""

    def __init__(self, passages: int) -> None:
        super().__init__()
        self.chunks = [Chunk(n, 1, n, f"Passage number {n}.\n" * 3, (), Locator(page=n + 1)) for n in range(passages)]
        self.asked: list[int] = []

    def passage(self, chunk_id: int, *, before: int = 2, after: int = 2) -> StoredPassage | None:
        self.asked.append(chunk_id)
        return StoredPassage(
            PDF,
            "Harbour",
            "text",
            tuple(self.chunks[max(0, chunk_id - before) : chunk_id]),
            self.chunks[chunk_id],
            tuple(self.chunks[chunk_id + 1 : chunk_id + 1 + after]),
            author="T. Telford",
            written_at_s=1_700_000_000.0,
        )


def cite(home: FakeHome, *citations: Citation) -> None:
    home.enqueue(
        done(
            TEXT,
            sentences=[sentence(TEXT, "The pier is from 1874.", 1), sentence(TEXT, "It was repaired in 1901.", 1, 2)],
            citations=citations,
        )
    )


def on_page(n: int, page: int, *, chunk_id: int | None = 50) -> Citation:
    return Citation(n, chunk_id, PDF, "text", Locator(page=page), f"Passage number {page - 1}.", supported=True)


def numbers(screen: object) -> list[int]:
    assert isinstance(screen, SourceScreen)
    return [each.chunk_id for each in screen.query(PassageView) if each.chunk_id is not None]


def page_picture(lines: Sequence[tuple[float, float, float, float]] = ((100, 300, 400, 320),)) -> PagePicture:
    return PagePicture(Image.new("RGB", (1200, 1600), "white"), 600, 800, tuple(lines))


async def test_the_head_names_the_file_and_the_sentences_that_rest_on_it() -> None:
    home = LongDocument(60)
    cite(home, on_page(1, 51), on_page(2, 52, chunk_id=51))
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        await pilot.press("ctrl+o")
        await settle(pilot)
        shown = flat_text(app)
        assert "[1] /files/harbour.pdf · page 51 · PDF · T. Telford · 1" in shown
        assert "November 2023" in shown
        assert "“The pier is from 1874.” “It was repaired in 1901.”" in shown
        await pilot.press("n")
        await settle(pilot)
        shown = flat_text(app)
        assert "[2] /files/harbour.pdf · page 52" in shown
        assert "1874" not in shown


async def test_the_exact_stretch_of_each_sentence_stands_out() -> None:
    home = FakeHome()
    evidence = Evidence(1, 0, 10, "in 1874")
    marked = sentence(TEXT, "The pier is from 1874.", 1)
    home.enqueue(
        done(
            TEXT,
            sentences=[type(marked)(marked.start, marked.end, (1,), True, (), (evidence,))],
            citations=[Citation(1, 5, PDF, "text", Locator(page=1), "The pier was built in 1874.", supported=True)],
        )
    )
    passage = Chunk(5, 1, 5, "The pier was built in 1874. More.", (), Locator(page=1))
    home.passages[5] = StoredPassage(PDF, "Harbour", "text", (), passage, ())
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        await pilot.press("ctrl+o")
        await settle(pilot)
        (view,) = [each for each in app.screen.query(PassageView) if each.chunk_id == 5]
        assert view.first_mark_share == pytest.approx("The pier was built in 1874. More.".index("in 1874") / 33)


async def test_scrolling_brings_more_of_a_long_document_and_keeps_a_bounded_window() -> None:
    home = LongDocument(300)
    cite(home, on_page(1, 151, chunk_id=150))
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        await pilot.press("ctrl+o")
        await settle(pilot)
        assert numbers(app.screen) == [148, 149, 150, 151, 152]
        passages = app.screen.query_one(PassageList)
        for _ in range(14):
            last = numbers(app.screen)[-1]
            passages.scroll_end(animate=False)
            await wait_until(pilot, lambda last=last: numbers(app.screen)[-1] > last)  # type: ignore[misc]  # bound at once
            await settle(pilot)
        assert numbers(app.screen)[-1] > 240
        assert len(numbers(app.screen)) <= MOST_MOUNTED
        assert numbers(app.screen) == list(range(numbers(app.screen)[0], numbers(app.screen)[-1] + 1))
        first = numbers(app.screen)[0]
        passages.scroll_home(animate=False)
        await wait_until(pilot, lambda: numbers(app.screen)[0] < first)
        await settle(pilot)
        assert passages.scroll_y > 0, "what the reader saw stays where it was"
        assert f"Passage number {first}." in screen_text(app)


async def test_a_page_is_shown_as_a_picture_and_as_text_again() -> None:
    home = LongDocument(60)
    home.pages.pictures[PDF, 51] = page_picture()
    cite(home, on_page(1, 51), on_page(2, 52, chunk_id=51))
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        await pilot.press("ctrl+o")
        await settle(pilot)
        await pilot.press("p")
        await settle(pilot)
        picture = app.screen.query_one(Picture)
        assert home.pages.history == [PicturePlace(PDF, "text", 51, None, "Passage number 50.")]
        assert app.focused is picture
        await wait_until(pilot, lambda: picture.size.height > 15)  # the note above it has gone
        await pilot.pause()
        x0, y0, x1, y1 = picture.visible_box
        assert x0 <= 200, "the passage's left edge, at two pixels a point"
        assert x1 >= 800
        assert y0 <= 600 <= 640 <= y1
        await pilot.press("plus")
        await pilot.press("plus")
        await pilot.pause()
        assert picture.visible_box[2] - picture.visible_box[0] < (x1 - x0) / 2
        before = picture.visible_box
        await pilot.press("right")
        assert picture.visible_box[0] > before[0]
        await pilot.press("0")
        assert picture.visible_box[3] - picture.visible_box[1] >= 1600, "the whole page"
        await pilot.press("0")
        assert picture.visible_box == (x0, y0, x1, y1)
        await pilot.press("p")
        await settle(pilot)
        assert "Passage number 50." in screen_text(app)
        assert not picture.display


async def test_a_page_that_cannot_be_drawn_shows_its_text_and_says_why() -> None:
    home = LongDocument(60)
    home.pages.pictures[PDF, 51] = ReadError("harbour.pdf is not there", hint="it was moved")
    cite(home, on_page(1, 51))
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        await pilot.press("ctrl+o")
        await settle(pilot)
        await pilot.press("p")
        await settle(pilot)
        assert "harbour.pdf is not there\nit was moved" in notices(app)
        assert "Passage number 50." in screen_text(app)


async def test_words_that_are_not_on_the_page_are_said_to_be_missing() -> None:
    home = LongDocument(60)
    home.pages.pictures[PDF, 51] = page_picture(lines=())
    cite(home, on_page(1, 51))
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        await pilot.press("ctrl+o")
        await settle(pilot)
        await pilot.press("p")
        await settle(pilot)
        assert "could not be found on this page" in screen_text(app)


async def test_what_has_no_pages_has_no_picture() -> None:
    home = FakeHome()
    cite(home, Citation(1, None, "notes.md", "text", Locator(line=3), "quoted", supported=True))
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        await pilot.press("ctrl+o")
        await settle(pilot)
        assert "Picture" not in screen_text(app).splitlines()[-1]
        await pilot.press("p")
        await settle(pilot)
        assert "quoted" in screen_text(app)


async def test_a_picture_is_drawn_with_blocks_in_its_colours() -> None:
    image = Image.new("RGB", (40, 40), "white")
    image.paste((200, 0, 0), (0, 0, 20, 40))
    home = FakeHome()
    async with running(home, size=(44, 24)) as (app, pilot):
        picture = Picture()
        await app.screen.mount(picture)
        picture.show(image)
        await pilot.pause()
        strip = picture.render_line(picture.size.height // 2)
        assert strip.cell_length == picture.size.width
        colours = {str(segment.style.bgcolor.triplet) for segment in strip if segment.style and segment.style.bgcolor}
        assert any("200" in each for each in colours)
        assert any("255" in each for each in colours)
        assert set(strip.text) <= set(QUADRANTS)


async def test_a_turn_from_the_library_has_its_figures_and_its_verdict() -> None:
    home = FakeHome()
    conversation_id = home.conversations.add("Opera", [("Who wrote it?", "Your files don't say.")], updated_at_s=1.0)
    title, (turn,), updated_at_s = home.conversations.kept[conversation_id]
    unsupported = sentence("Your files don't say.", "Your files don't say.", supported=False)
    kept = replace(turn, found_nothing=True, timings=TIMINGS, sentences=(unsupported,))
    home.conversations.kept[conversation_id] = (title, [kept], updated_at_s)
    async with running(home) as (app, pilot):
        await pilot.press("f2")
        await settle(pilot)
        await pilot.press("enter")
        await settle(pilot)
        shown = flat_text(app)
        assert "tiny-chat · 20.0 tokens/s · first word after 0.8 s · 2.8 s in all" in shown
        assert "has no source" not in shown, "that the files don't say is no claim"
