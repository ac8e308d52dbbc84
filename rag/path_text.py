"""A path as the library stores it: as valid text, for showing, searching and JSON, and as bytes, by which it is known.

File names are bytes on most systems and need not be UTF-8: the path itself stays what the system gave. Control
characters are kept here: cleaning what goes to a terminal is the terminal's edge's job.
"""

from __future__ import annotations

import os
from pathlib import Path


def absolute_path(path: Path) -> Path:
    """What the path means from here, from the root on, without `~` and `..`.

    Behind a link `..` is the folder above what the link leads to, as the system takes it: so links ahead of it are
    followed, and others stay as named.
    """
    absolute = path.expanduser().absolute()
    if ".." not in absolute.parts:
        return absolute
    last = len(absolute.parts) - absolute.parts[::-1].index("..")
    return Path(os.path.realpath(Path(*absolute.parts[:last])), *absolute.parts[last:])


def path_text(path: str | bytes | os.PathLike[str]) -> str:
    r"""The path as text that can be encoded: bytes that are not UTF-8 become `\xff`."""
    text = os.fsdecode(path)
    if text.isascii():
        return text
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def name_without_suffix(path: str) -> str:
    """What a file is called where it has no title. `PurePath.stem` takes twenty times as long."""
    return os.path.splitext(os.path.basename(path))[0]  # noqa: PTH119, PTH122


def range_below(path: str) -> tuple[bytes, bytes, bytes]:
    """The path's own bytes, and the half-open range of bytes in which everything below it lies: first and past.

    `path` may be the root of a file system, which ends with a separator.
    """
    itself = os.fsencode(path)
    separator = os.fsencode(os.sep)
    first = itself if itself.endswith(separator) else itself + separator
    return itself, first, first[:-1] + bytes([first[-1] + 1])
