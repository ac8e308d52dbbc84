"""How fast homebody chats, beside what the engine can do: prefill, decode, follow-up turns, stopping.

Anchors, measured in the same run, turn and turn about: a bare loop over llama.cpp's C API with the same weights and
threads, and the binding's `Llama()` with its default threads. A human table; the last line is one JSON object.

    python scripts/bench_chat.py MODEL.gguf [--through engine|answer] [--rounds 5]

`--through answer` asks the whole pipeline (`pipelines.factory.open_home`), `engine` the chat engine alone.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from anywhere, not installed

from models.chat import ChatMessage, GenerationOptions, PromptProgress, TextDelta, Usage
from models.chat_llama import ChatLlama
from models.engine_thread import compute
from models.llama_context import ChatLlamaOptions
from models.llama_vocab import TokenIds
from models.native_log import llama_library

BUSY_LOAD_PER_CORE = 0.3
CHRONICLE = (
    "The harbour town had kept its records since the first lighthouse was built: ships, cargoes, weather, births "
    "and quarrels, written in a dozen hands. Every spring the keeper copied what the damp had spoiled, and every "
    "autumn the council asked for a summary that nobody read. "
)
TASK = "\nContinue this chronicle in great detail, at length, year by year, starting in 1801."


@dataclass(frozen=True, slots=True)
class Rates:
    """One run of one contestant."""

    prompt_tokens: int
    prefill_tokens_per_s: float
    decode_tokens_per_s: float


class Contestant(Protocol):
    name: str

    def run(self) -> Rates: ...


class Engine:
    """homebody's chat engine, as the answer pipeline uses it."""

    name = "homebody"

    def __init__(self, chat: ChatLlama, messages: Sequence[ChatMessage], options: GenerationOptions) -> None:
        self._chat, self._messages, self._options = chat, messages, options

    def run(self) -> Rates:
        self._chat._context.keep(0)  # nothing cached: the whole prompt is read
        started_s = time.perf_counter()
        first_s = last_s = started_s
        usage: Usage | None = None
        for event in self._chat.stream(self._messages, self._options, threading.Event()):
            last_s = time.perf_counter()
            if isinstance(event, PromptProgress):
                first_s = last_s
            elif isinstance(event, Usage):
                usage = event
        assert usage is not None
        evaluated = usage.decode_tokens - 1  # the first token needs no evaluation of its own
        return Rates(usage.prompt_tokens, usage.prompt_tokens / (first_s - started_s), evaluated / (last_s - first_s))


class RawLoop:
    """The least that can be done: llama_decode, greedy sampler, token_to_piece; the same model in its own context."""

    name = "raw C API loop"

    def __init__(self, chat: ChatLlama, prompt: TokenIds, decode_tokens: int, n_batch: int) -> None:
        self._library: Any = llama_library()
        self._prompt, self._decode_tokens, self._n_batch = prompt, decode_tokens, n_batch
        params = self._library.llama_context_default_params()
        params.n_ctx = chat.context_tokens
        params.n_batch = params.n_ubatch = n_batch
        params.n_threads, params.n_threads_batch = chat.threads
        self._context = self._library.llama_init_from_model(chat._context.model, params)
        self._vocab = self._library.llama_model_get_vocab(chat._context.model)
        self._memory = self._library.llama_get_memory(self._context)

    def run(self) -> Rates:
        return compute(self._run)[0]  # where the engine computes too: OpenMP has one team of threads for all

    def _run(self) -> Rates:
        library, context = self._library, self._context
        library.llama_memory_clear(self._memory, True)
        sampler = library.llama_sampler_init_greedy()
        tokens = (ctypes.c_int32 * len(self._prompt))(*self._prompt.tolist())
        one, piece = (ctypes.c_int32 * 1)(), ctypes.create_string_buffer(256)
        started_s = time.perf_counter()
        for start in range(0, len(tokens), self._n_batch):
            count = min(self._n_batch, len(tokens) - start)
            first = ctypes.cast(ctypes.byref(tokens, start * 4), ctypes.POINTER(ctypes.c_int32))
            _check(library.llama_decode(context, library.llama_batch_get_one(first, count)))
        first_s = time.perf_counter()
        for _ in range(self._decode_tokens):
            one[0] = library.llama_sampler_sample(sampler, context, -1)
            library.llama_token_to_piece(self._vocab, one[0], piece, len(piece), 0, False)
            _check(library.llama_decode(context, library.llama_batch_get_one(one, 1)))
        last_s = time.perf_counter()
        library.llama_sampler_free(sampler)
        return Rates(len(tokens), len(tokens) / (first_s - started_s), self._decode_tokens / (last_s - first_s))

    def close(self) -> None:
        self._library.llama_free(self._context)


