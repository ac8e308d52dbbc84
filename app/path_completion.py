"""Paths in what the user writes: complete one, find those named with `@`, recognise a dropped file.

Pure but for looking at the disk; called for single keystrokes and pastes, so it lists one folder at most.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from app.terminal_text import clean_line

MAX_FOLDER_ENTRIES = 5000
"""A folder with more entries is completed from its first so many."""
MAX_DROPPED_CHARS = 4096

_MENTION = re.compile(r'(?<!\S)@(?:"([^"\n]+)"|(\S+))')
_OPEN_MENTION = re.compile(r'(?<!\S)@("?)([^"\n]*|\S*)$')


def complete_path(fragment: str) -> str:
    """The longest certain continuation of a path fragment; the fragment itself when there is none.

    Names with control characters are never offered: what is completed is shown.
    """
    folder_text, _, beginning = fragment.rpartition("/")
    folder = Path((folder_text or ("/" if fragment.startswith("/") else ".")) + "/").expanduser()
    matching = sorted(_names(folder, beginning))
    if not matching:
        return fragment
    common = _common_beginning(matching[0], matching[-1])
    if len(matching) == 1 and (folder / common).is_dir():
        common += "/"
    start = f"{folder_text}/" if "/" in fragment else ""
    return start + common if len(common) > len(beginning) else fragment


def _common_beginning(first: str, last: str) -> str:
    """Of the first and last of sorted names, and so of all between them."""
    length = 0
    while length < min(len(first), len(last)) and first[length] == last[length]:
        length += 1
    return first[:length]


def _names(folder: Path, beginning: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            for _, entry in zip(range(MAX_FOLDER_ENTRIES), entries, strict=False):
                name = entry.name
                if not name.startswith(beginning) or (name.startswith(".") and not beginning):
                    continue
                if clean_line(name) == name:
                    yield name
    except OSError:
        return  # no such folder, or not ours to read: nothing to offer


def open_mention(text_before_cursor: str) -> str | None:
    """The path after an `@` that the cursor stands at the end of; None when it stands at no such path."""
    last_line = text_before_cursor.rpartition("\n")[2]
    found = _OPEN_MENTION.search(last_line)
    if found is None or (not found[1] and " " in found[2]):
        return None
    return found[2]


def mentioned_files(question: str) -> tuple[Path, ...]:
    """The existing files named with `@path` or `@"path with spaces"`, each once, in order."""
    files: dict[Path, None] = {}
    for mention in _MENTION.finditer(question):
        named = mention[1] or mention[2]
        for candidate in (named, named.rstrip(".,;:?!)")):
            path = Path(candidate).expanduser()
            if _is_file(path):
                files[path.absolute()] = None
                break
    return tuple(files)


def dropped_files(pasted: str) -> tuple[Path, ...]:
    """The files when a paste is what a terminal sends for dropped ones: absolute paths or file addresses, only."""
    text = pasted.strip()
    if not text or len(text) > MAX_DROPPED_CHARS or "\n" in text:
        return ()
    if not text.startswith(("/", "'", '"', "file://")) and not re.match(r"[A-Za-z]:\\", text):
        return ()
    try:
        words = shlex.split(text, posix=os.name == "posix")
    except ValueError:
        return ()
    paths = [Path(unquote(urlsplit(word).path) if word.startswith("file://") else word) for word in words]
    return tuple(paths) if paths and all(path.is_absolute() and _is_file(path) for path in paths) else ()


def mention_of(path: Path) -> str:
    """How a file is named in a question."""
    text = str(path)
    return f'@"{text}"' if re.search(r"\s", text) else f"@{text}"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or with a NUL
        return False
