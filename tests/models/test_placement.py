from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from models.device_choice import DeviceWish
from models.hardware import Hardware
from models.onnx_devices import CPU_PROVIDER, OnnxPlugin
from models.onnx_session import OnnxPlacement, SessionReport
from models.placement import ModelNeeds, Task, correct, place, place_on_torch
from models.profile import ChatRates, DeviceProfile, EmbedRates
from tests.machines import (
    GB,
    apple_m,
    container,
    intel_laptop,
    inventory,
    nvidia_desktop,
    snapdragon_x,
    two_core_vm,
)

CHAT = ModelNeeds("qwen2.5-coder-1.5b", int(1.6 * GB))
BIG = ModelNeeds("qwen3.5-30b", 19 * GB)
EMBED = ModelNeeds("all-minilm-l6-v2-int8", 200 * 10**6)
MACHINES = [two_core_vm, intel_laptop, apple_m, nvidia_desktop, snapdragon_x, container]
MEASURED = DeviceProfile(
    fingerprint="any",
    chat={CHAT.model_id: ChatRates(prefill_tokens_per_s=74, decode_tokens_per_s=22, threads=1, threads_batch=2)},
    embed={EMBED.model_id: EmbedRates(tokens_per_s=3000, threads=1)},
)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("task", ["chat", "embed"])
@pytest.mark.parametrize("device", ["auto", "cpu", "gpu", "npu"])
def test_every_decision_is_whole(machine: Callable[[], Hardware], task: Task, device: DeviceWish) -> None:
    hardware = machine()
    decided = place(task, hardware, None, CHAT if task == "chat" else EMBED, device=device)

    assert decided.task == task
    assert decided.device
    assert decided.reason
    assert not decided.reason.endswith(".")
    assert 1 <= decided.threads <= hardware.cpu.usable_cores
    assert 1 <= decided.threads_beside_work <= decided.threads
    on_cpu = not decided.llama_devices and decided.onnx.provider == CPU_PROVIDER
    assert (decided.device == "CPU") == on_cpu
    if device == "cpu":
        assert on_cpu
        assert decided.reason.startswith("asked for")
    if device in ("gpu", "npu") and on_cpu:  # never silently
        assert decided.fallback is not None
        assert decided.fallback.asked == device
        assert decided.fallback.running == "CPU"
        assert decided.fallback.why
        assert decided.fallback.remedy
    if device in ("auto", "cpu") or not on_cpu:
        assert decided.fallback is None


@pytest.mark.parametrize(
    ("machine", "device", "runs_on"),
    [
        (two_core_vm, "auto", "CPU"),
        (two_core_vm, "gpu", "CPU"),
        (intel_laptop, "auto", "Intel(R) Arc(TM) Graphics (Vulkan)"),
        (intel_laptop, "npu", "CPU"),
        (apple_m, "auto", "Apple M2 (Metal)"),
        (nvidia_desktop, "auto", "NVIDIA GeForce RTX 4070 (CUDA)"),
        (nvidia_desktop, "gpu", "NVIDIA GeForce RTX 4070 (CUDA)"),
        (nvidia_desktop, "cpu", "CPU"),
        (snapdragon_x, "auto", "CPU"),
        (snapdragon_x, "npu", "CPU"),
        (container, "auto", "CPU"),
    ],
)
def test_where_chat_runs(machine: Callable[[], Hardware], device: DeviceWish, runs_on: str) -> None:
    decided = place("chat", machine(), None, CHAT, device=device)
    assert decided.device == runs_on
    assert (decided.gpu_layers != 0) == (runs_on != "CPU")


