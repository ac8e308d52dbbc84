"""Choose the next token from the logits of a llama.cpp context.

Repetition is penalised over generated tokens only: an answer that quotes its sources must not be punished for
using their words. Greedy choice is one pass of numpy over the logits; llama.cpp's own sampler copies them into
12-byte records first (n_vocab of them), and its penalties look every one of them up in a hash table.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from types import TracebackType
from typing import Any

import numpy as np

from models.chat import GenerationOptions
from models.errors import EngineFailed
from models.llama_context import LlamaContext

_PENALTY_LAST_TOKENS = 64


class Sampler:
    """For one answer. A context manager: it owns native memory where the temperature is above 0."""

    def __init__(self, context: LlamaContext, options: GenerationOptions) -> None:
        self._context = context
        self._options = options
        self._penalty = options.repeat_penalty
        self._recent: deque[int] = deque()
        self._recent_counts: Counter[int] = Counter()
        self._chain: Any = None

    def __enter__(self) -> Sampler:
        if self._options.temperature > 0:
            self._chain = self._build_chain()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._chain is not None:
            self._context.library.llama_sampler_free(self._chain)
            self._chain = None

    def _build_chain(self) -> Any:
        """In llama.cpp's default order: top-k, top-p, min-p, temperature, then a draw."""
        library, options = self._context.library, self._options
        chain = library.llama_sampler_chain_init(library.llama_sampler_chain_default_params())
        if options.top_k > 0:
            library.llama_sampler_chain_add(chain, library.llama_sampler_init_top_k(options.top_k))
        if options.top_p < 1.0:
            library.llama_sampler_chain_add(chain, library.llama_sampler_init_top_p(options.top_p, 1))
        if options.min_p > 0.0:
            library.llama_sampler_chain_add(chain, library.llama_sampler_init_min_p(options.min_p, 1))
        library.llama_sampler_chain_add(chain, library.llama_sampler_init_temp(options.temperature))
        library.llama_sampler_chain_add(chain, library.llama_sampler_init_dist(options.seed & 0xFFFFFFFF))
        return chain

    def sample(self) -> int:
        """The next token, after the last evaluation with output. Raises EngineFailed for logits that are no numbers."""
        logits = self._context.logits
        if self._recent_counts:
            recent = np.fromiter(self._recent_counts, dtype=np.intp, count=len(self._recent_counts))
            values = logits[recent]
            logits[recent] = np.where(values > 0, values / self._penalty, values * self._penalty)
        token = int(logits.argmax())  # of a NaN, where there is one
        if not math.isfinite(logits[token]):
            raise EngineFailed(
                "the model's output is no number", hint="verify the weights, or choose another device for chat"
            )
        if self._chain is not None:
            token = int(self._context.library.llama_sampler_sample(self._chain, self._context.handle, -1))
        if self._penalty > 1.0:
            self._remember(token)
        return token

    def _remember(self, token: int) -> None:
        self._recent.append(token)
        self._recent_counts[token] += 1
        if len(self._recent) > _PENALTY_LAST_TOKENS:
            oldest = self._recent.popleft()
            self._recent_counts[oldest] -= 1
            if not self._recent_counts[oldest]:
                del self._recent_counts[oldest]
