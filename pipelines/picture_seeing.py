"""Somebody who looks at pictures: in front of the reader of files, it puts words where that one hands over pixels.

A picture gets a description and the text on it, a page without text the text on it. Looking is background work: while
somebody is answered the engines are let go and the page is looked at again afterwards, so that nobody waits for them.
Knows nothing of formats and of storing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.labels import Label, Labeller
from models.ocr import OcrEngine, TextLine
from pipelines.foreground import Foreground
from pipelines.ingest_storing import FileReader
from pipelines.own_labels import sure_of
from pipelines.picture_description import describe
from pipelines.picture_text import text_blocks
from rag.errors import NotNow
from rag.path_text import path_text
from rag.pictures import Drawing, PictureFacts
from rag.reading import Decide, FileBegun, MemberFailed, Part, ReadStopped, TextBlocks, skip_file
from rag.records import Block

DESCRIPTION = "What the picture shows"
"""The heading of a picture's description; the text on it stands under none."""


MIN_CHARS = 3
"""Fewer letters and digits on a picture are an eye or a wheel that was taken for an O."""
MAX_LETTERS_ALONE = 6
"""So many Latin letters, each on its own and nothing else, are curves; more may be a sheet of answers."""


class _GiveWay(Exception):
    """Somebody is being answered: the page is looked at again when the engines are free."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen in one drawing."""

    lines: tuple[TextLine, ...]
    """Boxes in the drawing's pixels."""
    labels: tuple[Label, ...] = ()
    """What it may show, of the user's own labels first."""
    compared: tuple[Label, ...] = ()
    """All of the user's own labels, likeliest first."""


class Eyes:
    """Looks at drawings with the engines, for as long as each takes."""

    def __init__(
        self,
        ocr: Callable[[], AbstractContextManager[OcrEngine]],
        labeller: Callable[[], AbstractContextManager[Labeller]],
        compare: Callable[[NDArray[np.uint8]], Sequence[Label]] = lambda _rgb: (),
    ) -> None:
        """`compare` puts the user's own labels in order for a picture; may raise ModelError."""
        self._ocr = ocr
        self._labeller = labeller
        self._compare = compare

    def see(self, drawing: Drawing, between: Callable[[], None]) -> Seen:
        """`between` is called between two steps, and may raise to end the work. Raises ModelError."""
        rgb = drawing.pixels()
        lines: tuple[TextLine, ...] = ()
        if not drawing.has_text:
            between()
            with self._ocr() as engine:
                lines = tuple(engine.read(rgb, between))
        if not _are_words(lines):
            lines = ()
        if drawing.facts is None:
            return Seen(lines)
        between()
        compared = tuple(self._compare(rgb))
        own = sure_of(compared)
        between()
        with self._labeller() as labeller:
            known = tuple(each for each in labeller.labels(rgb) if each.name not in {one.name for one in own})
        return Seen(lines, own + known, compared)


def _are_words(lines: Sequence[TextLine]) -> bool:
    if sum(character.isalnum() for line in lines for character in line.text) < MIN_CHARS:
        return False
    letters_alone = all(len(line.text) == 1 and line.text.isascii() for line in lines)
    return not letters_alone or len(lines) > MAX_LETTERS_ALONE


class SeeingReader:
    """Satisfies `pipelines.ingest_storing.FileReader`."""

    def __init__(self, reader: FileReader, eyes: Eyes, foreground: Foreground) -> None:
        self._reader = reader
        self._eyes = eyes
        self._foreground = foreground

    def stream(self, path: str, decide: Decide, stop: threading.Event) -> Generator[Part]:
        """See `FileReader`. Of an animation a text that stands on several frames is given once."""
        begun: FileBegun | None = None
        told: set[str] = set()
        with closing(self._reader.stream(path, decide, stop)) as parts:
            for part in parts:
                match part:
                    case FileBegun():
                        begun, told = part, set()
                        yield part
                    case Drawing():
                        assert begun is not None
                        try:
                            blocks = self._blocks(part, path_text(PurePath(begun.path).name), told, stop)
                        except NotNow as error:
                            if not begun.place:
                                raise
                            yield MemberFailed(begun.path, begun.size_bytes, begun.mtime_ns, error)
                            skip_file(parts)
                        else:
                            if blocks:
                                yield TextBlocks(tuple(blocks))
                    case _:
                        yield part

    def _blocks(self, drawing: Drawing, name: str, told: set[str], stop: threading.Event) -> list[Block]:
        seen = self._seen(drawing, name, stop)
        text = text_blocks(seen.lines, page=drawing.page, units_per_px=drawing.units_per_px)
        blocks: list[Block] = []
        if drawing.facts is not None:
            has_text = bool(text) or drawing.has_text
            blocks.append(
                Block(describe(name, drawing.facts, seen.labels, has_text=has_text), heading_path=(DESCRIPTION,))
            )
        new = [block for block in text if block.text not in told]
        told.update(block.text for block in new)
        return [*blocks, *new]

    def _seen(self, drawing: Drawing, name: str, stop: threading.Event) -> Seen:
        def between() -> None:
            if stop.is_set():
                raise ReadStopped(f"stopped while looking at {name}")
            if self._foreground.is_busy:
                raise _GiveWay

        while True:
            if not self._foreground.wait_until_free(stop):
                raise ReadStopped(f"stopped while looking at {name}")
            try:
                return self._eyes.see(drawing, between)
            except _GiveWay:  # the engines are free again: whoever is answered may need them
                continue
            except ModelError as error:
                raise NotNow(f"{name} could not be looked at: {error}", hint=error.hint) from error


def exif_json(facts: PictureFacts) -> dict[str, object]:
    """What is known of when, where and with what it was taken; only what is."""
    known: dict[str, object] = {
        "taken_at": facts.taken_at,
        "camera": facts.camera,
        "title": facts.title,
        "author": facts.author,
    }
    said = {name: value for name, value in known.items() if value}
    if facts.latitude is not None and facts.longitude is not None:
        said["place"] = {"latitude": facts.latitude, "longitude": facts.longitude}
    return said
