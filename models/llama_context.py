"""One llama.cpp model with one context: load it, evaluate tokens, know exactly which tokens its memory holds.

The low-level API is called directly: no text, no templates, no sampling policy here. One sequence (id 0) is
kept; `tokens` always says what is in it, also after an abort or a failure. Embeddings of pictures are evaluated like
tokens, at the positions and under the mask that the model wants. Not thread-safe.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.abort_flag import AbortFlag
from models.engine_thread import compute
from models.errors import EngineFailed, NotEnoughMemory
from models.gguf_header import GgufHeader, read_gguf_header
from models.llama_model import load_llama_model
from models.llama_options import Aborted, ChatLlamaOptions, FlashAttention, KvType, LlamaFacts
from models.llama_vocab import TokenIds
from models.native_log import LLAMA_LOG, LogLine, last_words, llama_library
from models.picture_chunks import ChunkShape, Embeddings
from models.token_sequence import TokenSequence

_FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}
_KV_TYPES = {"f16": 1, "q8_0": 8}
_Q8_0_BLOCK = 32
"""Values that share a scale; a head's width must be a multiple of it."""
_ABORTED = 2
_NO_SLOT = 1
"""What llama_decode returns, see llama.h."""
_SHIFTED = np.array([[1], [1], [1], [0]], dtype=np.int32)
"""Which of the four numbers of a token in a picture are counted from the picture's position (mtmd.cpp)."""


