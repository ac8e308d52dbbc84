"""What a camera or a program wrote into a picture (EXIF): when, where, with what, and somebody's words.

Anything may stand there, also what no camera writes: what is not understood is left out, and text is cleaned as any
text that is indexed. Tags by their numbers in EXIF 3.0 (CIPA DC-008).
"""

from __future__ import annotations

import math
import re
import struct
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rag.readers.clean_text import clean_title
from rag.readers.document_dates import unix_time

if TYPE_CHECKING:
    from PIL.Image import Exif

DESCRIPTION, MAKE, MODEL, DATE_TIME, ARTIST = 0x010E, 0x010F, 0x0110, 0x0132, 0x013B
EXIF_IFD, GPS_IFD = 0x8769, 0x8825
DATE_TIME_ORIGINAL, DATE_TIME_DIGITIZED = 0x9003, 0x9004
OFFSET_TIME, OFFSET_TIME_ORIGINAL = 0x9010, 0x9011
LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE = 1, 2, 3, 4

UNREADABLE = (ValueError, TypeError, KeyError, IndexError, OSError, SyntaxError, ArithmeticError, struct.error)
"""What Pillow throws at EXIF that is not whole: it parses much of it only when it is asked for."""

_DATE = re.compile(r"\s*(\d{4})[:\-/.](\d\d)[:\-/.](\d\d)[ T](\d\d):(\d\d)(?::(\d\d))?", re.ASCII)
_ZONE = re.compile(r"\s*([+-]\d\d:\d\d|Z)\s*", re.ASCII)


def taken_at(exif: Exif) -> tuple[str, float | None]:
    """When it was taken: ISO 8601 as the camera's clock showed it, and Unix time. Empty and None where unknown."""
    detail = _directory(exif, EXIF_IFD)
    for text, zone in (
        (detail.get(DATE_TIME_ORIGINAL), detail.get(OFFSET_TIME_ORIGINAL)),
        (detail.get(DATE_TIME_DIGITIZED), detail.get(OFFSET_TIME)),
        (_value(exif, DATE_TIME), detail.get(OFFSET_TIME)),
    ):
        found = _DATE.match(_words(text))
        if found is None:
            continue
        offset = _ZONE.fullmatch(_words(zone))
        year, month, day, hour, minute, second = (int(each or 0) for each in found.groups())
        try:
            moment = datetime.fromisoformat(
                f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{offset[1] if offset else ''}"
            )
            seconds = unix_time(moment)
        except (ValueError, OverflowError):
            continue
        if seconds is not None:
            return moment.isoformat(), seconds
    return "", None


def place(exif: Exif) -> tuple[float, float] | None:
    """Latitude and longitude in decimal degrees; None where it says nothing, or nothing that can be."""
    gps = _directory(exif, GPS_IFD)
    latitude = _degrees(gps.get(LATITUDE), _words(gps.get(LATITUDE_REF)), "S", 90)
    longitude = _degrees(gps.get(LONGITUDE), _words(gps.get(LONGITUDE_REF)), "W", 180)
    if latitude is None or longitude is None or (latitude == 0 and longitude == 0):  # 0, 0 is "not known"
        return None
    return latitude, longitude


def camera(exif: Exif) -> str:
    """Maker and model, the maker once."""
    make, model = clean_title(_words(_value(exif, MAKE))), clean_title(_words(_value(exif, MODEL)))
    if make and model.casefold().startswith(make.split()[0].casefold()):
        return model
    return f"{make} {model}".strip()


def description(exif: Exif) -> str:
    return clean_title(_words(_value(exif, DESCRIPTION)))


def author(exif: Exif) -> str:
    return clean_title(_words(_value(exif, ARTIST)))


def _directory(exif: Exif, tag: int) -> dict[int, Any]:
    try:
        return dict(exif.get_ifd(tag))
    except UNREADABLE:
        return {}


def _value(exif: Exif, tag: int) -> Any:
    try:
        return exif.get(tag)
    except UNREADABLE:
        return None


def _words(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value.replace("\0", " ").strip() if isinstance(value, str) else ""


def _degrees(value: Any, reference: str, negative: str, most: float) -> float | None:
    try:
        degrees, minutes, seconds = (float(each) for each in (*value, 0, 0)[:3])
        total = degrees + minutes / 60 + seconds / 3600
    except UNREADABLE:
        return None
    if not math.isfinite(total) or not 0 <= total <= most:
        return None
    return round(-total if reference.upper().startswith(negative) else total, 6)
