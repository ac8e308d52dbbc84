"""How the screens look: drawn at a fixed size, without blinking, from a scripted Home.

After a deliberate change: `pytest tests/app/test_tui_snapshots.py --snapshot-update`, and look at the pictures.
"""

from __future__ import annotations

import threading
from typing import Protocol

import pytest
from PIL import Image, ImageDraw
from textual.pilot import Pilot

from app.homebody_app import HomebodyApp
from app.widgets.thumbnail import Thumbnail
from pipelines.events import IndexProgress, SearchResult
from pipelines.home import PassageView
from pipelines.page_picture import PagePicture
from pipelines.turn import Citation, Locator
from rag.records import Chunk, DocumentRow, Hit
from tests.app.fake_home import FakeHome, chunk, citation, document, done, sentence
from tests.app.tui_pilot import ask, opening, settle, wait_until

pytestmark = pytest.mark.snapshot

SIZE = (90, 36)
LONG_AGO_S = 1_700_000_000.0 - 1_700_000_000.0 % 86_400 + 37_800
"""Half past ten in UTC, so that it is the same date almost everywhere."""

ANSWER = """\
The harbour at **Ardrossan** was begun in 1806. The first ship came in 1809.

- the first pier, paid for by the Earl of Eglinton
- the wet dock, finished in 1847

```python
def tonnage(ships: int) -> int:
    return ships * 84
```

The wet dock cost 120,000 pounds. It is a fine place."""


class SnapCompare(Protocol):
    """What pytest-textual-snapshot's fixture takes."""

    def __call__(self, app: HomebodyApp, *, terminal_size: tuple[int, int], run_before: object) -> bool: ...


def library_of_harbours(theme: str = "homebody-dark") -> FakeHome:
    home = FakeHome(theme=theme)
    home.roots = ("/files/notes", "/files/scans")
    home.files = [
        document("/files/notes/ardrossan.md"),
        document("/files/notes/later.md", "found", chunks=0),
        document("/files/notes/new.docx", "words"),
        document("/files/scans/ledger.pdf", "failed", reason="it is protected by a password", chunks=0),
    ]
    home.enqueue(
        done(
            ANSWER,
            sentences=[
                sentence(ANSWER, "The harbour at **Ardrossan** was begun in 1806.", 1),
                sentence(ANSWER, "The first ship came in 1809.", 1, 2),
                sentence(ANSWER, "- the wet dock, finished in 1847", 2),
                sentence(ANSWER, "The wet dock cost 120,000 pounds.", supported=False, terms=("120,000",)),
                sentence(ANSWER, "It is a fine place.", supported=False),
            ],
            citations=[
                citation(1, "/files/notes/ardrossan.md", quote="begun in 1806; the first ship came in 1809", line=3),
                citation(2, "/files/scans/estate.pdf", quote="the wet dock, opened to shipping this year", line=88),
            ],
        )
    )
    home.passages[101] = PassageView(
        "/files/notes/ardrossan.md",
        "Ardrossan",
        "text",
        (chunk(1, "Ardrossan lies on the Ayrshire coast, between Saltcoats and West Kilbride."),),
        chunk(
            101,
            "The harbour was begun in 1806; the first ship came in 1809, with salt from Saltcoats. The work was led by "
            "Thomas Telford until the money ran out.",
            headings=("Ardrossan", "History"),
        ),
        (chunk(2, "The canal that should have joined it to Glasgow was never finished."),),
    )
    home.conversations.add("When was the harbour built?", [("q", "a")] * 3, updated_at_s=LONG_AGO_S)
    home.conversations.add("Invoices of the second quarter", [("q", "a")], updated_at_s=LONG_AGO_S - 400_000)
    return home


async def open_app(pilot: Pilot[None]) -> HomebodyApp:
    app = pilot.app
    assert isinstance(app, HomebodyApp)
    app.chat.composer.cursor_blink = False
    await wait_until(pilot, lambda: app.home is not None)
    await settle(pilot)
    return app


async def answered(pilot: Pilot[None]) -> None:
    await open_app(pilot)
    await ask(pilot, "When was the harbour built, and what did it cost?")
    await settle(pilot)


