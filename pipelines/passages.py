"""A passage that an answer may stand on: from the library, from an attachment, or from an older turn.

A plain value; knows nothing of how it was found or of how a prompt shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from rag.records import Hit, Kind, Locator


@dataclass(frozen=True, slots=True)
class Passage:
    """Text with the place where it stands."""

    text: str
    path: str
    """The file's path, as it may be shown, or `standard input`."""
    kind: Kind = "text"
    locator: Locator = field(default_factory=Locator)
    """For an attachment the line at which the passage begins, so that a quote's line can be counted from it."""
    heading_path: tuple[str, ...] = ()
    title: str = ""
    chunk_id: int | None = None
    """None for an attachment."""

    @classmethod
    def from_hit(cls, hit: Hit) -> Passage:
        return cls(
            text=hit.chunk.text,
            path=hit.path,
            kind=hit.kind,
            locator=hit.chunk.locator,
            heading_path=hit.chunk.heading_path,
            title=hit.title,
            chunk_id=hit.chunk.chunk_id,
        )

    @property
    def source_name(self) -> str:
        """What the model is told about where it stands: the file's name and the place in it."""
        name = self.path.replace("\\", "/").rsplit("/", 1)[-1]
        place = str(self.locator)
        return f"{name}, {place}" if place else name

    def to_json(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "path": self.path,
            "kind": self.kind,
            "locator": self.locator.to_json(),
            "heading_path": list(self.heading_path),
            "title": self.title,
            "chunk_id": self.chunk_id,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Passage:
        return cls(
            text=stored["text"],
            path=stored["path"],
            kind=cast(Kind, stored["kind"]),
            locator=Locator.from_json(stored["locator"]),
            heading_path=tuple(stored["heading_path"]),
            title=stored["title"],
            chunk_id=stored["chunk_id"],
        )