@pytest.mark.parametrize(
    ("machine", "device", "provider", "device_type"),
    [
        (two_core_vm, "auto", CPU_PROVIDER, "cpu"),
        (intel_laptop, "auto", "OpenVINOExecutionProvider", "gpu"),
        (intel_laptop, "npu", "OpenVINOExecutionProvider", "npu"),
        (intel_laptop, "cpu", CPU_PROVIDER, "cpu"),
        (apple_m, "auto", CPU_PROVIDER, "cpu"),  # compiled in, but only a session would show what it takes
        (apple_m, "npu", "CoreMLExecutionProvider", "npu"),
        (nvidia_desktop, "auto", "CUDAExecutionProvider", "gpu"),
        (nvidia_desktop, "npu", CPU_PROVIDER, "cpu"),
        (snapdragon_x, "auto", CPU_PROVIDER, "cpu"),  # an NPU wants fixed shapes: only on request
        (snapdragon_x, "npu", "QNNExecutionProvider", "npu"),
    ],
)
def test_where_embedding_runs(
    machine: Callable[[], Hardware], device: DeviceWish, provider: str, device_type: str
) -> None:
    decided = place("embed", machine(), None, EMBED, device=device)
    assert (decided.onnx.provider, decided.onnx.device_type) == (provider, device_type)


def test_a_model_too_large_for_the_gpu_goes_to_the_cpu_with_the_numbers() -> None:
    left_alone = place("chat", nvidia_desktop(), None, replace(BIG, needed_bytes=40 * GB))
    asked = place("chat", nvidia_desktop(), None, replace(BIG, needed_bytes=40 * GB), device="gpu")

    assert left_alone.device == asked.device == "CPU"
    assert "needs 40.0 GB" in left_alone.reason
    assert "11.0 GB free" in left_alone.reason
    assert left_alone.fallback is None
    assert asked.fallback is not None
    assert "models fit" in asked.fallback.remedy


def test_a_full_gpu_leaves_room_for_its_smaller_sister() -> None:
    decided = place("chat", nvidia_desktop(free_gb=1.0), None, CHAT)
    assert decided.llama_devices == ("Vulkan0",)
    assert "shared with the CPU" in decided.reason


def test_a_gpu_whose_driver_tells_no_memory_is_tried() -> None:
    laptop = intel_laptop()
    silent = tuple(replace(each, memory_free_bytes=0) for each in laptop.llama_devices)
    assert place("chat", replace(laptop, llama_devices=silent), None, BIG).llama_devices == ("Vulkan0",)


def test_what_was_measured_decides_the_threads() -> None:
    chat = place("chat", two_core_vm(), MEASURED, CHAT)
    embed = place("embed", two_core_vm(), MEASURED, EMBED)

    assert (chat.threads, chat.threads_batch, embed.threads) == (1, 2, 1)
    assert "measured here" in chat.reason
    assert "74 tokens/s" in chat.reason
    assert "3000 tokens/s" in embed.reason


def test_another_model_s_measurement_does_not() -> None:
    assert place("chat", two_core_vm(), MEASURED, BIG).threads == 2
    assert "not measured yet" in place("chat", two_core_vm(), None, BIG).reason


def test_answers_alone_do_not_decide_threads() -> None:
    learnt = DeviceProfile(
        fingerprint="any",
        chat={CHAT.model_id: ChatRates(prefill_tokens_per_s=9, decode_tokens_per_s=9, threads=0, threads_batch=0)},
    )
    assert place("chat", two_core_vm(), learnt, CHAT).threads == 2


def test_a_measurement_never_exceeds_what_may_be_used_now() -> None:
    many = DeviceProfile(
        fingerprint="any",
        chat={CHAT.model_id: ChatRates(prefill_tokens_per_s=9, decode_tokens_per_s=9, threads=16, threads_batch=32)},
        embed={EMBED.model_id: EmbedRates(tokens_per_s=9, threads=16)},
    )
    assert place("chat", container(), many, CHAT).threads_batch == 4
    assert place("embed", container(), many, EMBED).threads == 4


def test_the_user_s_number_of_threads_wins() -> None:
    assert place("chat", two_core_vm(), MEASURED, CHAT, threads=7).threads == 7
    assert "as set" in place("embed", two_core_vm(), MEASURED, EMBED, threads=3).reason


def test_quiet_takes_half_the_cores() -> None:
    assert place("chat", intel_laptop(), MEASURED, CHAT, device="cpu", wish="quiet").threads == 3
    assert place("embed", two_core_vm(), MEASURED, EMBED, wish="quiet").threads == 1


