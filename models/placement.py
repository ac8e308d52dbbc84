"""Which device, how many threads and which number format each task gets, with the reason in a sentence.

Pure: hardware, profile and wishes in, a decision out. The decision is a plan; what really runs is read back from the
engine by the adapters, and `correct` puts the two together. A wish that cannot be met is never dropped silently: it
becomes a `Fallback` that says what was asked, what runs, why, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from models.device_choice import DeviceWish, llama_choice, onnx_device, why_no_onnx_device
from models.hardware import Hardware
from models.llama_devices import LlamaDevice
from models.onnx_session import CPU, OnnxPlacement, SessionReport
from models.profile import DeviceProfile

Task = Literal["chat", "embed", "rerank", "ocr", "labels", "clip", "speech"]
ProfileWish = Literal["auto", "quiet", "low-memory"]
KvType = Literal["f16", "q8_0"]
Arithmetic = Literal["int8", "as shipped"]

_TIGHT_SHARE = 0.6
"""A model that takes more than this of the free memory gets a KV cache of half the size."""
_INT8_SETS = frozenset({"avx2", "avx512f", "neon", "asimd", "asimddp", "i8mm"})
"""With one of these, products of 8-bit integers are faster than those of floats."""


@dataclass(frozen=True, slots=True)
class ModelNeeds:
    """What placement must know of the model."""

    model_id: str
    needed_bytes: int = 0
    """Weights, KV cache and buffers; 0 where unknown, which counts as fitting."""
    engine: Literal["onnx", "llama"] = "onnx"
    """What runs an embedder; chat always runs on llama.cpp, speech on CTranslate2."""
    cuda_devices: int = 0
    """Of speech: the GPUs that CTranslate2 lists."""


@dataclass(frozen=True, slots=True)
class Fallback:
    asked: str
    running: str
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"asked for {self.asked}, running on {self.running}: {self.why}. {self.remedy}".rstrip()


@dataclass(frozen=True, slots=True)
class TaskPlacement:
    """Where one task runs, and how."""

    task: Task
    device: str
    """For people: `CPU`, `NVIDIA GeForce RTX 4070 (CUDA)`."""
    reason: str
    """One sentence, without a full stop."""
    threads: int
    """For one token at a time; for embedding, texts at once."""
    threads_batch: int
    """For reading a prompt."""
    llama_devices: tuple[str, ...] = ()
    """llama.cpp's names of the devices that hold the model; empty: the CPU."""
    gpu_layers: int = 0
    """Negative: all of them."""
    kv_type: KvType = "f16"
    onnx: OnnxPlacement = CPU
    arithmetic: Arithmetic = "as shipped"
    """What the CPU computes in, if it comes to that."""
    fallback: Fallback | None = None

    @property
    def threads_beside_work(self) -> int:
        """While something else computes: one core fewer, since two engines that spin on one core both crawl."""
        return max(1, self.threads - 1)


def place(
    task: Task,
    hardware: Hardware,
    profile: DeviceProfile | None,
    model: ModelNeeds,
    *,
    device: DeviceWish = "auto",
    wish: ProfileWish = "auto",
    threads: int = 0,
) -> TaskPlacement:
    """Decide for one task. `threads` other than 0 is the user's own number and wins."""
    if task == "chat":
        return _place_chat(hardware, profile, model, device, wish, threads)
    if task == "speech":
        return _place_speech(hardware, model, device, wish, threads)
    if model.engine == "llama":
        return _place_llama_embedder(hardware, profile, model, device, wish, threads, task)
    return _place_on_onnx(hardware, profile, model, device, wish, threads, task)


def place_on_torch(devices: Sequence[str], device: DeviceWish, threads: int) -> TaskPlacement:
    """For a CLIP through PyTorch, on the best of the devices that it names (best first, `cpu` last)."""
    gpu = next((each for each in devices if each != "cpu"), "")
    fallback: Fallback | None = None
    if gpu and device in ("auto", "gpu"):
        running, reason = f"{gpu.upper()} (PyTorch)", "the settings choose PyTorch, which drives it"
    else:
        whys: dict[DeviceWish, str] = {"cpu": "asked for", "npu": "PyTorch drives no NPU"}
        why = whys.get(device, "PyTorch has no GPU here")
        running, reason = "CPU (PyTorch)", f"the settings choose PyTorch; {why}"
        if device in ("gpu", "npu"):
            remedy = "Install a build of PyTorch for the GPU, or set clip.backend to onnx"
            fallback = Fallback(device, "CPU", why, remedy)
    return TaskPlacement("clip", running, reason, max(1, threads), max(1, threads), fallback=fallback)


