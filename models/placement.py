"""Which device, how many threads and which number format each task gets, with the reason in a sentence.

Pure: hardware, profile and wishes in, a decision out. The decision is a plan; what really runs is read back from the
engine by the adapters, and `correct` puts the two together. A wish that cannot be met is never dropped silently: it
becomes a `Fallback` that says what was asked, what runs, why, and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from models.hardware import Hardware
from models.llama_devices import LlamaDevice
from models.onnx_devices import CPU_PROVIDER, OnnxDevice
from models.onnx_session import CPU, OnnxPlacement, SessionReport
from models.profile import DeviceProfile

Task = Literal["chat", "embed", "rerank", "ocr", "labels", "clip", "speech"]
DeviceWish = Literal["auto", "cpu", "gpu", "npu"]
ProfileWish = Literal["auto", "quiet", "low-memory"]
KvType = Literal["f16", "q8_0"]
Arithmetic = Literal["int8", "as shipped"]

_DEVICE_MEMORY_SHARE = 0.9
"""Of a GPU's free memory; its driver and the screen need the rest."""
_TIGHT_SHARE = 0.6
"""A model that takes more than this of the free memory gets a KV cache of half the size."""
_INT8_SETS = frozenset({"avx2", "avx512f", "neon", "asimd", "asimddp", "i8mm"})
"""With one of these, products of 8-bit integers are faster than those of floats."""
_AUTO_GPU_PROVIDERS = (
    "NvTensorRTRTXExecutionProvider",
    "CUDAExecutionProvider",
    "OpenVINOExecutionProvider",
    "DmlExecutionProvider",
    "WebGpuExecutionProvider",
)
"""Best first, among GPUs that are really listed. Others, and NPUs (which want fixed shapes), only on request."""
_GPU_BACKENDS = frozenset({"CUDA", "Metal", "Vulkan", "ROCm", "HIP", "SYCL", "OpenCL"})


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
        return _place_on_llama(hardware, profile, model, device, wish, threads, task)
    return _place_on_onnx(hardware, profile, model, device, wish, threads, task)


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


def _place_on_llama(
    hardware: Hardware,
    profile: DeviceProfile | None,
    model: ModelNeeds,
    device: DeviceWish,
    wish: ProfileWish,
    threads: int,
    task: Task,
) -> TaskPlacement:
    """An embedder in GGUF: on the device that chat would take, but with the threads of embedding."""
    like_chat = _place_chat(hardware, None, model, device, "auto" if wish == "low-memory" else wish, threads)
    if like_chat.llama_devices:
        return replace(like_chat, task=task, kv_type="f16")
    count, why_threads = _embed_threads(hardware, profile, model, wish, threads)
    fallback = like_chat.fallback
    if device == "npu":
        fallback = Fallback("npu", "CPU", "llama.cpp drives no NPU", "Choose an embedder in ONNX: homebody models list")
    why_cpu = like_chat.reason.partition(";")[0]
    return TaskPlacement(
        task=task,
        device="CPU",
        reason=f"{why_cpu}; {why_threads}",
        threads=count,
        threads_batch=count,
        fallback=fallback,
    )


