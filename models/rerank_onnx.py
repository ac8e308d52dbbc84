"""A cross-encoder through ONNX Runtime: satisfies `rag.ports.Reranker` by shape.

It reads the question and a passage together, which tells more than comparing two vectors, and costs a run of the
model a passage: a few dozen candidates at most. BERT-like and XLM-R sequence classifiers with one output (relevance)
or two (irrelevant, relevant). On a CPU every pair is a run of its own and threads work on different pairs; on other
devices pairs of about one length are padded together. Knows nothing of the library or of where weights come from.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import EngineFailed, WeightsDamaged
from models.hf_tokenizer import HfTokenizer
from models.onnx_session import CPU, OnnxPlacement, SessionReport, open_model
from models.text_groups import MOST_THREADS, GroupWorkers, groups_by_length, padded

_GROUP_TOKENS = 512
"""Of pairs that a thread takes at once: small, so that the threads end together after a few dozen passages."""
_DEVICE_RUN_TOKENS = 8192
_QUERY_SHARE = 0.5
"""Of the tokens that the model reads: a longer question is cut, so that something of the passage is read."""


class OnnxReranker:
    """A cross-encoder, loaded. Thread-safe.

    Raises WeightsMissing or WeightsDamaged when it is made, EngineFailed when it works.
    """

    def __init__(
        self,
        *,
        model_id: str,
        model_file: Path,
        tokenizer_file: Path,
        sha256: str,
        max_tokens: int = 512,
        placement: OnnxPlacement = CPU,
        threads: int = 1,
        cache_dir: Path | None = None,
    ) -> None:
        """`sha256` is the model file's, already verified. `max_tokens` counts question, passage and special tokens.
        `cache_dir` keeps the optimised graph."""
        self.model_id = model_id
        self.sha256 = sha256
        self.max_tokens = max_tokens
        self._tokenizer = HfTokenizer(tokenizer_file)
        self._session = open_model(model_file, sha256=sha256, placement=placement, cache_dir=cache_dir)
        self._one_by_one = self._session.report.running == str(CPU)
        self._threads = 1
        self.set_threads(threads)
        self._workers = GroupWorkers("rerank")
        self._closed = threading.Event()
        if "input_ids" not in self._session.input_names:
            raise WeightsDamaged(
                f"{model_file.name} takes no input_ids: it is no text model", hint="name a cross-encoder's model.onnx"
            )
        self._check_outputs(model_file)

    @property
    def report(self) -> SessionReport:
        """The device asked for and the one that runs, read back from the engine."""
        return self._session.report

    @property
    def threads(self) -> int:
        return self._threads

    def set_threads(self, threads: int) -> None:
        """How many pairs are worked on at once, from the next group on."""
        self._threads = max(1, min(threads, MOST_THREADS))

    def scores(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """Shape (len(passages),), in the order given: higher is better. The model's own scale, without a sigmoid."""
        scores = np.empty(len(passages), np.float32)
        if not passages:
            return scores
        pairs = self._tokenizer.pairs(self._shortened(query), passages, max_tokens=self.max_tokens)
        groups = groups_by_length(
            [len(ids) for ids, _ in pairs], most_tokens=_GROUP_TOKENS if self._one_by_one else _DEVICE_RUN_TOKENS
        )
        for group, found in self._workers.work(
            groups,
            lambda group: self._scores_of([pairs[index] for index in group]),
            lambda: self._threads if self._one_by_one else 1,
        ):
            scores[group] = found
        return scores

    def close(self) -> None:
        """Let go of the engine. Safe to call twice."""
        self._closed.set()
        self._workers.close()

    def _shortened(self, query: str) -> str:
        """The question, or its beginning where it would leave too little room for a passage."""
        most = int(self.max_tokens * _QUERY_SHARE)
        while len(query) > most and (count := self._tokenizer.count(query)) > most:
            query = query[: min(len(query) - 1, len(query) * most // count)]
        return query

    def _scores_of(self, pairs: Sequence[tuple[list[int], list[int]]]) -> NDArray[np.float32]:
        if self._closed.is_set():
            raise EngineFailed(f"{self.model_id} is closed")
        scores = np.concatenate([self._run([pair]) for pair in pairs]) if self._one_by_one else self._run(pairs)
        if not np.isfinite(scores).all():
            raise EngineFailed(
                f"{self.model_id} gave no numbers on {self.report.running}",
                hint="verify its file (homebody models verify), or try the CPU: --device cpu",
            )
        return scores

    def _run(self, pairs: Sequence[tuple[list[int], list[int]]]) -> NDArray[np.float32]:
        logits = self._logits(pairs)
        relevant = logits[:, -1] - logits[:, 0] if logits.shape[1] == 2 else logits[:, 0]
        scores: NDArray[np.float32] = relevant.astype(np.float32)
        return scores

    def _logits(self, pairs: Sequence[tuple[list[int], list[int]]]) -> NDArray[np.float32]:
        """Shape (len(pairs), 1 or 2)."""
        input_ids, mask = padded([ids for ids, _ in pairs], self._tokenizer.pad_id)
        type_ids, _ = padded([types for _, types in pairs])
        feeds = {"input_ids": input_ids, "attention_mask": mask, "token_type_ids": type_ids}
        return self._session.run({name: feeds[name] for name in self._session.input_names if name in feeds})[0]

    def _check_outputs(self, model_file: Path) -> None:
        """A model of another kind is told apart by what it says of one pair."""
        try:
            logits = self._logits(self._tokenizer.pairs("a", ["b"], max_tokens=self.max_tokens))
        except EngineFailed as error:
            raise WeightsDamaged(
                f"{model_file.name} cannot rank passages ({error})", hint="name a cross-encoder's model.onnx"
            ) from error
        if logits.ndim != 2 or logits.shape[1] not in (1, 2):
            raise WeightsDamaged(
                f"{model_file.name} ranks nothing: a pair should give one or two numbers, it gives shape "
                f"{tuple(logits.shape[1:])}",
                hint="name a cross-encoder's model.onnx",
            )
