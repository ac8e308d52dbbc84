"""Which embedder built the vectors of a library: vectors of two embedders cannot be compared.

The identity is written with the first vector and checked before any vector is added or asked. A mismatch is
refused; how a library comes to another embedder is in `embedder_change.py`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

from rag.errors import EmbedderMismatch
from rag.library_db import LibraryDb
from rag.ports import TextEmbedder

META_KEY = "embedder"


@dataclass(frozen=True, slots=True)
class EmbedderIdentity:
    """What has to be equal for two vectors to be comparable."""

    model_id: str
    sha256: str
    """Of the weights file: another quantisation is another embedder."""
    dimension: int
    query_prefix: str
    passage_prefix: str
    normalised: bool = True
    arithmetic: str = ""
    """What the vectors were computed in; empty in libraries of before this was noted, and then any will do."""

    @classmethod
    def of(cls, embedder: TextEmbedder) -> EmbedderIdentity:
        return cls(
            embedder.model_id,
            embedder.sha256,
            embedder.dimension,
            embedder.query_prefix,
            embedder.passage_prefix,
            arithmetic=embedder.arithmetic,
        )

    def made_by(self, offered: EmbedderIdentity) -> bool:
        """Whether the embedder offered makes vectors that can be compared with this identity's."""
        return self == (offered if self.arithmetic else replace(offered, arithmetic=""))

    @property
    def short_hash(self) -> str:
        """12 hexadecimal digits that name this identity, for chromadb's collection."""
        fields = asdict(self)
        if not self.arithmetic:
            del fields["arithmetic"]  # the name that chromadb's collection of an older library has
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]


def stored_identity(db: LibraryDb) -> EmbedderIdentity | None:
    """The embedder that built this library's vectors; None when it has none yet."""
    return read_identity(db, META_KEY)


def read_identity(db: LibraryDb, key: str) -> EmbedderIdentity | None:
    stored = db.read_meta(key)
    return None if stored is None else EmbedderIdentity(**json.loads(stored))


def check_identity(db: LibraryDb, embedder: TextEmbedder) -> None:
    """Raises EmbedderMismatch when the library's vectors were built by another embedder."""
    stored, offered = stored_identity(db), EmbedderIdentity.of(embedder)
    if stored is None or stored.made_by(offered):
        return
    if stored.model_id != offered.model_id:
        difference = f"the library was embedded with {stored.model_id}, not with {offered.model_id}"
    else:
        difference = f"the library was embedded with another version of {stored.model_id}"
    raise EmbedderMismatch(
        difference,
        hint=f"run `homebody index --reembed`, or choose {stored.model_id} as embed.model in the settings",
    )


def claim_identity(db: LibraryDb, embedder: TextEmbedder) -> None:
    """Write this embedder's identity into a library that has none. Raises EmbedderMismatch as above."""
    with db.transaction():
        check_identity(db, embedder)
        if stored_identity(db) is None:
            db.write_meta(META_KEY, json.dumps(asdict(EmbedderIdentity.of(embedder))))
