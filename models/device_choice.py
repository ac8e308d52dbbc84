"""Which of a machine's devices a wish means, and why there is none: for llama.cpp and for ONNX Runtime.

Pure: what was found of the hardware in, a device or a reason out. Knows no task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models.hardware import Hardware
from models.llama_devices import LlamaDevice
from models.onnx_devices import CPU_PROVIDER, OnnxDevice

DeviceWish = Literal["auto", "cpu", "gpu", "npu"]

_DEVICE_MEMORY_SHARE = 0.9
"""Of a GPU's free memory; its driver and the screen need the rest."""
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
class LlamaChoice:
    """What llama.cpp is to run on."""

    gpu: LlamaDevice | None
    """None: the CPU."""
    why_cpu: str = ""
    remedy: str = ""
    """What to do, where something else was asked for."""


def llama_choice(hardware: Hardware, device: DeviceWish, needed_bytes: int) -> LlamaChoice:
    """The GPU that a model fits on, one with memory of its own first; or why it is the CPU."""
    if device == "cpu":
        return LlamaChoice(None, "asked for")
    if device == "npu":
        return LlamaChoice(
            None, "llama.cpp drives no NPU", "The embedder may use one; for chat take --device gpu or cpu"
        )
    gpus = [each for each in hardware.llama_devices if each.device_type in ("gpu", "igpu")]
    gpus.sort(key=lambda each: each.device_type == "igpu")
    if not gpus:
        if device == "auto":
            return LlamaChoice(None, "the chat engine lists no GPU")
        return LlamaChoice(None, *_why_no_llama_gpu(hardware))
    fitting = next((each for each in gpus if _fits(each, needed_bytes)), None)
    if fitting is not None:
        return LlamaChoice(fitting)
    return LlamaChoice(
        None,
        f"the model needs {needed_bytes / 1e9:.1f} GB and {gpus[0].description or gpus[0].name} "
        f"has {gpus[0].memory_free_bytes / 1e9:.1f} GB free",
        "Take a smaller model: homebody models fit",
    )


def _fits(gpu: LlamaDevice, needed_bytes: int) -> bool:
    # A driver that does not tell its memory (0) is tried: loading fails with a clear error if it is too small.
    return not gpu.memory_free_bytes or needed_bytes <= gpu.memory_free_bytes * _DEVICE_MEMORY_SHARE


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


def onnx_device(hardware: Hardware, device: DeviceWish) -> OnnxDevice | None:
    """The device for this wish. Left to itself (auto), only a GPU that is really listed is taken."""
    offered = [each for each in hardware.onnx.devices if each.provider != CPU_PROVIDER]
    if device != "auto":
        matching = [each for each in offered if each.device_type == device]
        matching.sort(key=lambda each: not each.seen)
        return next(iter(matching), None)
    gpus = {each.provider: each for each in reversed(offered) if each.device_type == "gpu" and each.seen}
    return next((gpus[provider] for provider in _AUTO_GPU_PROVIDERS if provider in gpus), None)


def why_no_onnx_device(hardware: Hardware, device: DeviceWish) -> tuple[str, str]:
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
