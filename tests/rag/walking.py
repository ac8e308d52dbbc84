"""What a walk found, one after the other, for tests."""

from __future__ import annotations

from collections.abc import Iterable

from rag.walk import FileRow, FoundFile, WalkProblem


def one_by_one(found: Iterable[list[FileRow] | WalkProblem]) -> list[FoundFile | WalkProblem]:
    """The files of a folder in the order of their names."""
    flat: list[FoundFile | WalkProblem] = []
    for each in found:
        if isinstance(each, WalkProblem):
            flat.append(each)
        else:
            flat.extend(FoundFile(*row) for row in sorted(each))
    return flat
