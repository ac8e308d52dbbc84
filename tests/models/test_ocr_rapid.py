"""The real OCR engine on pictures made here: words, places, yielding, and what it leaves alone."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.errors import EngineFailed
from models.freed_memory import give_back
from models.ocr import TextLine
from models.ocr_rapid import RapidOcr, is_text

LINES = (
    "Hardware Store Miller & Sons",
    "Cordless drill 18 V        129.90",
    "Wall plugs 8 mm (100)        6.49",
    "Total EUR                  136.39",
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RapidOcr]:
    made = RapidOcr(threads=1, cache_dir=tmp_path_factory.mktemp("onnx"))
    yield made
    made.close()


def drawn(lines: tuple[str, ...] = LINES) -> NDArray[np.uint8]:
    picture = Image.new("RGB", (640, 40 + 50 * len(lines)), "white")
    pen = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        pen.text((30, 20 + 50 * number), " ".join(line.split()), fill="black", font=ImageFont.load_default(size=26))
    return np.asarray(picture)


def test_words_and_their_places_are_found(engine: RapidOcr) -> None:
    found = engine.read(drawn())
    read = "\n".join(line.text for line in found)
    wanted = "\n".join(" ".join(line.split()) for line in LINES)
    assert SequenceMatcher(None, read.replace(" ", ""), wanted.replace(" ", "")).ratio() > 0.97
    for number, line in enumerate(found):
        x0, y0, x1, y1 = line.box
        assert 10 < x0 < 50
        assert x1 < 640
        assert y0 < 20 + 50 * number + 16 < y1
        assert line.score > 0.5


def test_upside_down_text_is_read_where_it_stands(engine: RapidOcr) -> None:
    found = engine.read(np.ascontiguousarray(drawn(LINES[:3])[::-1, ::-1]))
    (store,) = [line for line in found if "Hardware" in line.text]
    (plugs,) = [line for line in found if "plugs" in line.text]
    assert store.box[1] > plugs.box[3]
    assert store.box[2] > 600


def test_long_upright_lines_are_not_turned(engine: RapidOcr) -> None:
    text = "on no. three transfer invoice drill paint June by bank at deposit transfer"
    picture = Image.new("RGB", (1240, 120), "white")
    ImageDraw.Draw(picture).text((90, 40), text, fill=(25, 25, 35), font=ImageFont.load_default(size=30))
    (line,) = engine.read(np.asarray(picture))
    assert SequenceMatcher(None, line.text, text).ratio() > 0.95


def test_pictures_without_text_give_nothing(engine: RapidOcr) -> None:
    assert engine.read(np.full((300, 400, 3), 200, np.uint8)) == []
    assert engine.read(np.zeros((1, 2000, 3), np.uint8)) == []
    assert engine.read(np.zeros((2000, 3, 3), np.uint8)) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems tell resident memory otherwise")
def test_what_large_pictures_took_is_given_back(engine: RapidOcr) -> None:
    engine.read(drawn())
    give_back()
    before = psutil.Process().memory_info().rss
    for height, width in ((1500, 1400), (1400, 1500), (1200, 1900)):
        engine.read(np.full((height, width, 3), 200, np.uint8))
        give_back()
        assert psutil.Process().memory_info().rss - before < 64 << 20  # the detector takes 300 MB for each


def test_a_few_letters_read_without_sureness_are_no_text() -> None:
    box = ((0.0, 0.0), (20.0, 0.0), (20.0, 6.0), (0.0, 6.0))
    assert not is_text(TextLine("AAA", box, 0.62))
    assert is_text(TextLine("EXIT", box, 0.93))
    assert is_text(TextLine("Total 1,290.00", box, 0.62))
    assert not is_text(TextLine("Total 1,290.00", box, 0.4))


def test_a_caller_may_end_the_work_between_two_steps(engine: RapidOcr) -> None:
    steps = 0

    def between() -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        engine.read(drawn(), between)
    assert engine.read(drawn()) != []


def test_its_log_goes_where_every_log_goes(
    engine: RapidOcr, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert not logging.getLogger("RapidOCR").handlers
    with caplog.at_level(logging.WARNING):
        engine.read(np.full((64, 64, 3), 255, np.uint8))
    assert capfd.readouterr() == ("", "")
    assert "empty" in caplog.text


def test_a_second_start_takes_the_kept_graphs(tmp_path: Path) -> None:
    RapidOcr(cache_dir=tmp_path).close()
    kept = sorted(tmp_path.rglob("*"))
    assert kept
    RapidOcr(cache_dir=tmp_path).close()
    assert sorted(tmp_path.rglob("*")) == kept


def test_a_closed_engine_says_so() -> None:
    engine = RapidOcr()
    engine.close()
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        engine.read(drawn())
