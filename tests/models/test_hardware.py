from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from models.cpu_limits import MemoryLimit, affinity_cores, memory_limit, quota_cores, usable_cores
from models.hardware import Cpu, EngineBuild, Hardware, Memory, Probes, find_hardware, parse_info
from models.llama_devices import LlamaDevice
from models.onnx_devices import OnnxInventory
from tests.machines import apple_m, container, intel_laptop, nvidia_desktop, snapdragon_x, two_core_vm

MACHINES = [two_core_vm, intel_laptop, apple_m, nvidia_desktop, snapdragon_x, container]


def probes_of(machine: Hardware) -> Probes:
    llama, onnx = machine.engine("llama.cpp"), machine.engine("onnxruntime")
    assert llama is not None
    assert onnx is not None
    return Probes(
        cpu=lambda: machine.cpu,
        memory=lambda: machine.memory,
        battery=lambda: machine.battery,
        llama=lambda: (machine.llama_devices, llama),
        onnx=lambda: (machine.onnx, onnx),
        system=lambda: machine.system,
    )


def group_files(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content + "\n")
    return root


@pytest.mark.parametrize("machine", MACHINES)
def test_what_the_probes_see_is_what_is_found(machine: Callable[[], Hardware]) -> None:
    assert find_hardware(probes_of(machine())) == machine()


def test_this_machine_is_found() -> None:
    found = find_hardware()

    assert found.cpu.name
    assert 1 <= found.cpu.usable_cores <= found.cpu.logical_cores
    assert 0 < found.memory.available_bytes <= found.memory.total_bytes
    assert {engine.name for engine in found.engines} == {"llama.cpp", "onnxruntime"}
    assert all(engine.version and not engine.failure for engine in found.engines)
    assert any(device.device_type == "cpu" for device in found.llama_devices)
    assert found.fingerprint() == find_hardware().fingerprint()


def test_an_engine_that_cannot_be_loaded_is_part_of_the_answer() -> None:
    def no_llama() -> tuple[tuple[LlamaDevice, ...], EngineBuild]:
        raise OSError("libllama.so: cannot open shared object file")

    def no_onnx() -> tuple[OnnxInventory, EngineBuild]:
        raise ModuleNotFoundError("No module named 'onnxruntime'")

    found = find_hardware(replace(probes_of(two_core_vm()), llama=no_llama, onnx=no_onnx))

    llama, onnx = found.engines
    assert "libllama.so" in llama.failure
    assert "onnxruntime" in onnx.failure
    assert found.llama_devices == ()
    assert found.unused_instruction_sets() == ()


def test_json_lists_accelerators_of_both_engines() -> None:
    listed = intel_laptop().to_json()
    assert [(each["engine"], each["kind"]) for each in listed["accelerators"]] == [
        ("llama.cpp", "igpu"),
        ("onnxruntime", "cpu"),
        ("onnxruntime", "gpu"),
        ("onnxruntime", "npu"),
    ]
    assert listed["battery"] == {"percent": 61.0, "plugged_in": False}
    assert two_core_vm().to_json()["accelerators"] == []


def test_a_generic_build_is_noticed() -> None:
    assert nvidia_desktop().unused_instruction_sets() == ("AVX512", "AVX512_VNNI")
    assert two_core_vm().unused_instruction_sets() == ()


@pytest.mark.parametrize(
    "changed",
    [
        lambda one: replace(one, cpu=replace(one.cpu, usable_cores=1)),
        lambda one: replace(one, engines=(replace(one.engines[0], version="0.4.0"), one.engines[1])),
        lambda one: replace(one, engines=(replace(one.engines[0], built_with=frozenset()), one.engines[1])),
        lambda one: replace(one, llama_devices=()),
    ],
)
def test_the_fingerprint_changes_with_what_a_measurement_depends_on(changed: Callable[[Hardware], Hardware]) -> None:
    assert changed(two_core_vm()).fingerprint() != two_core_vm().fingerprint()


def test_the_fingerprint_stays_with_what_changes_all_day() -> None:
    other = replace(two_core_vm(), memory=Memory(24, 1), battery=intel_laptop().battery, system="Linux 6.9")
    assert other.fingerprint() == two_core_vm().fingerprint()


def test_worker_cores_are_physical_and_allowed() -> None:
    assert intel_laptop().cpu.worker_cores == 6
    assert container().cpu.worker_cores == 4
    assert Cpu("unknown", "x86_64", 0, 8, 8).worker_cores == 8


def test_system_info_is_read() -> None:
    text = "CUDA : ARCHS = 890 | USE_GRAPHS = 1 | CPU : SSE3 = 1 | AVX2 = 1 | AVX512 = 0 | REPACK = 1 | "
    assert parse_info(text) == {"CUDA", "ARCHS", "USE_GRAPHS", "CPU", "SSE3", "AVX2", "REPACK"}
    assert parse_info("") == frozenset()


@pytest.mark.parametrize(
    ("affinity", "quota", "usable"), [(8, None, 8), (8, 2.0, 2), (8, 2.5, 2), (2, 4.0, 2), (4, 0.5, 1), (1, None, 1)]
)
def test_threads_that_can_run_at_once(affinity: int, quota: float | None, usable: int) -> None:
    assert usable_cores(affinity, quota) == usable


def test_the_tightest_quota_counts_in_version_2(tmp_path: Path) -> None:
    root = group_files(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user/app",
            "sys/fs/cgroup/user/cpu.max": "200000 100000",
            "sys/fs/cgroup/user/app/cpu.max": "max 100000",
            "sys/fs/cgroup/user/memory.max": "2000000000",
            "sys/fs/cgroup/user/memory.current": "500000000",
            "sys/fs/cgroup/user/memory.stat": "anon 1\ninactive_file 100000000",
            "sys/fs/cgroup/user/app/memory.max": "max",
        },
    )
    assert quota_cores(root) == 2.0
    assert memory_limit(root) == MemoryLimit(2_000_000_000, 400_000_000)


def test_limits_of_version_1_are_found_in_a_container_whose_path_is_the_hosts(tmp_path: Path) -> None:
    root = group_files(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "900000000",
            "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 400000000",
        },
    )
    assert quota_cores(root) == 1.5
    limit = memory_limit(root)
    assert limit is not None
    assert limit.free_bytes == 1073741824 - 500_000_000


def test_no_limit_is_no_limit(tmp_path: Path) -> None:
    root = group_files(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/\n1:cpu:/",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000",
        },
    )
    assert quota_cores(root) is None
    assert memory_limit(root) is None
    assert quota_cores(tmp_path / "nowhere") is None
    assert memory_limit(tmp_path / "nowhere") is None


def test_affinity_is_at_least_one_core() -> None:
    assert affinity_cores() >= 1
