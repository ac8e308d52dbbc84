"""Chat with a GGUF model through llama.cpp's low-level API: the adapter behind `models.chat.ChatModel`.

Nothing is done twice: a prompt that begins as the last one did is evaluated from where they part, pictures included, a
picture is encoded once, each token is turned into text once, and a stop ends the engine within one node of its graph.
Knows nothing of documents, conversations or devices' merits: it is given messages and options.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.chat import (
    ChatEvent,
    ChatMessage,
    Finish,
    GenerationOptions,
    ImagePart,
    PromptProgress,
    TextDelta,
    Usage,
)
from models.chat_template import CHATML, ChatTemplate
from models.errors import EngineFailed, PromptTooLong
from models.gguf_header import read_gguf_header
from models.llama_context import LlamaContext
from models.llama_options import Aborted, ChatLlamaOptions, LlamaFacts
from models.llama_sampling import Sampler
from models.llama_vocab import LlamaVocab
from models.mmproj_header import MmprojHeader, read_mmproj_header
from models.picture_chunks import Embeddings, PictureSpan, Prompt
from models.prompt_state import PromptStates, common_prefix_tokens
from models.prompt_tokens import PromptTokens
from models.token_text import TokenText
from models.vision_llama import LlamaVision, VisionOptions

LOGGER = logging.getLogger(__name__)

_WORTH_RESTORING_TOKENS = 64
"""A saved state is read from disk when it spares at least so many tokens more than what is in memory."""
_WORTH_SAVING_TOKENS = 256
"""A sequence that is about to be cut back by so many tokens is saved first, where there is a folder for it."""
_TOKENS_IN_ONE_GO = 512
"""Of a picture without a causal mask: Gemma 3 makes 256 of each."""


class ChatLlama:
    """One loaded model. Not re-entrant: `models.resident` holds the lock."""

    def __init__(
        self,
        path: Path,
        options: ChatLlamaOptions,
        *,
        model_id: str = "",
        mmproj: Path | None = None,
        before_vision: Callable[[], None] = lambda: None,
        states_dir: Path | None = None,
        states_max_bytes: int = 2 * 10**9,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        """Load the model: seconds, and the memory of the weights and of the context.

        `mmproj` is the file that makes pictures readable for this model: checked now, loaded with the first picture.
        `before_vision` is called before that, and may raise.
        `states_dir` opts into keeping evaluated prompts on disk (`prompt_state`): switching back to an older
        conversation, also after a restart, then costs milliseconds instead of reading it again.
        Raises WeightsMissing, WeightsDamaged, DeviceUnavailable, NotEnoughMemory.
        """
        self._model_id = model_id or path.stem
        seeing = read_mmproj_header(mmproj, read_gguf_header(path)) if mmproj is not None else None
        if seeing is not None and seeing.without_causal_mask:
            options = _with_room_for_pictures(options)
        self._context = LlamaContext(path, options, on_progress=on_progress)
        try:
            header = self._context.header
            source = header.chat_template or CHATML
            self._vocab = LlamaVocab(
                self._context.library,
                self._context.model,
                spm_space_prefix=header.scalars.get("tokenizer.ggml.add_space_prefix", True) is not False,
            )
            self._template = ChatTemplate(
                source,
                bos_text=self._vocab.token_text(self._vocab.bos_id),
                eos_text=self._vocab.token_text(self._vocab.eos_id),
                thinking=options.thinking,
            )
        except BaseException:
            self._context.close()
            raise
        self._template_stops = () if header.chat_template else ("<|im_end|>",)
        self._vision = self._open_vision(seeing, options, before_vision) if seeing is not None else None
        self._prompt_tokens = PromptTokens(self._vocab, self._template, self._vision)
        fingerprint = self._context.state_fingerprint + (f"|{self._vision.fingerprint}" if self._vision else "")
        self._states = (
            PromptStates(states_dir, fingerprint=fingerprint, max_bytes=states_max_bytes)
            if states_dir is not None
            else None
        )

    def _open_vision(
        self, seeing: MmprojHeader, options: ChatLlamaOptions, before_loading: Callable[[], None]
    ) -> LlamaVision:
        return LlamaVision(
            seeing,
            self._context.model,
            VisionOptions(
                threads=options.n_threads_batch,
                on_gpu=options.n_gpu_layers != 0,
                max_picture_tokens=options.max_picture_tokens,
                before_loading=before_loading,
            ),
            vocabulary_tokens=self._vocab.size,
        )

    @property
    def model_id(self) -> str:
        return self._model_id

    @property
    def accepts(self) -> frozenset[str]:
        return frozenset({"text", "image"} if self._vision is not None else {"text"})

    @property
    def pictures_encoded(self) -> int:
        """How often a picture was encoded since loading."""
        return self._vision.pictures_encoded if self._vision is not None else 0

    @property
    def context_tokens(self) -> int:
        return self._context.facts.n_ctx

    @property
    def facts(self) -> LlamaFacts:
        """What really runs, as read back from the engine."""
        return self._context.facts

    @property
    def threads(self) -> tuple[int, int]:
        """Threads for one token at a time, and for reading the prompt, as the engine says."""
        return self._context.threads

    def set_threads(self, n_threads: int, n_threads_batch: int) -> None:
        """May be called from any thread, also while an answer is written: takes effect with the next token."""
        self._context.set_threads(n_threads, n_threads_batch)

    def count_tokens(self, text: str) -> int:
        return self._prompt_tokens.count_content(text)

    def count_prompt_tokens(self, messages: Sequence[ChatMessage]) -> int:
        return len(self._prompt_tokens.prompt(messages))

    def count_image_tokens(self, image: ImagePart) -> int:
        return self._prompt_tokens.count_image(image)

    def stream(
        self, messages: Sequence[ChatMessage], options: GenerationOptions, stop: threading.Event
    ) -> Iterator[ChatEvent]:
        """Read the prompt, write the answer. See `models.chat.ChatModel.stream`.

        Closing the iterator at any point leaves the engine ready for the next question.
        """
        prompt = self._prompt_tokens.prompt(messages)
        room = self.context_tokens - len(prompt)
        if room < 1:
            raise PromptTooLong(
                f"the question with its passages has {len(prompt):,} tokens; the model holds {self.context_tokens:,}",
                hint="ask something shorter, start a new conversation, or raise chat.context_tokens in the settings",
            )
        return self._run(prompt, options, min(options.max_tokens, room), stop)

    def _run(
        self, prompt: Prompt, options: GenerationOptions, max_tokens: int, stop: threading.Event
    ) -> Iterator[ChatEvent]:
        context = self._context
        started_s = time.perf_counter()
        cached_tokens = 0
        encoded_before = (0, 0.0) if self._vision is None else (self._vision.pictures_encoded, self._vision.encode_s)
        finish: Finish = "stopped"
        answer: list[int] = []
        decode_started_s = None
        with context.abort_flag.following(stop):
            try:
                if stop.is_set():
                    raise Aborted
                cached_tokens = self._reuse(prompt)
                yield from self._read_prompt(prompt, cached_tokens, stop)
                decode_started_s = time.perf_counter()
                finish = yield from self._write_answer(options, max_tokens, stop, answer)
            except Aborted:
                finish = "stopped"
        ended_s = time.perf_counter()
        if decode_started_s is None:
            decode_started_s = ended_s
        yield Usage(
            prompt_tokens=len(prompt),
            cached_tokens=cached_tokens,
            prefill_s=decode_started_s - started_s,
            decode_tokens=len(answer),
            decode_s=ended_s - decode_started_s,
            finish=finish,
            encode_s=self._vision.encode_s - encoded_before[1] if self._vision is not None else 0.0,
            pictures_encoded=self.pictures_encoded - encoded_before[0],
        )

    def _reuse(self, prompt: Prompt) -> int:
        """Cut the live sequence back to what it shares with the prompt, or restore a saved one; its length.

        At least one token is left to evaluate, for there are no logits otherwise.
        """
        context = self._context
        shared = min(common_prefix_tokens(context.tokens, prompt.ids), len(prompt) - 1)
        if self._states is not None:
            if len(context.tokens) - shared >= _WORTH_SAVING_TOKENS:
                self.save_state()
            best = self._states.best(prompt.ids, whole=context.facts.recurrent)
            if best is not None and best[1] - shared >= _WORTH_RESTORING_TOKENS:
                saved = best[0]
                state = self._states.read(saved)
                wanted = min(best[1], len(prompt) - 1)
                if state is not None and context.restore(saved.tokens, state, prompt.sequence, wanted):
                    shared = wanted
                elif state is not None:
                    shared = 0  # refused: the live sequence is gone as well
        return context.keep(shared)

    def _read_prompt(self, prompt: Prompt, cached_tokens: int, stop: threading.Event) -> Iterator[ChatEvent]:
        total = len(prompt) - cached_tokens
        yield PromptProgress(done_tokens=0, total_tokens=total)
        at = cached_tokens
        spans = [span for span in prompt.pictures if span.start >= cached_tokens]
        for span in (*spans, None):
            text_end = len(prompt) if span is None else span.start
            for done in self._read_text(prompt, at, text_end, stop):
                yield PromptProgress(done_tokens=done - cached_tokens, total_tokens=total)
            if span is not None:
                embeddings = yield from self._encoded(span, stop)
                for done in self._read_picture(prompt, span, embeddings, stop):
                    yield PromptProgress(done_tokens=span.start + done - cached_tokens, total_tokens=total)
                at = span.start + span.shape.tokens

    def _read_text(self, prompt: Prompt, start: int, end: int, stop: threading.Event) -> Iterator[int]:
        batch_tokens = self._context.facts.n_batch
        for at in range(start, end, batch_tokens):
            if stop.is_set():
                raise Aborted
            batch = prompt.ids[at : min(at + batch_tokens, end)]
            self._context.evaluate(batch, output=at + len(batch) == len(prompt))
            yield at + len(batch)

    def _encoded(self, span: PictureSpan, stop: threading.Event) -> Generator[ChatEvent, None, Embeddings]:
        """The embeddings of a picture's chunk; the picture is encoded if that was not done yet."""
        assert self._vision is not None  # or there would be no picture in the prompt
        if stop.is_set():
            raise Aborted
        chunks = yield from self._vision.embeddings(span.image, stop)
        return chunks[span.chunk]

    def _read_picture(
        self, prompt: Prompt, span: PictureSpan, embeddings: Embeddings, stop: threading.Event
    ) -> Iterator[int]:
        vision = self._vision
        assert vision is not None  # or there would be no picture in the prompt
        ids = prompt.ids[span.start : span.start + span.shape.tokens]
        reading = self._context.evaluate_picture(ids, embeddings, span.shape, whole=vision.needs_whole_batches)
        with closing(reading):  # at once: half a picture must not stay
            for done in reading:
                yield done
                if stop.is_set():
                    raise Aborted

    def _write_answer(
        self, options: GenerationOptions, max_tokens: int, stop: threading.Event, answer: list[int]
    ) -> Generator[ChatEvent, None, Finish]:
        context, vocab = self._context, self._vocab
        text = TokenText((*options.stop, *self._template_stops))
        shown: list[str] = []
        finish: Finish = "length"
        try:
            with Sampler(context, options) as sampler:
                while len(answer) < max_tokens:
                    if stop.is_set():
                        raise Aborted
                    token = sampler.sample()
                    if vocab.is_end(token):
                        finish = "stop"
                        break
                    answer.append(token)
                    delta = text.feed(vocab.piece(token))
                    if delta:
                        shown.append(delta)
                        yield TextDelta(delta)
                    if text.stopped:
                        finish = "stop"
                        break
                    if len(answer) < max_tokens:
                        context.evaluate_one(token)
        except Aborted:
            finish = "stopped"
        rest = text.finish()
        if rest:
            shown.append(rest)
            yield TextDelta(rest)
        if not text.stopped:  # otherwise the last tokens say more than the text does
            self._prompt_tokens.remember_answer("".join(shown), np.array(answer, dtype=np.int32))
        return finish

    def save_state(self) -> bool:
        """Keep the live sequence on disk (in the background), where a folder for it was given. False when not kept."""
        if self._states is None or not len(self._context.tokens):
            return False
        try:
            return self._states.save(self._context.tokens, self._context.state())
        except EngineFailed as error:
            LOGGER.info("%s", error)
            return False

    def forget(self) -> None:
        """Let go of every prompt and answer so far, in memory and on disk: the user deleted a conversation."""
        self._context.keep(0)
        self._prompt_tokens.forget_answers()
        if self._vision is not None:
            self._vision.forget()
        if self._states is not None:
            self._states.clear()

    def close(self) -> None:
        """Save what was read, where there is a folder for it, and free the memory. Safe to call twice."""
        if len(self._context.tokens) >= _WORTH_RESTORING_TOKENS:
            self.save_state()
        if self._states is not None:
            self._states.flush()
        if self._vision is not None:
            self._vision.close()
        self._context.close()


def _with_room_for_pictures(options: ChatLlamaOptions) -> ChatLlamaOptions:
    """For models that read all tokens of a picture in one go."""
    most = max(options.max_picture_tokens, _TOKENS_IN_ONE_GO)
    return replace(options, n_batch=max(options.n_batch, most), n_ubatch=max(options.n_ubatch, most))
