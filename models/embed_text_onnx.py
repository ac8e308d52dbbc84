"""Text embedding through ONNX Runtime: satisfies `rag.ports.TextEmbedder` by shape.

On a CPU every text is a run of its own: nothing is padded, a vector does not depend on its neighbours, and threads
work on different texts instead of meeting at barriers inside one (measured: no batch size is faster on a core).
On other devices texts are padded together, since those need large runs to be busy. Knows nothing of chunks, of
the library, or of where weights come from.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.errors import EngineFailed
from models.graph_cache import GraphCache
from models.hf_tokenizer import HfTokenizer
from models.integer_graph import REWRITE_VERSION, integer_encoder
from models.onnx_devices import CPU_PROVIDER, onnx_runtime
from models.onnx_session import CPU, OnnxPlacement, OnnxSession, SessionReport, open_model, open_session, read_model
from models.text_groups import MOST_THREADS, GroupWorkers, groups_by_length, padded

LOGGER = logging.getLogger(__name__)

Pooling = Literal["mean", "cls", "last"]
"""Which of a text's vectors, one a token, become the one of the text."""
Arithmetic = Literal["int8", "as shipped"]
"""int8: products in integers, one scale a token (`integer_graph.py`). As shipped: whatever the file says."""

_GROUP_TOKENS = 1024
"""Vectors are handed over in groups of about this many tokens: a third of a second on one slow core, so that a
caller can pause between two."""
_DEVICE_RUN_TOKENS = 8192
"""Tokens, padding included, in one run on a GPU or NPU."""

_PROBES = (
    "The boiler was serviced on 14 March 2025; the next service is due in a year.",
    "def mean(values):\n    return sum(values) / len(values)",
    "Mix 500 g of flour with 350 ml of water and let the dough rest overnight. In the morning, fold it twice, "
    "shape it and bake it in a hot oven for forty minutes, the first twenty under a lid.",
)
"""Texts on which another way of computing must agree with the plain one."""
_LEAST_COSINE = 0.99


