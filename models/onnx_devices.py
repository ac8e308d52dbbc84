"""What ONNX Runtime can run on: its own providers, and the plug-in providers installed beside it.

Loads the engine once for the whole process, quietly and without telemetry; loads no model and decides nothing
(`placement.py` does). A plug-in that registers and then offers no device is normal: its package is installed,
its hardware is not here.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from onnxruntime import OrtEpDevice

LOGGER = logging.getLogger("homebody.native.onnxruntime")

DeviceType = Literal["cpu", "gpu", "npu"]

CPU_PROVIDER = "CPUExecutionProvider"
REMOTE_PROVIDERS = frozenset({"AzureExecutionProvider"})
"""They send the input to a server. Never selected, never listed as a device."""

_SILENT = 4
"""ONNX Runtime's severity FATAL. It has no log callback in Python and writes to standard error, which a
full-screen terminal owns; what goes wrong is raised as an error or read back from the session."""

_PLUGIN_PACKAGE = re.compile(r"^onnxruntime-(ep-[a-z0-9-]+|qnn)$")
"""The convention of ONNX Runtime's plug-in providers: a wheel whose module has `get_library_path()` and
`get_ep_names()` (onnxruntime.ai/docs/execution-providers/plugin-ep-libraries)."""

_BUILT_IN_DEVICES: dict[str, DeviceType] = {
    "CUDAExecutionProvider": "gpu",
    "TensorrtExecutionProvider": "gpu",
    "NvTensorRTRTXExecutionProvider": "gpu",
    "ROCMExecutionProvider": "gpu",
    "MIGraphXExecutionProvider": "gpu",
    "DmlExecutionProvider": "gpu",
    "WebGpuExecutionProvider": "gpu",
    "CoreMLExecutionProvider": "npu",  # the Neural Engine where it takes the graph, else GPU and CPU
    "QNNExecutionProvider": "npu",
    "VitisAIExecutionProvider": "npu",
}
"""What a provider compiled into the wheel drives, for those that have no device list of their own."""


@dataclass(frozen=True, slots=True)
class OnnxDevice:
    """One device that a provider offers."""

    provider: str
    device_type: DeviceType
    name: str
    """For people: `Intel NPU (OpenVINO)`."""
    engine_name: str = ""
    """The provider's own name for it (OpenVINO: CPU, GPU, NPU); empty where it has none."""
    plugin: bool = False
    """From a plug-in's device list; otherwise compiled into the wheel."""
    seen: bool = True
    """False: the provider is compiled in, and only building a session will tell whether its hardware is here."""


@dataclass(frozen=True, slots=True)
class OnnxPlugin:
    """A plug-in package that is installed."""

    package: str
    version: str
    providers: tuple[str, ...]
    devices: int
    """How many devices it offers; 0 is normal where its hardware is missing."""
    failure: str = ""
    """Why it could not be registered; empty otherwise."""


@dataclass(frozen=True, slots=True)
class OnnxInventory:
    version: str
    devices: tuple[OnnxDevice, ...]
    """The CPU always among them, in the engine's order."""
    plugins: tuple[OnnxPlugin, ...]


_load_lock = threading.RLock()
_loaded: ModuleType | None = None
_registered: dict[str, OnnxPlugin] | None = None


def onnx_runtime() -> ModuleType:
    """The engine's module, loaded once: silent, telemetry off. Raises ImportError where it is missing."""
    global _loaded
    with _load_lock:
        if _loaded is None:
            # Read by native code as it is loaded. The command line sets it too; a script or a test may not.
            os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
            import onnxruntime

            onnxruntime.disable_telemetry_events()
            onnxruntime.set_default_logger_severity(_SILENT)
            _loaded = onnxruntime
        return _loaded


def native_errors() -> tuple[type[Exception], ...]:
    """Everything that ONNX Runtime's native code raises; each class derives from Exception directly."""
    onnx_runtime()
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    raised = [value for value in vars(native).values() if isinstance(value, type) and issubclass(value, Exception)]
    return tuple(raised)


def installed_plugins() -> tuple[tuple[str, str, str], ...]:
    """Plug-in packages as (package, version, module to import), by name. Reads metadata, imports nothing."""
    from importlib.metadata import distributions

    found = {}
    for distribution in distributions():
        package = re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()
        if not _PLUGIN_PACKAGE.match(package):
            continue
        top_level = (distribution.read_text("top_level.txt") or "").split()
        module = top_level[0] if top_level else package.replace("-", "_")
        found[package] = (package, distribution.version, module)
    return tuple(found[package] for package in sorted(found))


