"""What a user may be shown as a message, and what is a bug.

Everything in EXPECTED_ERRORS is shown as one message with its hint. Anything else is a bug: its traceback
goes to the log, the user sees one notice, and the app stays up.

    PipelineError
    ├── SettingsInvalid     the settings file has a key or a value that homebody does not know
    ├── EmptyQuestion       nothing was asked
    ├── FileNotUsable       a file named with --file, or standard input, cannot be used
    ├── NoSuchConversation  the id is not in the library
    └── OfflineViolation    something tried to reach the network; refused (`pipelines.offline_guard`)
"""

from __future__ import annotations

from models.errors import DeviceUnavailable, ModelError, NotEnoughMemory, WeightsDamaged, WeightsMissing
from rag.errors import LibraryError, QueryNotUnderstood, ReadError


class PipelineError(Exception):
    """A pipeline could not do what was asked; `hint` says what the user can do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SettingsInvalid(PipelineError):
    """The settings file has a key or a value that homebody does not know."""


class EmptyQuestion(PipelineError):
    """Nothing was asked."""


class FileNotUsable(PipelineError):
    """A file to talk about cannot be used."""


class NoSuchConversation(PipelineError):
    """No conversation has that id."""


class OfflineViolation(PipelineError, PermissionError):
    """Something tried to reach the network and was refused.

    Also an OSError, so that a library that can live without the network goes the way it has for that.
    """


EXPECTED_ERRORS = (PipelineError, ModelError, LibraryError)
"""Shown as a message with a hint; each has the attribute `hint`."""

MISSING_ERRORS = (WeightsMissing, WeightsDamaged, NotEnoughMemory, DeviceUnavailable)
"""Something needed is missing: exit code 3."""

__all__ = [
    "EXPECTED_ERRORS",
    "MISSING_ERRORS",
    "EmptyQuestion",
    "FileNotUsable",
    "LibraryError",
    "ModelError",
    "NoSuchConversation",
    "OfflineViolation",
    "PipelineError",
    "QueryNotUnderstood",
    "ReadError",
    "SettingsInvalid",
    "WeightsMissing",
]
