"""The engines that look at pictures: OCR, and labels. Loaded when first needed, given to one caller at a time.

Each can leave memory for others and come back. Engines handed in by the caller (tests) are used as they are. Knows
nothing of files and of what is done with what was seen.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from models.labels import MODEL_ID as LABELS_ID
from models.labels import Labeller
from models.ocr import MODEL_ID as OCR_ID
from models.ocr import OcrEngine
from models.placement import ModelNeeds, Task, TaskPlacement, correct
from pipelines.engine_room import EngineRoom

if TYPE_CHECKING:
    from models.labels_onnx import OnnxLabeller
    from models.ocr_rapid import RapidOcr


class PictureEngines:
    """Thread-safe."""

    def __init__(self, room: EngineRoom, *, ocr: OcrEngine | None = None, labeller: Labeller | None = None) -> None:
        """Engines given replace the real ones."""
        self._room = room
        self._given_ocr = ocr
        self._given_labeller = labeller
        self._given_lock = threading.Lock()
        self._placements: dict[Task, TaskPlacement] = {}

    @contextmanager
    def ocr(self) -> Iterator[OcrEngine]:
        """Raises WeightsMissing, WeightsDamaged, NotEnoughMemory, EngineFailed."""
        if self._given_ocr is not None:
            with self._given_lock:
                yield self._given_ocr
            return
        from models.ocr_rapid import NEEDED_BYTES

        with self._room.residents.use("ocr", self._load_ocr, NEEDED_BYTES) as engine:
            yield engine

    @contextmanager
    def labeller(self) -> Iterator[Labeller]:
        """Raises WeightsMissing, WeightsDamaged, NotEnoughMemory, EngineFailed."""
        if self._given_labeller is not None:
            with self._given_lock:
                yield self._given_labeller
            return
        from models.labels_onnx import NEEDED_BYTES

        with self._room.residents.use("labels", self._load_labeller, NEEDED_BYTES) as engine:
            yield engine

    def _load_ocr(self) -> RapidOcr:
        from models.ocr_rapid import RapidOcr

        planned = self._plan("ocr", OCR_ID)
        engine = RapidOcr(
            placement=planned.onnx, threads=planned.threads, cache_dir=self._room.paths.cache_dir / "onnx"
        )
        self._placements["ocr"] = correct(planned, engine.report)
        return engine

    def _load_labeller(self) -> OnnxLabeller:
        from models.labels_onnx import OnnxLabeller

        planned = self._plan("labels", LABELS_ID)
        engine = OnnxLabeller(placement=planned.onnx, threads=planned.threads)
        self._placements["labels"] = correct(planned, engine.report)
        return engine

    def _plan(self, task: Task, model_id: str) -> TaskPlacement:
        return self._room.place(task, ModelNeeds(model_id), self._room.settings.embed.threads)

    # ------------------------------------------------------------------ saying it

    def placements(self) -> Iterator[TaskPlacement]:
        """Where each runs, or would; nothing for engines that were given."""
        if self._given_ocr is None:
            yield self._placements.get("ocr") or self._plan("ocr", OCR_ID)
        if self._given_labeller is None:
            yield self._placements.get("labels") or self._plan("labels", LABELS_ID)

    def loaded_placements(self) -> Iterator[TaskPlacement]:
        yield from tuple(self._placements.values())
