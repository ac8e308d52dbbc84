from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.chat import ChatEvent, ChatMessage, GenerationOptions, TextDelta, TextPart, Usage
from models.errors import EngineFailed
from models.profile import (
    ChatRates,
    EmbedRates,
    ProfileStore,
    candidate_threads,
    measure_chat,
    measure_embed,
    measure_memory,
)
from tests.machines import container, intel_laptop, two_core_vm


class ScriptedChat:
    """Answers with the rates of a table: threads -> (prefill, decode) in tokens a second."""

    model_id = "scripted"

    def __init__(self, rates: dict[int, tuple[float, float]]) -> None:
        self._rates = rates
        self.threads = (0, 0)
        self.history: list[str] = []

    def set_threads(self, n_threads: int, n_threads_batch: int) -> None:
        self.threads = (n_threads, n_threads_batch)

    def stream(
        self, messages: Sequence[ChatMessage], options: GenerationOptions, stop: threading.Event
    ) -> Iterator[ChatEvent]:
        part = messages[0].parts[0]
        assert isinstance(part, TextPart)
        self.history.append(part.text)
        prefill, decode = self._rates[self.threads[0]]
        yield TextDelta("one")
        if stop.is_set():
            return
        yield Usage(
            prompt_tokens=150,
            cached_tokens=30,
            prefill_s=120 / prefill if prefill else 0.0,
            decode_tokens=options.max_tokens,
            decode_s=options.max_tokens / decode if decode else 0.0,
            finish="length",
        )


class TickingEmbedder:
    """Takes a second a passage on one thread, less on more, by its own clock."""

    def __init__(self, gain: float) -> None:
        self._gain = gain
        self._threads = 1
        self.now = 0.0

    def set_threads(self, threads: int) -> None:
        self._threads = threads

    @property
    def threads(self) -> int:
        return self._threads

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.now += len(texts) / (1 + self._gain * (self._threads - 1))
        return np.full((len(texts), 4), 0.5, np.float32)

    def clock(self) -> float:
        return self.now


def test_prefill_and_decode_are_judged_apart() -> None:
    chat = ScriptedChat({1: (40, 12), 2: (75, 22), 4: (90, 21)})
    rates = measure_chat(chat, (1, 2, 4), weights_bytes=10)

    assert rates == ChatRates(
        prefill_tokens_per_s=90, decode_tokens_per_s=22, threads=2, threads_batch=4, weights_bytes=10
    )
    assert chat.threads == (2, 4)


def test_no_two_measuring_prompts_share_a_beginning() -> None:
    chat = ScriptedChat({1: (40, 12), 2: (75, 22)})
    measure_chat(chat, (1, 2))
    measure_chat(chat, (1, 2))
    assert len({prompt.split(".")[0] for prompt in chat.history}) == 4


def test_a_thread_that_gains_nothing_is_left_to_others() -> None:
    assert measure_chat(ScriptedChat({1: (50, 20), 2: (51, 20.4)}), (1, 2)).threads == 1


def test_a_model_that_says_nothing_of_its_speed_is_refused() -> None:
    with pytest.raises(EngineFailed, match="scripted") as raised:
        measure_chat(ScriptedChat({1: (0, 0)}), (1,))
    assert raised.value.hint


def test_a_stopped_measurement_ends() -> None:
    stop = threading.Event()
    stop.set()
    chat = ScriptedChat({1: (40, 12), 2: (75, 22)})
    with pytest.raises(EngineFailed):
        measure_chat(chat, (1, 2), stop=stop)
    assert len(chat.history) == 1


@pytest.mark.parametrize(("gain", "best"), [(0.9, 2), (0.0, 1), (-0.3, 1)])
def test_the_embedder_gets_the_threads_that_pay(gain: float, best: int) -> None:
    embedder = TickingEmbedder(gain)
    rates = measure_embed(embedder, (1, 2), clock=embedder.clock)
    assert rates.threads == embedder.threads == best
    assert rates.tokens_per_s > 0


def test_memory_bandwidth_is_bytes_read_and_written() -> None:
    ticks = itertools.count()
    assert measure_memory(copies=1, copy_bytes=2**20, clock=lambda: float(next(ticks))) == 2 * 2**20
    assert measure_memory(copies=1, copy_bytes=2**22) > 10**7


