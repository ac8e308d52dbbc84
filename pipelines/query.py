"""What the app needs to know of the kinds that a query can name."""

from __future__ import annotations

from rag.filters import KIND_NAMES, UnknownKind, kinds_named

__all__ = ["KIND_NAMES", "UnknownKind", "kinds_named"]
