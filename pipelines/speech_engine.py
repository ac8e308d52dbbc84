"""The engine that listens: which recogniser, on which device, loaded when first needed, given to one caller at a time.

An engine handed in by the caller (tests) is used as it is. Knows nothing of files and of what becomes of the words.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from models.errors import ModelError, WeightsMissing
from models.fit import needed_memory_bytes
from models.placement import ModelNeeds, TaskPlacement
from models.speech import SpeechModel
from pipelines.engine_room import EngineRoom
from pipelines.models_listing import installed_default

if TYPE_CHECKING:
    from models.speech_whisper import WhisperSpeech

_CUDA_TYPES = ("int8_float16", "float16", "float32")
"""Best first, of those that a GPU can compute in."""
_CPU_INTEGER_TYPES = ("int8_float32", "int8")
"""CTranslate2's names for the same on a CPU."""


class SpeechEngine:
    """Thread-safe."""

    def __init__(self, room: EngineRoom, *, recogniser: SpeechModel | None = None) -> None:
        """`recogniser` replaces the real one."""
        self._room = room
        self._given = recogniser
        self._given_lock = threading.Lock()
        self._placement: TaskPlacement | None = None

    def model_id(self) -> str:
        """The recogniser that would be used. Raises WeightsMissing, UnknownModel."""
        if self._given is not None:
            return self._given.model_id
        named = self._room.settings.speech.model
        if named:
            return self._room.weights.catalog.entry(named).id
        entry = installed_default(self._room.weights, self._room.machine(), "speech")
        if entry is None:
            raise WeightsMissing("no speech model is installed", hint="run: homebody models pull --for speech")
        return entry.id

    def is_here(self) -> bool:
        """Whether there is one to use, without loading it or asking the hardware."""
        if self._given is not None:
            return True
        weights, named = self._room.weights, self._room.settings.speech.model
        if named:
            return named in weights.catalog.ids and weights.installed(named) is not None
        return any(weights.installed(each.id) is not None for each in weights.catalog.defaults("speech"))

    @contextmanager
    def borrow(self) -> Iterator[SpeechModel]:
        """For this caller alone until the block is left. Raises WeightsMissing, WeightsDamaged, NotEnoughMemory."""
        if self._given is not None:
            with self._given_lock:
                yield self._given
            return
        model_id = self.model_id()
        needed_bytes = needed_memory_bytes(self._room.weights.catalog.entry(model_id))
        key = f"speech:{model_id}"
        with self._room.residents.use(key, lambda: self._load(model_id), needed_bytes) as model:
            yield model

    def _load(self, model_id: str) -> WhisperSpeech:
        from models.speech_whisper import WhisperSpeech, supported_compute_types

        installed = self._room.weights.require(model_id)
        planned = self._plan(model_id)
        device = "cuda" if planned.device != "CPU" else "cpu"
        supported = supported_compute_types(device)
        wanted = _CUDA_TYPES if device == "cuda" else _CPU_INTEGER_TYPES if planned.arithmetic == "int8" else ()
        model = WhisperSpeech(
            model_id=model_id,
            folder=installed.folder,
            device=device,
            compute_type=next((each for each in wanted if each in supported), "float32"),
            threads=planned.threads,
        )
        self._placement = planned
        return model

    def _plan(self, model_id: str) -> TaskPlacement:
        from models.speech_whisper import cuda_devices

        needs = ModelNeeds(model_id, cuda_devices=cuda_devices())
        return self._room.place("speech", needs, self._room.settings.speech.threads)

    # ------------------------------------------------------------------ saying it

    def placement(self) -> TaskPlacement | None:
        """Where it runs, or would; None where there is none, or it is given."""
        if self._placement is not None or self._given is not None:
            return self._placement
        try:
            return self._plan(self.model_id())
        except ModelError:
            return None

    def loaded_placements(self) -> Iterator[TaskPlacement]:
        if self._placement is not None:
            yield self._placement
