"""A reader's error on its way from a worker process to its parent, who checks it like any other input."""

from __future__ import annotations

from typing import Any

from rag.errors import DamagedFile, EmptyFile, EncryptedFile, ReadError, TooLarge, UnsupportedFile

_TYPES: dict[str, type[ReadError]] = {
    each.__name__: each for each in (ReadError, UnsupportedFile, EncryptedFile, DamagedFile, EmptyFile, TooLarge)
}
"""What a reader may find wrong with a file; the rest of the tree is for the parent to tell."""


def error_to_json(error: ReadError) -> dict[str, str]:
    return {"type": type(error).__name__, "message": str(error), "hint": error.hint}


def error_from_json(told: Any) -> ReadError:
    """Raises ValueError for what tells no error of a reader's."""
    try:
        return _TYPES[told["type"]](str(told["message"]), hint=str(told["hint"]))
    except (KeyError, TypeError) as error:
        raise ValueError("an error that says nothing") from error
