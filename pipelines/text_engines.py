"""The engines that find text: embedders, of which a library that changes its own needs two, and the reranker.

Each is loaded when it is first needed, measured once, and stays until it is let go: several threads use it at a time.
Knows nothing of the library; which embedder that one wants is `library_embedders.py`'s business. Engines handed in by
the caller (tests) are used as they are.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, cast

from models.contention import ContentionWatch
from models.errors import WeightsMissing
from models.fit import needed_memory_bytes
from models.placement import Fallback, ModelNeeds, TaskPlacement, correct
from models.profile import MeasurableEmbedder, candidate_threads, measure_embed
from pipelines.embedder_sources import GGUF_SUFFIX, EmbedderSource, EmbedderSources, embedder_id
from pipelines.engine_room import EngineRoom
from pipelines.models_listing import installed_default
from rag.chunking import CountTokens, counting_with
from rag.ports import Reranker, TextEmbedder

if TYPE_CHECKING:
    from models.embed_text_gguf import GgufTextEmbedder
    from models.embed_text_onnx import OnnxTextEmbedder
    from models.rerank_onnx import OnnxReranker

LOGGER = logging.getLogger(__name__)

IN_INTEGERS = "int8"


class TextEngines:
    """Thread-safe."""

    def __init__(
        self, room: EngineRoom, *, embedders: Sequence[TextEmbedder] = (), reranker: Reranker | None = None
    ) -> None:
        """Of `embedders` given the first is the default; with any given, no other is looked for."""
        self._room = room
        self._given = {each.model_id: each for each in embedders}
        self._given_reranker = reranker
        self._loading = threading.Lock()
        self._default_id = next(iter(self._given), "")
        self._reranker_id: str | None = None
        self._keys: dict[str, set[str]] = {}
        """Of each embedder loaded, by its id: its names among the residents, one for each arithmetic asked for."""
        self._placements: dict[str, TaskPlacement] = {}
        """Of what is loaded: by the embedder's id, and under `rerank`."""

    # ------------------------------------------------------------------ which there are

    @property
    def named(self) -> str:
        """The embedder that the settings name; empty where they leave it open."""
        return embedder_id(self._room.settings.embed.model)

    def default_id(self) -> str:
        """The embedder that would be taken where nothing names one; empty when none is installed."""
        if not self._default_id:  # an installed one is looked for once; one may still come while there is none
            entry = installed_default(self._room.weights, self._room.machine(), "embed")
            self._default_id = entry.id if entry is not None else ""
        return self._default_id

    def is_here(self, model_id: str) -> bool:
        """Whether an embedder's files are there, without reading them."""
        return model_id in self._given if self._given else self._sources.is_here(model_id)

    def reranker_id(self) -> str:
        """The reranker that would be used; empty when none is installed."""
        if self._given_reranker is not None:
            return self._given_reranker.model_id
        if self._given:
            return ""
        if self._reranker_id is None:  # looked for once: this is asked at every answer
            entry = installed_default(self._room.weights, self._room.machine(), "rerank")
            self._reranker_id = entry.id if entry is not None else ""
        return self._reranker_id

    @property
    def _sources(self) -> EmbedderSources:
        return EmbedderSources(self._room.weights, self._room.hashes)

    def token_counter(self, model_id: str) -> CountTokens:
        """What passages are measured with: this embedder's tokenizer, without the embedder being loaded.

        Where it is not installed, the one that homebody carries for its default embedder.
        """
        if self._given:
            return next(self._given[each] for each in (model_id, self._default_id) if each in self._given).count_tokens
        file = self._sources.tokenizer_of(model_id) if model_id else None
        if file is not None and file.suffix == GGUF_SUFFIX:
            from models.embed_text_gguf import GgufTokenCounter

            return GgufTokenCounter(file).count
        if file is not None:
            return counting_with(file.read_text(encoding="utf-8"))
        carried = resources.files("models").joinpath("data", self._carried_id, "tokenizer.json")
        return counting_with(carried.read_text(encoding="utf-8"))

    @property
    def _carried_id(self) -> str:
        return self._room.weights.catalog.defaults("embed")[0].id

    # ------------------------------------------------------------------ embedders

    def embedder(self, model_id: str, *, arithmetic: str = "") -> TextEmbedder:
        """This embedder, loaded if need be. `arithmetic` is what it must compute in; empty leaves that to the machine.

        Raises UnknownModel, WeightsMissing, WeightsDamaged, NotEnoughMemory, EngineFailed.
        """
        if not model_id:
            raise WeightsMissing("no text embedder is installed", hint="run: homebody models pull --for embed")
        if self._given:
            if model_id not in self._given:
                raise WeightsMissing(f"{model_id} is not installed", hint=f"run: homebody models pull {model_id}")
            return self._given[model_id]
        key = f"embed:{model_id}:{arithmetic}"
        with self._loading:
            loaded = self._loaded(model_id, key, arithmetic)
            if loaded is not None:
                return loaded
            source = self._sources.open(model_id)
            embedder = self._room.residents.keep(key, lambda: self._load(source, arithmetic), source.needed_bytes)
            self._keys.setdefault(model_id, set()).add(key)
            return embedder

    def _loaded(self, model_id: str, key: str, arithmetic: str) -> TextEmbedder | None:
        """The one under this key; or one that was loaded as the machine liked best, and computes in what is asked."""
        for other in self._keys.get(model_id, ()):
            embedder = cast("TextEmbedder | None", self._room.residents.kept(other))
            if embedder is not None and (other == key or embedder.arithmetic == arithmetic):
                return embedder
        return None

    def let_go(self, model_id: str) -> None:
        """Close an embedder that is not needed any more; a question that still uses it is answered first."""
        with self._loading:
            keys = self._keys.pop(model_id, set())
            self._placements.pop(model_id, None)
        for key in keys:
            self._room.residents.drop(key, wait_s=1.0)

    def _load(self, source: EmbedderSource, arithmetic: str) -> OnnxTextEmbedder | GgufTextEmbedder:
        planned = self._plan(source, arithmetic)
        embedder: OnnxTextEmbedder | GgufTextEmbedder
        if source.engine == "llama":
            embedder, report = self._open_llama(source, planned), None
        else:
            embedder = self._open_onnx(source, planned)
            report = embedder.report
        try:
            if self._room.profile.needs_embed(source.model_id) and not self._room.settings.embed.threads:
                self._measure(source.model_id, embedder)
                planned = self._plan(source, arithmetic)
                embedder.set_threads(planned.threads)
        except BaseException:
            embedder.close()
            raise
        self._placements[source.model_id] = planned if report is None else correct(planned, report)
        return embedder

    def _plan(self, source: EmbedderSource, arithmetic: str) -> TaskPlacement:
        needs = ModelNeeds(source.model_id, source.needed_bytes, source.engine)
        planned = self._room.place("embed", needs, self._room.settings.embed.threads)
        if not arithmetic or source.engine == "llama":
            return planned
        if arithmetic != IN_INTEGERS:
            return replace(planned, arithmetic="as shipped")
        if planned.device == "CPU":
            return replace(planned, arithmetic="int8")
        why = "the library's vectors were computed in 8-bit integers, which the CPU does"
        fallback = Fallback(planned.device, "CPU", why, "To use it, make them anew: homebody index --reembed")
        plain = TaskPlacement("embed", "CPU", why, planned.threads, planned.threads_batch)
        return replace(plain, arithmetic="int8", fallback=fallback)

    def _open_onnx(self, source: EmbedderSource, planned: TaskPlacement) -> OnnxTextEmbedder:
        from models.embed_text_onnx import OnnxTextEmbedder

        assert source.tokenizer_file is not None
        return OnnxTextEmbedder(
            model_id=source.model_id,
            model_file=source.model_file,
            tokenizer_file=source.tokenizer_file,
            sha256=source.sha256,
            dimension=source.dimension,
            max_tokens=source.max_tokens,
            query_prefix=source.query_prefix,
            passage_prefix=source.passage_prefix,
            pooling=source.pooling,
            placement=planned.onnx,
            threads=planned.threads,
            integer=planned.arithmetic == "int8",
            cache_dir=self._room.paths.cache_dir / "onnx",
        )

    @staticmethod
    def _open_llama(source: EmbedderSource, planned: TaskPlacement) -> GgufTextEmbedder:
        from models.embed_text_gguf import GgufTextEmbedder

        return GgufTextEmbedder(
            source.model_file,
            model_id=source.model_id,
            sha256=source.sha256,
            query_prefix=source.query_prefix,
            passage_prefix=source.passage_prefix,
            threads=planned.threads,
            n_gpu_layers=planned.gpu_layers,
            device_names=planned.llama_devices,
        )

    def _measure(self, model_id: str, embedder: MeasurableEmbedder) -> None:
        """Below a second; what was measured while other programs used the cores is not kept."""
        watch = ContentionWatch()
        candidates = candidate_threads(self._room.hardware.cpu)
        rates = measure_embed(embedder, candidates)
        if not watch.contended(max(candidates)):
            self._room.profile.record_embed(model_id, rates)

    # ------------------------------------------------------------------ the reranker

    def reranker(self) -> Reranker:
        """The reranker, loaded if need be. Raises WeightsMissing, WeightsDamaged, NotEnoughMemory."""
        if self._given_reranker is not None:
            return self._given_reranker
        model_id = self.reranker_id()
        if not model_id:
            raise WeightsMissing("no reranker is installed", hint="run: homebody models pull --for rerank")
        with self._loading:
            needed_bytes = needed_memory_bytes(self._room.weights.catalog.entry(model_id))
            return self._room.residents.keep(f"rerank:{model_id}", lambda: self._load_reranker(model_id), needed_bytes)

    def _load_reranker(self, model_id: str) -> OnnxReranker:
        from models.rerank_onnx import OnnxReranker

        installed = self._room.weights.require(model_id)
        planned = self._plan_reranker(model_id)
        how = installed.entry.reranking
        reranker = OnnxReranker(
            model_id=model_id,
            model_file=installed.main_file,
            tokenizer_file=installed.path("tokenizer.json"),
            sha256=installed.entry.files[0].sha256 or self._room.hashes.of(installed.main_file),
            max_tokens=how.max_tokens if how is not None else 512,
            placement=planned.onnx,
            threads=planned.threads,
            cache_dir=self._room.paths.cache_dir / "onnx",
        )
        self._placements["rerank"] = correct(planned, reranker.report)
        return reranker

    def _plan_reranker(self, model_id: str) -> TaskPlacement:
        return self._room.place("rerank", ModelNeeds(model_id), self._room.settings.embed.threads)

    # ------------------------------------------------------------------ saying it

    def placement(self, model_id: str) -> TaskPlacement | None:
        """Where this embedder runs, or would; None where it is given, or not there."""
        if model_id in self._placements:
            return self._placements[model_id]
        if self._given or not model_id:
            return None
        needs = ModelNeeds(model_id, engine=self._sources.engine_of(model_id))
        return self._room.place("embed", needs, self._room.settings.embed.threads)

    def reranker_placement(self) -> TaskPlacement | None:
        """Where the reranker runs, or would; None where there is none, or it is given."""
        if "rerank" in self._placements or self._given_reranker is not None:
            return self._placements.get("rerank")
        model_id = self.reranker_id()
        return self._plan_reranker(model_id) if model_id else None

    def loaded_placements(self) -> Iterator[TaskPlacement]:
        yield from tuple(self._placements.values())