def test_a_welcome(snap_compare: SnapCompare) -> None:
    async def before(pilot: Pilot[None]) -> None:
        await open_app(pilot)

    assert snap_compare(HomebodyApp(opening(library_of_harbours())), terminal_size=SIZE, run_before=before)


def test_an_answer_with_its_sources(snap_compare: SnapCompare) -> None:
    assert snap_compare(HomebodyApp(opening(library_of_harbours())), terminal_size=SIZE, run_before=answered)


def test_an_answer_in_the_light_theme(snap_compare: SnapCompare) -> None:
    home = library_of_harbours("homebody-light")
    assert snap_compare(HomebodyApp(opening(home)), terminal_size=SIZE, run_before=answered)


def test_a_source(snap_compare: SnapCompare) -> None:
    async def before(pilot: Pilot[None]) -> None:
        await answered(pilot)
        await pilot.press("ctrl+o")
        await settle(pilot)

    assert snap_compare(HomebodyApp(opening(library_of_harbours())), terminal_size=SIZE, run_before=before)


def drawn_page() -> PagePicture:
    """A page with two paragraphs; the second is cited. Bars stand for lines: fonts differ between machines."""
    page = Image.new("RGB", (1200, 1600), "white")
    pen = ImageDraw.Draw(page)
    for top in (*range(200, 480, 44), *range(560, 760, 44), *range(860, 1300, 44)):
        for left in range(150, 1050, 90):
            pen.rectangle((left, top, left + 40 + (left * 7 + top * 3) % 42, top + 18), fill=(30, 30, 30))
    lines = [(70.0, float(top) / 2 - 3, 535.0, float(top) / 2 + 13) for top in range(560, 760, 44)]
    return PagePicture(page, 600, 800, tuple(lines))


def test_a_page_as_a_picture(snap_compare: SnapCompare) -> None:
    home = FakeHome()
    text = "The wet dock was finished in 1847."
    cited = Citation(1, 101, "/files/scans/estate.pdf", "text", Locator(page=88), "the wet dock", supported=True)
    home.enqueue(done(text, sentences=[sentence(text, text, 1)], citations=[cited]))
    home.pages.pictures["/files/scans/estate.pdf", 88] = drawn_page()

    async def before(pilot: Pilot[None]) -> None:
        await answered(pilot)
        await pilot.press("ctrl+o")
        await settle(pilot)
        await pilot.press("p")
        await settle(pilot)

    assert snap_compare(HomebodyApp(opening(home)), terminal_size=SIZE, run_before=before)


def drawn_photo() -> PagePicture:
    """A hill under the sun, and a sign that says something; the sign is cited."""
    photo = Image.new("RGB", (800, 600), (120, 170, 220))
    pen = ImageDraw.Draw(photo)
    pen.ellipse((560, 60, 700, 200), fill=(250, 210, 60))
    pen.polygon([(0, 600), (300, 240), (620, 600)], fill=(60, 110, 60))
    pen.rectangle((470, 380, 760, 500), fill=(240, 240, 235))
    for left in range(490, 740, 60):
        pen.rectangle((left, 410, left + 40, 425), fill=(30, 30, 30))
        pen.rectangle((left, 450, left + 25, 465), fill=(30, 30, 30))
    return PagePicture(photo, 4000, 3000, ((2350.0, 1900.0, 3800.0, 2500.0),), is_paper=False)


PHOTO = "/files/photos/harbour.jpg"


def library_of_photos() -> FakeHome:
    home = FakeHome()
    text = "The pier is closed until June. It was repaired in 2019."
    cited = Citation(1, 101, PHOTO, "image", Locator(box=(2350, 1900, 3800, 2500)), "Pier closed until June", True)
    note = citation(2, "/files/notes/ardrossan.md", quote="repaired in 2019")
    first, second = "The pier is closed until June.", "It was repaired in 2019."
    home.enqueue(done(text, sentences=[sentence(text, first, 1), sentence(text, second, 2)], citations=[cited, note]))
    home.files = [
        document("/files/notes/ardrossan.md"),
        DocumentRow(PHOTO, "harbour", "image", "embedded", "", 2_400_000, 2, 2),
    ]
    home.pages.pictures[PHOTO, None] = drawn_photo()
    return home


