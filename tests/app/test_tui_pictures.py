"""Pictures on the screens: beside lists, under answers, as sources; what is asked for, and what is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from textual.events import Paste
from textual.pilot import Pilot

from app.homebody_app import HomebodyApp
from app.picture_drawing import QUADRANTS
from app.screens.source import SourceScreen
from app.terminal_pictures import TerminalPictures
from app.widgets.draft_pictures import DraftPictures
from app.widgets.picture import Picture
from app.widgets.preview import Preview
from app.widgets.thumbnail import Thumbnail
from pipelines.errors import ReadError
from pipelines.events import SearchResult
from pipelines.home import PassageView
from pipelines.page_picture import PagePicture, PicturePlace
from pipelines.settings import LookSettings
from pipelines.turn import Citation, Locator
from rag.records import Chunk, DocumentRow, Hit
from tests.app.fake_home import FakeHome, document, done, sentence
from tests.app.tui_pilot import ask, flat_text, notices, opening, running, screen_text, settle, wait_until

WIDE = (120, 40)
PHOTO = "/files/photos/harbour.jpg"
SCAN = "/files/scans/minutes.tif"
RED, BLUE = (200, 0, 0), (0, 0, 200)


def picture(colour: tuple[int, int, int] = RED, *, box: tuple[float, float, float, float] | None = None) -> PagePicture:
    """A picture of 2,000 by 1,500 pixels, made smaller."""
    return PagePicture(Image.new("RGB", (400, 300), colour), 2000, 1500, (box,) if box else (), is_paper=False)


def photo(path: str = PHOTO) -> DocumentRow:
    return DocumentRow(path, Path(path).stem, "image", "embedded", "", 123_456, 2, 2)


def shown(app: HomebodyApp, colour: tuple[int, int, int]) -> bool:
    """Whether something of this colour is drawn on the screen."""
    return any(
        segment.style is not None and segment.style.bgcolor is not None and segment.style.bgcolor.triplet == colour
        for strip in app.screen._compositor.render_strips()
        for segment in strip
    )


async def seen(pilot: Pilot[None], colour: tuple[int, int, int]) -> None:
    app = pilot.app
    assert isinstance(app, HomebodyApp)
    await wait_until(pilot, lambda: shown(app, colour))


# --- lists ---


async def test_the_highlighted_picture_stands_beside_the_library() -> None:
    home = FakeHome()
    home.files = [document("/files/notes.md"), photo(), photo(SCAN)]
    home.pages.pictures[PHOTO, None] = picture(RED)
    home.pages.pictures[SCAN, None] = ReadError("minutes.tif is cut off in the middle")
    async with running(home, size=WIDE) as (app, pilot):
        await pilot.press("f3")
        await settle(pilot)
        assert app.screen.query_one(Preview).display
        assert home.pages.glanced_at == [], "a text has no looks"
        await pilot.press("down")
        await seen(pilot, RED)
        assert "harbour.jpg" in screen_text(app)
        assert "image · 123 kB · 2 passages" in screen_text(app)
        await pilot.press("down")
        await wait_until(pilot, lambda: "cut off in the middle" in flat_text(app))
        assert not shown(app, RED)
        assert home.pages.glanced_at == [PicturePlace(PHOTO, "image"), PicturePlace(SCAN, "image")]


async def test_the_preview_of_a_picture_that_was_not_read_says_what_to_do() -> None:
    home = FakeHome()
    failed = replace(photo(), state="failed", reason="harbour.jpg is empty", hint="copy it from the camera again")
    home.files = [document("/files/notes.md"), failed]
    home.pages.pictures[PHOTO, None] = ReadError("harbour.jpg is empty")
    async with running(home, size=WIDE) as (app, pilot):
        await pilot.press("f3")
        await settle(pilot)
        await pilot.press("down")
        await wait_until(pilot, lambda: "copy it from the camera again" in screen_text(app))
        await pilot.press("enter")
        await wait_until(pilot, lambda: "A file of the library" in screen_text(app))
        assert "copy it from the camera again" in flat_text(app)


async def test_on_a_narrow_screen_a_preview_comes_when_it_is_asked_for_and_goes_again() -> None:
    home = FakeHome()
    home.files = [*(document(f"/files/a{number}.md") for number in range(12)), photo()]
    home.pages.pictures[PHOTO, None] = picture(RED)
    async with running(home) as (app, pilot):
        await pilot.press("f3")
        await settle(pilot)
        await pilot.press("end")
        await settle(pilot)
        assert home.pages.glanced_at == []
        await pilot.press("p")
        await seen(pilot, RED)
        await wait_until(pilot, lambda: "harbour.jpg  2 passages" in screen_text(app))
        await pilot.press("p")
        await settle(pilot)
        assert not shown(app, RED)


async def test_going_through_thousands_of_pictures_asks_only_for_the_one_where_it_ends() -> None:
    home = FakeHome()
    paths = [f"/files/photos/{number:05}.jpg" for number in range(5000)]
    home.files = [photo(path) for path in paths]
    home.pages.pictures.update({(path, None): picture(BLUE) for path in paths})
    home.pages.pictures[paths[-1], None] = picture(RED)
    async with running(home, size=WIDE) as (app, pilot):
        await pilot.press("f3")
        await settle(pilot)
        await seen(pilot, BLUE)
        for _ in range(40):
            await pilot.press("pagedown")
        await pilot.press("end")
        await seen(pilot, RED)
        assert home.pages.glanced_at[-1].path == paths[-1]
        assert len(home.pages.glanced_at) < 20
        assert len(app.screen.query(Thumbnail)) == 1


async def test_a_hit_of_a_search_is_shown_at_its_page_and_box() -> None:
    home = FakeHome()
    place = Locator(page=2, box=(100, 100, 900, 200))
    home.found.append(
        SearchResult((Hit(1, 0.9, Chunk(5, 1, 0, "The boiler", (), place), SCAN, "minutes", "image"),), 0.1)
    )
    home.pages.pictures[SCAN, 2] = picture(BLUE)
    async with running(home, size=WIDE) as (_, pilot):
        await pilot.press("f8")
        await settle(pilot)
        await pilot.press(*"boiler", "enter")
        await seen(pilot, BLUE)
        assert home.pages.glanced_at == [PicturePlace(SCAN, "image", 2, (100, 100, 900, 200))]


# --- sources ---


def cited(
    n: int, path: str, locator: Locator, *, quote: str = "The boiler was replaced.", supported: bool = True
) -> Citation:
    return Citation(n, 100 + n, path, "image", locator, quote, supported)


def answering(*citations: Citation) -> FakeHome:
    home = FakeHome()
    text = "The boiler was replaced."
    home.enqueue(done(text, sentences=[sentence(text, text, *(each.n for each in citations))], citations=citations))
    for each in citations:
        chunk = Chunk(100 + each.n, 1, 0, each.quote, (), each.locator)
        home.passages[100 + each.n] = PassageView(each.path, "", "image", (), chunk, ())
    return home


async def test_each_picture_that_an_answer_stands_on_is_shown_once_under_it_and_opens_its_source() -> None:
    home = answering(
        cited(1, SCAN, Locator(page=2, box=(0, 0, 10, 10))),
        cited(2, PHOTO, Locator()),
        cited(3, SCAN, Locator(page=2)),
        cited(4, "/files/other.png", Locator(), supported=False),
    )
    home.pages.pictures[SCAN, 2] = picture(BLUE)
    home.pages.pictures[PHOTO, None] = picture(RED)
    async with running(home, size=WIDE) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        await seen(pilot, BLUE)
        await seen(pilot, RED)
        assert "[1][3]" in screen_text(app)
        assert sorted(each.path for each in home.pages.glanced_at) == [PHOTO, SCAN]
        await pilot.click(app.screen.query(Thumbnail).last())
        await settle(pilot)
        assert isinstance(app.screen, SourceScreen)
        assert app.screen.cited.n == 2


async def test_a_picture_is_shown_first_as_such_with_what_is_cited_framed_and_its_text_one_key_away() -> None:
    box = (1000.0, 900.0, 1200.0, 1000.0)
    home = answering(cited(1, SCAN, Locator(page=2, box=box)))
    home.pages.pictures[SCAN, 2] = picture((240, 240, 240), box=box)
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        await pilot.press("ctrl+o")
        await settle(pilot)
        view = app.screen.query_one(Picture)
        await wait_until(pilot, lambda: view.display and view.part() is not None)
        assert home.pages.history == [PicturePlace(SCAN, "image", 2, box)]
        x0, y0, x1, y1 = view.visible_box
        assert x0 <= 200 <= 240 <= x1, "a fifth of the full size"
        assert y0 <= 180 <= 200 <= y1
        assert shown(app, (214, 92, 0)), "the frame"
        assert "The boiler was replaced." in screen_text(app)
        keys = screen_text(app).splitlines()[-1]
        assert keys.endswith((" 0 Whole", " y Copy")), f"the last key of 80 columns is whole: {keys}"
        await pilot.press("p")
        await settle(pilot)
        assert not view.display
        assert "TIF" in screen_text(app)


async def test_a_picture_that_cannot_be_read_says_why_and_leaves_its_text() -> None:
    home = answering(cited(1, PHOTO, Locator()))
    async with running(home) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        await pilot.press("ctrl+o")
        await wait_until(pilot, lambda: "is not there" in notices(app))
        await settle(pilot)
        assert "The boiler was replaced." in screen_text(app)


# --- attachments ---


async def test_a_picture_named_in_a_question_is_shown_with_it(tmp_path: Path) -> None:
    attached = tmp_path / "receipt.png"
    Image.new("RGB", (8, 8)).save(attached)
    home = FakeHome()
    home.pages.pictures[str(attached), None] = picture(RED)
    async with running(home, size=WIDE) as (app, pilot):
        turn = await app.chat.transcript.add(f"What is on @{attached}?")
        await seen(pilot, RED)
        assert "receipt.png" in "\n".join(screen_text(app).splitlines()[4:])
        assert turn.question.startswith("What is on")
        assert home.pages.glanced_at == [PicturePlace(str(attached), "image")]


async def test_a_picture_is_seen_while_its_question_is_written(tmp_path: Path) -> None:
    first, second = tmp_path / "receipt.png", tmp_path / "the harbour.jpg"
    home = FakeHome()
    for file, colour in ((first, RED), (second, BLUE)):
        Image.new("RGB", (8, 8)).save(file)
        home.pages.pictures[str(file), None] = picture(colour)
    async with running(home) as (app, pilot):
        composer, pictures = app.chat.composer, app.screen.query_one(DraftPictures)
        composer.insert(f"What is on @{tmp_path}/recei")
        await settle(pilot)
        assert not pictures.display, "half a path names nothing"
        composer.insert("pt.png")
        await seen(pilot, RED)
        assert "receipt.png" in screen_text(app)
        (thumbnail,) = pictures.query(Thumbnail)
        composer.insert(" and on ")
        app.post_message(Paste(f"'{second}'"))
        await seen(pilot, BLUE)
        assert "the harbour.jpg" in screen_text(app)
        assert pictures.query(Thumbnail).first() is thumbnail, "what stays is left alone"
        assert [each.path for each in home.pages.glanced_at] == [str(first), str(second)]

        home.enqueue(done("A receipt, and a harbour."))
        await pilot.press("enter")
        await settle(pilot)
        assert not pictures.display
        assert not pictures.children


@pytest.mark.parametrize("why", ["low", "off"])
async def test_no_pictures_over_what_is_written(tmp_path: Path, why: str) -> None:
    named = tmp_path / "receipt.png"
    named.write_bytes(b"")
    home = FakeHome()
    home.pages.pictures[str(named), None] = picture(RED)
    if why == "off":
        home.settings = home.settings.model_copy(update={"look": LookSettings(pictures="off")})
    async with running(home, size=(80, 14 if why == "low" else 24)) as (app, pilot):
        app.chat.composer.insert(f"What is on @{named}")
        if why == "low":
            await wait_until(pilot, lambda: app.screen.query_one(DraftPictures).children)
        await settle(pilot)
        assert not app.screen.query_one(DraftPictures).display
        assert home.pages.glanced_at == []


# --- the terminal's own ways ---


async def test_switched_off_there_are_no_pictures_and_a_key_says_so() -> None:
    home = answering(cited(1, PHOTO, Locator()))
    home.settings = home.settings.model_copy(update={"look": LookSettings(pictures="off")})
    home.files = [photo()]
    async with running(home, size=WIDE) as (app, pilot):
        await ask(pilot, "q")
        await settle(pilot)
        await pilot.press("ctrl+o")
        await settle(pilot)
        assert "The boiler was replaced." in screen_text(app)
        await pilot.press("p")
        assert "switched off" in notices(app)
        await pilot.press("escape", "f3")
        await settle(pilot)
        assert not app.screen.query_one(Preview).display
        assert home.pages.glanced_at == home.pages.history == []


async def test_sixels_lie_over_the_blocks_but_not_while_something_stands_before_them() -> None:
    home = FakeHome()
    home.files = [photo()]
    home.pages.pictures[PHOTO, None] = picture(RED)
    app = HomebodyApp(opening(home), TerminalPictures(sixel=True, cell_px=(8, 16)))
    async with app.run_test(size=WIDE) as pilot:
        await wait_until(pilot, lambda: app.home is not None)
        await pilot.press("f3")
        await settle(pilot)
        thumbnail = app.screen.query_one(Thumbnail)

        def sixel_lines() -> int:
            strips = thumbnail.render_lines(thumbnail.size.region)
            return sum("\x1bP" in segment.text for strip in strips for segment in strip)

        await wait_until(pilot, sixel_lines)
        part = thumbnail.part()
        assert part is not None
        assert sixel_lines() == part.size.height
        assert set(thumbnail.render_line(0).text.strip()) <= set(QUADRANTS), "blocks beneath"
        await pilot.press("enter")
        await settle(pilot)
        assert app.screen.is_modal
        assert sixel_lines() == 0
        await pilot.press("escape")
        await settle(pilot)
        assert sixel_lines() == part.size.height


@pytest.mark.parametrize("colours", ["standard", "truecolor"])
def test_kittys_protocol_needs_all_colours(colours: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor" if colours == "truecolor" else "")
    monkeypatch.setattr("textual.constants.COLOR_SYSTEM", colours)
    app = HomebodyApp(opening(FakeHome()), TerminalPictures(kitty=True, sixel=True))
    assert app.picture_protocol == ("kitty" if colours == "truecolor" else "blocks")