def test_hyper_threads_are_not_cores() -> None:
    assert place("chat", intel_laptop(), None, CHAT, device="cpu").threads == 6


@pytest.mark.parametrize(
    ("machine", "model", "wish", "kv_type"),
    [
        (two_core_vm, CHAT, "auto", "f16"),
        (two_core_vm, CHAT, "low-memory", "q8_0"),
        (container, CHAT, "auto", "q8_0"),  # 1.6 of 1.6 GB
        (two_core_vm, BIG, "auto", "q8_0"),
    ],
)
def test_the_kv_cache_shrinks_when_memory_is_tight(
    machine: Callable[[], Hardware], model: ModelNeeds, wish: str, kv_type: str
) -> None:
    assert place("chat", machine(), None, model, wish=wish).kv_type == kv_type  # type: ignore[arg-type]  # parametrized


def test_low_memory_embeds_on_the_cpu() -> None:
    assert place("embed", nvidia_desktop(), None, EMBED, wish="low-memory").device == "CPU"


@pytest.mark.parametrize("machine", MACHINES)
def test_integer_products_where_the_cpu_is_fast_at_them(machine: Callable[[], Hardware]) -> None:
    assert place("embed", machine(), None, EMBED, device="cpu").arithmetic == "int8"
    old = replace(machine(), cpu=replace(machine().cpu, architecture="x86_64", instruction_sets=frozenset({"sse4_2"})))
    assert place("embed", old, None, EMBED, device="cpu").arithmetic == "as shipped"


def test_the_remedy_fits_the_machine() -> None:
    vm = place("chat", two_core_vm(), None, CHAT, device="gpu").fallback
    assert vm is not None
    assert "built without a GPU backend" in vm.why
    assert "GGML_VULKAN" in vm.remedy

    blind = replace(intel_laptop(plugin=False), llama_devices=())
    with_backend = place("chat", blind, None, CHAT, device="gpu").fallback
    assert with_backend is not None
    assert "Vulkan" in with_backend.why

    intel = place("embed", intel_laptop(plugin=False), None, EMBED, device="npu").fallback
    assert intel is not None
    assert "onnxruntime-ep-openvino" in intel.remedy


def test_a_plug_in_that_offers_nothing_is_named() -> None:
    idle = OnnxPlugin("onnxruntime-ep-openvino", "1.8.1", ("OpenVINOExecutionProvider",), 0)
    machine = replace(two_core_vm(), onnx=inventory(plugins=(idle,)))
    fallback = place("embed", machine, None, EMBED, device="npu").fallback
    assert fallback is not None
    assert "onnxruntime-ep-openvino 1.8.1 is installed and offers no NPU" in fallback.why

    broken = replace(machine, onnx=inventory(plugins=(replace(idle, failure="ImportError: no libtbb"),)))
    fallback = place("embed", broken, None, EMBED, device="npu").fallback
    assert fallback is not None
    assert "no libtbb" in str(fallback)


def test_what_the_engine_reports_wins_over_the_plan() -> None:
    planned = place("embed", intel_laptop(), None, EMBED, device="npu")
    as_planned = correct(planned, SessionReport("NPU (OpenVINO)", "NPU (OpenVINO)"))
    fallen = correct(planned, SessionReport("NPU (OpenVINO)", "CPU", "the driver is missing"))

    assert as_planned == planned
    assert fallen.device == "CPU"
    assert fallen.onnx == OnnxPlacement()
    assert fallen.fallback is not None
    assert str(fallen.fallback).startswith("asked for NPU (OpenVINO), running on CPU: the driver is missing")


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("device", ["auto", "cpu", "gpu", "npu"])
def test_a_reranker_runs_where_embedders_do_and_computes_as_it_was_shipped(
    machine: Callable[[], Hardware], device: DeviceWish
) -> None:
    decided = place("rerank", machine(), None, ModelNeeds("ms-marco"), device=device)
    embedder = place("embed", machine(), None, ModelNeeds("ms-marco"), device=device)
    assert (decided.task, decided.device, decided.onnx) == ("rerank", embedder.device, embedder.onnx)
    assert decided.arithmetic == "as shipped"


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("device", ["auto", "cpu", "gpu", "npu"])
def test_an_embedder_in_gguf_takes_the_chat_engines_devices(
    machine: Callable[[], Hardware], device: DeviceWish
) -> None:
    needs = ModelNeeds("bge", 50 * 10**6, engine="llama")
    decided, chat = place("embed", machine(), None, needs, device=device), place("chat", machine(), None, needs)
    assert (decided.task, decided.onnx.provider) == ("embed", CPU_PROVIDER)
    assert decided.reason
    if device == "auto":
        assert decided.llama_devices == chat.llama_devices
    if device in ("cpu", "npu"):
        assert (decided.device, decided.gpu_layers) == ("CPU", 0)
    assert (decided.fallback is not None) == (device == "npu" or (device == "gpu" and not decided.llama_devices))


