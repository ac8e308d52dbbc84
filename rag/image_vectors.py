"""What the library's pictures look like: their vectors, kept in SQLite and compared one by one.

Every picture is compared with a query, in memory: 20,000 vectors of 512 numbers take 20 MB and a few milliseconds,
so there is no index to keep beside them. All vectors are of one encoder, whose identity stands in `meta`; with
another one they are made anew.

A CLIP gives any text some likeness to any picture, so a nearest one always exists. Which pictures *stand out* is
judged by the library's own distribution: how like its pictures are to texts that are about no picture tells how far
chance goes. Only what lies far above is a hit. Knows no encoder.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from rag.exact_vectors import STORED_TYPE, as_float32
from rag.library_db import LibraryDb
from rag.ports import ImageEncoder

META_KEY = "image_encoder"
NEUTRAL_TEXTS = (
    "what is the notice period of the contract",
    "how much did we spend on travel last year",
    "minutes of the meeting",
    "why does the build fail",
    "the recipe needs more salt",
    "when does the insurance end",
    "import numpy as np",
    "terms and conditions apply",
    "who is responsible for the budget",
    "the results of the study are significant",
    "how do I reset my password",
    "chapter four",
    "the interest rate was raised again",
    "thank you for your letter",
    "a summary of the main points",
    "version 2.1 released",
)
"""Of what people ask of texts; no picture shows any of it. Their likenesses to the pictures are what chance gives."""
STANDS_OUT = 0.35
"""Standard deviations of chance above what the largest of so many chances is expected to reach. Tried with the small
CLIP of the tests, among 50 pictures and with 20 questions about texts: 94 % of captions find their own, and 15 % of
the questions find a picture; with 0 it is 96 % and 20 %, with 1 it is 70 % and none. Chosen on these same questions."""
ENOUGH_PICTURES = 8
"""So many tell what pictures of this library have in common."""
MOST_HITS = 20


@dataclass(frozen=True, slots=True)
class ImageEncoderIdentity:
    """What has to be equal for two vectors to be comparable."""

    model_id: str
    sha256: str
    dimension: int

    @classmethod
    def of(cls, encoder: ImageEncoder) -> ImageEncoderIdentity:
        return cls(encoder.model_id, encoder.sha256, encoder.dimension)


@dataclass(frozen=True, slots=True)
class WaitingPicture:
    """A picture that has no vector yet, and one file that has it."""

    content_id: int
    sha256: bytes
    path: str
    on_disk: str
    """The file that holds it; of most pictures the same."""


@dataclass(frozen=True, slots=True)
class ImageHit:
    content_id: int
    cosine: float
    """Of its place that is nearest."""
    stands_out: float
    """Standard deviations of chance above its mean."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    changes: int
    encoder_sha256: str
    content_ids: NDArray[np.int64]
    matrix: NDArray[np.float32]
    """Shape (places, dimension)."""
    usual: NDArray[np.float32]
    """Of each place, its mean likeness to the neutral texts: some pictures are like everything."""
    chance: float
    """Standard deviation of the likenesses to neutral texts around that."""


