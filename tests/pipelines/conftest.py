"""What tests of whole indexing runs begin with; a test file that needs another one has its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.factory import open_home
from pipelines.home import Home
from pipelines.paths import HomePaths
from pipelines.settings import Settings
from tests.fakes import ScriptedChatModel


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """Without an embedder: words are what is asked here, and chromadb need not be told."""
    home = open_home(HomePaths(tmp_path / "home"), Settings(), chat_model=ScriptedChatModel())
    yield home
    home.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    made.mkdir()
    return made
