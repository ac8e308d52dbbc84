"""A document's own date as Unix time, from the ways in which formats write it.

None for what is no date, or none that a document could have: programs write 1601, 1899 and 0 for "unknown".
A date without a zone is taken as UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)

_FRACTION = re.compile(r"(?<=:\d\d)[.,]\d+")
_PDF_DATE = re.compile(
    r"(?:D:)?\s*(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?\s*(?:Z|([+-])(\d\d)'?(\d\d)?'?)?", re.ASCII
)


def unix_time(moment: datetime) -> float | None:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp() if EARLIEST <= moment < LATEST else None


def unix_time_of_iso(text: str) -> float | None:
    """Of `2025-03-14`, `2025-03-14T10:15:00Z`, with a fraction of any length, or a zone."""
    try:
        return unix_time(datetime.fromisoformat(_FRACTION.sub("", text.strip())))
    except (ValueError, OverflowError):
        return None


def unix_time_of_pdf(text: str) -> float | None:
    """Of `D:20250314101500+01'00'`, which may end after the year or any part behind it (ISO 32000-1, 7.9.4)."""
    found = _PDF_DATE.fullmatch(text.strip())
    if found is None:
        return unix_time_of_iso(text)  # some programs write that
    year, month, day, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
    offset = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
    try:
        zone = timezone(-offset if sign == "-" else offset)
        moment = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=zone
        )
        return unix_time(moment)
    except (ValueError, OverflowError):
        return None
