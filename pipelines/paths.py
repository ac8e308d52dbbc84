"""Where homebody keeps its things. `HOMEBODY_HOME` moves all of it; nothing is written elsewhere.

Computing a path touches no disk; `HomePaths.create()` makes the folder, for its owner only (0700).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HomePaths:
    """The layout of the data folder."""

    root: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> HomePaths:
        """`HOMEBODY_HOME` if set and not empty, otherwise the platform's folder for user data."""
        if named := environ.get("HOMEBODY_HOME"):
            return cls(Path(named).expanduser().absolute())
        from platformdirs import user_data_path

        return cls(user_data_path("homebody", appauthor=False))

    @property
    def library_file(self) -> Path:
        """SQLite: documents, chunks, words, vectors, conversations. The truth."""
        return self.root / "library.sqlite"

    @property
    def chroma_dir(self) -> Path:
        """Derived from the library file; may be deleted at any time."""
        return self.root / "chroma"

    @property
    def weights_dir(self) -> Path:
        return self.root / "models"

    @property
    def profile_file(self) -> Path:
        """What this machine was measured to do."""
        return self.root / "profile.json"

    @property
    def settings_file(self) -> Path:
        return self.root / "settings.toml"

    @property
    def lock_file(self) -> Path:
        """Held by the one homebody that writes; holds its pid."""
        return self.root / "writer.lock"

    @property
    def log_file(self) -> Path:
        return self.root / "homebody.log"

    @property
    def cache_dir(self) -> Path:
        """Optimised ONNX graphs and saved prompt states; may be deleted at any time."""
        return self.root / "cache"

    @property
    def transcripts_dir(self) -> Path:
        """What was recognised of recordings that are not finished yet."""
        return self.root / "transcripts"

    def create(self) -> None:
        """Make the data folder, readable by its owner only. An existing one is narrowed to 0700."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name == "posix" and self.root.stat().st_mode & 0o077:
            self.root.chmod(0o700)