def register_plugins(
    packages: Callable[[], Iterable[tuple[str, str, str]]] = installed_plugins,
) -> tuple[OnnxPlugin, ...]:
    """Register every installed plug-in with the engine, once a process, and say what came of each.

    A plug-in that cannot be imported or registered is reported, never raised: the CPU is always there.
    """
    global _registered
    with _load_lock:
        if _registered is None:
            _registered = {package: _register(package, version, module) for package, version, module in packages()}
        return tuple(_registered.values())


def _register(package: str, version: str, module_name: str) -> OnnxPlugin:
    import importlib

    ort = onnx_runtime()
    # AttributeError: a placeholder release that holds no provider yet.
    unusable: tuple[type[Exception], ...] = (ImportError, AttributeError, OSError, *native_errors())
    try:
        module = importlib.import_module(module_name)
        library, names = module.get_library_path(), tuple(module.get_ep_names())
        ort.register_execution_provider_library(package, str(library))
    except unusable as error:
        LOGGER.warning("plug-in %s %s cannot be used: %s", package, version, error)
        return OnnxPlugin(package, version, (), 0, failure=f"{type(error).__name__}: {error}")
    offered = sum(device.ep_name in names for device in ort.get_ep_devices())
    return OnnxPlugin(package, version, names, offered)


def list_onnx_devices() -> OnnxInventory:
    """Every device of every provider, plug-ins registered first. Remote providers are left out."""
    ort = onnx_runtime()
    plugins = register_plugins()
    from_plugins = {name for plugin in plugins for name in plugin.providers}
    devices: list[OnnxDevice] = []
    for device in ort.get_ep_devices():
        if device.ep_name in REMOTE_PROVIDERS:
            continue
        engine_name = device.ep_metadata.get("ov_device", "")
        device_type: DeviceType = _device_type(device.device.type.name)
        label = device.device.metadata.get("Description") or f"{device.device.vendor} {device_type.upper()}".strip()
        short = device.ep_name.removesuffix("ExecutionProvider")
        devices.append(
            OnnxDevice(
                provider=device.ep_name,
                device_type=device_type,
                name=label if device.ep_name == CPU_PROVIDER else f"{label} ({short})",
                engine_name=engine_name,
                plugin=device.ep_name in from_plugins,
            )
        )
    listed = {device.provider for device in devices}
    for provider in ort.get_available_providers():
        if provider not in listed and provider not in REMOTE_PROVIDERS:
            devices.extend(_built_in(provider))
    return OnnxInventory(version=ort.__version__, devices=tuple(devices), plugins=plugins)


def _built_in(provider: str) -> list[OnnxDevice]:
    short = provider.removesuffix("ExecutionProvider")
    if provider == "OpenVINOExecutionProvider":
        from onnxruntime.capi import onnxruntime_pybind11_state as native

        # "CPU", "GPU.0", "NPU": OpenVINO's own list, so these are really here.
        names = native.get_available_openvino_device_ids()
        return [
            OnnxDevice(provider, _device_type(name.split(".")[0]), f"OpenVINO {name}", engine_name=name)
            for name in names
        ]
    if provider == CPU_PROVIDER:
        return [OnnxDevice(provider, "cpu", "CPU")]
    if provider in _BUILT_IN_DEVICES:
        return [OnnxDevice(provider, _BUILT_IN_DEVICES[provider], short, seen=False)]
    return []  # XNNPACK, DNNL and the like: other ways to use the CPU, which the CPU provider serves better


def _device_type(name: str) -> DeviceType:
    lowered = name.lower()
    if lowered == "gpu":
        return "gpu"
    return "npu" if lowered == "npu" else "cpu"


def ep_devices_of(provider: str, device_type: DeviceType) -> list[OrtEpDevice]:
    """The engine's own device objects for a plug-in provider, for `SessionOptions.add_provider_for_devices`."""
    register_plugins()
    return [
        device
        for device in onnx_runtime().get_ep_devices()
        if device.ep_name == provider and _device_type(device.device.type.name) == device_type
    ]