def test_a_gguf_embedders_threads_are_those_of_embedding() -> None:
    needs = replace(EMBED, engine="llama")
    assert place("embed", two_core_vm(), MEASURED, needs).threads == 1
    assert "fastest measured" in place("embed", two_core_vm(), MEASURED, needs).reason


@pytest.mark.parametrize("machine", [two_core_vm, nvidia_desktop])
def test_an_embedder_has_no_kv_cache_to_speak_of(machine: Callable[[], Hardware]) -> None:
    hardware = machine()
    gpus = [each.memory_free_bytes for each in hardware.llama_devices if each.device_type == "gpu"]
    free_bytes = gpus[0] if gpus else hardware.memory.available_bytes
    tight = ModelNeeds("qwen3-embedding", int(0.85 * free_bytes), engine="llama")
    decided = place("embed", machine(), None, tight)
    assert (decided.kv_type, "KV" in decided.reason) == ("f16", False)
    assert "KV" in place("chat", machine(), None, replace(tight, engine="onnx")).reason


def test_a_clip_through_pytorch_takes_its_gpu_unless_told_otherwise() -> None:
    gpu = place_on_torch(("cuda", "cpu"), "auto", 0)
    assert (gpu.device, gpu.fallback) == ("CUDA (PyTorch)", None)
    assert "settings choose PyTorch" in gpu.reason
    told = place_on_torch(("cuda", "cpu"), "cpu", 3)
    assert (told.device, told.threads, told.fallback) == ("CPU (PyTorch)", 3, None)
    assert place_on_torch(("cpu",), "auto", 0).fallback is None
    wishes: dict[DeviceWish, str] = {"gpu": "no GPU", "npu": "no NPU"}
    for wish, why in wishes.items():
        fallen = place_on_torch(("cpu",), wish, 0)
        assert fallen.fallback is not None
        assert why in str(fallen.fallback)


def test_speech_runs_on_the_cpu_or_cuda_and_says_that_there_is_no_way_to_an_npu() -> None:
    speech = ModelNeeds("whisper-base", 300 * 10**6)
    laptop = place("speech", intel_laptop(), None, speech)
    assert (laptop.device, laptop.threads, laptop.arithmetic) == ("CPU", intel_laptop().cpu.worker_cores, "int8")
    assert "8-bit" in laptop.reason
    npu = place("speech", snapdragon_x(), None, speech, device="npu")
    assert npu.device == "CPU"
    assert npu.fallback is not None
    assert "no NPU path" in npu.fallback.why
    gpu = place("speech", nvidia_desktop(), None, replace(speech, cuda_devices=1))
    assert gpu.device == "NVIDIA GeForce RTX 4070 (CUDA)"
    assert place("speech", nvidia_desktop(), None, replace(speech, cuda_devices=1), device="cpu").device == "CPU"
    without = place("speech", apple_m(), None, speech, device="gpu")
    assert without.fallback is not None
    assert without.fallback.running == "CPU"
    assert place("speech", apple_m(), None, speech, threads=3).threads == 3
    assert place("speech", apple_m(), None, speech, wish="quiet").threads == 4
