"""One writer at a time: a lock that the operating system holds, with the owner's process id to read.

The lock dies with its process, so there is no stale lock to clean up: what a crashed homebody leaves behind is
a file that anybody may lock. The id inside is for people only and decides nothing.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from rag.errors import LibraryError


class WriterLock:
    """The right to write to the library. Not acquired until `acquire()`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        # Within one process two locks on one file must exclude each other too, hence no singleton; and whoever
        # holds the Home may release it from another thread, hence not thread-local.
        self._lock = FileLock(file, thread_local=False)

    def acquire(self) -> bool:
        """True when this process may write now; False when somebody else does. Never waits.

        Raises LibraryError when the lock file cannot be made.
        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        except OSError as error:
            raise LibraryError(
                f"{self._file} cannot be locked ({error.strerror or error})",
                hint="check that the folder exists and that you may write to it",
            ) from error
        with suppress(OSError):  # the lock counts, not the note in it (Windows locks the bytes as well)
            self._file.write_text(f"{os.getpid()}\n")
        return True

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return bool(self._lock.is_locked)

    def holder(self) -> str:
        """Who holds the lock, for people: `process 4711`, or `another process` where that is not told."""
        try:
            noted = self._file.read_text().strip()
        except (OSError, UnicodeDecodeError):
            noted = ""
        return f"process {noted}" if noted.isdecimal() else "another process"

    def release(self) -> None:
        """Let others write. Safe to call twice."""
        if not self._lock.is_locked:
            return
        with suppress(OSError):
            self._file.write_text("")
        self._lock.release()