class BindingDefaults:
    """The binding's high-level class with its own choice of threads, streaming, temperature 0."""

    name = "Llama() defaults"

    def __init__(self, path: Path, messages: Sequence[ChatMessage], decode_tokens: int, n_ctx: int) -> None:
        from llama_cpp import Llama

        # verbose=True: with False it redirects the process's own standard output while it loads.
        self._llama: Any = Llama(str(path), n_ctx=n_ctx, verbose=True)
        self._messages = [{"role": each.role, "content": _text(each)} for each in messages]
        self._decode_tokens = decode_tokens

    def run(self) -> Rates:
        return compute(self._run)[0]

    def _run(self) -> Rates:
        self._llama.reset()
        times_s = [time.perf_counter()]
        stream = self._llama.create_chat_completion(
            self._messages, max_tokens=self._decode_tokens, temperature=0.0, repeat_penalty=1.0, stream=True
        )
        for chunk in stream:
            if chunk["choices"][0]["delta"].get("content"):
                times_s.append(time.perf_counter())
        prompt_tokens = int(self._llama.n_tokens) - (len(times_s) - 2)
        return Rates(
            prompt_tokens, prompt_tokens / (times_s[1] - times_s[0]), (len(times_s) - 2) / (times_s[-1] - times_s[1])
        )

    def close(self) -> None:
        self._llama.close()


class WholeAnswer:
    """The answer pipeline, through the front door, on a question with an attachment; nothing is saved."""

    name = "homebody (answer)"

    def __init__(
        self, path: Path, home_dir: Path, *, threads: int, context_tokens: int, prompt: str, decode_tokens: int
    ) -> None:
        from pipelines.factory import open_home
        from pipelines.paths import HomePaths
        from pipelines.settings import AnswerSettings, ChatSettings, Settings

        settings = Settings(
            chat=ChatSettings(model=str(path.absolute()), context_tokens=context_tokens, threads=threads),
            answer=AnswerSettings(first_word_s=600),  # the prompt is the bench's, not cut to the user's patience
        )
        self._home = open_home(HomePaths(home_dir), settings)
        self._prompt, self._decode_tokens = prompt, decode_tokens
        self._round = 0

    def run(self) -> Rates:
        from pipelines.events import AnswerDone
        from pipelines.turn import Attachment, Turn

        self._round += 1
        turn = Turn(
            question=TASK.strip(),
            attachments=(Attachment(f"chronicle {self._round}", f"{self._round}. {self._prompt}"),),
            use_library=False,
            max_tokens=self._decode_tokens,
            save=False,
        )
        times_s: list[float] = []
        for event in self._home.answer(turn, threading.Event()):
            if isinstance(event, TextDelta):
                times_s.append(time.perf_counter())
            elif isinstance(event, AnswerDone):
                timings = event.answer.timings
                read = timings.prompt_tokens - timings.cached_tokens
                # From first to last word as the caller saw them: what the pipeline adds is in it.
                return Rates(
                    timings.prompt_tokens,
                    read / timings.prefill_s,
                    (timings.decode_tokens - 1) / (times_s[-1] - times_s[0]),
                )
        raise RuntimeError("the answer did not end")

    def close(self) -> None:
        self._home.close()


