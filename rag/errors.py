"""What can go wrong in the library, as a tree.

    LibraryError
    ├── ReadError               one file could not be read; the others go on
    │   ├── UnsupportedFile     no reader takes this kind of file
    │   ├── EncryptedFile       it needs a password
    │   ├── DamagedFile         its bytes are not what its kind promises
    │   ├── EmptyFile           nothing to read in it
    │   ├── TooLarge            over a limit (bytes, pages, time, memory, output, files inside)
    │   ├── NotNow              the machine's or the moment's fault: the next try may end otherwise
    │   └── FileChanges         it changed while it was read
    ├── WatchFailed             the system does not tell of changes; looking again from time to time finds them
    ├── QueryNotUnderstood      a filter of the query has a value that makes no sense
    ├── EmbedderMismatch        the index was built with another embedder
    ├── LibraryLocked           another homebody writes to this library
    ├── LibraryTooNew           written by a newer homebody; opening it would be a guess
    ├── LibraryDamaged          SQLite says that the file is malformed
    ├── StorageFull             the disk took no more
    └── ChromaFailed            chromadb's copy of the vectors could not be brought in step; the exact search answers
        └── ChromaUnreachable   the Chroma server that the settings name does not answer

Every error carries `hint`: what the user can do.
"""

from __future__ import annotations


class LibraryError(Exception):
    """The library could not do what was asked; `hint` says what the user can do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ReadError(LibraryError):
    """One file could not be read."""


class UnsupportedFile(ReadError):
    """No reader takes this kind of file.

    `counted_as` is what it is counted under, where its extension says too little.
    """

    def __init__(self, message: str, *, hint: str = "", counted_as: str = "") -> None:
        super().__init__(message, hint=hint)
        self.counted_as = counted_as


class EncryptedFile(ReadError):
    """The file is protected by a password."""


class DamagedFile(ReadError):
    """The file's bytes are not what its kind promises."""


class EmptyFile(ReadError):
    """The file holds nothing to read."""


class TooLarge(ReadError):
    """The file is over one of the reader's limits."""


class NotNow(ReadError):
    """Nothing is wrong with the file: an engine that it needs could not work."""


class FileChanges(ReadError):
    """The file changed while it was read: what came of it is of two versions."""


class QueryNotUnderstood(LibraryError):
    """A filter of the query has a value that makes no sense."""


class EmbedderMismatch(LibraryError):
    """The index was built with another embedder than the one at hand."""


class LibraryLocked(LibraryError):
    """Another homebody is writing to this library."""


class LibraryTooNew(LibraryError):
    """The library was written by a newer homebody."""


class LibraryDamaged(LibraryError):
    """SQLite reports the library file as malformed."""


class StorageFull(LibraryError):
    """The disk holding the library took no more."""


class ChromaFailed(LibraryError):
    """chromadb could not be brought in step with SQLite. Nothing depends on it: the exact search answers."""


class ChromaUnreachable(ChromaFailed):
    """The Chroma server that the settings name does not answer."""


class WatchFailed(LibraryError):
    """The system does not tell of changes; looking again from time to time still finds them."""
