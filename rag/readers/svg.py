"""SVG: its words from its elements, its looks by resvg.

resvg runs no scripts and fetches nothing from a network, but it does read other files that a drawing names. So it is
given a copy without anything that names one: only pictures that lie inside the file stay. A document type that
declares entities (the way to entity bombs) is refused. Its words need no OCR: they stand in the file.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.parsers import expat

from rag.errors import DamagedFile, TooLarge
from rag.pictures import MAX_SIDE_PX, Drawing, PictureFacts
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.contract import MEGABYTE, OpenedFile, Reading, ReadLimits
from rag.readers.picture import as_rgb
from rag.readers.picture_colours import main_colours
from rag.records import Block

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_SVG_BYTES = 32 * MEGABYTE
DEFAULT_SIDE_PX = 1000.0
MAX_RATIO = 50.0
"""Of the longer side to the shorter one, up to which it is drawn."""

_INSIDE = re.compile(r"\s*data:image/(?:png|jpe?g|gif|webp)[;,]", re.IGNORECASE)
_LENGTH = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?\d+)?)\s*(px|pt|pc|mm|cm|in)?\s*")
_UNITS = {"pt": 4 / 3, "pc": 16.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0}
_OTHER_FILES = frozenset({"script", "foreignObject", "feImage", "style"})
"""Elements that could name other files, and that a drawing can do without. Of styles the rules are kept as far as
they name none."""
_NAMES_A_FILE = re.compile(r"@import|url\(\s*['\"]?(?!#)", re.IGNORECASE)


def read_svg(file: OpenedFile, limits: ReadLimits) -> Reading:
    """Raises DamagedFile, TooLarge."""
    root = _root(_content(file), file.name)
    words = list(_words(root))
    reading = Reading(iter(()), _first(root, "title"), kind="image")
    reading.blocks = _parts(root, file.name, reading, words, draws=limits.draws)
    return reading


def _content(file: OpenedFile) -> bytes:
    content = file.stream.read(MAX_SVG_BYTES + 1)
    if content.startswith(b"\x1f\x8b"):
        unpacking = zlib.decompressobj(wbits=31)
        try:
            content = unpacking.decompress(content, MAX_SVG_BYTES + 1)
        except zlib.error as error:
            raise _damaged(file.name) from error
    if len(content) > MAX_SVG_BYTES:
        raise TooLarge(
            f"{file.name} has more than {MAX_SVG_BYTES / MEGABYTE:,.0f} MB of drawing",
            hint="save it as PNG and index that",
        )
    return content


def _root(content: bytes, name: str) -> Element:
    from xml.etree.ElementTree import ParseError, fromstring

    try:
        _refuse_entities(content, name)
        root = fromstring(content)
    except (ParseError, expat.ExpatError, ValueError, LookupError) as error:
        raise _damaged(name) from error
    if _local(root) != "svg":
        raise _damaged(name)
    return root


def _refuse_entities(content: bytes, name: str) -> None:
    """Raises DamagedFile when the first one is declared, before any is expanded."""

    def declared(*_: object) -> None:
        raise DamagedFile(
            f"{name} declares entities, as files do that are made to fill memory",
            hint="save it again in a drawing program, or as PNG",
        )

    parser = expat.ParserCreate()
    parser.EntityDeclHandler = declared
    parser.Parse(content, True)


def _parts(root: Element, name: str, reading: Reading, words: list[str], *, draws: bool) -> Iterator[Block]:
    if words:
        yield Block(clean_text("\n".join(words)))
    if draws:
        drawing = _drawn(root, name, reading, has_text=bool(words))
        if drawing is not None:
            yield Block("", drawing=drawing)


def _drawn(root: Element, name: str, reading: Reading, *, has_text: bool) -> Drawing | None:
    from xml.etree.ElementTree import tostring

    import resvg_py
    from PIL import Image as images

    width, height = _size(root)
    if max(width, height) > MAX_RATIO * min(width, height):
        reading.notes.append("it is too long and thin to be drawn")
        return None
    scale = min(MAX_SIDE_PX / max(width, height), max(1.0, DEFAULT_SIDE_PX / max(width, height)))
    drawn_width, drawn_height = max(1, round(width * scale)), max(1, round(height * scale))
    _take_out_other_files(root)
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=tostring(root, encoding="unicode"),
            width=drawn_width,
            height=drawn_height,
            skip_system_fonts=True,  # its words are known, and drawing must not depend on the machine
        )
    except ValueError as error:  # all that resvg_py raises
        if not has_text:
            raise _damaged(name) from error
        reading.notes.append(f"it could not be drawn ({clean_title(str(error))})")
        return None
    with images.open(io.BytesIO(bytes(png)), formats=("PNG",)) as opened:
        rgb = as_rgb(opened)
    if max(rgb.size) > 2 * MAX_SIDE_PX:
        reading.notes.append("it is too large to be drawn")
        return None
    facts = PictureFacts(
        width_px=max(1, round(width)),
        height_px=max(1, round(height)),
        format="SVG",
        title=reading.title,
        colours=main_colours(rgb),
    )
    units_per_px = max(width, height) / max(rgb.size)
    return Drawing(rgb.width, rgb.height, rgb.tobytes(), None, units_per_px, facts, has_text)


def _take_out_other_files(element: Element) -> None:
    """Everything by which the drawing could name another file, below this element."""
    waiting = [element]
    while waiting:
        parent = waiting.pop()
        for attribute in [each for each in parent.attrib if _NAMES_A_FILE.search(parent.attrib[each])]:
            del parent.attrib[attribute]
        for child in list(parent):
            kind = _local(child)
            if kind in _OTHER_FILES and (kind != "style" or _NAMES_A_FILE.search("".join(child.itertext()))):
                parent.remove(child)
                continue
            for attribute in [each for each in child.attrib if each.rpartition("}")[2] == "href"]:
                target = child.attrib[attribute]
                if not (target.lstrip().startswith("#") or (kind == "image" and _INSIDE.match(target))):
                    del child.attrib[attribute]
            waiting.append(child)


def _words(root: Element) -> Iterator[str]:
    """What stands in it, and what it says of itself, in the order of the file."""
    for element in root.iter():
        if _local(element) in ("text", "desc", "title"):
            words = " ".join("".join(element.itertext()).split())
            if words:
                yield words


def _first(root: Element, kind: str) -> str:
    return next((clean_title("".join(each.itertext())) for each in root if _local(each) == kind), "")


def _size(root: Element) -> tuple[float, float]:
    """In CSS pixels, by its size or its view box."""
    box = [float(each) for each in re.findall(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?", root.get("viewBox", ""))[:4]]
    width, height = _length(root.get("width", "")), _length(root.get("height", ""))
    if len(box) == 4 and box[2] > 0 and box[3] > 0:
        ratio = box[3] / box[2]
        if width is None and height is None:
            width, height = box[2], box[3]
        elif width is None and height is not None:
            width = height / ratio
        elif height is None and width is not None:
            height = width * ratio
    width, height = width or DEFAULT_SIDE_PX, height or DEFAULT_SIDE_PX
    return min(max(width, 1.0), 1e6), min(max(height, 1.0), 1e6)


def _length(text: str) -> float | None:
    found = _LENGTH.fullmatch(text)
    if found is None:
        return None
    length = float(found[1]) * _UNITS.get(found[2] or "", 1.0)
    return length if 0 < length < 1e9 else None


def _local(element: Element) -> str:
    """Its name without the namespace."""
    return element.tag.rpartition("}")[2]


def _damaged(name: str) -> DamagedFile:
    return DamagedFile(f"{name} is not an SVG drawing that can be read", hint="get it again from where it came")
