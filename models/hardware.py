"""What this machine has, and what each engine on it was built with.

GPUs and NPUs are found through the engines' own lists, never by guessing from drivers: a device that no engine can
use does not count. Measures nothing (`profile.py`) and decides nothing (`placement.py`). Every look at the machine
goes through `Probes`, so that any machine can be described in a test.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from models.cpu_limits import MemoryLimit, affinity_cores, memory_limit, quota_cores, usable_cores
from models.llama_devices import LlamaDevice
from models.onnx_devices import CPU_PROVIDER, OnnxInventory, list_onnx_devices

LOGGER = logging.getLogger(__name__)

INSTRUCTION_SETS: dict[str, str] = {
    "avx": "AVX",
    "avx2": "AVX2",
    "fma": "FMA",
    "f16c": "F16C",
    "avx_vnni": "AVX_VNNI",
    "avx512f": "AVX512",
    "avx512_vnni": "AVX512_VNNI",
    "avx512_bf16": "AVX512_BF16",
    "amx_int8": "AMX_INT8",
    "asimddp": "DOTPROD",
    "i8mm": "MATMUL_INT8",
    "sve": "SVE",
}
"""Those that matter to inference: archspec's name (the kernel's), and the one in `llama_print_system_info`."""


@dataclass(frozen=True, slots=True)
class Cpu:
    name: str
    architecture: str
    """x86_64, aarch64 or arm64, AMD64."""
    physical_cores: int
    logical_cores: int
    usable_cores: int
    """What affinity and control groups leave of the logical ones."""
    instruction_sets: frozenset[str] = frozenset()
    """In archspec's names; all that the CPU has."""

    @property
    def worker_cores(self) -> int:
        """Cores for compute: hyper-threads share one core's arithmetic and only slow such work down."""
        return max(1, min(self.physical_cores or self.logical_cores, self.usable_cores))


@dataclass(frozen=True, slots=True)
class Memory:
    total_bytes: int
    available_bytes: int
    limited: bool = False
    """By a control group: the numbers are its, not the machine's."""


@dataclass(frozen=True, slots=True)
class Battery:
    percent: float
    plugged_in: bool


@dataclass(frozen=True, slots=True)
class EngineBuild:
    name: str
    version: str
    built_with: frozenset[str] = frozenset()
    """Instruction sets and backends compiled in, in the engine's own names."""
    failure: str = ""
    """Why it cannot be loaded; empty when it can."""


@dataclass(frozen=True, slots=True)
class Hardware:
    system: str
    """`Linux 6.8`, `Darwin 24.1`, `Windows 11`."""
    cpu: Cpu
    memory: Memory
    battery: Battery | None = None
    llama_devices: tuple[LlamaDevice, ...] = ()
    onnx: OnnxInventory = field(default_factory=lambda: OnnxInventory("", (), ()))
    engines: tuple[EngineBuild, ...] = ()

    @property
    def on_battery(self) -> bool:
        return self.battery is not None and not self.battery.plugged_in

    def engine(self, name: str) -> EngineBuild | None:
        return next((each for each in self.engines if each.name == name), None)

    def unused_instruction_sets(self) -> tuple[str, ...]:
        """What the CPU has and the chat engine was not compiled for, in llama.cpp's names."""
        engine = self.engine("llama.cpp")
        if engine is None or engine.failure or not engine.built_with:
            return ()
        has = (llama for ours, llama in INSTRUCTION_SETS.items() if ours in self.cpu.instruction_sets)
        return tuple(name for name in has if name not in engine.built_with)

    def fingerprint(self) -> str:
        """Changes when a measurement taken here would no longer hold: other cores, devices or engine builds."""
        stable = {
            "cpu": [self.cpu.name, self.cpu.architecture, self.cpu.usable_cores, sorted(self.cpu.instruction_sets)],
            "llama": sorted((each.name, each.description) for each in self.llama_devices),
            "onnx": sorted((each.provider, each.device_type, each.engine_name) for each in self.onnx.devices),
            "engines": sorted((each.name, each.version, sorted(each.built_with)) for each in self.engines),
        }
        return hashlib.sha256(json.dumps(stable, sort_keys=True).encode()).hexdigest()[:32]

    def to_json(self) -> dict[str, Any]:
        """For `doctor`: plain values, instruction sets that matter only."""
        cpu = asdict(self.cpu)
        cpu["instruction_sets"] = [each for each in INSTRUCTION_SETS if each in self.cpu.instruction_sets]
        return {
            "system": self.system,
            "cpu": cpu,
            "memory": asdict(self.memory),
            "battery": asdict(self.battery) if self.battery else None,
            "accelerators": [
                *(
                    {"engine": "llama.cpp", "name": each.name, "kind": each.device_type, "what": each.description}
                    for each in self.llama_devices
                    if each.device_type != "cpu"
                ),
                *(
                    {"engine": "onnxruntime", "name": each.provider, "kind": each.device_type, "what": each.name}
                    for each in self.onnx.devices
                    if each.provider != CPU_PROVIDER
                ),
            ],
            "plugins": [asdict(each) for each in self.onnx.plugins],
            "engines": [
                {"name": each.name, "version": each.version, "built_with": sorted(each.built_with)}
                | ({"failure": each.failure} if each.failure else {})
                for each in self.engines
            ],
        }


