"""The private characters between which the app puts citations and unsupported stretches into Markdown.

From Unicode's private use area, so that no font, file or model gives them a meaning of its own;
`without_marks` takes them out of everything untrusted before the app adds its own.
"""

from __future__ import annotations

CITATION_OPEN = "\ue000"
CITATION_CLOSE = "\ue001"
UNSUPPORTED_OPEN = "\ue002"
UNSUPPORTED_CLOSE = "\ue003"

_NOTHING = dict.fromkeys(map(ord, (CITATION_OPEN, CITATION_CLOSE, UNSUPPORTED_OPEN, UNSUPPORTED_CLOSE)))


def without_marks(text: str) -> str:
    return text.translate(_NOTHING)


def citation(n: int) -> str:
    return f"{CITATION_OPEN}{n}{CITATION_CLOSE}"
