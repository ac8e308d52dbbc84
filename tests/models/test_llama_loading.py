"""Loading GGUF models: what runs is read back, and what cannot be loaded is one clear error."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.chat import ChatMessage, GenerationOptions, Usage
from models.chat_llama import ChatLlama
from models.errors import DeviceUnavailable, WeightsDamaged, WeightsMissing
from models.llama_context import ChatLlamaOptions
from models.llama_devices import list_devices, supports_gpu_offload, system_info
from scripts.make_tiny_models import Shape, write_tiny_gguf

OPTIONS = ChatLlamaOptions(n_ctx=1024, n_batch=32, n_ubatch=32)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("weights") / "tiny.gguf")


@pytest.fixture
def chat(weights: Path) -> Iterator[ChatLlama]:
    chat = ChatLlama(weights, OPTIONS, model_id="tiny")
    yield chat
    chat.close()


def one_token(chat: ChatLlama) -> Usage:
    messages = [ChatMessage.of_text("user", "hi")]
    *_, usage = chat.stream(messages, GenerationOptions(max_tokens=1), threading.Event())
    assert isinstance(usage, Usage)
    return usage


def test_what_runs_is_read_back(chat: ChatLlama) -> None:
    facts = chat.facts
    assert (facts.n_ctx, facts.n_batch, facts.n_ubatch) == (1024, 32, 32)
    assert (facts.layers, facts.layers_offloaded) == (2, 0)
    assert facts.weights_bytes > 300_000
    assert facts.kv_bytes == 1024 * 2 * 2 * 32 * 2  # tokens x (k, v) x layers x kv width x f16
    assert facts.flash_attention is not None
    assert chat.threads == (1, 1)
    assert (chat.model_id, chat.accepts, chat.context_tokens) == ("tiny", frozenset({"text"}), 1024)


def test_the_context_is_cut_to_what_the_model_was_trained_for(weights: Path) -> None:
    chat = ChatLlama(weights, ChatLlamaOptions(n_ctx=1_000_000))
    assert chat.context_tokens == 2048
    chat.close()


def test_threads_change_at_run_time(chat: ChatLlama) -> None:
    chat.set_threads(2, 2)
    one_token(chat)
    assert chat.threads == (2, 2)


def test_progress_is_told(weights: Path) -> None:
    shares: list[float] = []
    ChatLlama(weights, OPTIONS, on_progress=shares.append).close()
    assert shares
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


def test_an_error_in_the_progress_callback_ends_loading(weights: Path) -> None:
    class Stop(Exception):
        pass

    def refuse(_share: float) -> None:
        raise Stop

    with pytest.raises(Stop):
        ChatLlama(weights, OPTIONS, on_progress=refuse)


def test_missing_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing) as missing:
        ChatLlama(tmp_path / "none.gguf", OPTIONS)
    assert missing.value.hint


def test_weights_of_an_unknown_architecture(weights: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd.gguf"
    odd.write_bytes(weights.read_bytes().replace(b"llama", b"lxxma"))
    with pytest.raises(WeightsDamaged, match=r"odd\.gguf") as damaged:
        ChatLlama(odd, OPTIONS)
    assert damaged.value.hint


def test_weights_without_one_of_their_tensors(weights: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd.gguf"
    odd.write_bytes(weights.read_bytes().replace(b"blk.1.attn_q.weight", b"blk.1.attn_x.weight"))
    with pytest.raises(WeightsDamaged, match=r"odd\.gguf"):
        ChatLlama(odd, OPTIONS)


def test_a_device_that_is_not_here(weights: Path) -> None:
    with pytest.raises(DeviceUnavailable, match="'Quantum0'") as unavailable:
        ChatLlama(weights, ChatLlamaOptions(device_names=("Quantum0",)))
    assert "doctor" in unavailable.value.hint


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space to what is in use")
def test_a_context_that_fits_no_memory(tmp_path: Path, run_python: Callable[[str], str]) -> None:
    endless = write_tiny_gguf(tmp_path / "endless.gguf", shape=Shape(context_tokens=2**22))
    said = run_python(f"""
import pathlib, resource
from models.chat_llama import ChatLlama, ChatLlamaOptions
from models.errors import NotEnoughMemory
path = pathlib.Path({str(endless)!r})
ChatLlama(path, ChatLlamaOptions(n_ctx=256)).close()
used = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, used + 2**29))
try:
    ChatLlama(path, ChatLlamaOptions(n_ctx=2**22))  # 1 GB of KV
except NotEnoughMemory as error:
    print(error, "|", error.hint)
""")
    assert said.startswith("no memory for a context of 4,194,304 tokens with endless.gguf")
    assert "chat.context_tokens" in said


def test_a_quantised_context_falls_back_where_heads_are_too_narrow(weights: Path, tmp_path: Path) -> None:
    quantised = ChatLlamaOptions(n_ctx=256, type_k="q8_0", type_v="q8_0")
    wide = ChatLlama(weights, quantised)
    narrow = ChatLlama(write_tiny_gguf(tmp_path / "narrow.gguf", shape=Shape(heads=4)), quantised)
    assert (wide.facts.type_k, narrow.facts.type_k) == ("q8_0", "f16")
    assert one_token(narrow).decode_tokens == 1
    wide.close()
    narrow.close()


def test_the_engines_own_devices_are_listed() -> None:
    devices = list_devices()
    assert any(device.device_type == "cpu" and device.memory_total_bytes > 0 for device in devices)
    assert supports_gpu_offload() == any(device.device_type in {"gpu", "igpu"} for device in devices)
    assert "CPU" in system_info()
