"""Which embedder a library is searched with, and which one it should have.

Searched with: the one that made its vectors. Should have: what the settings name; else the one that a change under
way leads to, so that it goes on; else the library's own, so that a model that was installed for something else does
not make thousands of vectors anew; else the default of what is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pipelines.text_engines import TextEngines
from rag.chunking import CountTokens
from rag.embedder_change import next_identity
from rag.identity import EmbedderIdentity, stored_identity
from rag.library_db import LibraryDb
from rag.ports import TextEmbedder


class Embedders(Protocol):
    """What indexing needs."""

    def wanted(self, *, anew: bool = False) -> TextEmbedder:
        """The embedder that the library should have. `anew` leaves what it computes in to this machine.

        Raises ModelError.
        """
        ...

    def serving(self) -> TextEmbedder | None:
        """The one that made the library's vectors; None where there are none. Raises ModelError."""
        ...

    @property
    def change_is_due(self) -> bool:
        """Whether the library has another embedder than it should have and may be given that one, or a change to it
        has begun. Loads nothing."""
        ...

    def let_go(self, model_id: str) -> None:
        """An embedder that the library does not need any more."""
        ...


class OnlyEmbedder:
    """One embedder for everything; a library that has another one is refused."""

    change_is_due = False

    def __init__(self, load: Callable[[], TextEmbedder]) -> None:
        self._load = load

    def wanted(self, *, anew: bool = False) -> TextEmbedder:  # noqa: ARG002
        return self._load()

    def serving(self) -> TextEmbedder | None:
        return None

    def let_go(self, model_id: str) -> None:
        """It stays."""


class LibraryEmbedders:
    """Thread-safe as its parts are."""

    def __init__(self, db: LibraryDb, engines: TextEngines) -> None:
        self._db = db
        self._engines = engines

    def wanted_id(self) -> str:
        """Empty where no embedder is installed."""
        if self._engines.named:
            return self._engines.named
        for identity in (next_identity(self._db), stored_identity(self._db)):
            if identity is not None and self._engines.is_here(identity.model_id):
                return identity.model_id
        return self._engines.default_id()

    def serving_id(self) -> str:
        """The one that a search takes: the library's own, or while it has none the one that it will get."""
        stored = stored_identity(self._db)
        return stored.model_id if stored is not None else self.wanted_id()

    def wanted(self, *, anew: bool = False) -> TextEmbedder:
        model_id = self._engines.default_id() if anew and not self._engines.named else self.wanted_id()
        return self._engines.embedder(model_id, arithmetic="" if anew else self._arithmetic_of(model_id))

    def serving(self) -> TextEmbedder | None:
        stored = stored_identity(self._db)
        return None if stored is None else self._engines.embedder(stored.model_id, arithmetic=stored.arithmetic)

    def to_search_with(self) -> TextEmbedder:
        """The one that made the vectors, or while there are none the one that will. Raises ModelError."""
        serving = self.serving()
        return self.wanted() if serving is None else serving

    @property
    def change_is_due(self) -> bool:
        stored, following = stored_identity(self._db), next_identity(self._db)
        if following is not None:
            return True
        return stored is not None and self._engines.named not in ("", stored.model_id)

    def let_go(self, model_id: str) -> None:
        self._engines.let_go(model_id)

    def token_counter(self) -> CountTokens:
        """What passages are measured with: the tokens of the embedder that the library should have."""
        return self._engines.token_counter(self.wanted_id())

    def _arithmetic_of(self, model_id: str) -> str:
        """What this embedder's vectors in the library were computed in; empty where it has none."""
        identities: tuple[EmbedderIdentity | None, ...] = (next_identity(self._db), stored_identity(self._db))
        return next((each.arithmetic for each in identities if each is not None and each.model_id == model_id), "")


__all__ = ["Embedders", "LibraryEmbedders", "OnlyEmbedder"]
