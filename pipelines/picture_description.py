"""A picture in words: what its file tells and what engines saw, as plain English that can be found and answered from.

Pure: facts, labels and lines of text in, sentences out. Nothing is said that is not known; a label is said to be what
the picture may show, with the words that people ask for beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import PurePath

from models.labels import Label
from rag.pictures import PictureFacts

LABEL_WORDS = 6
"""Other words that are said of one label."""
MOSTLY = 0.4
"""A colour with this share of the area is what the picture mostly is."""

_SEPARATORS = re.compile(r"[\W_]+")
_SCREENSHOT = re.compile(r"screen\s?shot|screen\s?capture|bildschirmfoto|snipping", re.IGNORECASE)


def describe(name: str, facts: PictureFacts, labels: Sequence[Label], *, has_text: bool) -> str:
    """A few sentences; `name` is the file's name."""
    sentences = [f"{_kind(name, facts)} {_words(name)}"]
    if facts.title:
        sentences.append(f"Title: {facts.title}")
    if taken := _taken(facts):
        sentences.append(taken)
    if labels:
        sentences.append("It may show: " + "; ".join(_named(label) for label in labels))
    if facts.colours:
        sentences.append(f"Colours: {_colours(facts)}")
    if facts.frames > 1:
        sentences.append("It has several pages" if facts.format == "TIFF" else "It moves")
    sentences.append("There is text on it" if has_text else "No text was found on it")
    return ". ".join(sentences) + "."


def _kind(name: str, facts: PictureFacts) -> str:
    if facts.format == "SVG":
        return "Drawing"
    if facts.camera or facts.taken_at:
        return "Photo"
    return "Screenshot" if _SCREENSHOT.search(_SEPARATORS.sub(" ", name)) else "Picture"


def _words(name: str) -> str:
    """The file's name as words: `red-bicycle_2.jpg` is about a red bicycle."""
    return " ".join(_SEPARATORS.sub(" ", PurePath(name).stem).split()) or name


def _taken(facts: PictureFacts) -> str:
    parts: list[str] = []
    if facts.taken_at:
        moment = datetime.fromisoformat(facts.taken_at)
        parts.append(f"on {moment:%A} {moment.day} {moment:%B %Y} at {moment:%H:%M}")
    if facts.camera:
        parts.append(f"with {facts.camera}")
    if facts.latitude is not None and facts.longitude is not None:
        north = f"{abs(facts.latitude):.4f}° {'north' if facts.latitude >= 0 else 'south'}"
        east = f"{abs(facts.longitude):.4f}° {'east' if facts.longitude >= 0 else 'west'}"
        parts.append(f"at {north}, {east}")
    if facts.author:
        parts.append(f"by {facts.author}")
    return f"Taken {' '.join(parts)}" if parts else ""


def _named(label: Label) -> str:
    also = ", ".join(label.also[:LABEL_WORDS])
    return f"{label.name} ({also})" if also else label.name


def _colours(facts: PictureFacts) -> str:
    first, *others = (name for name, _ in facts.colours)
    mostly = f"mostly {first}" if facts.colours[0][1] >= MOSTLY else first
    return ", ".join([mostly, *others])