def _place_chat(
    hardware: Hardware,
    profile: DeviceProfile | None,
    model: ModelNeeds,
    device: DeviceWish,
    wish: ProfileWish,
    threads: int,
) -> TaskPlacement:
    gpus = [each for each in hardware.llama_devices if each.device_type in ("gpu", "igpu")]
    gpus.sort(key=lambda each: each.device_type == "igpu")  # one with memory of its own first
    fallback: Fallback | None = None
    why_cpu = "the chat engine lists no GPU"
    if device == "cpu":
        why_cpu = "asked for"
    elif device == "npu":
        why_cpu = "llama.cpp drives no NPU"
        fallback = Fallback("npu", "CPU", why_cpu, "The embedder may use one; for chat take --device gpu or cpu")
    elif gpus:
        fitting = next((each for each in gpus if _fits(each, model)), None)
        if fitting is not None:
            return _chat_on_gpu(fitting, hardware, model, wish, threads, asked=device == "gpu")
        why_cpu = (
            f"the model needs {model.needed_bytes / 1e9:.1f} GB and {gpus[0].description or gpus[0].name} "
            f"has {gpus[0].memory_free_bytes / 1e9:.1f} GB free"
        )
        if device == "gpu":
            fallback = Fallback("gpu", "CPU", why_cpu, "Take a smaller model: homebody models fit")
    elif device == "gpu":
        why_cpu, remedy = _why_no_llama_gpu(hardware)
        fallback = Fallback("gpu", "CPU", why_cpu, remedy)
    writing, reading, why_threads = _chat_threads(hardware, profile, model, wish, threads)
    kv_type, why_kv = _kv_type(model, hardware.memory.available_bytes, wish)
    return TaskPlacement(
        task="chat",
        device="CPU",
        reason=f"{why_cpu}; {why_threads}{why_kv}",
        threads=writing,
        threads_batch=reading,
        kv_type=kv_type,
        fallback=fallback,
    )


def _chat_on_gpu(
    gpu: LlamaDevice, hardware: Hardware, model: ModelNeeds, wish: ProfileWish, threads: int, *, asked: bool
) -> TaskPlacement:
    name = f"{gpu.description or gpu.name} ({gpu.backend})"
    memory = f"{gpu.memory_free_bytes / 1e9:.1f} GB free" if gpu.memory_free_bytes else "memory not told"
    shared = ", shared with the CPU" if gpu.device_type == "igpu" else ""
    kv_type, why_kv = _kv_type(model, gpu.memory_free_bytes or hardware.memory.available_bytes, wish)
    # The CPU only samples; more threads would wait for the GPU while they spin.
    count = threads or min(4, hardware.cpu.worker_cores)
    return TaskPlacement(
        task="chat",
        device=name,
        reason=f"{'asked for' if asked else 'the chat engine lists it'}, and the model fits ({memory}{shared}){why_kv}",
        threads=count,
        threads_batch=count,
        llama_devices=(gpu.name,),
        gpu_layers=-1,
        kv_type=kv_type,
    )


def _fits(gpu: LlamaDevice, model: ModelNeeds) -> bool:
    # A driver that does not tell its memory (0) is tried: loading fails with a clear error if it is too small.
    return not gpu.memory_free_bytes or model.needed_bytes <= gpu.memory_free_bytes * _DEVICE_MEMORY_SHARE


def _why_no_llama_gpu(hardware: Hardware) -> tuple[str, str]:
    """Why the chat engine has no GPU, and what to do."""
    engine = hardware.engine("llama.cpp")
    built_with = engine.built_with if engine else frozenset()
    backends = sorted(built_with & _GPU_BACKENDS)
    if backends:
        return (
            f"the chat engine was built with {' and '.join(backends)} and finds no device",
            "Check the GPU's driver",
        )
    option = {"nvidia": "GGML_CUDA", "apple": "GGML_METAL"}.get(_vendor(hardware), "GGML_VULKAN")
    return (
        "the chat engine was built without a GPU backend",
        f"Build it again: CMAKE_ARGS=-D{option}=on pip install --force-reinstall --no-binary :all: llama-cpp-python",
    )


