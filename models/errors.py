"""What can go wrong with models, as a tree.

    ModelError
    ├── WeightsMissing          not installed; the hint has the command that gets them
    ├── WeightsDamaged          size, hash or header is not what the catalogue says
    ├── UnsupportedInput        this model does not take that kind of part
    ├── PromptTooLong           more tokens than the context holds
    ├── EngineFailed            the engine loaded, then could not do the work
    ├── DeviceUnavailable       the device asked for is not here
    ├── NotEnoughMemory         refused before loading, with the numbers
    ├── UnknownModel            no such id in the catalogue
    └── DownloadFailed
        ├── SourceUnreachable   no answer from there: another source may do
        ├── NotAtSource         it answered, and does not have the file
        ├── NotEnoughSpace      the disk has no room for it; said with the numbers
        └── HashMismatch        the bytes are not the catalogue's; nothing was kept

Every error carries `hint`: what the user can do.
"""

from __future__ import annotations


class ModelError(Exception):
    """A model could not do what was asked; `hint` says what the user can do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class WeightsMissing(ModelError):
    """The weights are not installed."""


class WeightsDamaged(ModelError):
    """The weights on disk are not what the catalogue says."""


class UnsupportedInput(ModelError):
    """The model does not take this kind of input."""


class PromptTooLong(ModelError):
    """The prompt has more tokens than the context holds."""


class EngineFailed(ModelError):
    """The engine was loaded, then could not do the work."""


class DeviceUnavailable(ModelError):
    """The device asked for is not on this machine, or the engine was not built for it."""


class NotEnoughMemory(ModelError):
    """The model does not fit the free memory; refused before loading."""


class UnknownModel(ModelError):
    """The catalogue has no such id."""


class DownloadFailed(ModelError):
    """The weights could not be fetched."""


class SourceUnreachable(DownloadFailed):
    """The source did not answer; another one may."""


class NotAtSource(DownloadFailed):
    """The source answered and does not have the file."""


class NotEnoughSpace(DownloadFailed):
    """The disk has no room for the weights."""


class HashMismatch(DownloadFailed):
    """The bytes that came are not the catalogue's; nothing of them was kept."""