def test_an_answer_with_a_picture(snap_compare: SnapCompare) -> None:
    home = library_of_photos()

    async def before(pilot: Pilot[None]) -> None:
        await answered(pilot)
        await wait_until(pilot, lambda: pilot.app.screen.query_one(Thumbnail).image)
        await pilot.pause()

    assert snap_compare(HomebodyApp(opening(home)), terminal_size=SIZE, run_before=before)


def test_a_picture_with_what_is_cited(snap_compare: SnapCompare) -> None:
    async def before(pilot: Pilot[None]) -> None:
        await answered(pilot)
        await pilot.press("ctrl+o")
        await settle(pilot)

    assert snap_compare(HomebodyApp(opening(library_of_photos())), terminal_size=SIZE, run_before=before)


def test_the_library_with_a_picture_beside_it(snap_compare: SnapCompare) -> None:
    async def before(pilot: Pilot[None]) -> None:
        await open_app(pilot)
        await pilot.press("f3")
        await settle(pilot)
        await pilot.press("down")
        await wait_until(pilot, lambda: pilot.app.screen.query_one(Thumbnail).image)
        await pilot.pause()

    assert snap_compare(HomebodyApp(opening(library_of_photos())), terminal_size=(120, 30), run_before=before)


def test_rows_of_a_sheet(snap_compare: SnapCompare) -> None:
    home = FakeHome()
    text = "Marc is in Lyon."
    rows = "Name: Olga Petrenko | Office: Leipzig | Since: 2019-08-01\nName: Marc Dubois | Office: Lyon | Since: 2021"
    place = Locator(sheet="Staff", row=2)
    cited = Citation(1, 101, "/files/team.xlsx", "text", place, rows.split("\n")[1], supported=True)
    home.enqueue(done(text, sentences=[sentence(text, text, 1)], citations=[cited]))
    home.passages[101] = PassageView("/files/team.xlsx", "team", "text", (), Chunk(101, 1, 0, rows, (), place), ())

    async def before(pilot: Pilot[None]) -> None:
        await answered(pilot)
        await pilot.press("ctrl+o")
        await settle(pilot)

    assert snap_compare(HomebodyApp(opening(home)), terminal_size=SIZE, run_before=before)


def test_a_search(snap_compare: SnapCompare) -> None:
    home = library_of_harbours()
    found = [
        Hit(1, 0.9, chunk(1, "The harbour was begun in 1806.", line=3), "/files/notes/ardrossan.md", "A", "text"),
        Hit(2, 0.8, Chunk(2, 1, 0, "Harbour dues " * 20, (), Locator(page=88)), "/files/scans/estate.pdf", "E", "text"),
    ]
    home.found.append(SearchResult(tuple(found), 0.12))

    async def before(pilot: Pilot[None]) -> None:
        await open_app(pilot)
        await pilot.press("f8")
        await settle(pilot)
        await pilot.press(*"harbour", "space", *"kind", "colon", *"pdf", "enter")
        await settle(pilot)

    assert snap_compare(HomebodyApp(opening(home)), terminal_size=SIZE, run_before=before)


def test_the_library_while_it_indexes(snap_compare: SnapCompare) -> None:
    home = library_of_harbours()
    home.enqueue_index(IndexProgress("reading", 120, 2000, "/files/notes/new.docx", rate_per_s=35.0), threading.Event())

    async def before(pilot: Pilot[None]) -> None:
        app = await open_app(pilot)
        await pilot.press("f3")
        await settle(pilot)
        await pilot.press("u")
        await wait_until(
            pilot, lambda: "indexing" in app.chat.status.activity and "reading" in app.chat.status.activity
        )
        await pilot.pause()

    assert snap_compare(HomebodyApp(opening(home)), terminal_size=SIZE, run_before=before)


def test_the_conversations(snap_compare: SnapCompare) -> None:
    async def before(pilot: Pilot[None]) -> None:
        await open_app(pilot)
        await pilot.press("f2")
        await settle(pilot)

    assert snap_compare(HomebodyApp(opening(library_of_harbours())), terminal_size=SIZE, run_before=before)


def test_the_help(snap_compare: SnapCompare) -> None:
    async def before(pilot: Pilot[None]) -> None:
        await open_app(pilot)
        await pilot.press("f1")
        await settle(pilot)

    assert snap_compare(HomebodyApp(opening(library_of_harbours())), terminal_size=SIZE, run_before=before)
