"""Errors between processes: each arrives as what it was, and what tells none is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rag.error_frames import error_from_json, error_to_json
from rag.errors import DamagedFile, EmptyFile, EncryptedFile, ReadError, TooLarge, UnsupportedFile


@pytest.mark.parametrize("kind", [ReadError, UnsupportedFile, EncryptedFile, DamagedFile, EmptyFile, TooLarge])
def test_an_error_arrives_as_what_it_was(kind: type[ReadError]) -> None:
    arrived = error_from_json(json.loads(json.dumps(error_to_json(kind("a.pdf ends early", hint="copy it again")))))

    assert (type(arrived), str(arrived), arrived.hint) == (kind, "a.pdf ends early", "copy it again")


@pytest.mark.parametrize(
    "told",
    [
        {"type": "SystemExit", "message": "bye", "hint": ""},
        {"type": ["DamagedFile"], "message": "", "hint": ""},
        {"type": "DamagedFile", "message": "it ends early"},
        "DamagedFile",
        None,
    ],
)
def test_what_tells_no_error_is_refused(told: Any) -> None:
    with pytest.raises(ValueError, match="says nothing"):
        error_from_json(told)
