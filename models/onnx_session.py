"""The one place where ONNX Runtime sessions are built, and read back.

A placement says which provider and device; the session that comes out says what really runs, because providers
drop out silently: one that cannot be made, or that takes no part of the graph, leaves the CPU. Graphs are parsed
before native code sees them, may not name other files, and are optimised once (`graph_cache.py`). Knows nothing of
what a model is for.
"""

from __future__ import annotations

import itertools
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.errors import EngineFailed, WeightsDamaged, WeightsMissing
from models.graph_cache import GraphCache
from models.onnx_devices import CPU_PROVIDER, DeviceType, ep_devices_of, native_errors, onnx_runtime

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto
    from onnxruntime import InferenceSession, RunOptions, SessionOptions

LOGGER = logging.getLogger(__name__)

_SILENT = 4
"""Severity FATAL: ONNX Runtime writes its log to standard error, which a full-screen terminal owns."""


@dataclass(frozen=True, slots=True)
class OnnxPlacement:
    """Where a session should run."""

    provider: str = CPU_PROVIDER
    device_type: DeviceType = "cpu"
    engine_name: str = ""
    """The provider's own name for the device (OpenVINO: `GPU.1`), where it has one."""

    def __str__(self) -> str:
        if self.provider == CPU_PROVIDER:
            return "CPU"
        return f"{self.device_type.upper()} ({self.provider.removesuffix('ExecutionProvider')})"


CPU = OnnxPlacement()


@dataclass(frozen=True, slots=True)
class SessionReport:
    """What was asked of the engine, and what it says it does."""

    asked: str
    running: str
    fallback_reason: str = ""
    """Why it is not what was asked; empty when it is."""
    share: float = 1.0
    """Part of the graph's operators that run there; the rest runs on the CPU."""


class OnnxSession:
    """A session that is open. Thread-safe: ONNX Runtime allows concurrent runs of one session."""

    def __init__(
        self, session: InferenceSession, report: SessionReport, name: str, *, keeps_memory: bool = True
    ) -> None:
        self._session = session
        self.report = report
        self._name = name
        self._errors = native_errors()
        self._run_options = None if keeps_memory else _giving_back()
        self.input_names = tuple(each.name for each in session.get_inputs())

    @property
    def native(self) -> InferenceSession:
        """ONNX Runtime's own, for a library that reads a graph's facts from it."""
        return self._session

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """All outputs, in the graph's order. Raises EngineFailed."""
        try:
            return self._session.run(None, feeds, self._run_options)
        except self._errors as error:
            raise EngineFailed(
                f"{self._name} failed on {self.report.running}: {_first_line(error)}",
                hint="try it on the CPU: --device cpu",
            ) from error


def open_session(
    graph: bytes,
    *,
    name: str,
    placement: OnnxPlacement = CPU,
    threads: int = 1,
    spinning: bool = False,
    optimised: bool = False,
    keeps_memory: bool = True,
    compiled_dir: Path | None = None,
) -> OnnxSession:
    """A session over a graph that was checked, on the device asked for or else on the CPU with the reason.

    `threads` work on one run together; `spinning` lets idle ones burn their core for a little less latency, which
    costs another engine on the same cores up to 70 % of its speed. `optimised` graphs are taken as they are.
    Unless it `keeps_memory` what a run took is given back after it: for inputs of ever other sizes, which let an
    arena grow. It is an arena all the same: without one the detector of text took a third more CPU time, which went
    into fetching the same memory from the system over and over.
    `compiled_dir` is where a provider that compiles (OpenVINO) may keep its result. Raises WeightsDamaged when
    even the CPU refuses the graph.
    """
    reason = ""
    if placement.provider != CPU_PROVIDER:
        session, reason = _on_device(graph, placement, _options(threads, spinning, False, keeps_memory), compiled_dir)
        if session is not None:
            share = _share(session, placement.provider)
            if share > 0:
                report = SessionReport(str(placement), str(placement), share=share)
                return OnnxSession(session, report, name, keeps_memory=keeps_memory)
            reason = f"{placement} took no part of {name}"
        LOGGER.warning("%s asked for %s and runs on the CPU: %s", name, placement, reason)
    options = _options(threads, spinning, optimised, keeps_memory)
    try:
        session = onnx_runtime().InferenceSession(graph, options, providers=[CPU_PROVIDER], enable_fallback=0)
    except native_errors() as error:
        raise WeightsDamaged(
            f"ONNX Runtime refuses {name}: {_first_line(error)}", hint="get it again: homebody models pull"
        ) from error
    return OnnxSession(session, SessionReport(str(placement), str(CPU), reason), name, keeps_memory=keeps_memory)


