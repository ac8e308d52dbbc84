"""Names that editors and browsers give to files that are not meant to stay.

They come and go while a document is being saved or downloaded. A name is all that is looked at, so only patterns
that nobody gives to a document of their own are listed.
"""

from __future__ import annotations

_PREFIXES = (
    "~$",  # Microsoft Office: who has the document open
    "~wrl",  # Word's copy while it saves
    ".#",  # Emacs: a lock
    ".~lock.",  # LibreOffice: a lock
    ".goutputstream-",  # GLib: a document being saved
)
_SUFFIXES = (
    "~",  # a backup of Emacs, vim, gedit, …
    ".swp",
    ".swo",
    ".swx",
    ".tmp",
    ".part",  # Firefox and wget
    ".partial",  # Internet Explorer and rsync
    ".crdownload",  # Chromium
    ".kate-swp",
)


def is_temporary_name(name: str) -> bool:
    """Whether a file of this name is somebody's work in progress."""
    lower = name.lower()
    if lower.startswith("#") and lower.endswith("#"):  # Emacs: a document not saved yet
        return True
    return lower.startswith(_PREFIXES) or lower.endswith(_SUFFIXES)
