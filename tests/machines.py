"""Machines that tests decide on, described as the engines would describe them."""

from __future__ import annotations

from models.hardware import Battery, Cpu, EngineBuild, Hardware, Memory
from models.llama_devices import LlamaDevice
from models.onnx_devices import CPU_PROVIDER, OnnxDevice, OnnxInventory, OnnxPlugin

GB = 10**9
ONNX_CPU = OnnxDevice(CPU_PROVIDER, "cpu", "CPU")
LLAMA_CPU = LlamaDevice("CPU", "the processor", "cpu", 8 * GB, 16 * GB, "CPU")
AVX2 = frozenset({"avx", "avx2", "fma", "f16c"})


def llama_build(*built_with: str) -> EngineBuild:
    return EngineBuild("llama.cpp", "llama-cpp-python 0.3.36", frozenset(built_with))


def onnx_build(inventory: OnnxInventory) -> EngineBuild:
    return EngineBuild("onnxruntime", inventory.version, frozenset(each.provider for each in inventory.devices))


def inventory(*devices: OnnxDevice, plugins: tuple[OnnxPlugin, ...] = ()) -> OnnxInventory:
    return OnnxInventory("1.31.1", (ONNX_CPU, *devices), plugins)


def two_core_vm() -> Hardware:
    """No GPU, no plug-in, every engine built for it."""
    onnx = inventory()
    return Hardware(
        "Linux 6.8",
        Cpu("AMD EPYC", "x86_64", 2, 2, 2, AVX2),
        Memory(24 * GB, 20 * GB),
        llama_devices=(LLAMA_CPU,),
        onnx=onnx,
        engines=(llama_build("AVX", "AVX2", "FMA", "F16C", "OPENMP"), onnx_build(onnx)),
    )


def intel_laptop(*, plugin: bool = True) -> Hardware:
    """Arc graphics and an NPU; the chat engine built with Vulkan; 6 cores with hyper-threads, on battery."""
    name = "OpenVINOExecutionProvider"
    listed = (
        OnnxDevice(name, "cpu", "Intel CPU (OpenVINO)", "CPU", plugin=True),
        OnnxDevice(name, "gpu", "Intel Arc Graphics (OpenVINO)", "GPU", plugin=True),
        OnnxDevice(name, "npu", "Intel AI Boost (OpenVINO)", "NPU", plugin=True),
    )
    packages = (OnnxPlugin("onnxruntime-ep-openvino", "1.8.1", (name,), 3),)
    onnx = inventory(*listed, plugins=packages) if plugin else inventory()
    return Hardware(
        "Windows 11",
        Cpu("Intel(R) Core(TM) Ultra 5 125U", "AMD64", 6, 12, 12, AVX2 | {"avx_vnni"}),
        Memory(16 * GB, 9 * GB),
        battery=Battery(61.0, plugged_in=False),
        llama_devices=(
            LLAMA_CPU,
            LlamaDevice("Vulkan0", "Intel(R) Arc(TM) Graphics", "igpu", 7 * GB, 9 * GB, "Vulkan"),
        ),
        onnx=onnx,
        engines=(llama_build("AVX", "AVX2", "FMA", "F16C", "AVX_VNNI", "Vulkan"), onnx_build(onnx)),
    )


def apple_m() -> Hardware:
    onnx = inventory(OnnxDevice("CoreMLExecutionProvider", "npu", "CoreML", seen=False))
    return Hardware(
        "Darwin 24.1",
        Cpu("Apple M2", "arm64", 8, 8, 8, frozenset({"asimddp", "i8mm"})),
        Memory(16 * GB, 10 * GB),
        battery=Battery(100.0, plugged_in=True),
        llama_devices=(LlamaDevice("Metal", "Apple M2", "gpu", 11 * GB, 11 * GB, "Metal"), LLAMA_CPU),
        onnx=onnx,
        engines=(llama_build("Metal", "NEON", "DOTPROD"), onnx_build(onnx)),
    )


def nvidia_desktop(*, free_gb: float = 11.0) -> Hardware:
    """A GeForce with CUDA in both engines, and the processor's own small GPU beside it."""
    onnx = inventory(OnnxDevice("CUDAExecutionProvider", "gpu", "NVIDIA GeForce RTX 4070 (CUDA)"))
    memory = int(free_gb * GB)
    return Hardware(
        "Linux 6.8",
        Cpu("AMD Ryzen 9 7900X 12-Core Processor", "x86_64", 12, 24, 24, AVX2 | {"avx512f", "avx512_vnni"}),
        Memory(64 * GB, 50 * GB),
        llama_devices=(
            LlamaDevice("Vulkan0", "AMD Radeon Graphics", "igpu", 30 * GB, 32 * GB, "Vulkan"),
            LlamaDevice("CUDA0", "NVIDIA GeForce RTX 4070", "gpu", memory, 12 * GB, "CUDA"),
            LLAMA_CPU,
        ),
        onnx=onnx,
        engines=(llama_build("AVX", "AVX2", "FMA", "F16C", "CUDA"), onnx_build(onnx)),
    )


def snapdragon_x() -> Hardware:
    """The NPU's plug-in is installed; the chat engine knows only the CPU."""
    name = "QNNExecutionProvider"
    onnx = inventory(
        OnnxDevice(name, "npu", "Qualcomm Hexagon NPU (QNN)", plugin=True),
        plugins=(OnnxPlugin("onnxruntime-qnn", "2.7.0", (name,), 1),),
    )
    return Hardware(
        "Windows 11",
        Cpu("Snapdragon(R) X Elite", "ARM64", 12, 12, 12, frozenset({"asimd", "asimddp", "i8mm"})),
        Memory(32 * GB, 22 * GB),
        battery=Battery(40.0, plugged_in=False),
        llama_devices=(LLAMA_CPU,),
        onnx=onnx,
        engines=(llama_build("NEON", "DOTPROD", "MATMUL_INT8"), onnx_build(onnx)),
    )


def container() -> Hardware:
    """32 cores outside, a quota of 4 and 2 GB inside."""
    onnx = inventory()
    return Hardware(
        "Linux 6.8",
        Cpu("Intel(R) Xeon(R) Platinum 8375C", "x86_64", 32, 64, 4, AVX2 | {"avx512f", "avx512_vnni"}),
        Memory(2 * GB, int(1.6 * GB), limited=True),
        llama_devices=(LLAMA_CPU,),
        onnx=onnx,
        engines=(llama_build("AVX", "AVX2", "FMA", "F16C"), onnx_build(onnx)),
    )