def open_model(
    file: Path,
    *,
    sha256: str,
    placement: OnnxPlacement = CPU,
    threads: int = 1,
    spinning: bool = False,
    keeps_memory: bool = True,
    cache_dir: Path | None = None,
) -> OnnxSession:
    """A session over a model file. On the CPU its optimised graph is kept in `cache_dir` for the next start.

    Raises WeightsMissing, and WeightsDamaged for a file that is no ONNX model or that names other files.
    """
    if placement.provider == CPU_PROVIDER:
        key = f"optimised exact onnxruntime={onnx_runtime().__version__} provider={CPU_PROVIDER} cpu={cpu_features()}"
        graph = GraphCache(cache_dir).get_or_make(sha256, key, lambda: optimise(read_model(file), file.name))
        return open_session(
            graph, name=file.name, threads=threads, spinning=spinning, optimised=True, keeps_memory=keeps_memory
        )
    graph = read_model(file).SerializeToString()
    return open_session(
        graph,
        name=file.name,
        placement=placement,
        threads=threads,
        spinning=spinning,
        keeps_memory=keeps_memory,
        compiled_dir=cache_dir,
    )


def read_model(file: Path) -> ModelProto:
    """Parse a model file. Raises WeightsMissing, and WeightsDamaged where it is no ONNX model or names other files.

    Weights in other files are refused because the engine would read whatever path the model names, relative to
    the working directory when it is given bytes.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it ships no types

    try:
        model = onnx.load_model_from_string(file.read_bytes())
    except FileNotFoundError as error:
        raise WeightsMissing(f"{file} is not there", hint="get it: homebody models pull") from error
    except OSError as error:
        raise WeightsMissing(f"{file} cannot be read: {error.strerror}", hint="check who may read it") from error
    except DecodeError as error:
        raise WeightsDamaged(f"{file} is not an ONNX model", hint="get it again: homebody models pull") from error
    if not model.graph.node:
        raise WeightsDamaged(f"{file} holds no graph", hint="get it again: homebody models pull")
    in_functions = (tensor for function in model.functions for tensor in _tensors_of_nodes(function.node))
    for tensor in itertools.chain(_tensors(model.graph), in_functions):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise WeightsDamaged(
                f"{file} keeps weights in another file, which homebody does not follow",
                hint="take a single-file export of the model",
            )
    return model


def optimise(model: ModelProto, name: str) -> bytes:
    """The graph after ONNX Runtime's own fusions for this CPU. Raises WeightsDamaged."""
    return _optimised(model, name, plainly=False)


def simplify(model: ModelProto, name: str) -> ModelProto:
    """The graph without what needs no input: constants folded, nothing fused, any engine's. Raises WeightsDamaged."""
    import onnx

    simplified = onnx.load_model_from_string(_optimised(model, name, plainly=True))
    del simplified.metadata_props[:]
    simplified.metadata_props.extend(model.metadata_props)
    return simplified