def correct(placement: TaskPlacement, report: SessionReport) -> TaskPlacement:
    """The placement as it turned out: what the session reports wins over the plan."""
    if not report.fallback_reason:
        return placement
    fallback = placement.fallback or Fallback(
        asked=report.asked,
        running=report.running,
        why=report.fallback_reason,
        remedy="`homebody doctor` lists what the engines see; --device cpu ends the attempt",
    )
    return replace(placement, device=report.running, onnx=CPU, reason=report.fallback_reason, fallback=fallback)


def _place_llama_embedder(
    hardware: Hardware,
    profile: DeviceProfile | None,
    model: ModelNeeds,
    device: DeviceWish,
    wish: ProfileWish,
    threads: int,
    task: Task,
) -> TaskPlacement:
    """An embedder in GGUF: on the device that chat would take, but with the threads of embedding, and no KV cache."""
    chosen = llama_choice(hardware, device, model.needed_bytes)
    if chosen.gpu is not None:
        return _on_llama_gpu(task, chosen.gpu, hardware, threads, asked=device == "gpu")
    remedy = "Choose an embedder in ONNX: homebody models list" if device == "npu" else chosen.remedy
    count, why_threads = _embed_threads(hardware, profile, model, wish, threads)
    return TaskPlacement(
        task=task,
        device="CPU",
        reason=f"{chosen.why_cpu}; {why_threads}",
        threads=count,
        threads_batch=count,
        fallback=_fallback(device, chosen.why_cpu, remedy),
    )


def _place_chat(
    hardware: Hardware,
    profile: DeviceProfile | None,
    model: ModelNeeds,
    device: DeviceWish,
    wish: ProfileWish,
    threads: int,
) -> TaskPlacement:
    chosen = llama_choice(hardware, device, model.needed_bytes)
    if chosen.gpu is not None:
        placed = _on_llama_gpu("chat", chosen.gpu, hardware, threads, asked=device == "gpu")
        free_bytes = chosen.gpu.memory_free_bytes or hardware.memory.available_bytes
        kv_type, why_kv = _kv_type(model, free_bytes, wish)
        return replace(placed, kv_type=kv_type, reason=placed.reason + why_kv)
    writing, reading, why_threads = _chat_threads(hardware, profile, model, wish, threads)
    kv_type, why_kv = _kv_type(model, hardware.memory.available_bytes, wish)
    return TaskPlacement(
        task="chat",
        device="CPU",
        reason=f"{chosen.why_cpu}; {why_threads}{why_kv}",
        threads=writing,
        threads_batch=reading,
        kv_type=kv_type,
        fallback=_fallback(device, chosen.why_cpu, chosen.remedy),
    )


def _on_llama_gpu(task: Task, gpu: LlamaDevice, hardware: Hardware, threads: int, *, asked: bool) -> TaskPlacement:
    memory = f"{gpu.memory_free_bytes / 1e9:.1f} GB free" if gpu.memory_free_bytes else "memory not told"
    shared = ", shared with the CPU" if gpu.device_type == "igpu" else ""
    # The CPU only samples; more threads would wait for the GPU while they spin.
    count = threads or min(4, hardware.cpu.worker_cores)
    return TaskPlacement(
        task=task,
        device=f"{gpu.description or gpu.name} ({gpu.backend})",
        reason=f"{'asked for' if asked else 'the chat engine lists it'}, and the model fits ({memory}{shared})",
        threads=count,
        threads_batch=count,
        llama_devices=(gpu.name,),
        gpu_layers=-1,
    )


def _fallback(device: DeviceWish, why: str, remedy: str) -> Fallback | None:
    """None where nothing else than the CPU was asked for."""
    return Fallback(device, "CPU", why, remedy) if device in ("gpu", "npu") else None


