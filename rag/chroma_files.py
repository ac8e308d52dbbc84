"""The hashes of chromadb's HNSW files, taken when they were last written and compared before they are next opened.

Some damage to these files changes neither what chromadb lists nor what most searches find: a graph that lost its
upper levels still answers, less well. chromadb keeps no checksums, so homebody does, beside the folder. Its SQLite
file changes whenever it is opened: that one is asked whether its pages hold together.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path


def _sums_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.sums.json")


def _sums(folder: Path) -> dict[str, str]:
    sums: dict[str, str] = {}
    for file in sorted(folder.glob("*/*")):
        with file.open("rb") as stream:
            sums[file.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return sums


def keep_sums(folder: Path) -> None:
    """Remember how the files are now: nobody may have the folder open."""
    file = _sums_file(folder)
    new = file.with_name(f"{file.name}.new")
    new.write_text(json.dumps(_sums(folder), indent=0), encoding="utf-8")
    os.replace(new, file)  # noqa: PTH105  a rename that also works where the target exists


def forget_sums(folder: Path) -> None:
    """The files are about to change."""
    _sums_file(folder).unlink(missing_ok=True)


def changed_file(folder: Path) -> str:
    """A file that is not as it was left, in a few words; empty when all are, or when nothing is known of them."""
    return _broken_database(folder / "chroma.sqlite3") or _changed_segment(folder)


def _broken_database(file: Path) -> str:
    if not file.exists():
        return ""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            ((verdict,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.DatabaseError as error:
        return f"{file.name}: {error}"
    return "" if verdict == "ok" else f"{file.name} is malformed"


def _changed_segment(folder: Path) -> str:
    try:
        kept = json.loads(_sums_file(folder).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    if not isinstance(kept, dict):
        return ""
    found = _sums(folder)
    for name in sorted(kept.keys() | found.keys()):
        if name not in found:
            return f"{name} is missing"
        if kept.get(name) != found[name]:
            return f"{name} is not as it was written"
    return ""
