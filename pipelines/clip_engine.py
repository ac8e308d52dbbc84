"""The engine that knows pictures by their looks: which CLIP, on which device, loaded when first needed.

It is shared by those who index and those who search, and stays until homebody is left. An encoder handed in by the
caller (tests) is used as it is. Knows nothing of the library.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

from models.errors import WeightsMissing
from models.image_encoder import ImageEncoder
from models.placement import ModelNeeds, TaskPlacement, correct, place_on_torch
from pipelines.embedder_sources import is_path
from pipelines.engine_room import EngineRoom

if TYPE_CHECKING:
    from models.clip_onnx import OnnxClip

RUNNING_SHARE = 1.5
"""Memory of a CLIP against its two files: weights laid out anew, and a picture on its way."""


TORCH_HINT = "name a folder with open_clip_config.json and its weights, or set clip.backend to onnx"


class ClipEngine:
    """Thread-safe."""

    def __init__(self, room: EngineRoom, *, encoder: ImageEncoder | None = None) -> None:
        """`encoder` replaces the real one."""
        self._room = room
        self._given = encoder
        self._loading = threading.Lock()
        self._placement: TaskPlacement | None = None

    def model_id(self) -> str:
        """The CLIP that would be used, a catalogue's id or the path of a folder; empty where none is installed."""
        if self._given is not None:
            return self._given.model_id
        named, weights = self._room.settings.clip.model, self._room.weights
        if self._by_torch:
            return named
        if named and is_path(named):
            folder = Path(named).expanduser().absolute()
            return str(folder) if folder.is_dir() else ""
        if named:
            return named if named in weights.catalog.ids and weights.installed(named) is not None else ""
        return next((each.id for each in weights.catalog.defaults("clip") if weights.installed(each.id)), "")

    def encoder(self) -> ImageEncoder:
        """Loaded if need be. Raises WeightsMissing, WeightsDamaged, NotEnoughMemory, EngineFailed."""
        if self._given is not None:
            return self._given
        model_id = self.model_id()
        if not model_id and self._by_torch:
            raise WeightsMissing("clip.backend is torch, and clip.model names nothing", hint=TORCH_HINT)
        if not model_id:
            raise WeightsMissing("no CLIP is installed", hint="run: homebody models pull --for clip")
        if self._by_torch:
            return self._torch_encoder(model_id)
        from models.clip_files import find_clip

        key = f"clip:{model_id}"
        with self._loading:
            if (loaded := self._room.residents.kept(key)) is not None:
                return cast(ImageEncoder, loaded)
            folder = Path(model_id) if is_path(model_id) else self._room.weights.require(model_id).folder
            needed_bytes = int(find_clip(folder).bytes * RUNNING_SHARE)
            return self._room.residents.keep(key, lambda: self._load(model_id, folder), needed_bytes)

    @property
    def _by_torch(self) -> bool:
        return self._room.settings.clip.backend == "torch"

    def _torch_encoder(self, model_id: str) -> ImageEncoder:
        from models.clip_torch import TorchClip
        from models.export_clip import check_installed, local_files, parse_source

        check_installed()
        key = f"clip:torch:{model_id}"
        with self._loading:
            if (loaded := self._room.residents.kept(key)) is not None:
                return cast(ImageEncoder, loaded)
            source = parse_source(model_id)
            needed_bytes = int(sum(file.stat().st_size for file in local_files(source)) * RUNNING_SHARE)
            planned = self._plan(model_id)
            device = planned.device.partition(" ")[0].lower()
            clip = self._room.residents.keep(
                key, lambda: TorchClip.load(source, model_id=model_id, device=device), needed_bytes
            )
            self._placement = planned
            return clip

    def _load(self, model_id: str, folder: Path) -> OnnxClip:
        from models.clip_files import find_clip
        from models.clip_onnx import OnnxClip

        planned = self._plan(model_id)
        # The copy in 8 bits is made for CPUs; other devices are faster with the floats.
        files = find_clip(folder, quantized=planned.device == "CPU")
        clip = OnnxClip(
            files,
            model_id=model_id,
            placement=planned.onnx,
            threads=planned.threads,
            cache_dir=self._room.paths.cache_dir / "onnx",
        )
        self._placement = correct(planned, clip.report)
        return clip

    def _plan(self, model_id: str) -> TaskPlacement:
        if self._by_torch and find_spec("torch") is not None:
            from models.clip_torch import devices

            return place_on_torch(devices(), self._room.device, self._room.settings.embed.threads)
        return self._room.place("clip", ModelNeeds(model_id), self._room.settings.embed.threads)

    # ------------------------------------------------------------------ saying it

    def placement(self) -> TaskPlacement | None:
        """Where it runs, or would; None where there is none, or it is given."""
        if self._placement is not None or self._given is not None:
            return self._placement
        model_id = self.model_id()
        return self._plan(model_id) if model_id else None

    def loaded_placements(self) -> Iterator[TaskPlacement]:
        if self._placement is not None:
            yield self._placement