def _optimised(model: ModelProto, name: str, *, plainly: bool) -> bytes:
    with tempfile.TemporaryDirectory(prefix="homebody-onnx-") as folder:
        target = Path(folder) / "optimised.onnx"
        options = _options(1, False, False, True)
        if plainly:
            options.graph_optimization_level = onnx_runtime().GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(target)
        try:
            onnx_runtime().InferenceSession(
                model.SerializeToString(), options, providers=[CPU_PROVIDER], enable_fallback=0
            )
        except native_errors() as error:
            raise WeightsDamaged(
                f"ONNX Runtime refuses {name}: {_first_line(error)}", hint="get it again: homebody models pull"
            ) from error
        return target.read_bytes()


def cpu_features() -> str:
    """This CPU's instruction sets, as part of a cache key: an optimised graph may be laid out for them."""
    import archspec.cpu

    host = archspec.cpu.host()
    return f"{host.name}:{','.join(sorted(host.features))}"


def _options(threads: int, spinning: bool, optimised: bool, keeps_memory: bool) -> SessionOptions:
    ort = onnx_runtime()
    options: SessionOptions = ort.SessionOptions()
    options.intra_op_num_threads = max(1, threads)
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = keeps_memory  # a plan for each size of input, kept for ever
    if not keeps_memory:
        _register_close_arena()
        options.add_session_config_entry("session.use_env_allocators", "1")
    options.log_severity_level = _SILENT
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_DISABLE_ALL if optimised else level.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    # Without VNNI, products of unsigned and signed bytes overflow at 16 bits: models made for VNNI would go wrong.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return options


@cache
def _register_close_arena() -> None:
    """One arena for all sessions that ask for it, which takes no more from the system than it is asked for.

    A session's own doubles what it takes each time: the detector of text took 90 MB more for a picture of 4 MP.
    """
    ort = onnx_runtime()
    same_as_requested = 1
    limits = {
        "max_mem": 0,
        "arena_extend_strategy": same_as_requested,
        "initial_chunk_size_bytes": 1 << 20,
        "max_dead_bytes_per_chunk": 1 << 20,
    }
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg(limits))


def _giving_back() -> RunOptions:
    """The run shrinks its arena when it is over."""
    options: RunOptions = onnx_runtime().RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def _on_device(
    graph: bytes, placement: OnnxPlacement, options: SessionOptions, compiled_dir: Path | None
) -> tuple[InferenceSession | None, str]:
    """A session with the provider asked for, or None and why not."""
    ort = onnx_runtime()
    devices = ep_devices_of(placement.provider, placement.device_type)
    providers: list[Any] | None = None
    if devices:
        # A plug-in. `providers` must stay unset: the two ways of choosing do not mix.
        options.add_provider_for_devices(devices[:1], {})
    elif placement.provider in ort.get_available_providers():
        providers = [(placement.provider, _provider_options(placement, compiled_dir)), CPU_PROVIDER]
    else:
        return None, f"this machine's ONNX Runtime has no {placement}"
    try:
        session = ort.InferenceSession(graph, options, providers=providers, enable_fallback=0)
    except native_errors() as error:
        return None, _first_line(error)
    if placement.provider not in session.get_providers():
        return None, f"ONNX Runtime could not start {placement}: no such device, or its driver is missing"
    return session, ""


def _provider_options(placement: OnnxPlacement, compiled_dir: Path | None) -> dict[str, str]:
    if placement.provider == "OpenVINOExecutionProvider":
        options = {"device_type": placement.engine_name or placement.device_type.upper()}
        if compiled_dir is not None:
            options["cache_dir"] = str(compiled_dir)
        return options
    return {}


def _share(session: InferenceSession, provider: str) -> float:
    """The part of the graph's operators that a provider really took."""
    total = taken = 0
    for subgraph in session.get_provider_graph_assignment_info():
        nodes = len(subgraph.get_nodes())
        total += nodes
        taken += nodes if subgraph.ep_name == provider else 0
    return taken / total if total else 0.0


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Every tensor in a graph, those in its operators' attributes and subgraphs too."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    yield from _tensors_of_nodes(graph.node)


def _tensors_of_nodes(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                yield from _tensors(attribute.g)
            for subgraph in attribute.graphs:
                yield from _tensors(subgraph)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
