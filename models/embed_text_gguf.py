"""Text embedding through llama.cpp: satisfies `rag.ports.TextEmbedder` by shape.

GGUF embedders (bge, nomic, e5, gte, EmbeddingGemma, Qwen3-Embedding, …): how a text's vectors become one is read from
the file. Several texts go through the model together, each a sequence of its own, up to a number of tokens. Knows
nothing of chunks, of the library, or of where weights come from.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.engine_thread import compute
from models.errors import EngineFailed, NotEnoughMemory, WeightsDamaged
from models.gguf_header import GgufHeader, read_gguf_header
from models.llama_model import load_llama_model
from models.llama_vocab import LlamaVocab, TokenIds
from models.native_log import LLAMA_LOG, LogLine, last_words, llama_library
from models.text_groups import groups_by_length

Pooling = Literal["mean", "cls", "last"]
POOLINGS: Mapping[int, Pooling] = MappingProxyType({1: "mean", 2: "cls", 3: "last"})
"""`llama_pooling_type` of embedders; 0 is none, 4 ranks pairs."""
LEAST_BATCH_TOKENS = 512
MOST_TOKENS = 2048
"""Longest text read, whatever the model was trained for: passages have some hundred, and memory grows with it."""
MOST_TEXTS = 64
"""Of one call of the engine; each needs room for its vector."""


@dataclass(frozen=True, slots=True)
class GgufEmbedderFacts:
    """What a GGUF file says of itself as an embedder."""

    dimension: int
    max_tokens: int
    pooling: Pooling


def read_gguf_embedder(path: Path) -> GgufEmbedderFacts:
    """What the header says. Raises WeightsMissing, and WeightsDamaged where the file is no embedder."""
    return _facts(read_gguf_header(path))


def _facts(header: GgufHeader) -> GgufEmbedderFacts:
    pooling = POOLINGS.get(header.whole_number("pooling_type") or 0)
    if pooling is None or not header.embedding_length:
        raise WeightsDamaged(
            f"{header.path.name} does not say how its tokens become one vector: it is no text embedder",
            hint="take a GGUF file that was made for embedding (bge, nomic-embed-text, e5, embeddinggemma)",
        )
    return GgufEmbedderFacts(header.embedding_length, min(header.context_tokens or MOST_TOKENS, MOST_TOKENS), pooling)


class GgufTokenCounter:
    """Counts in a GGUF file's tokens, with nothing of it loaded but its vocabulary. Thread-safe.

    The vocabulary is freed with the counter: it is small, and whoever chunks keeps one for as long as there is work.
    """

    def __init__(self, path: Path, *, library: Any = None) -> None:
        """`library` replaces llama.cpp's. Raises WeightsMissing, WeightsDamaged."""
        header = read_gguf_header(path)
        with LLAMA_LOG.capture() as log_lines:
            model = load_llama_model(path, log_lines, vocab_only=True)
        library = library or llama_library()
        weakref.finalize(self, library.llama_model_free, model).atexit = False  # the process's end frees all
        self._vocab = LlamaVocab(library, model, spm_space_prefix=_space_prefix(header))

    def count(self, text: str) -> int:
        """Tokens of the text alone: no special tokens, not cut."""
        return len(self._vocab.ids(text, special=False))