class OnnxTextEmbedder:
    """A text embedder, loaded. Thread-safe; a query does not wait for passages under way.

    Raises WeightsMissing or WeightsDamaged when it is made, EngineFailed when it works.
    """

    def __init__(
        self,
        *,
        model_id: str,
        model_file: Path,
        tokenizer_file: Path,
        sha256: str,
        dimension: int,
        max_tokens: int,
        query_prefix: str = "",
        passage_prefix: str = "",
        pooling: Pooling = "mean",
        placement: OnnxPlacement = CPU,
        threads: int = 1,
        integer: bool = True,
        cache_dir: Path | None = None,
    ) -> None:
        """`sha256` is the model file's, already verified. `integer` allows int8 arithmetic on a CPU, where the
        file is a BERT encoder and the result agrees with the file's own. `cache_dir` keeps derived graphs."""
        self.model_id = model_id
        self.sha256 = sha256
        self.dimension = dimension
        self.max_tokens = max_tokens
        self.query_prefix = query_prefix
        self.passage_prefix = passage_prefix
        self._pooling = pooling
        self._tokenizer = HfTokenizer(tokenizer_file)
        self._model_file = model_file
        self._cache_dir = cache_dir
        self.arithmetic: Arithmetic = "as shipped"
        self._session = self._open(placement, integer)
        self._one_by_one = self._session.report.running == str(CPU)
        self._threads = 1
        self.set_threads(threads)
        self._workers = GroupWorkers("embed")
        self._closed = threading.Event()

    @property
    def report(self) -> SessionReport:
        """The device asked for and the one that runs, read back from the engine."""
        return self._session.report

    @property
    def threads(self) -> int:
        return self._threads

    def set_threads(self, threads: int) -> None:
        """How many texts are worked on at once, from the next group on; also while passages are under way."""
        self._threads = max(1, min(threads, MOST_THREADS))

    def count_tokens(self, text: str) -> int:
        """Tokens of the text alone: no special tokens, not cut."""
        return self._tokenizer.count(text)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """A vector of shape (dimension,), of length 1."""
        vector: NDArray[np.float32] = self._embed_group(self.token_ids([self.query_prefix + text]))[0]
        return vector

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of shape (len(texts), dimension), each of length 1, in the order given."""
        vectors = np.empty((len(texts), self.dimension), np.float32)
        for indices, group in self.iter_passages(texts):
            vectors[indices] = group
        return vectors

    def iter_passages(
        self, texts: Sequence[str]
    ) -> Generator[tuple[NDArray[np.intp], NDArray[np.float32]], None, None]:
        """The same group by group, the longest texts first: (indices into `texts`, their vectors).

        Groups of about 1,024 tokens, always the same for the same texts. With more than one thread the next
        groups are already under way while the caller holds one; closing the generator lets them go.
        """
        token_ids = self.token_ids([self.passage_prefix + text for text in texts])
        groups = groups_by_length(
            [len(ids) for ids in token_ids],
            most_tokens=_GROUP_TOKENS if self._one_by_one else _DEVICE_RUN_TOKENS,
        )
        for group, vectors in self._workers.work(
            groups,
            lambda group: self._embed_group([token_ids[index] for index in group]),
            lambda: self._threads if self._one_by_one else 1,
        ):
            yield np.array(group, np.intp), vectors

    def close(self) -> None:
        """Let go of the engine. Safe to call twice."""
        self._closed.set()
        self._workers.close()

    def _open(self, placement: OnnxPlacement, integer: bool) -> OnnxSession:
        reason = ""
        if placement.provider != CPU_PROVIDER:
            session = self._open_as_shipped(placement)
            if session.report.running != str(CPU):
                if self._agrees(session, self._open_as_shipped(CPU)):
                    return session
                reason = f"{placement} computes other vectors than the CPU"
                LOGGER.warning("%s is not used for %s: %s", placement, self.model_id, reason)
            else:
                reason = session.report.fallback_reason
        session = (self._open_integer() if integer else None) or self._open_as_shipped(CPU)
        if reason:
            session.report = SessionReport(str(placement), session.report.running, reason)
        return session

    def _open_as_shipped(self, placement: OnnxPlacement) -> OnnxSession:
        return open_model(self._model_file, sha256=self.sha256, placement=placement, cache_dir=self._cache_dir)

    def _open_integer(self) -> OnnxSession | None:
        """The rewritten graph's session, or None where there is none that agrees with the file's own."""

        def rewrite() -> bytes:
            rewritten = integer_encoder(read_model(self._model_file))
            if rewritten is None:
                return b""
            plain = open_model(self._model_file, sha256=self.sha256)  # once, so its graph is not worth keeping
            if self._agrees(open_session(rewritten, name=self.model_id, optimised=True), plain):
                return rewritten
            LOGGER.warning("%s: integer arithmetic differs too much and is not used", self.model_id)
            return b""

        key = f"integer version={REWRITE_VERSION} onnxruntime={onnx_runtime().__version__}"
        graph = GraphCache(self._cache_dir).get_or_make(self.sha256, key, rewrite)
        if not graph:  # kept as well: a model that cannot be rewritten is not tried at every start
            return None
        self.arithmetic = "int8"
        return open_session(graph, name=self.model_id, optimised=True)

    def _agrees(self, one: OnnxSession, other: OnnxSession) -> bool:
        """Whether two sessions give vectors of the same direction for the probes."""
        for ids in self.token_ids(_PROBES):
            left, right = self._vectors(one, [ids])[0], self._vectors(other, [ids])[0]
            if not float(left @ right) >= _LEAST_COSINE:  # a NaN does not agree either
                return False
        return True

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """What the model is given: special tokens around, cut at `max_tokens`."""
        return self._tokenizer.ids(texts, max_tokens=self.max_tokens)

    def _embed_group(self, group: Sequence[list[int]]) -> NDArray[np.float32]:
        if self._closed.is_set():
            raise EngineFailed(f"{self.model_id} is closed")
        if self._one_by_one:
            vectors = np.concatenate([self._vectors(self._session, [ids]) for ids in group])
        else:
            vectors = self._vectors(self._session, group)
        if vectors.shape[1] != self.dimension or not np.isfinite(vectors).all():
            raise EngineFailed(
                f"{self.model_id} gave {'vectors of another size' if np.isfinite(vectors).all() else 'no numbers'} "
                f"on {self.report.running}",
                hint="verify its file (homebody models verify), or try the CPU: --device cpu",
            )
        return vectors

    def _vectors(self, session: OnnxSession, group: Sequence[list[int]]) -> NDArray[np.float32]:
        """One run: texts padded to the longest, pooled over their own tokens, each of length 1."""
        input_ids, mask = padded(group, self._tokenizer.pad_id)
        feeds = {"input_ids": input_ids, "attention_mask": mask, "token_type_ids": np.zeros_like(input_ids)}
        hidden = session.run({name: feeds[name] for name in session.input_names if name in feeds})[0]
        if hidden.ndim == 2:  # the graph pools by itself
            pooled = hidden
        elif self._pooling == "cls":
            pooled = hidden[:, 0]
        elif self._pooling == "last":
            pooled = hidden[np.arange(len(hidden)), mask.sum(axis=1) - 1]
        else:
            pooled = np.einsum("ntw,nt->nw", hidden, mask) / mask.sum(axis=1)[:, None]
        unit: NDArray[np.float32] = (pooled / np.linalg.norm(pooled, axis=1, keepdims=True)).astype(np.float32)
        return unit
