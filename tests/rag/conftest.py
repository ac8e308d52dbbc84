"""What the library's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from rag.readers.contract import OpenedFile, open_regular


class Opened(Protocol):
    def __call__(self, path: Path, content: bytes | str | None = None) -> OpenedFile:
        """The file as a reader gets it, written first if there is content."""
        ...


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens files as the worker does, and closes them after the test."""
    files: list[OpenedFile] = []

    def open_file(path: Path, content: bytes | str | None = None) -> OpenedFile:
        if content is not None:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        files.append(open_regular(str(path)))
        return files[-1]

    yield open_file
    for file in files:
        file.stream.close()
