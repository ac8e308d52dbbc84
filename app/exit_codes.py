"""What homebody's exit status says. Scripts rely on these numbers."""

from __future__ import annotations

from enum import IntEnum

from pipelines.errors import MISSING_ERRORS, EmptyQuestion, QueryNotUnderstood, SettingsInvalid


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    """The thing asked failed."""
    USAGE = 2
    """It was asked in a way that homebody does not understand: arguments, settings, a filter, an empty question."""
    MISSING = 3
    """Something needed is not here (weights, a device, memory); the hint has the command that gets it."""
    INTERRUPTED = 130
    """Ctrl-C: 128 + SIGINT, as shells report it."""
    PIPE_CLOSED = 141
    """The reader of our output went away: 128 + SIGPIPE. Nothing is said: nobody listens."""


def exit_code_of(error: Exception) -> ExitCode:
    """The status for an error that ended the command."""
    if isinstance(error, MISSING_ERRORS):
        return ExitCode.MISSING
    if isinstance(error, SettingsInvalid | EmptyQuestion | QueryNotUnderstood):
        return ExitCode.USAGE
    return ExitCode.FAILED
