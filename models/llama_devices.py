"""What llama.cpp itself sees: its devices, their memory, and the instruction sets it was built with.

Reads only; decides nothing (`placement.py` does). Loads the engine's library, not a model.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from models.native_log import llama_library

DeviceType = Literal["cpu", "gpu", "igpu", "accelerator", "meta", "unknown"]

_DEVICE_TYPES: dict[int, DeviceType] = {0: "cpu", 1: "gpu", 2: "igpu", 3: "accelerator", 4: "meta"}
"""ggml_backend_dev_type in ggml-backend.h. igpu shares the host's memory; an accelerator helps the CPU (BLAS, AMX)."""


@dataclass(frozen=True, slots=True)
class LlamaDevice:
    name: str
    """The name to ask for it by: CPU, CUDA0, Vulkan0, Metal, ..."""
    description: str
    device_type: DeviceType
    memory_free_bytes: int
    """As its driver says at this moment; 0 where it does not tell."""
    memory_total_bytes: int
    backend: str
    """The part of the engine that drives it: CPU, CUDA, Vulkan, Metal, ..."""


@lru_cache(maxsize=1)
def _ggml() -> Any:
    """ggml's shared library with the signatures of its device functions, which the binding leaves out."""
    llama_library()  # first: routes the log, and registers the backends
    from llama_cpp._ggml import libggml

    pointer, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    signatures: dict[str, tuple[list[Any], Any]] = {
        "ggml_backend_dev_count": ([], size),
        "ggml_backend_dev_get": ([size], pointer),
        "ggml_backend_dev_by_name": ([text], pointer),
        "ggml_backend_dev_name": ([pointer], text),
        "ggml_backend_dev_description": ([pointer], text),
        "ggml_backend_dev_type": ([pointer], ctypes.c_int),
        "ggml_backend_dev_memory": ([pointer, ctypes.POINTER(size), ctypes.POINTER(size)], None),
        "ggml_backend_dev_backend_reg": ([pointer], pointer),
        "ggml_backend_reg_name": ([pointer], text),
    }
    for name, (argument_types, result_type) in signatures.items():
        function = getattr(libggml, name)
        function.argtypes = argument_types
        function.restype = result_type
    return libggml


def list_devices() -> tuple[LlamaDevice, ...]:
    """The devices of every backend that this build of llama.cpp has, in its own order."""
    ggml = _ggml()
    found = []
    for index in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(index)
        free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
        ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
        found.append(
            LlamaDevice(
                name=_text(ggml.ggml_backend_dev_name(device)),
                description=_text(ggml.ggml_backend_dev_description(device)),
                device_type=_DEVICE_TYPES.get(ggml.ggml_backend_dev_type(device), "unknown"),
                memory_free_bytes=free.value,
                memory_total_bytes=total.value,
                backend=_text(ggml.ggml_backend_reg_name(ggml.ggml_backend_dev_backend_reg(device))),
            )
        )
    return tuple(found)


def device_handle(name: str) -> int | None:
    """The native handle (ggml_backend_dev_t) of a device by its name, or None where there is no such device."""
    handle = _ggml().ggml_backend_dev_by_name(name.encode())
    return int(handle) if handle else None


def system_info() -> str:
    """What the loaded library was built with and what of it this CPU has, as llama.cpp prints it."""
    return _text(llama_library().llama_print_system_info())


def supports_gpu_offload() -> bool:
    """Whether this build has any GPU backend with a device to use."""
    return bool(llama_library().llama_supports_gpu_offload())


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace").strip()
