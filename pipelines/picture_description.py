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


TEXT = "There is text on it."
NO_TEXT = "No text was found on it."
"""One of them ends every description; only the user's own labels come behind it."""
_SEVERAL = {"TIFF": "It has several pages", "HEIC": "There are more pictures in the file"}
"""What it means that there are several in one file; in other formats it moves."""
OWN_LABELS = " By your own labels it may show: "


def describe(name: str, facts: PictureFacts, labels: Sequence[Label], *, has_text: bool) -> str:
    """A few sentences; `name` is the file's name."""
    sentences = [_named_kind(name, facts)]
    if facts.title:
        sentences.append(f"Title: {facts.title}")
    if taken := _taken(facts):
        sentences.append(taken)
    if labels:
        sentences.append("It may show: " + "; ".join(_named(label) for label in labels))
    if facts.colours:
        sentences.append(f"Colours: {_colours(facts)}")
    if facts.frames > 1:
        sentences.append(_SEVERAL.get(facts.format, "It moves"))
    return ". ".join([*sentences, TEXT if has_text else NO_TEXT])


def with_own_labels(description: str, labels: Sequence[Label]) -> str:
    """The description with these of the user's own labels, in place of those that it named.

    What a file says of itself stands before the last of `TEXT` and `NO_TEXT`, so no title is taken for labels.
    """
    end = max((at + len(each) for each in (TEXT, NO_TEXT) if (at := description.rfind(each)) >= 0), default=-1)
    told_before = description[:end] if end >= 0 else description.partition(OWN_LABELS)[0]
    named = "; ".join(label.name for label in labels)
    return f"{told_before}{OWN_LABELS}{named}." if labels else told_before


def _named_kind(name: str, facts: PictureFacts) -> str:
    """`Photo IMG 2041`; what a program named `Screenshot from …` is not called one twice."""
    kind, words = _kind(name, facts), _words(name)
    return words if words.casefold().startswith(f"{kind.casefold()} ") else f"{kind} {words}"


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
