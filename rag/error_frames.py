"""A reader's error on its way from a worker process to its parent, who checks it like any other input."""

from __future__ import annotations

from typing import Any

from rag.errors import DamagedFile, EmptyFile, EncryptedFile, ReadError, TooLarge, UnsupportedFile

_TYPES: dict[str, type[ReadError]] = {
    each.__name__: each for each in (ReadError, UnsupportedFile, EncryptedFile, DamagedFile, EmptyFile, TooLarge)
}
"""What a reader may find wrong with a file; the rest of the tree is for the parent to tell."""


def error_to_json(error: ReadError) -> dict[str, str]:
    told = {"type": type(error).__name__, "message": str(error), "hint": error.hint}
    if isinstance(error, UnsupportedFile) and error.counted_as:
        told["counted_as"] = error.counted_as
    return told


def error_from_json(told: Any) -> ReadError:
    """Raises ValueError for what tells no error of a reader's."""
    try:
        of_type, message, hint = _TYPES[told["type"]], str(told["message"]), str(told["hint"])
        if issubclass(of_type, UnsupportedFile):
            return of_type(message, hint=hint, counted_as=str(told.get("counted_as", "")))
        return of_type(message, hint=hint)
    except (KeyError, TypeError) as error:
        raise ValueError("an error that says nothing") from error