def _find_cpu() -> Cpu:
    import archspec.cpu
    import psutil

    host = archspec.cpu.host()
    logical = psutil.cpu_count() or 1
    return Cpu(
        name=archspec.cpu.brand_string() or host.name,
        architecture=platform.machine(),
        physical_cores=psutil.cpu_count(logical=False) or logical,
        logical_cores=logical,
        usable_cores=usable_cores(affinity_cores(), quota_cores()),
        instruction_sets=frozenset(host.features),
    )


def _find_memory(limit: Callable[[], MemoryLimit | None] = memory_limit) -> Memory:
    import psutil

    machine = psutil.virtual_memory()
    group = limit()
    if group is None or group.limit_bytes >= machine.total:
        return Memory(machine.total, machine.available)
    return Memory(group.limit_bytes, min(group.free_bytes, machine.available), limited=True)


def _find_battery() -> Battery | None:
    import psutil

    # Not on every platform that psutil runs on.
    found = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return None if found is None else Battery(found.percent, bool(found.power_plugged))


def _find_llama() -> tuple[tuple[LlamaDevice, ...], EngineBuild]:
    from importlib.metadata import version

    from models.llama_devices import list_devices, system_info

    devices = list_devices()
    return devices, EngineBuild(
        "llama.cpp", f"llama-cpp-python {version('llama-cpp-python')}", parse_info(system_info())
    )


def _find_onnx() -> tuple[OnnxInventory, EngineBuild]:
    inventory = list_onnx_devices()
    providers = frozenset(each.provider for each in inventory.devices)
    return inventory, EngineBuild("onnxruntime", inventory.version, providers)


@dataclass(frozen=True, slots=True)
class Probes:
    """The looks that `find_hardware` takes. An engine's may raise ImportError, OSError or RuntimeError."""

    cpu: Callable[[], Cpu] = _find_cpu
    memory: Callable[[], Memory] = _find_memory
    battery: Callable[[], Battery | None] = _find_battery
    llama: Callable[[], tuple[tuple[LlamaDevice, ...], EngineBuild]] = _find_llama
    onnx: Callable[[], tuple[OnnxInventory, EngineBuild]] = _find_onnx
    system: Callable[[], str] = lambda: f"{platform.system()} {platform.release()}"


def find_hardware(probes: Probes | None = None) -> Hardware:
    """Look at the machine. Loads the engines' libraries (about half a second the first time), no model.

    An engine that cannot be loaded is part of the answer (`EngineBuild.failure`), not an error.
    """
    probes = probes or Probes()
    llama_devices: tuple[LlamaDevice, ...] = ()
    onnx = OnnxInventory("", (), ())
    engines = []
    try:
        llama_devices, build = probes.llama()
    except (ImportError, OSError, RuntimeError) as error:
        build = EngineBuild("llama.cpp", "", failure=f"{type(error).__name__}: {error}")
    engines.append(build)
    try:
        onnx, build = probes.onnx()
    except (ImportError, OSError, RuntimeError) as error:
        build = EngineBuild("onnxruntime", "", failure=f"{type(error).__name__}: {error}")
    engines.append(build)
    for each in engines:
        if each.failure:
            LOGGER.warning("%s cannot be loaded: %s", each.name, each.failure)
    return Hardware(
        system=probes.system(),
        cpu=probes.cpu(),
        memory=probes.memory(),
        battery=probes.battery(),
        llama_devices=llama_devices,
        onnx=onnx,
        engines=tuple(engines),
    )


def parse_info(system_info: str) -> frozenset[str]:
    """What is switched on in `llama_print_system_info`, backends too.

    `CUDA : USE_GRAPHS = 1 | CPU : AVX2 = 1 | AVX512 = 0 | ` gives CUDA, USE_GRAPHS, CPU, AVX2.
    """
    found = set()
    for entry in system_info.split("|"):
        backend, _, feature = entry.rpartition(":")
        name, _, value = feature.partition("=")
        found |= {backend.strip()} if backend.strip() else set()
        found |= {name.strip()} if value.strip() not in ("", "0") else set()
    return frozenset(found)
