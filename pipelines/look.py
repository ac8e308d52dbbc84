"""Look at one picture: its text with boxes, what it may show, its colours and EXIF, and a description of all that.

The file is decoded in the reader's process, as untrusted as any. Knows nothing of the library; a question about the
picture is answered by whoever answers questions: from the picture itself by a model that sees, otherwise from what was
found on it (`Look.as_attachment`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.labels import Label
from models.ocr import Box
from pipelines.errors import FileNotUsable
from pipelines.one_picture import PagesToShow, is_picture
from pipelines.picture_description import describe
from pipelines.picture_seeing import Eyes, exif_json
from pipelines.picture_text import text_blocks
from pipelines.turn import Attachment, Picture
from rag.path_text import absolute_path, path_text
from rag.pictures import Drawing, PictureFacts
from rag.readers.recording import is_recording
from rag.reading import FileBegun, ReadStopped, TextBlocks, TextEnded

if TYPE_CHECKING:
    from rag.reading import DocumentReader

SCORE_DIGITS = 3


@dataclass(frozen=True, slots=True)
class SeenText:
    """A line of text in the picture."""

    text: str
    box: Box
    """Pixels of the upright picture at its full size."""
    score: float
    page: int | None = None
    """1-based; of a TIFF with several pages, or the frame of an animation."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a picture."""

    path: str
    facts: PictureFacts
    labels: tuple[Label, ...]
    lines: tuple[SeenText, ...]
    text: str
    """All of its text, in rows and paragraphs."""
    caption: str
    """What it shows, in plain English."""
    notes: tuple[str, ...] = ()
    compared: tuple[Label, ...] = ()
    """The labels that were asked about, or the user's own: all of them, likeliest first."""
    pictures: tuple[Picture, ...] = field(default=(), repr=False)
    """Its pixels; of a file with several pages the first few, of one with several frames the first."""

    def as_attachment(self) -> Attachment:
        """For a question about it: a model that does not see is given the description and the text, and no more."""
        text = f"{self.caption}\n\nText on the picture:\n\n{self.text}" if self.text else self.caption
        return Attachment(self.path, text, self.pictures)

    @property
    def _not_compared(self) -> tuple[Label, ...]:
        compared = {each.name for each in self.compared}
        return tuple(each for each in self.labels if each.name not in compared)

    def to_json(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "width": self.facts.width_px,
            "height": self.facts.height_px,
            "labels": [_label_json(each) for each in (*self.compared, *self._not_compared)],
            "ocr": [_line_json(each) for each in self.lines],
            "caption": self.caption,
            "exif": exif_json(self.facts),
            "answer": None,
        }


def look(path: Path, reader: DocumentReader, eyes: Eyes, stop: threading.Event) -> Look:
    """Raises FileNotUsable for what is no picture, ReadError, ModelError, ReadStopped soon after `stop` is set."""
    absolute = absolute_path(path)
    name = path_text(absolute)

    def between() -> None:
        if stop.is_set():
            raise ReadStopped(f"stopped while looking at {name}")

    found = _Found(PagesToShow(name))
    with closing(reader.stream(absolute, lambda _: "text", stop, with_members=False)) as parts:
        for part in parts:
            match part:
                case FileBegun() if not is_picture(part):
                    heard = "write down what is said with: homebody transcribe FILE"
                    asked = "ask about a document with: homebody ask --file FILE QUESTION"
                    raise FileNotUsable(f"{name} is not a picture", hint=heard if is_recording(name) else asked)
                case TextBlocks():
                    found.texts.extend(block.text for block in part.blocks)
                case Drawing():
                    found.take(part, eyes, between)
                case TextEnded():
                    found.notes.extend(part.notes)
                case _:
                    pass
    if found.facts is None:
        raise FileNotUsable(f"{name} shows nothing that can be looked at", hint="open it in its own program")
    text = "\n\n".join(found.texts)
    caption = describe(absolute.name, found.facts, found.labels, has_text=bool(text))
    return Look(
        name,
        found.facts,
        found.labels,
        tuple(found.lines),
        text,
        caption,
        tuple(found.notes),
        found.compared,
        found.pages.pictures(),
    )


class _Found:
    """What was seen so far."""

    def __init__(self, pages: PagesToShow) -> None:
        self.pages = pages
        self.facts: PictureFacts | None = None
        self.labels: tuple[Label, ...] = ()
        self.compared: tuple[Label, ...] = ()
        self.lines: list[SeenText] = []
        self.texts: list[str] = []
        self.notes: list[str] = []

    def take(self, drawing: Drawing, eyes: Eyes, between: Callable[[], None]) -> None:
        seen = eyes.see(drawing, between)
        self.pages.take(drawing)
        if drawing.facts is not None:
            self.facts, self.labels, self.compared = drawing.facts, seen.labels, seen.compared
        for line in seen.lines:
            x0, y0, x1, y1 = (round(each * drawing.units_per_px, 1) for each in line.box)
            self.lines.append(SeenText(line.text, (x0, y0, x1, y1), line.score, drawing.page))
        blocks = text_blocks(seen.lines, page=drawing.page, units_per_px=drawing.units_per_px)
        self.texts.extend(block.text for block in blocks if block.text not in self.texts)


def _label_json(label: Label) -> dict[str, Any]:
    return {"name": label.name, "score": round(label.score, SCORE_DIGITS)}


def _line_json(line: SeenText) -> dict[str, Any]:
    said: dict[str, Any] = {"text": line.text, "box": list(line.box), "score": round(line.score, SCORE_DIGITS)}
    return said if line.page is None else {**said, "page": line.page}