class GgufTextEmbedder:
    """A text embedder, loaded. Thread-safe; a query waits for one group of passages at most.

    Raises WeightsMissing, WeightsDamaged, DeviceUnavailable or NotEnoughMemory when it is made, EngineFailed when
    it works.
    """

    arithmetic = "as shipped"

    def __init__(
        self,
        path: Path,
        *,
        model_id: str,
        sha256: str,
        query_prefix: str = "",
        passage_prefix: str = "",
        threads: int = 1,
        n_gpu_layers: int = 0,
        device_names: Sequence[str] = (),
    ) -> None:
        """`sha256` is the file's, already verified. `n_gpu_layers` below 0 puts all on `device_names`."""
        self.model_id = model_id
        self.sha256 = sha256
        self.query_prefix = query_prefix
        self.passage_prefix = passage_prefix
        header = read_gguf_header(path)
        facts = _facts(header)
        self.dimension = facts.dimension
        self.max_tokens = facts.max_tokens
        self.pooling = facts.pooling
        self._batch_tokens = max(LEAST_BATCH_TOKENS, self.max_tokens)
        self._threads = max(1, threads)
        self._working = threading.Lock()
        self._library: Any = llama_library()
        self._model = self._context = 0
        self._batch: Any = None
        with LLAMA_LOG.capture() as log_lines:
            self._model = load_llama_model(path, log_lines, n_gpu_layers=n_gpu_layers, device_names=device_names)
            try:
                self._context = self._create_context(path, log_lines)
                self._batch = self._library.llama_batch_init(self._batch_tokens, 0, 1)
                self._vocab = LlamaVocab(self._library, self._model, spm_space_prefix=_space_prefix(header))
                self._before, self._behind = self._special_tokens()
            except BaseException:
                self.close()
                raise

    def _create_context(self, path: Path, log_lines: Sequence[LogLine]) -> int:
        params = self._library.llama_context_default_params()
        # A text's tokens must be seen in one pass: what is pooled is what the pass has.
        params.n_ctx = params.n_batch = params.n_ubatch = self._batch_tokens
        params.n_seq_max = MOST_TEXTS
        params.kv_unified = True  # the room is all texts' together, not an equal share for each
        params.embeddings = True
        params.n_threads = params.n_threads_batch = self._threads
        params.no_perf = True
        context = self._library.llama_init_from_model(self._model, params)
        if not context:
            raise NotEnoughMemory(
                f"no memory to embed {self._batch_tokens:,} tokens at once with {path.name}: {last_words(log_lines)}",
                hint="close other programs, or choose a smaller embedder",
            )
        return int(context)

    def _special_tokens(self) -> tuple[TokenIds, TokenIds]:
        """What the model wants before a text and behind it."""
        bare = self._vocab.ids("a", special=False)
        around = self._vocab.ids("a", special=False, add_special=True)
        for start in range(len(around) - len(bare) + 1):
            if np.array_equal(around[start : start + len(bare)], bare):
                return around[:start], around[start + len(bare) :]
        return around[:0], around[:0]

    @property
    def threads(self) -> int:
        return self._threads

    def set_threads(self, threads: int) -> None:
        """May be called from any thread: takes effect with the next group."""
        self._threads = max(1, threads)

    def count_tokens(self, text: str) -> int:
        """Tokens of the text alone: no special tokens, not cut."""
        with self._in_use():
            return len(self._vocab.ids(text, special=False))

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """A vector of shape (dimension,), of length 1."""
        vector: NDArray[np.float32] = self._embed_group(self._token_ids([self.query_prefix + text]))[0]
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

        Always the same groups for the same texts: a vector depends a little on its company.
        """
        token_ids = self._token_ids([self.passage_prefix + text for text in texts])
        lengths = [len(ids) for ids in token_ids]
        for group in groups_by_length(lengths, most_tokens=LEAST_BATCH_TOKENS, most_texts=MOST_TEXTS):
            yield np.array(group, np.intp), self._embed_group([token_ids[index] for index in group])

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Native memory is only touched inside: it is neither shared with another thread nor freed meanwhile."""
        with self._working:
            if not self._context:
                raise EngineFailed(f"{self.model_id} is closed")
            yield

    def _token_ids(self, texts: Sequence[str]) -> list[TokenIds]:
        """What the model is given of each: special tokens around, the text cut so that they fit."""
        room = self.max_tokens - len(self._before) - len(self._behind)
        with self._in_use():
            all_ids = [
                np.concatenate([self._before, self._vocab.content_ids(text)[:room], self._behind]) for text in texts
            ]
            return [ids if len(ids) else np.array([max(0, self._vocab.eos_id)], np.int32) for ids in all_ids]

    def _embed_group(self, group: Sequence[TokenIds]) -> NDArray[np.float32]:
        """Vectors of shape (len(group), dimension)."""
        with self._in_use():
            self._fill_batch(group)
            self._library.llama_set_n_threads(self._context, self._threads, self._threads)
            memory = self._library.llama_get_memory(self._context)
            if memory:  # decoders used as embedders keep what they read; encoders have none
                self._library.llama_memory_clear(memory, False)
            status, interrupt = compute(self._library.llama_decode, self._context, self._batch)
            if interrupt is not None:
                raise interrupt
            if status != 0:
                raise EngineFailed(
                    f"llama.cpp failed to embed (code {status}): {last_words(LLAMA_LOG.recent_lines())}",
                    hint="try again; if it stays so, choose another device or embedder",
                )
            vectors = np.stack([self._pooled(sequence) for sequence in range(len(group))])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not lengths.all():
            raise EngineFailed(f"{self.model_id} gave no numbers", hint="verify its file, or try the CPU: --device cpu")
        unit: NDArray[np.float32] = vectors / lengths
        return unit

    def _fill_batch(self, group: Sequence[TokenIds]) -> None:
        at = 0
        for sequence, ids in enumerate(group):
            for position, token in enumerate(ids.tolist()):
                self._batch.token[at] = token
                self._batch.pos[at] = position
                self._batch.n_seq_id[at] = 1
                self._batch.seq_id[at][0] = sequence
                self._batch.logits[at] = 1
                at += 1
        self._batch.n_tokens = at

    def _pooled(self, sequence: int) -> NDArray[np.float32]:
        pointer = self._library.llama_get_embeddings_seq(self._context, sequence)
        if not pointer:
            raise EngineFailed(f"{self.model_id} gave no vector", hint="choose another embedder")
        return np.ctypeslib.as_array(pointer, (self.dimension,)).copy()

    def close(self) -> None:
        """Free the context and the model, after the group under way. Safe to call twice."""
        with self._working:
            if self._batch is not None:
                self._library.llama_batch_free(self._batch)
                self._batch = None
            if self._context:
                self._library.llama_free(self._context)
                self._context = 0
            if self._model:
                self._library.llama_model_free(self._model)
                self._model = 0


def _space_prefix(header: GgufHeader) -> bool:
    return header.scalars.get("tokenizer.ggml.add_space_prefix", True) is not False