def _chat_threads(
    hardware: Hardware, profile: DeviceProfile | None, model: ModelNeeds, wish: ProfileWish, threads: int
) -> tuple[int, int, str]:
    """Threads for writing and for reading, and a clause that says why."""
    cores = hardware.cpu.worker_cores
    if threads:
        return threads, threads, f"{_count(threads)} as set"
    if wish == "quiet":
        quiet = max(1, cores // 2)
        return quiet, quiet, f"{_count(quiet)} of {cores} to stay quiet"
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
        chosen = _onnx_device(hardware, device)
        if chosen is not None:
            return replace(
                on_cpu,
                device=chosen.name,
                reason="asked for" if device != "auto" else "listed by ONNX Runtime; large batches gain most there",
                onnx=OnnxPlacement(chosen.provider, chosen.device_type, chosen.engine_name),
            )
        if device != "auto":
            why_cpu, remedy = _why_no_onnx_device(hardware, device)
            fallback = Fallback(device, "CPU", why_cpu, remedy)
    how = "; products in 8-bit integers" if integer else ""
    return replace(on_cpu, reason=f"{why_cpu}; {why_threads}{how}", fallback=fallback)


def _place_speech(
    hardware: Hardware, model: ModelNeeds, device: DeviceWish, wish: ProfileWish, threads: int
) -> TaskPlacement:
    """CTranslate2 knows the CPU and CUDA, and no NPU."""
    cores = hardware.cpu.worker_cores
    count, why_threads = threads, f"{_count(threads)} as set"
    if not threads:
        count = max(1, cores // 2) if wish == "quiet" else cores
        quiet = f"{_count(count)} of {cores} to stay quiet"
        why_threads = quiet if wish == "quiet" else f"{_count(count)}, one a core"
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


def _onnx_device(hardware: Hardware, device: DeviceWish) -> OnnxDevice | None:
    """The device for this wish. Left to itself (auto), only a GPU that is really listed is taken."""
    offered = [each for each in hardware.onnx.devices if each.provider != CPU_PROVIDER]
    if device != "auto":
        matching = [each for each in offered if each.device_type == device]
        matching.sort(key=lambda each: not each.seen)
        return next(iter(matching), None)
    gpus = {each.provider: each for each in reversed(offered) if each.device_type == "gpu" and each.seen}
    return next((gpus[provider] for provider in _AUTO_GPU_PROVIDERS if provider in gpus), None)


def _why_no_onnx_device(hardware: Hardware, device: DeviceWish) -> tuple[str, str]:
    name = device.upper()
    idle = [plugin for plugin in hardware.onnx.plugins if not plugin.failure and plugin.devices == 0]
    broken = [plugin for plugin in hardware.onnx.plugins if plugin.failure]
    if broken:
        return f"{broken[0].package} {broken[0].version} cannot be used ({broken[0].failure})", "Install it again"
    if idle:
        installed = " and ".join(f"{plugin.package} {plugin.version}" for plugin in idle)
        return f"{installed} is installed and offers no {name}", f"Check that the {name} and its driver are here"
    package = {
        "intel": "onnxruntime-ep-openvino",
        "nvidia": "onnxruntime-ep-nv-tensorrt-rtx",
        "apple": "onnxruntime-ep-mlx",
        "qualcomm": "onnxruntime-qnn",
    }.get(_vendor(hardware), "onnxruntime-ep-webgpu" if device == "gpu" else "")
    remedy = f"If there is one, install its plug-in: pip install {package}" if package else "Take --device auto"
    return f"ONNX Runtime lists no {name}", remedy


def _embed_threads(
    hardware: Hardware, profile: DeviceProfile | None, model: ModelNeeds, wish: ProfileWish, threads: int
) -> tuple[int, str]:
    cores = hardware.cpu.worker_cores
    if threads:
        return threads, f"{_count(threads)} as set"
    if wish == "quiet":
        quiet = max(1, cores // 2)
        return quiet, f"{_count(quiet)} of {cores} to stay quiet"
    measured = profile.embed.get(model.model_id) if profile else None
    if measured is not None:
        count = min(measured.threads, hardware.cpu.usable_cores)
        return count, f"{_count(count)}, the fastest measured here ({measured.tokens_per_s:.0f} tokens/s)"
    return cores, f"{_count(cores)}, one a core; not measured yet"


def _vendor(hardware: Hardware) -> str:
    """Whose accelerators this machine is likely to have, by the names that it gives its parts."""
    names = [hardware.cpu.name, *(each.description for each in hardware.llama_devices)]
    words = " ".join([*names, *(each.name for each in hardware.onnx.devices)]).lower()
    for vendor, signs in {
        "nvidia": ("nvidia", "geforce"),
        "apple": ("apple",),
        "qualcomm": ("qualcomm", "snapdragon"),
        "intel": ("intel",),
    }.items():
        if any(sign in words for sign in signs):
            return vendor
    return ""


def _count(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"