@pytest.mark.parametrize(
    ("cpu", "expected"), [(two_core_vm().cpu, (2,)), (intel_laptop().cpu, (5, 6, 12)), (container().cpu, (3, 4))]
)
def test_candidates(cpu: object, expected: tuple[int, ...]) -> None:
    assert candidate_threads(cpu) == expected  # type: ignore[arg-type]  # parametrize loses the type


def test_what_was_measured_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "home" / "profile.json"
    store = ProfileStore(file, "here")
    assert store.needs_chat("qwen")
    assert store.current.prefill_tokens_per_s("qwen") is None
    store.record_chat("qwen", ChatRates(prefill_tokens_per_s=74, decode_tokens_per_s=22, threads=2, threads_batch=2))
    store.record_embed("minilm", EmbedRates(tokens_per_s=3000, threads=2))
    store.record_memory(1e10)

    again = ProfileStore(file, "here")

    assert again.current == store.current
    assert again.current.prefill_tokens_per_s("qwen") == 74
    assert again.current.decode_tokens_per_s("qwen") == 22
    assert not again.needs_chat("qwen")
    assert not again.needs_embed("minilm")
    assert [each.name for each in file.parent.iterdir()] == ["profile.json"]


def test_a_profile_of_another_machine_is_set_aside_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    ProfileStore(file, "there").record_memory(1e10)
    written = file.read_bytes()

    store = ProfileStore(file, "here")

    assert store.current.memory_bytes_per_s is None
    assert file.read_bytes() == written


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\x00", b'{"fingerprint": "here", "chat": {"x": {"threads": -1}}}', b"null"]
)
def test_a_damaged_profile_counts_as_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "profile.json"
    file.write_bytes(content)
    store = ProfileStore(file, "here")
    assert store.needs_embed("minilm")
    store.record_embed("minilm", EmbedRates(tokens_per_s=10, threads=1))
    assert not ProfileStore(file, "here").needs_embed("minilm")


def test_a_profile_that_is_a_folder_or_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "profile.json").mkdir()
    store = ProfileStore(tmp_path / "profile.json", "here")
    store.record_memory(5.0)
    assert store.current.memory_bytes_per_s == 5.0
    assert [each.name for each in tmp_path.iterdir()] == ["profile.json"]


def test_answers_refine_the_rates(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    store = ProfileStore(file, "here")
    store.record_chat("m", ChatRates(prefill_tokens_per_s=100, decode_tokens_per_s=20, threads=2, threads_batch=2))

    store.observe("m", prefill_tokens=500, prefill_s=10.0, decode_tokens=100, decode_s=10.0)

    assert store.current.prefill_tokens_per_s("m") == pytest.approx(85)
    assert store.current.decode_tokens_per_s("m") == pytest.approx(17)
    assert not store.needs_chat("m")
    assert ProfileStore(file, "here").current.prefill_tokens_per_s("m") == 100  # lazily
    store.save()
    assert ProfileStore(file, "here").current.prefill_tokens_per_s("m") == pytest.approx(85)


def test_a_part_that_is_too_short_changes_nothing(tmp_path: Path) -> None:
    store = ProfileStore(tmp_path / "profile.json", "here")
    store.observe("m", prefill_tokens=500, prefill_s=5.0, decode_tokens=2, decode_s=0.1)
    assert store.current.chat == {}
    store.observe("m", prefill_tokens=500, prefill_s=5.0, decode_tokens=50, decode_s=5.0)
    store.observe("m", prefill_tokens=4, prefill_s=0.01, decode_tokens=3, decode_s=0.0)
    assert store.current.prefill_tokens_per_s("m") == 100
    store.observe("m", prefill_tokens=4, prefill_s=0.01, decode_tokens=100, decode_s=5.0)
    assert store.current.prefill_tokens_per_s("m") == 100
    assert store.current.decode_tokens_per_s("m") == pytest.approx(13)
    assert store.needs_chat("m")  # learnt from answers, never measured over threads


def test_every_few_answers_are_saved(tmp_path: Path) -> None:
    store = ProfileStore(tmp_path / "profile.json", "here")
    for _ in range(8):
        store.observe("m", prefill_tokens=100, prefill_s=1.0, decode_tokens=20, decode_s=1.0)
    assert ProfileStore(tmp_path / "profile.json", "here").current.prefill_tokens_per_s("m") == pytest.approx(100)
