"""Pictures on their way out of the reader's process: pixels that somebody has to look at, and what is known of them.

Values only. What comes from the process is checked here like any input. Knows nothing of formats and of engines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_SIDE_PX = 2000
"""Pictures are made smaller for looking at them: the longer side has at most so many pixels."""
MAX_TEXT_CHARS = 2000
MAX_COLOURS = 8


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What a picture's file tells of it."""

    width_px: int
    height_px: int
    """As it is meant to be seen: turned as its EXIF says."""
    format: str
    """`JPEG`, `PNG`, …"""
    frames: int = 1
    """Pages of a TIFF, frames of an animation, as far as they were counted: more than one says that there are more."""
    taken_at: str = ""
    """ISO 8601, as the camera's clock showed it, with its zone where it tells one; empty where unknown."""
    taken_at_s: float | None = None
    """The same as Unix time; without a zone it is taken as UTC."""
    latitude: float | None = None
    longitude: float | None = None
    """Decimal degrees, north and east positive."""
    camera: str = ""
    title: str = ""
    """What somebody wrote about it into the file."""
    author: str = ""
    colours: tuple[tuple[str, float], ...] = ()
    """Names of the colours that it is mostly of, with their shares of its area, largest first."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> PictureFacts:
        """Raises KeyError, TypeError, ValueError for what is no such thing."""
        latitude, longitude = _degrees(told["latitude"], 90), _degrees(told["longitude"], 180)
        return cls(
            width_px=_count(told["width_px"]),
            height_px=_count(told["height_px"]),
            format=_text(told["format"]),
            frames=_count(told["frames"]),
            taken_at=_text(told["taken_at"]),
            taken_at_s=None if told["taken_at_s"] is None else _finite(told["taken_at_s"]),
            latitude=latitude if longitude is not None else None,
            longitude=longitude if latitude is not None else None,
            camera=_text(told["camera"]),
            title=_text(told["title"]),
            author=_text(told["author"]),
            colours=tuple((_text(name), _finite(share)) for name, share in told["colours"][:MAX_COLOURS]),
        )


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture, a page of a scan or a frame of an animation, as pixels: it stands where its text would."""

    width_px: int
    height_px: int
    rgb: bytes
    """Row after row, three bytes a pixel."""
    page: int | None = None
    """1-based; of a document or a TIFF with several pages, or the frame of an animation."""
    units_per_px: float = 1.0
    """Boxes are given in the document's own units: PDF points, or pixels of the picture at its full size."""
    facts: PictureFacts | None = None
    """Where it is a picture's own file, with its first drawing; None for pages."""
    has_text: bool = False
    """Its text is known already: only its looks are of interest."""

    def header(self) -> dict[str, Any]:
        """Everything but the pixels, as JSON."""
        return {
            "width_px": self.width_px,
            "height_px": self.height_px,
            "page": self.page,
            "units_per_px": self.units_per_px,
            "facts": None if self.facts is None else self.facts.to_json(),
            "has_text": self.has_text,
        }

    def pixels(self) -> NDArray[np.uint8]:
        """Shape (height, width, 3), RGB; read only."""
        import numpy as np

        return np.frombuffer(self.rgb, np.uint8).reshape(self.height_px, self.width_px, 3)

    @classmethod
    def from_header(cls, told: Mapping[str, Any], rgb: bytes) -> Drawing:
        """Raises KeyError, TypeError, ValueError for what does not fit together."""
        width_px, height_px = _count(told["width_px"]), _count(told["height_px"])
        if max(width_px, height_px) > 2 * MAX_SIDE_PX or len(rgb) != 3 * width_px * height_px:
            raise ValueError("a drawing of another size than it has pixels")
        units_per_px = _finite(told["units_per_px"])
        if units_per_px <= 0:
            raise ValueError("pixels without a size")
        return cls(
            width_px,
            height_px,
            rgb,
            None if told["page"] is None else _count(told["page"]),
            units_per_px,
            None if told["facts"] is None else PictureFacts.from_json(told["facts"]),
            bool(told["has_text"]),
        )


def _count(value: Any) -> int:
    count = int(value)
    if not 0 < count < 1 << 31:
        raise ValueError("a count out of bounds")
    return count


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("no number")
    return number


def _degrees(value: Any, most: float) -> float | None:
    if value is None:
        return None
    degrees = _finite(value)
    return degrees if abs(degrees) <= most else None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value[:MAX_TEXT_CHARS]