class ImageVectors:
    """The vectors of one library. Thread-safe."""

    def __init__(self, db: LibraryDb) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None

    def identity(self) -> ImageEncoderIdentity | None:
        """The encoder that made the vectors; None before there are any."""
        stored = self._db.read_meta(META_KEY)
        return None if stored is None else ImageEncoderIdentity(**json.loads(stored))

    def claim(self, encoder: ImageEncoder) -> int:
        """Let this encoder's vectors be the library's; returns how many pictures of another one's were dropped."""
        offered = ImageEncoderIdentity.of(encoder)
        with self._db.transaction() as connection:
            if self.identity() == offered:
                return 0
            ((dropped,),) = connection.execute("SELECT count(DISTINCT content_id) FROM image_vectors").fetchall()
            connection.execute("DELETE FROM image_vectors")
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (META_KEY, json.dumps(asdict(offered))))
        return int(dropped)

    def waiting(self, limit: int = 1000) -> list[WaitingPicture]:
        """Pictures without a vector, those inside one file together."""
        rows = self._db.query(
            "SELECT contents.content_id, sha256, documents.path, coalesce(outer_one.path, documents.path) AS on_disk,"
            " min(documents.container_id IS NOT NULL)"  # SQLite takes the other columns from this row
            " FROM contents JOIN documents USING (content_id)"
            " LEFT JOIN documents AS outer_one ON outer_one.document_id = documents.container_id"
            " WHERE contents.kind = 'image' AND complete = 1 AND documents.state = 'read'"
            " AND NOT EXISTS (SELECT 1 FROM image_vectors WHERE image_vectors.content_id = contents.content_id)"
            " GROUP BY contents.content_id ORDER BY on_disk, contents.content_id LIMIT ?",
            (limit,),
        )
        return [WaitingPicture(row[0], row[1], os.fsdecode(row[2]), os.fsdecode(row[3])) for row in rows]

    def store(self, content_id: int, vectors: Sequence[NDArray[np.float32]]) -> None:
        """Of one picture, a vector a place; none says that it cannot be had, and it is not asked for again.

        A content that has left the library meanwhile is passed over. Raises StorageFull, LibraryDamaged.
        """
        blobs = [each.astype(STORED_TYPE).tobytes() for each in vectors] or [b""]
        with self._db.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO image_vectors SELECT content_id, ?, ? FROM contents WHERE content_id = ?",
                [(place, blob, content_id) for place, blob in enumerate(blobs)],
            )

    @property
    def empty(self) -> bool:
        """No picture has a vector. Asked at every search: it does not count them."""
        return not self._db.query("SELECT 1 FROM image_vectors WHERE length(vector) > 0 LIMIT 1")

    def like_text(self, query: str, encoder: ImageEncoder, *, limit: int = MOST_HITS) -> list[ImageHit]:
        """Pictures that stand out for what a text says, best first; none where the vectors are another encoder's."""
        loaded = self._refreshed(encoder)
        if loaded is None:
            return []
        cosines = loaded.matrix @ encoder.encode_texts([query])[0]
        above = (cosines - loaded.usual) / loaded.chance
        pictures = len(np.unique(loaded.content_ids))
        if pictures >= ENOUGH_PICTURES:
            # A text may be a little like every picture: that says nothing of any one of them. Three quarters may
            # show what is looked for, and are still found.
            above -= max(0.0, float(np.quantile(above, 0.25)))
        least = STANDS_OUT + math.sqrt(2 * math.log(max(2, pictures)))
        return _best(loaded.content_ids, cosines, above, least, limit)

    def like_picture(
        self, vector: NDArray[np.float32], encoder: ImageEncoder, *, text: str = "", limit: int
    ) -> list[ImageHit]:
        """The pictures nearest to one, given as its vector of shape (dimension,); itself too, if it is there.

        `text` says more of what is looked for: a picture's likeness to it counts as much as that to the picture,
        each measured by how far it differs among the library's pictures.
        """
        loaded = self._refreshed(encoder)
        if loaded is None:
            return []
        cosines = nearness = loaded.matrix @ vector
        if text:
            said = loaded.matrix @ encoder.encode_texts([text])[0] - loaded.usual
            nearness = _standardised(cosines) + _standardised(said)
        return _best(loaded.content_ids, cosines, nearness, -math.inf, limit)

    def _refreshed(self, encoder: ImageEncoder) -> _Loaded | None:
        with self._lock, self._db.snapshot():
            if self.identity() != ImageEncoderIdentity.of(encoder):
                return None
            ((changes,),) = self._db.query("SELECT changes FROM image_vectors_changed")
            if self._loaded is None or (self._loaded.changes, self._loaded.encoder_sha256) != (changes, encoder.sha256):
                self._loaded = self._load(int(changes), encoder)
            return self._loaded if len(self._loaded.content_ids) else None

    def _load(self, changes: int, encoder: ImageEncoder) -> _Loaded:
        rows = self._db.query("SELECT content_id, vector FROM image_vectors WHERE length(vector) > 0")
        blobs = [vector for _, vector in rows if len(vector) == 2 * encoder.dimension]
        content_ids = np.array([each for each, vector in rows if len(vector) == 2 * encoder.dimension], np.int64)
        stored = np.frombuffer(b"".join(blobs), STORED_TYPE).reshape(len(blobs), encoder.dimension)
        matrix = as_float32(stored)
        likenesses = matrix @ encoder.encode_texts(NEUTRAL_TEXTS).T
        usual = likenesses.mean(axis=1)
        chance = float((likenesses - usual[:, None]).std()) if len(blobs) else 1.0
        return _Loaded(changes, encoder.sha256, content_ids, matrix, usual, max(chance, 1e-6))


def _standardised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    spread = float(values.std())
    standardised: NDArray[np.float32] = (values - values.mean()) / max(spread, 1e-6)
    return standardised


def _best(
    content_ids: NDArray[np.int64],
    cosines: NDArray[np.float32],
    above: NDArray[np.float32],
    least: float,
    limit: int,
) -> list[ImageHit]:
    """Each picture once, by its best place; equally good ones by id."""
    hits: dict[int, ImageHit] = {}
    for at in np.lexsort((content_ids, -above)):
        if above[at] < least or len(hits) == limit:
            break
        content_id = int(content_ids[at])
        hits.setdefault(content_id, ImageHit(content_id, float(cosines[at]), float(above[at])))
    return list(hits.values())