class LlamaContext:
    """Load with `LlamaContext(path, options)`; `close` frees everything."""

    def __init__(
        self, path: Path, options: ChatLlamaOptions, *, on_progress: Callable[[float], None] | None = None
    ) -> None:
        """Raises WeightsMissing, WeightsDamaged, DeviceUnavailable, NotEnoughMemory.

        `on_progress` is told the share of the weights that is loaded, 0 to 1, from this thread.
        """
        self.header: GgufHeader = read_gguf_header(path)
        self.options = options
        # llama.cpp refuses a whole context for these two, with nothing but a line in its log.
        can_quantise = (self.header.head_dim or 0) % _Q8_0_BLOCK == 0
        self._type_k: KvType = options.type_k if can_quantise else "f16"
        self._type_v: KvType = options.type_v if can_quantise and options.flash_attention != "off" else "f16"
        self.library: Any = llama_library()
        self.abort_flag = AbortFlag()
        self.model: int = 0
        self.handle: int = 0
        self._batch: Any = None
        with LLAMA_LOG.capture() as log_lines:
            self.model = load_llama_model(
                path,
                log_lines,
                n_gpu_layers=options.n_gpu_layers,
                device_names=options.device_names,
                on_progress=on_progress,
            )
            try:
                self.handle = self._create_context(path, log_lines)
                self._memory = self.library.llama_get_memory(self.handle)
                self.facts = self._read_facts(log_lines)
                self._prepare_batch()
            except BaseException:
                self.close()
                raise
        self._live = TokenSequence(self.facts.n_ctx)
        self._n_swa = int(self.library.llama_model_n_swa(self.model))
        self._wanted_threads: tuple[int, int] | None = None

    # --- loading -------------------------------------------------------------------------------------

    def _create_context(self, path: Path, log_lines: list[LogLine]) -> int:
        library, options = self.library, self.options
        trained = int(library.llama_model_n_ctx_train(self.model))
        params = library.llama_context_default_params()
        params.n_ctx = min(options.n_ctx, trained) if trained > 0 else options.n_ctx
        params.n_batch = options.n_batch
        params.n_ubatch = min(options.n_ubatch, options.n_batch)
        params.n_seq_max = 1
        params.n_outputs_max = 1  # only the last token's logits are ever read: saves n_batch * n_vocab * 4 bytes
        params.n_threads = options.n_threads
        params.n_threads_batch = options.n_threads_batch
        params.flash_attn_type = _FLASH_ATTENTION[options.flash_attention]
        params.type_k = _KV_TYPES[self._type_k]
        params.type_v = _KV_TYPES[self._type_v]
        params.no_perf = True
        params.abort_callback = library.ggml_abort_callback(self.abort_flag.callback_address)
        params.abort_callback_data = self.abort_flag.data_address
        handle = library.llama_init_from_model(self.model, params)
        if not handle:
            raise NotEnoughMemory(
                f"no memory for a context of {params.n_ctx:,} tokens with {path.name}: {last_words(log_lines)}",
                hint="lower chat.context_tokens in the settings, or choose a smaller model",
            )
        return int(handle)

    def _read_facts(self, log_lines: list[LogLine]) -> LlamaFacts:
        library = self.library
        text = ctypes.create_string_buffer(256)
        library.llama_model_desc(self.model, text, len(text))
        log = "\n".join(line.text for line in log_lines)
        offloaded = re.search(r"offloaded (\d+)/(\d+) layers", log)
        # Said when it was asked for or refused, and once more when "auto" was resolved.
        flash_words = re.findall(r"flash.attn\s+= (enabled|disabled)|Flash Attention (enabled|not supported)", log)
        flash_word = "".join(flash_words[-1]) if flash_words else ""
        kv_mib = re.findall(r"KV buffer size =\s+([\d.]+) MiB", log)
        return LlamaFacts(
            description=text.value.decode("utf-8", "replace"),
            parameters=int(library.llama_model_n_params(self.model)),
            weights_bytes=int(library.llama_model_size(self.model)),
            n_ctx=int(library.llama_n_ctx(self.handle)),
            n_ctx_train=int(library.llama_model_n_ctx_train(self.model)),
            n_batch=int(library.llama_n_batch(self.handle)),
            n_ubatch=int(library.llama_n_ubatch(self.handle)),
            flash_attention={"enabled": True, "disabled": False, "not supported": False}.get(flash_word),
            layers_offloaded=int(offloaded[1]) if offloaded else 0,
            layers=int(library.llama_model_n_layer(self.model)),
            type_k=self._type_k,
            type_v=self._type_v,
            kv_bytes=round(sum(map(float, kv_mib)) * 2**20),
            recurrent=bool(library.llama_model_is_recurrent(self.model) or library.llama_model_is_hybrid(self.model)),
        )

    def _prepare_batch(self) -> None:
        """One batch for the context's whole life; what never changes in it is written here."""
        size = self.facts.n_batch
        self._batch = self.library.llama_batch_init(size, 0, 1)
        self._batch_tokens = np.ctypeslib.as_array(self._batch.token, (size,))
        self._batch_positions = np.ctypeslib.as_array(self._batch.pos, (size,))
        self._batch_outputs = np.ctypeslib.as_array(self._batch.logits, (size,))
        np.ctypeslib.as_array(self._batch.n_seq_id, (size,))[:] = 1
        for index in range(size):
            self._batch.seq_id[index][0] = 0
        logits_of = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)
        self._logits_address_of = logits_of(("llama_get_logits_ith", self.library._lib))
        self._n_vocab = int(self.library.llama_vocab_n_tokens(self.library.llama_model_get_vocab(self.model)))
        self._logits_address = 0
        self._logits: npt.NDArray[np.float32] = np.empty(0, dtype=np.float32)

    # --- the sequence --------------------------------------------------------------------------------

    @property
    def tokens(self) -> TokenIds:
        """What is in the memory, in order; below 0 for pictures. A view: valid until the next evaluation."""
        return self._live.ids

    def keep(self, count: int) -> int:
        """Forget everything after the first `count` tokens; returns how many are left.

        Fewer than asked where a picture would be cut in two, and 0 where the engine cannot cut its state back
        (recurrent models, sliding windows).
        """
        if count >= len(self._live):
            return len(self._live)
        count = self._live.place_to_cut(count)
        position = self._live.position_at(count)
        if count > 0 and self._n_swa > 0:
            oldest = self.library.llama_memory_seq_pos_min(self._memory, 0)
            if oldest > max(0, position - self._n_swa):  # the window before the cut is gone
                count = 0
        if count > 0 and not self.library.llama_memory_seq_rm(self._memory, 0, position, -1):
            count = 0
        if count <= 0:
            self.library.llama_memory_clear(self._memory, False)
            count = 0
        self._live.cut(count)
        return count

    def evaluate(self, tokens: TokenIds, *, output: bool) -> None:
        """Append up to n_batch tokens to the sequence; with `output`, `logits` are those after the last one.

        Raises Aborted when the flag was raised, EngineFailed otherwise; the sequence is then what it was
        before, or empty where the engine cannot go back.
        """
        self._apply_threads()
        count, position = len(tokens), self._live.next_position
        self._check_room(count)
        self._batch.n_tokens = count
        self._batch_tokens[:count] = tokens
        self._batch_positions[:count] = np.arange(position, position + count, dtype=np.int32)
        self._batch_outputs[:count] = 0
        self._batch_outputs[count - 1] = output
        self._decode(self._batch, position)
        self._live.append(tokens)

    def evaluate_one(self, token: int) -> None:
        """`evaluate` for one token with output, without anything that a loop over tokens does not need."""
        if self._wanted_threads is not None:
            self._apply_threads()
        position = self._live.next_position
        self._batch.n_tokens = 1
        self._batch_tokens[0] = token
        self._batch_positions[0] = position
        self._batch_outputs[0] = 1
        self._decode(self._batch, position)
        self._live.append_one(token)

    def evaluate_picture(
        self, ids: TokenIds, embeddings: Embeddings, shape: ChunkShape, *, whole: bool
    ) -> Generator[int]:
        """Append one chunk of a picture; yields how many of its tokens are done after each batch.

        `whole`: its tokens see each other, so there is one batch, without a causal mask. Leaving the iterator before
        its end takes all of the chunk back. Raises as `evaluate`.
        """
        step = shape.tokens if whole else self.facts.n_batch
        if whole and shape.tokens > self.facts.n_ubatch:  # llama.cpp would end the process
            raise EngineFailed(
                f"a picture of {shape.tokens:,} tokens; this model reads at most {self.facts.n_ubatch:,} in one go",
                hint="lower chat.picture_tokens in the settings",
            )
        first = self._live.next_position
        grid = _ordinary_grid(shape.tokens, first) if shape.grid is None else shape.grid + _SHIFTED * np.int32(first)
        self._apply_threads()
        evaluated = False
        try:
            if whole:
                self.library.llama_set_causal_attn(self.handle, False)
            for start in range(0, shape.tokens, step):
                end = min(start + step, shape.tokens)
                self._check_room(end)
                self._decode_embeddings(embeddings[start:end], grid[:, start:end], first)
                if end < shape.tokens:
                    yield end
            evaluated = True
        finally:
            if whole:
                self.library.llama_set_causal_attn(self.handle, True)
            if not evaluated:
                self._take_back(first)
        self._live.append_picture(ids, shape.positions)
        yield shape.tokens

    def _decode_embeddings(self, embeddings: Embeddings, grid: TokenIds, chunk_position: int) -> None:
        count = len(embeddings)
        numbers, places = np.ascontiguousarray(embeddings, dtype=np.float32), np.ascontiguousarray(grid)
        self._batch_outputs[:count] = 0
        batch = self.library.llama_batch(
            n_tokens=count,
            embd=numbers.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
            pos=places.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            n_seq_id=self._batch.n_seq_id,
            seq_id=self._batch.seq_id,
            logits=self._batch.logits,
        )
        self._decode(batch, chunk_position)

    def _check_room(self, count: int) -> None:
        if count < 1 or len(self._live) + count > self.facts.n_ctx:
            raise ValueError(f"{count} tokens behind {len(self._live)}: the context holds {self.facts.n_ctx}")

    def _decode(self, batch: Any, position: int) -> None:
        """`position` is where everything goes back to when the engine stops or fails."""
        if batch.n_tokens > self.facts.n_batch:
            raise ValueError(f"{batch.n_tokens} tokens: a batch holds {self.facts.n_batch}")
        status, interrupt = compute(self.library.llama_decode, self.handle, batch)
        if status == 0 and interrupt is None:
            return
        self._take_back(position)
        if interrupt is not None:
            raise interrupt
        if status == _ABORTED:
            raise Aborted
        if status == _NO_SLOT:
            raise EngineFailed("the context is full", hint="start a new conversation, or raise chat.context_tokens")
        raise EngineFailed(
            f"llama.cpp failed to evaluate the prompt (code {status}): {last_words(LLAMA_LOG.recent_lines())}",
            hint="try again; if it stays so, choose another device or model",
        )

    def _take_back(self, position: int) -> None:
        """Earlier passes of a batch that failed may have stayed: everything from `position` on goes.

        The engine holds more than `tokens` says, so `keep` would see nothing to do.
        """
        if not self.library.llama_memory_seq_rm(self._memory, 0, position, -1):
            self.library.llama_memory_clear(self._memory, False)
            self._live.cut(0)

    @property
    def logits(self) -> npt.NDArray[np.float32]:
        """Of the last evaluation with output: float32, one a token of the vocabulary. The engine's own memory:
        writable, and valid until the next evaluation."""
        address = self._logits_address_of(self.handle, -1)
        if not address:
            raise EngineFailed("llama.cpp gave no logits", hint="try again")
        if address != self._logits_address:
            self._logits_address = address
            pointer = ctypes.cast(address, ctypes.POINTER(ctypes.c_float))
            self._logits = np.ctypeslib.as_array(pointer, (self._n_vocab,))
        return self._logits

    # --- threads -------------------------------------------------------------------------------------

    @property
    def threads(self) -> tuple[int, int]:
        """For one token at a time, and for batches, as the engine says."""
        library = self.library
        return int(library.llama_n_threads(self.handle)), int(library.llama_n_threads_batch(self.handle))

    def set_threads(self, n_threads: int, n_threads_batch: int) -> None:
        """May be called from any thread: takes effect before the next evaluation."""
        self._wanted_threads = (max(1, n_threads), max(1, n_threads_batch))

    def _apply_threads(self) -> None:
        wanted, self._wanted_threads = self._wanted_threads, None
        if wanted is not None:
            self.library.llama_set_n_threads(self.handle, *wanted)

    # --- saved states --------------------------------------------------------------------------------

    @property
    def state_fingerprint(self) -> str:
        """Everything that a saved state depends on, for `prompt_state`."""
        from llama_cpp import __version__

        return "|".join(
            str(each)
            for each in (
                __version__,
                sys.byteorder,
                self.header.path.name,
                self.header.file_bytes,
                self.facts.description,
                self.facts.parameters,
                self._type_k,
                self._type_v,
                self.facts.flash_attention,
                self.facts.layers_offloaded,
            )
        )

    def state(self) -> memoryview:
        """The bytes of the sequence, for `restore`. Raises EngineFailed."""
        size = int(self.library.llama_state_seq_get_size(self.handle, 0))
        buffer = (ctypes.c_uint8 * size)()
        written = int(self.library.llama_state_seq_get_data(self.handle, buffer, size, 0))
        if written != size:
            raise EngineFailed("llama.cpp could not give its state", hint="nothing is lost; it will read again")
        return memoryview(buffer).cast("B")

    def restore(self, tokens: TokenIds, state: bytes, wanted: TokenSequence, count: int) -> bool:
        """Put a saved sequence back, as far as it is the first `count` tokens of the `wanted` one.

        That one knows the positions, which saved ids do not tell where there are pictures. False when the engine
        refuses the state; the sequence is then empty.
        """
        self._live.cut(0)
        self.library.llama_memory_clear(self._memory, False)
        if len(tokens) > self.facts.n_ctx:
            return False
        source = ctypes.cast(ctypes.c_char_p(state), ctypes.POINTER(ctypes.c_uint8))
        if not self.library.llama_state_seq_set_data(self.handle, source, len(state), 0):
            self.library.llama_memory_clear(self._memory, False)
            return False
        count = wanted.place_to_cut(count)
        last = self.library.llama_memory_seq_pos_max(self._memory, 0)
        as_long_as_told = last == len(tokens) - 1 if (tokens >= 0).all() else last >= wanted.position_at(count - 1)
        if not as_long_as_told:
            self.library.llama_memory_clear(self._memory, False)
            return False
        if count < len(tokens) and not self.library.llama_memory_seq_rm(self._memory, 0, wanted.position_at(count), -1):
            self.library.llama_memory_clear(self._memory, False)
            return False
        self._live.begin_as(wanted, count)
        return True

    def close(self) -> None:
        """Free the context and the model. Safe to call twice."""
        if self._batch is not None:
            self.library.llama_batch_free(self._batch)
            self._batch = None
        if self.handle:
            self.library.llama_free(self.handle)
            self.handle = 0
        if self.model:
            self.library.llama_model_free(self.model)
            self.model = 0
        self._live = TokenSequence(0)


def _ordinary_grid(tokens: int, first: int) -> TokenIds:
    """Positions one behind the other, shape (1, tokens)."""
    return np.arange(first, first + tokens, dtype=np.int32)[np.newaxis]


__all__ = ["Aborted", "ChatLlamaOptions", "FlashAttention", "KvType", "LlamaContext", "LlamaFacts"]
