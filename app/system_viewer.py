"""Open a file with the program the user's system has for it. Only ever called for a key the user pressed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from app.messages import Failure
from app.terminal_text import clean_line


def open_in_system_viewer(path: str) -> Failure | None:
    """Start the viewer and return at once; what kept it from starting, in words, otherwise None."""
    file = Path(path)
    if not file.is_file():
        return Failure(f"{clean_line(path)} is no longer there.", "update the library: F3, then u")
    try:
        if sys.platform == "win32":
            os.startfile(file)
        else:
            opener = "open" if sys.platform == "darwin" else "xdg-open"
            subprocess.Popen(
                [opener, str(file.absolute())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
    except OSError as error:
        return Failure(f"No program could be started for {clean_line(path)}.", clean_line(error.strerror or str(error)))
    return None
