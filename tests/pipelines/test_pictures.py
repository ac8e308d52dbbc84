"""Pictures and scans through the front door, with engines that say what they are told to."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from email.message import EmailMessage
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.errors import EngineFailed
from models.labels import Label, Labeller
from models.ocr import OcrEngine, TextLine
from pipelines.errors import FileNotUsable
from pipelines.events import IndexDone, IndexReport
from pipelines.factory import open_home
from pipelines.foreground import Foreground
from pipelines.home import Home
from pipelines.paths import HomePaths
from pipelines.picture_description import OWN_LABELS, describe, with_own_labels
from pipelines.picture_seeing import Eyes, SeeingReader
from pipelines.picture_text import text_blocks
from pipelines.settings import Settings
from rag.pictures import Drawing, PictureFacts
from rag.reading import Decide, FileBegun, FileEnded, Part, TextBlocks
from tests.fakes import ScriptedChatModel
from tests.rag.made_archives import zip_of


def line(text: str, x: float, y: float, width: float = 100, height: float = 10) -> TextLine:
    return TextLine(text, ((x, y), (x + width, y), (x + width, y + height), (x, y + height)), 0.98)


class ScriptedOcr:
    """Reads what was enqueued, and remembers the sizes of what it was shown."""

    model_id = "scripted-ocr"

    def __init__(self) -> None:
        self.history: list[tuple[int, ...]] = []
        self._queue: deque[list[TextLine] | Exception | Callable[[], None]] = deque()

    def enqueue(self, *steps: list[TextLine] | Exception | Callable[[], None]) -> None:
        self._queue.extend(steps)

    def read(self, rgb: NDArray[np.uint8], between: Callable[[], None] = lambda: None) -> list[TextLine]:
        self.history.append(rgb.shape)
        step = self._queue.popleft() if self._queue else []
        if isinstance(step, Exception):
            raise step
        if callable(step):
            step()
            between()
            return []
        between()
        return step

    def close(self) -> None:
        pass


class ScriptedLabeller:
    model_id = "scripted-labels"

    def labels(self, rgb: NDArray[np.uint8]) -> list[Label]:  # noqa: ARG002
        return [Label("beagle", 0.8, ("dog", "pet", "animal"))]

    def close(self) -> None:
        pass


@pytest.fixture
def ocr() -> ScriptedOcr:
    return ScriptedOcr()


@pytest.fixture
def home(tmp_path: Path, ocr: ScriptedOcr) -> Iterator[Home]:
    home = open_home(
        HomePaths(tmp_path / "home"),
        Settings(),
        chat_model=ScriptedChatModel(),
        ocr=ocr,
        labeller=ScriptedLabeller(),
    )
    yield home
    home.close()


def index(home: Home, folder: Path) -> IndexReport:
    (done,) = [event for event in home.index([folder], threading.Event()) if isinstance(event, IndexDone)]
    return done.report


def save_scan(path: Path, pages: int) -> None:
    sheets = [Image.new("RGB", (400, 500), (250, 250, 240 - n)) for n in range(pages)]
    for sheet in sheets:
        sheet.putpixel((1, 1), (0, 0, 0))
    sheets[0].save(path, save_all=True, append_images=sheets[1:], resolution=72)


def test_a_photo_is_found_by_what_it_shows_and_by_what_stands_on_it(home: Home, folder: Path, ocr: ScriptedOcr) -> None:
    Image.new("RGB", (4000, 2000), (200, 20, 20)).save(folder / "IMG_1.png")
    ocr.enqueue([line("Total 136.39", 20, 40)])
    assert index(home, folder).failed == ()
    (dog,) = home.search("dog").hits
    assert (dog.kind, Path(dog.path).name) == ("image", "IMG_1.png")
    assert "beagle" in dog.chunk.text
    (total,) = home.search("136.39 kind:image").hits
    assert total.chunk.locator.box == (40.0, 80.0, 240.0, 100.0)  # pixels of the picture itself
    assert home.search("136.39 kind:text").hits == ()


def test_pages_without_text_are_read_one_at_a_time(home: Home, folder: Path, ocr: ScriptedOcr) -> None:
    save_scan(folder / "lease.pdf", 3)
    ocr.enqueue(*([line(f"The notice period of part {n} is long", 20, 40)] for n in ("one", "two", "three")))
    assert index(home, folder).failed == ()
    assert len(ocr.history) == 3
    (two,) = home.search('"part two"').hits
    assert two.kind == "text"
    assert two.chunk.locator.page == 2
    assert two.chunk.locator.box is not None


def test_an_engine_that_fails_leaves_the_file_listed_with_the_reason(
    home: Home, folder: Path, ocr: ScriptedOcr
) -> None:
    save_scan(folder / "a.pdf", 1)
    (folder / "b.txt").write_text("Words go on.")
    ocr.enqueue(EngineFailed("no memory left", hint="close something"))
    report = index(home, folder)
    assert [failed.reason for failed in report.failed] == ["a.pdf could not be looked at: no memory left"]
    assert home.search("words").hits


def test_pictures_and_scans_in_archives_and_mails_are_looked_at_once(
    home: Home, folder: Path, ocr: ScriptedOcr, tmp_path: Path
) -> None:
    save_scan(tmp_path / "lease.pdf", 2)
    Image.new("RGB", (200, 100), (200, 20, 20)).save(tmp_path / "receipt.png")
    contents = {"a.txt": b"Words.", "lease.pdf": (tmp_path / "lease.pdf").read_bytes()}
    (folder / "papers.zip").write_bytes(zip_of({"inner.zip": zip_of(contents)}))
    mail = EmailMessage()
    mail["Subject"], mail["From"] = "The receipt", "ann@example.org"
    mail.set_content("Here it is.")
    mail.add_attachment(
        (tmp_path / "receipt.png").read_bytes(), maintype="image", subtype="png", filename="receipt.png"
    )
    (folder / "mail.eml").write_bytes(mail.as_bytes())
    ocr.enqueue([line("Total 136.39", 20, 40)], [line("The notice period", 20, 40)], [line("The deposit", 20, 40)])
    report = index(home, folder)
    assert (report.failed, len(ocr.history)) == ((), 3)
    inside_mail, inside_zip = folder / "mail.eml" / "receipt.png", folder / "papers.zip" / "inner.zip" / "lease.pdf"
    (total,) = home.search("136.39").hits
    assert (total.path, total.kind) == (str(inside_mail), "image")
    assert total.chunk.locator.box == (20.0, 40.0, 120.0, 50.0)
    (deposit,) = home.search('"The deposit"').hits
    assert (deposit.path, deposit.chunk.locator.page) == (str(inside_zip), 2)
    assert index(home, folder).unchanged == 6
    assert len(ocr.history) == 3
    ocr.enqueue([line("Total 136.39", 20, 40)])
    seen = home.look(inside_mail, threading.Event())
    assert (seen.facts.width_px, seen.text) == (200, "Total 136.39")


def test_an_engine_that_fails_inside_an_archive_costs_one_file_until_the_next_run(
    home: Home, folder: Path, ocr: ScriptedOcr, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        Image.new("RGB", (200, 100), (200, 20, ord(name))).save(tmp_path / f"{name}.png")
    contents = {f"{name}.png": (tmp_path / f"{name}.png").read_bytes() for name in ("a", "b")}
    (folder / "phone.zip").write_bytes(zip_of({**contents, "c.txt": b"Words go on."}))
    ocr.enqueue(EngineFailed("no memory left", hint="close something"), [line("Second picture", 20, 40)])
    report = index(home, folder)
    assert [failed.reason for failed in report.failed] == ["a.png could not be looked at: no memory left"]
    assert home.search('"Second picture"').hits
    assert home.search('"Words go on"').hits
    ocr.enqueue([line("First picture", 20, 40)])
    assert index(home, folder).failed == ()
    assert home.search('"First picture"').hits
    assert len(ocr.history) == 3


def test_a_scan_without_a_word_is_looked_at_once_and_listed(home: Home, folder: Path, ocr: ScriptedOcr) -> None:
    save_scan(folder / "stains.pdf", 1)
    Image.new("L", (400, 500), 255).save(folder / "blank.pdf", resolution=72)
    for _ in range(3):
        reasons = sorted(failed.reason for failed in index(home, folder).failed)
        assert len(reasons) == 2
        assert "blank.pdf has nothing on any page" in reasons[1 if "stains" in reasons[0] else 0]
    assert len(ocr.history) == 1


def test_look_tells_all_that_is_known(home: Home, folder: Path, ocr: ScriptedOcr) -> None:
    Image.new("RGB", (400, 200), (20, 40, 200)).save(folder / "blue-sky.png")
    ocr.enqueue([line("Hello there", 20, 40)])
    seen = home.look(folder / "blue-sky.png", threading.Event())
    assert seen.to_json() == {
        "path": str(folder / "blue-sky.png"),
        "width": 400,
        "height": 200,
        "labels": [{"name": "beagle", "score": 0.8}],
        "ocr": [{"text": "Hello there", "box": [20, 40, 120, 50], "score": 0.98}],
        "caption": "Picture blue sky. It may show: beagle (dog, pet, animal). Colours: mostly blue."
        " There is text on it.",
        "exif": {},
        "answer": None,
    }
    assert "Hello there" in seen.as_attachment().text


def test_look_refuses_what_is_no_picture(home: Home, folder: Path) -> None:
    (folder / "a.txt").write_text("words")
    (folder / "memo.wav").write_bytes(b"RIFF" + bytes(40))
    for name, command in (("a.txt", "homebody ask --file"), ("memo.wav", "homebody transcribe")):
        with pytest.raises(FileNotUsable, match="not a picture") as raised:
            home.look(folder / name, threading.Event())
        assert command in raised.value.hint


class ScriptedReader:
    """A picture, as the reading process hands it over."""

    def stream(self, path: str, decide: Decide, stop: threading.Event) -> Iterator[Part]:  # noqa: ARG002
        yield FileBegun(path, (), b"", 1, 0, "picture/1")
        yield Drawing(8, 8, bytes(192))
        yield FileEnded()


@contextmanager
def lent(engine: OcrEngine) -> Iterator[OcrEngine]:
    yield engine


@contextmanager
def no_labels() -> Iterator[Labeller]:
    raise AssertionError("a page gets no labels")
    yield


def test_looking_gives_way_while_somebody_is_answered(ocr: ScriptedOcr) -> None:
    foreground = Foreground()
    free = threading.Event()
    lent_out = 0

    def ask() -> None:
        """Somebody asks in the middle of a page, and is answered while the engine is free."""
        asked = threading.Event()

        def answer() -> None:
            with foreground.busy():
                asked.set()
                assert free.wait(10)

        threading.Thread(target=answer, daemon=True).start()
        assert asked.wait(10)

    @contextmanager
    def borrowed() -> Iterator[OcrEngine]:
        nonlocal lent_out
        lent_out += 1
        try:
            yield ocr
        finally:
            free.set()

    ocr.enqueue(ask, [line("again", 0, 0)])
    reader = SeeingReader(ScriptedReader(), Eyes(borrowed, no_labels), foreground)  # type: ignore[arg-type]  # an iterator does
    parts = list(reader.stream("/a.tif", lambda _: "text", threading.Event()))
    (text,) = [part for part in parts if isinstance(part, TextBlocks)]
    assert text.blocks[0].text == "again"
    assert lent_out == 2


def test_rows_and_paragraphs_are_put_together() -> None:
    blocks = text_blocks(
        [
            line("Total", 10, 10, 40),
            line("136.39", 200, 12, 50),
            line("paid", 10, 24, 30),
            line("Thank you", 10, 80, 60),
        ],
        page=2,
        units_per_px=0.5,
    )
    assert [block.text for block in blocks] == ["Total 136.39\npaid", "Thank you"]
    assert blocks[0].locator.box == (5.0, 5.0, 125.0, 17.0)
    assert blocks[0].locator.page == 2


def test_a_description_says_what_is_known_and_nothing_else() -> None:
    facts = PictureFacts(
        4032,
        3024,
        "JPEG",
        taken_at="2025-06-14T15:20:31+02:00",
        taken_at_s=1749907231,
        latitude=41.8902,
        longitude=-12.4923,
        camera="Apple iPhone 12",
        colours=(("green", 0.6), ("brown", 0.2)),
    )
    told = describe("red-bicycle_2.jpg", facts, [Label("mountain bike", 0.7, ("bicycle", "bike"))], has_text=False)
    assert told == (
        "Photo red bicycle 2. Taken on Saturday 14 June 2025 at 15:20 with Apple iPhone 12 at 41.8902° north,"
        " 12.4923° west. It may show: mountain bike (bicycle, bike). Colours: mostly green, brown."
        " No text was found on it."
    )
    bare = describe("Screenshot 2.png", PictureFacts(1, 1, "PNG"), [], has_text=True)
    assert bare == "Screenshot 2. There is text on it."
    assert describe("photos.png", PictureFacts(1, 1, "PNG"), [], has_text=False).startswith("Picture photos. ")


@pytest.mark.parametrize(
    ("texts", "is_read"),
    [
        (["C", "G", "C"], False),
        (["0", "E"], False),
        (["EXIT"], True),
        (["\u51fa", "\u53e3", "\u5317"], True),
        (["A"] * 9, True),
    ],
)
def test_letters_that_stand_alone_are_curves_of_a_picture(texts: list[str], is_read: bool) -> None:
    ocr = ScriptedOcr()
    ocr.enqueue([line(text, 20, 40 * n) for n, text in enumerate(texts)])
    eyes = Eyes(lambda: nullcontext(ocr), lambda: nullcontext(ScriptedLabeller()))
    seen = eyes.see(Drawing(8, 8, bytes(192), facts=PictureFacts(8, 8, "PNG")), lambda: None)
    assert bool(seen.lines) is is_read


@pytest.mark.parametrize(
    ("format_", "told"),
    [("TIFF", "It has several pages."), ("HEIC", "There are more pictures in the file."), ("GIF", "It moves.")],
)
def test_what_several_in_one_file_are_goes_by_the_format(format_: str, told: str) -> None:
    assert told in describe("a", PictureFacts(9, 9, format_, frames=2), [], has_text=False)


def test_own_labels_stand_behind_a_description_whatever_its_file_says() -> None:
    title = f"There is text on it.{OWN_LABELS}a dog."
    plain = describe("a.png", PictureFacts(1, 1, "PNG", title=title), [], has_text=False)
    assert with_own_labels(plain, ()) == plain
    labelled = with_own_labels(plain, [Label("Grandma", 0.5), Label("the old boat", 0.4)])
    assert labelled == f"{plain} By your own labels it may show: Grandma; the old boat."
    assert with_own_labels(labelled, [Label("Grandma", 0.5)]) == f"{plain} By your own labels it may show: Grandma."
    assert with_own_labels(labelled, ()) == plain
    assert with_own_labels("It has been cut.", ()) == "It has been cut."


def test_a_scan_is_not_read_again_while_it_does_not_change(home: Home, folder: Path, ocr: ScriptedOcr) -> None:
    save_scan(folder / "lease.pdf", 2)
    ocr.enqueue([line("The notice period is three months", 20, 40)], [line("Signed in May", 20, 40)])
    assert index(home, folder).indexed == 1
    assert (index(home, folder).unchanged, len(ocr.history)) == (1, 2)
    (folder / "lease.pdf").rename(folder / "old lease.pdf")
    assert (index(home, folder).failed, len(ocr.history)) == ((), 2)
    (folder / "old lease.pdf").touch()
    assert (index(home, folder).unchanged, len(ocr.history)) == (1, 2)


def test_a_scan_without_a_word_on_it_is_not_read_again_either(home: Home, folder: Path, ocr: ScriptedOcr) -> None:
    save_scan(folder / "blank.pdf", 2)
    first, second, third = (index(home, folder) for _ in range(3))
    looked_at = len(ocr.history)
    assert looked_at == 2
    assert [report.indexed for report in (first, second, third)][1:] == [0, 0]
    assert first.failed == second.failed == third.failed
