"""The paths of files inside files: cleaned of everything that could name something else, and never twice the same.

An archive or a mail may call what it holds anything: `../../.ssh/config`, `C:\\x`, a name of control characters,
the same name twice. These paths are shown, searched and stored; nothing is ever written under them.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from rag.readers.clean_text import clean_text
from rag.walk import EXCLUDED_FOLDERS

MAX_PART_CHARS = 200
MAX_PATH_CHARS = 1000
NAMELESS = "unnamed"

REST = "…"
"""The name under which it is told that the rest of a file's files could not be read."""

_JUNK_NAMES = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini", "Desktop.ini"})
_DRIVE = re.compile(r"\A[A-Za-z]:")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class MemberPaths:
    """Hands out the paths of the files inside one file, in its order."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def take(self, told: str) -> str:
        """`told` as a path that is relative and clean, with a number where another file has it already."""
        path = clean_member_path(told)
        unique, count = path, 1
        while unique.casefold() in self._given:
            count += 1
            pure = PurePosixPath(path)
            unique = str(pure.with_name(f"{pure.stem} ({count}){pure.suffix}"))
        self._given.add(unique.casefold())
        return unique


def clean_member_path(told: str) -> str:
    """Relative, without `.`, `..`, drive letters, control characters and bytes that are no text; never empty."""
    text = clean_text(_UNSEEN.sub("", _DRIVE.sub("", told.encode("utf-8", "replace").decode()).replace("\\", "/")))
    parts = [part.strip()[:MAX_PART_CHARS] for part in text.split("/")]
    kept = [part for part in parts if part not in ("", ".", "..")]
    while len(kept) > 1 and sum(map(len, kept)) + len(kept) > MAX_PATH_CHARS:
        del kept[0]  # the name itself tells most
    return "/".join(kept) or NAMELESS


def is_junk(path: str) -> bool:
    """Whether a file of this path is one that is never entered in a folder either: hidden, or made by programs."""
    *folders, name = path.split("/")
    return (
        any(part.startswith(".") or part in _JUNK_NAMES for part in (*folders, name))
        or not EXCLUDED_FOLDERS.isdisjoint(folders)
    )  # fmt: skip
