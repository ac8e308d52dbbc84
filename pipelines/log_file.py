"""The log: `homebody.log` in the data folder, for its owner only, never the terminal.

Nothing is created before the first line is written, and a log that cannot be written stops nobody.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
from io import TextIOWrapper
from typing import Final

from pipelines.paths import HomePaths

MAX_BYTES: Final = 1_000_000
OLDER_FILES: Final = 1
_FORMAT: Final = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"


class PrivateLogHandler(logging.handlers.RotatingFileHandler):
    """Appends to the log, 0600; starts a new file when it is full and keeps the one before."""

    def __init__(self, paths: HomePaths) -> None:
        self._paths = paths
        super().__init__(
            paths.log_file,
            maxBytes=MAX_BYTES,
            backupCount=OLDER_FILES,
            encoding="utf-8",
            errors="backslashreplace",
            delay=True,
        )

    def _open(self) -> TextIOWrapper:
        self._paths.create()
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(descriptor, "a", encoding=self.encoding, errors=self.errors)

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk or a read-only home must not print over the user's screen."""


def start(paths: HomePaths, *, level: int = logging.INFO) -> None:
    """Send every log record and warning of this process to the log file. A second call changes nothing."""
    root = logging.getLogger()
    if any(isinstance(each, PrivateLogHandler) for each in root.handlers):
        return
    handler = PrivateLogHandler(paths)
    handler.setFormatter(logging.Formatter(_FORMAT))
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(True)


__all__ = ["PrivateLogHandler", "start"]