@dataclass(frozen=True, slots=True)
class FollowUp:
    prompt_tokens: int
    evaluated_tokens: int
    new_tokens: int
    """What the prompt has beyond what was evaluated for the first turn."""
    ttft_s: float


def measure_follow_up(chat: ChatLlama, messages: Sequence[ChatMessage], options: GenerationOptions) -> FollowUp:
    chat._context.keep(0)
    text = "".join(
        event.text for event in chat.stream(messages, options, threading.Event()) if isinstance(event, TextDelta)
    )
    live_tokens = len(chat._context.tokens)
    again = [*messages, ChatMessage.of_text("assistant", text), ChatMessage.of_text("user", "And after that?")]
    started_s = time.perf_counter()
    ttft_s = 0.0
    for event in chat.stream(again, options, threading.Event()):
        if isinstance(event, TextDelta) and not ttft_s:
            ttft_s = time.perf_counter() - started_s
        if isinstance(event, Usage):
            new_tokens = event.prompt_tokens - live_tokens
            return FollowUp(event.prompt_tokens, event.prompt_tokens - event.cached_tokens, new_tokens, ttft_s)
    raise RuntimeError("the stream did not end")


def measure_stop(chat: ChatLlama, messages: Sequence[ChatMessage], *, after_words: int) -> float:
    """Seconds from the stop to the end of the stream: in the middle of the prompt (0), or of the answer."""
    chat._context.keep(0)
    stop = threading.Event()
    set_at_s: list[float] = []

    def set_stop() -> None:
        set_at_s.append(time.perf_counter())
        stop.set()

    words = 0
    if not after_words:
        threading.Timer(0.3, set_stop).start()
    for event in chat.stream(messages, GenerationOptions(max_tokens=400), stop):
        if isinstance(event, TextDelta):
            words += 1
            if words == after_words:
                threading.Timer(0.01, set_stop).start()  # while the next token is being evaluated
    ended_s = time.perf_counter()
    return ended_s - set_at_s[0] if set_at_s else 0.0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--through", choices=["engine", "answer"], default="engine")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt-tokens", type=int, default=400, help="about; of the text in the prompt")
    parser.add_argument("--decode-tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=_usable_cores())
    parser.add_argument("--n-batch", type=int, default=ChatLlamaOptions().n_batch)
    parser.add_argument("--no-defaults", action="store_true", help="leave out Llama() with its default threads")
    wanted = parser.parse_args(arguments)

    load_per_core = os.getloadavg()[0] / _usable_cores() if hasattr(os, "getloadavg") else 0.0
    busy = load_per_core > BUSY_LOAD_PER_CORE
    if busy:
        print(f"this machine is busy (load {load_per_core:.2f} a core): only the ratios mean anything", file=sys.stderr)

    n_ctx = 2 * wanted.prompt_tokens + 4 * wanted.decode_tokens + 512
    words = CHRONICLE.split()
    text = " ".join(words[at % len(words)] for at in range(int(wanted.prompt_tokens / 1.15)))
    messages = [ChatMessage.of_text("user", text + TASK)]
    options = GenerationOptions(max_tokens=wanted.decode_tokens, repeat_penalty=1.05)
    chat = ChatLlama(
        wanted.model,
        ChatLlamaOptions(
            n_ctx=n_ctx,
            n_threads=wanted.threads,
            n_threads_batch=wanted.threads,
            n_batch=wanted.n_batch,
            n_ubatch=wanted.n_batch,
        ),
    )
    with contextlib.ExitStack() as resources:
        resources.callback(chat.close)
        ours: Contestant
        if wanted.through == "answer":
            home_dir = Path(resources.enter_context(tempfile.TemporaryDirectory()))
            ours = whole = WholeAnswer(
                wanted.model,
                home_dir,
                threads=wanted.threads,
                context_tokens=n_ctx,
                prompt=text,
                decode_tokens=wanted.decode_tokens,
            )
            resources.callback(whole.close)
            prompt = chat._prompt_tokens.of(messages)
            size = ours.run().prompt_tokens  # warms it up, and says how long the raw loop's prompt must be
            prompt = np.resize(prompt, size)
        else:
            ours = Engine(chat, messages, options)
            prompt = chat._prompt_tokens.of(messages)
        raw = RawLoop(chat, prompt, wanted.decode_tokens, 512)
        resources.callback(raw.close)
        contestants: list[Contestant] = [ours, raw]
        if not wanted.no_defaults:
            defaults = BindingDefaults(wanted.model, messages, wanted.decode_tokens, n_ctx)
            resources.callback(defaults.close)
            contestants.append(defaults)
        rates = _interleave(contestants, wanted.rounds)
        follow_up = measure_follow_up(chat, messages, options)
        stop_reading_s = measure_stop(chat, messages, after_words=0)
        stop_writing_s = measure_stop(chat, messages, after_words=4)

    report = _report(ours.name, rates) | {
        "bench": "chat",
        "through": wanted.through,
        "model": wanted.model.name,
        "threads": wanted.threads,
        "rounds": wanted.rounds,
        "prompt_tokens": len(prompt),
        "decode_tokens": wanted.decode_tokens,
        "follow_up": {
            "prompt_tokens": follow_up.prompt_tokens,
            "evaluated_tokens": follow_up.evaluated_tokens,
            "new_tokens": follow_up.new_tokens,
            "ttft_s": round(follow_up.ttft_s, 3),
        },
        "stop_s": {"while_reading": round(stop_reading_s, 3), "while_writing": round(stop_writing_s, 3)},
        "load_per_core": round(load_per_core, 2),
        "busy": busy,
    }
    print(f"\nfollow-up turn: {follow_up.evaluated_tokens} tokens evaluated, {follow_up.new_tokens} are new")
    print(f"stop: {stop_reading_s * 1000:.0f} ms while reading, {stop_writing_s * 1000:.0f} ms while writing")
    print(json.dumps(report))
    return 0


def _interleave(contestants: Sequence[Contestant], rounds: int) -> dict[str, list[Rates]]:
    """A warm-up of each, then A B C, C B A, A B C ...: what changes on the machine meets all of them alike."""
    rates: dict[str, list[Rates]] = {each.name: [] for each in contestants}
    for each in contestants:
        each.run()
    for number in range(rounds):
        for each in _turn_about(contestants, number):
            rates[each.name].append(each.run())
    return rates


def _turn_about(contestants: Sequence[Contestant], number: int) -> Iterator[Contestant]:
    return iter(contestants) if number % 2 == 0 else reversed(contestants)


def _report(ours: str, rates: dict[str, list[Rates]]) -> dict[str, Any]:
    """Print the table; medians, and the median over rounds of our rate to each anchor's in the same round."""
    report: dict[str, Any] = {"contestants": {}, "ratio": {}}
    print(f"\n{'':22}{'prefill t/s':>12}{'decode t/s':>12}{'prefill x':>11}{'decode x':>10}")
    for name, runs in rates.items():
        prefill = statistics.median(run.prefill_tokens_per_s for run in runs)
        decode = statistics.median(run.decode_tokens_per_s for run in runs)
        pairs = list(zip(rates[ours], runs, strict=True))
        prefill_ratio = statistics.median(a.prefill_tokens_per_s / b.prefill_tokens_per_s for a, b in pairs)
        decode_ratio = statistics.median(a.decode_tokens_per_s / b.decode_tokens_per_s for a, b in pairs)
        print(f"{name:22}{prefill:12.1f}{decode:12.2f}{prefill_ratio:11.3f}{decode_ratio:10.3f}")
        report["contestants"][name] = {
            "prefill_tokens_per_s": round(prefill, 2),
            "decode_tokens_per_s": round(decode, 2),
        }
        if name != ours:
            report["ratio"][name] = {"prefill": round(prefill_ratio, 3), "decode": round(decode_ratio, 3)}
    return report


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _text(message: ChatMessage) -> str:
    return "".join(getattr(part, "text", "") for part in message.parts)


def _check(status: int) -> None:
    if status:
        raise RuntimeError(f"llama_decode returned {status}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
