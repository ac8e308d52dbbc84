"""The words in the shapes of an Office Open XML part: a slide, its notes, a diagram, a chart, a sheet's drawing.

Shapes are taken in the order in which they are stacked, which is how programs read them aloud. Knows nothing of how
parts lead to one another.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rag.errors import TooLarge
from rag.readers.clean_text import clean_text, clean_title
from rag.readers.package import FALLBACK, LocalNames, Package

_PREFIXES = {
    "http://schemas.openxmlformats.org/presentationml/2006/main": "p",
    "http://purl.oclc.org/ooxml/presentationml/main": "p",  # "strict" documents
    "http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing": "p",  # its shapes have the same names
    "http://purl.oclc.org/ooxml/drawingml/spreadsheetDrawing": "p",
    "http://schemas.openxmlformats.org/drawingml/2006/main": "a",
    "http://purl.oclc.org/ooxml/drawingml/main": "a",
    "http://schemas.openxmlformats.org/drawingml/2006/chart": "c",
    "http://purl.oclc.org/ooxml/drawingml/chart": "c",
}
_TITLES = ("title", "ctrTitle")
_UNREAD_PLACEHOLDERS = ("sldNum", "dt", "ftr", "hdr")
MAX_PART_CHARS = 1 << 22
"""Of text of one part; nobody can read more from a slide."""


def shapes_of(package: Package, part: str, *, with_values: bool = True) -> Shapes:
    """What the part says; nothing where it is not there. `with_values`: also what a chart took from its table.

    Raises DamagedFile, TooLarge.
    """
    shapes = Shapes(package.name, with_values)
    package.parse(part, shapes)
    return shapes


@dataclass(slots=True)
class _Shape:
    placeholder: str = ""
    description: str = ""
    paragraphs: list[str] = field(default_factory=list)


class Shapes:
    """Takes the elements of a part."""

    def __init__(self, name: str, with_values: bool) -> None:
        self.title = ""
        self.texts: list[str] = []
        """One for each shape or table, in order."""
        self._name = name
        self._with_values = with_values
        self._names = LocalNames(_PREFIXES)
        self._shapes: list[_Shape] = [_Shape()]
        """Open ones; the first takes what stands in no shape: diagrams and charts."""
        self._paragraph: list[str] | None = None
        self._cells: list[str] = []
        self._cell: list[str] | None = None
        self._rows: list[str] = []
        self._in_text = False
        self._skip_depth = 0
        self._chars = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        # Fallback repeats for old programs what stands in Choice.
        if self._skip_depth or tag == FALLBACK:
            self._skip_depth += 1
            return
        name = self._names[tag]
        if name in ("p:sp", "p:pic", "p:graphicFrame", "p:cxnSp", "p:grpSp"):
            self._shapes.append(_Shape())
        elif name == "p:ph":
            self._shapes[-1].placeholder = attributes.get("type", "body")
        elif name == "p:cNvPr":
            self._shapes[-1].description = attributes.get("descr", "")
        elif name == "a:p":
            self._paragraph = []
        elif name == "a:t" or (name == "c:v" and self._with_values):
            self._in_text = True
        elif name == "a:br" and self._paragraph is not None:
            self._paragraph.append("\n")
        elif name == "a:tc":
            self._cell = []
        elif name == "c:numCache":
            self._skip_depth = 1  # a chart's numbers say nothing without its axes

    def data(self, text: str) -> None:
        if self._skip_depth or not self._in_text:
            return
        self._chars += len(text)
        if self._chars > MAX_PART_CHARS:
            raise TooLarge(
                f"{self._name} has a slide or a drawing of more than {MAX_PART_CHARS:,} characters", hint="split it"
            )
        if self._paragraph is not None:
            self._paragraph.append(text)
        else:
            self.texts.append(clean_text(text).strip())

    def end(self, tag: str) -> None:
        if self._skip_depth:
            self._skip_depth -= 1
            return
        name = self._names[tag]
        if name in ("a:t", "c:v"):
            self._in_text = False
        elif name == "a:p" and self._paragraph is not None:
            self._end_paragraph(clean_text("".join(self._paragraph)).strip())
            self._paragraph = None
        elif name == "a:tc" and self._cell is not None:
            self._cells.append(" ".join(" ".join(self._cell).split()))
            self._cell = None
        elif name == "a:tr":
            if any(self._cells):
                self._rows.append(" | ".join(self._cells))
            self._cells = []
        elif name == "a:tbl":
            self._shapes[-1].paragraphs.extend(self._rows)
            self._rows = []
        elif name in ("p:sp", "p:pic", "p:graphicFrame", "p:cxnSp", "p:grpSp") and len(self._shapes) > 1:
            self._end_shape(self._shapes.pop())

    def _end_paragraph(self, text: str) -> None:
        if not text:
            return
        if self._cell is not None:
            self._cell.append(text)
        elif len(self._shapes) > 1:
            self._shapes[-1].paragraphs.append(text)
        else:
            self.texts.append(text)

    def _end_shape(self, shape: _Shape) -> None:
        if shape.placeholder in _UNREAD_PLACEHOLDERS:
            return
        if shape.placeholder in _TITLES and not self.title:
            self.title = clean_title(" ".join(shape.paragraphs))
            return
        if shape.paragraphs:
            self.texts.append("\n".join(shape.paragraphs))
        if description := clean_text(shape.description).strip():
            self.texts.append(f"Picture: {description}")
