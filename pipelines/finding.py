"""Find passages in the library with whatever is installed for it: words always, meaning, looks and reranking if so.

Joins the library's search with the engines that it asks; what is missing or fails is said beside the hits, never
raised. Knows nothing of answers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from pipelines.engines import Engines
from pipelines.events import Notice
from pipelines.library_embedders import LibraryEmbedders
from pipelines.settings import SearchSettings
from rag.errors import EmbedderMismatch
from rag.identity import check_identity
from rag.image_vectors import ImageEncoderIdentity, ImageVectors
from rag.keyword_index import KeywordIndex
from rag.library_db import LibraryDb
from rag.ports import ImageEncoder, Reranker, TextEmbedder
from rag.query import ParsedQuery
from rag.records import Hit
from rag.reranking import Reranking
from rag.scope import Scopes
from rag.search import Search
from rag.vectors import Vectors


class Finding:
    """Thread-safe as its parts are. Engines are loaded by the first query that needs them."""

    def __init__(
        self,
        *,
        db: LibraryDb,
        vectors: Vectors,
        image_vectors: ImageVectors,
        embedders: LibraryEmbedders,
        engines: Engines,
        settings: SearchSettings,
        draw: Callable[[Path], NDArray[np.uint8]],
    ) -> None:
        """`draw` gives the pixels of a picture that a query names; raises FileNotUsable."""
        self._db = db
        self._vectors = vectors
        self._image_vectors = image_vectors
        self._embedders = embedders
        self._engines = engines
        self._settings = settings
        self._draw = draw
        self._keyword_index = KeywordIndex(db)
        self._scopes = Scopes(db)

    def find(self, query: ParsedQuery, *, k: int, join: bool = False) -> tuple[list[Hit], tuple[Notice, ...]]:
        """By words and by meaning; by words alone, and said, where there is no embedder.

        Raises for a query that names a picture WeightsMissing without a CLIP, FileNotUsable for what is no picture.
        """
        if query.like:
            return self._like(query, k, join=join)
        notices: list[Notice] = []
        embedder = self._embedder(notices)
        notices.extend(self._engines.new_notices())
        search = Search(
            self._db,
            self._vectors,
            self._keyword_index,
            embedder,
            scopes=self._scopes,
            reranking=self._reranking(notices) if embedder is not None else None,
            images=self._image_vectors,
            image_encoder=self._image_encoder(notices),
        )
        found = search.find(query, k=k, join=join)
        return found.hits, (*notices, *map(Notice, found.notes))

    def _like(self, query: ParsedQuery, k: int, *, join: bool) -> tuple[list[Hit], tuple[Notice, ...]]:
        """Pictures that look like the one that the query names."""
        encoder = self._engines.clip.encoder()
        vector = encoder.encode_image(self._draw(Path(query.like)))
        known = self._image_vectors.identity()
        if known != ImageEncoderIdentity.of(encoder) or self._image_vectors.empty:
            by = f"with {encoder.model_id} " if known is not None else ""
            notice = Notice(
                f"no picture of the library was looked at {by}yet", "index its folders again: homebody index"
            )
            return [], (notice,)
        search = Search(
            self._db,
            self._vectors,
            self._keyword_index,
            None,
            scopes=self._scopes,
            images=self._image_vectors,
            image_encoder=encoder,
        )
        found = search.find(query, k=k, join=join, like=vector)
        return found.hits, (*self._engines.new_notices(), *map(Notice, found.notes))

    def _embedder(self, notices: list[Notice]) -> TextEmbedder | None:
        """None where nothing has a vector; said where the vectors are another embedder's, or it does not work."""
        if self._vectors.empty:
            return None
        try:
            embedder = self._embedders.to_search_with()
            check_identity(self._db, embedder)
        except (ModelError, EmbedderMismatch) as error:
            notices.append(Notice(f"{error}: found by words only", error.hint))
            return None
        return embedder

    def _image_encoder(self, notices: list[Notice]) -> ImageEncoder | None:
        """None where no picture has a vector, or there is no CLIP; said where one is and does not work."""
        known = self._image_vectors.identity()
        if known is None or known.model_id != self._engines.clip.model_id() or self._image_vectors.empty:
            return None
        try:
            return self._engines.clip.encoder()
        except ModelError as error:
            notices.append(Notice(f"{error}: pictures were found by their words only", error.hint))
            return None

    def _reranking(self, notices: list[Notice]) -> Reranking | None:
        """None where no reranker is installed or wanted, and said where one is and does not work."""
        if not self._settings.rerank or not self._engines.text.reranker_id():
            return None
        try:
            reranker: Reranker = self._engines.text.reranker()
        except ModelError as error:
            notices.append(Notice(f"{error}: found without reranking", error.hint))
            return None
        return Reranking(reranker, passages=self._settings.rerank_passages, within_s=self._settings.rerank_within_s)


__all__ = ["Finding"]
