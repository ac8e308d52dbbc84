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
_ENDINGS = frozenset(
    {
        "swp",
        "swo",
        "swx",
        "tmp",
        "part",  # Firefox and wget
        "partial",  # Internet Explorer and rsync
        "crdownload",  # Chromium
        "kate-swp",
    }
)
"""Extensions, without the dot."""


def is_temporary_name(name: str) -> bool:
    """Whether a file of this name is somebody's work in progress. Fast: asked for every file of every run."""
    dot = name.rfind(".")
    if dot >= 0 and name[dot + 1 :].lower() in _ENDINGS:
        return True
    if name[-1] == "~":  # a backup of Emacs, vim, gedit, …
        return True
    if name[0] not in "#~.":
        return False
    # Emacs puts a document that is not saved yet between two `#`.
    return name.lower().startswith(_PREFIXES) or (name[0] == "#" and name[-1] == "#")