def _wished_threads(hardware: Hardware, wish: ProfileWish, threads: int) -> tuple[int, str] | None:
    """What the user decided, with a clause that says so; None where it is left to us."""
    if threads:
        return threads, f"{_count(threads)} as set"
    if wish == "quiet":
        cores = hardware.cpu.worker_cores
        quiet = max(1, cores // 2)
        return quiet, f"{_count(quiet)} of {cores} to stay quiet"
    return None


def _chat_threads(
    hardware: Hardware, profile: DeviceProfile | None, model: ModelNeeds, wish: ProfileWish, threads: int
) -> tuple[int, int, str]:
    """Threads for writing and for reading, and a clause that says why."""
    if (wished := _wished_threads(hardware, wish, threads)) is not None:
        count, why = wished
        return count, count, why
    cores = hardware.cpu.worker_cores
    measured = profile.chat.get(model.model_id) if profile else None
    if measured is not None and measured.threads:
        writing = min(measured.threads, hardware.cpu.usable_cores)
        reading = min(measured.threads_batch, hardware.cpu.usable_cores)
        counts = _count(writing) if writing == reading else f"{_count(writing)} to write and {reading} to read"
        rates = f"{measured.prefill_tokens_per_s:.0f} tokens/s read, {measured.decode_tokens_per_s:.0f} written"
        return writing, reading, f"{counts}, the fastest measured here ({rates})"
    limited = "" if cores == hardware.cpu.logical_cores else f" of {hardware.cpu.logical_cores} logical ones"
    return cores, cores, f"{_count(cores)}, one a core that may be used{limited}; not measured yet"


def _kv_type(model: ModelNeeds, free_bytes: int, wish: ProfileWish) -> tuple[KvType, str]:
    if wish == "low-memory":
        return "q8_0", "; KV cache in 8 bits to save memory"
    if free_bytes and model.needed_bytes > free_bytes * _TIGHT_SHARE:
        return "q8_0", "; KV cache in 8 bits, memory is tight"
    return "f16", ""


def _place_on_onnx(
    hardware: Hardware,
    profile: DeviceProfile | None,
    model: ModelNeeds,
    device: DeviceWish,
    wish: ProfileWish,
    threads: int,
    task: Task,
) -> TaskPlacement:
    fallback: Fallback | None = None
    # Only the embedder's graph is rewritten for integers; a reranker computes as it was shipped.
    integer = task == "embed" and _computes_integers(hardware)
    count, why_threads = _embed_threads(hardware, profile, model, wish, threads)
    # Threads and arithmetic belong to the CPU; a device's placement has them too, for when it falls back.
    on_cpu = TaskPlacement(
        task=task,
        device="CPU",
        reason="",
        threads=count,
        threads_batch=count,
        arithmetic="int8" if integer else "as shipped",
    )
    why_cpu = "no GPU is listed by ONNX Runtime"
    if device == "cpu":
        why_cpu = "asked for"
    elif wish == "low-memory" and device == "auto":
        why_cpu = "least memory"
    else:
        chosen = onnx_device(hardware, device)
        if chosen is not None:
            return replace(
                on_cpu,
                device=chosen.name,
                reason="asked for" if device != "auto" else "listed by ONNX Runtime; large batches gain most there",
                onnx=OnnxPlacement(chosen.provider, chosen.device_type, chosen.engine_name),
            )
        if device != "auto":
            why_cpu, remedy = why_no_onnx_device(hardware, device)
            fallback = Fallback(device, "CPU", why_cpu, remedy)
    how = "; products in 8-bit integers" if integer else ""
    return replace(on_cpu, reason=f"{why_cpu}; {why_threads}{how}", fallback=fallback)


def _place_speech(
    hardware: Hardware, model: ModelNeeds, device: DeviceWish, wish: ProfileWish, threads: int
) -> TaskPlacement:
    """CTranslate2 knows the CPU and CUDA, and no NPU."""
    cores = hardware.cpu.worker_cores
    count, why_threads = _wished_threads(hardware, wish, threads) or (cores, f"{_count(cores)}, one a core")
    integer = _computes_integers(hardware)
    on_cpu = TaskPlacement(
        task="speech",
        device="CPU",
        reason="",
        threads=count,
        threads_batch=count,
        arithmetic="int8" if integer else "as shipped",
    )
    fallback: Fallback | None = None
    why_cpu = "CTranslate2 lists no CUDA device"
    if device == "cpu":
        why_cpu = "asked for"
    elif device == "npu":
        why_cpu = "speech has no NPU path: CTranslate2 runs on CPUs and CUDA"
        fallback = Fallback("npu", "CPU", why_cpu, "Take --device gpu or cpu for speech")
    elif model.cuda_devices:
        names = [each.description for each in hardware.llama_devices if each.backend == "CUDA" and each.description]
        reason = "asked for" if device == "gpu" else "CTranslate2 lists it"
        return replace(on_cpu, device=f"{names[0] if names else 'NVIDIA GPU'} (CUDA)", reason=reason)
    elif device == "gpu":
        fallback = Fallback("gpu", "CPU", why_cpu, "Speech runs on NVIDIA GPUs with CUDA 12 and cuDNN 9, and on CPUs")
    how = "; products in 8-bit integers" if integer else ""
    return replace(on_cpu, reason=f"{why_cpu}; {why_threads}{how}", fallback=fallback)


def _computes_integers(hardware: Hardware) -> bool:
    return bool(hardware.cpu.instruction_sets & _INT8_SETS) or hardware.cpu.architecture in ("arm64", "aarch64")


def _embed_threads(
    hardware: Hardware, profile: DeviceProfile | None, model: ModelNeeds, wish: ProfileWish, threads: int
) -> tuple[int, str]:
    if (wished := _wished_threads(hardware, wish, threads)) is not None:
        return wished
    cores = hardware.cpu.worker_cores
    measured = profile.embed.get(model.model_id) if profile else None
    if measured is not None:
        count = min(measured.threads, hardware.cpu.usable_cores)
        return count, f"{_count(count)}, the fastest measured here ({measured.tokens_per_s:.0f} tokens/s)"
    return cores, f"{_count(cores)}, one a core; not measured yet"


def _count(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"
