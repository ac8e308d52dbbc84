"""Which chat model answers, and which one answers about pictures: the settings' own, or the best installed that fits.

Looks at files' headers and at the machine's memory, loads nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from models.errors import ModelError, WeightsMissing
from models.fit import needed_for_pictures_bytes, needed_memory_bytes
from models.user_gguf import mmproj_beside
from pipelines.engine_room import EngineRoom
from pipelines.models_listing import installed_default


@dataclass(frozen=True, slots=True)
class ChatChoice:
    """A chat model that can be loaded."""

    model_id: str
    path: Path
    needed_bytes: int
    weights_bytes: int
    """Of the language model: what decides its speed."""
    mmproj: Path | None = None
    """What makes pictures readable for it."""
    unfit: ModelError | None = None
    """Why the mmproj file beside it is not that: said when a picture is asked about, for texts it does not matter."""
    is_users_own: bool = False
    """No catalogue vouches for its files."""

    @property
    def sees(self) -> bool:
        """Raises the error of an mmproj file that does not belong to the model."""
        if self.unfit is not None:
            raise self.unfit
        return self.mmproj is not None


class ChatChoices:
    def __init__(self, room: EngineRoom) -> None:
        self._room = room
        self._settings = room.settings.chat

    @cached_property
    def chat(self) -> ChatChoice:
        """The model of the settings, or the best installed one that fits. Raises WeightsMissing, WeightsDamaged."""
        if named := self._settings.model:
            return self._named(named)
        default = installed_default(self._room.weights, self._room.machine(), "chat")
        if default is None:
            raise WeightsMissing("no chat model is installed", hint="run: homebody models pull --for chat")
        return self._of_catalogue(default.id)

    @cached_property
    def seeing(self) -> ChatChoice | None:
        """The one that is shown pictures: the chat model itself where it sees; None where none is installed.

        Raises WeightsMissing, WeightsDamaged, UnknownModel.
        """
        if named := self._settings.vision_model:
            choice = self._named(named)
            if not choice.sees:
                raise WeightsMissing(
                    f"{choice.model_id} reads text only, and chat.vision_model names it",
                    hint="name a model that reads pictures: homebody models list --for vision",
                )
            return choice
        try:
            chat = self.chat
        except WeightsMissing:
            pass  # a model for pictures alone may be there all the same
        else:
            if chat.sees:
                return chat
        default = installed_default(self._room.weights, self._room.machine(), "vision")
        return self._of_catalogue(default.id) if default is not None else None

    def _named(self, named: str) -> ChatChoice:
        path = Path(named).expanduser()
        if named.endswith(".gguf") or path.is_dir():
            return self._of_user(path)
        return self._of_catalogue(named)

    def _of_user(self, path: Path) -> ChatChoice:
        own = self._room.weights.open_user_gguf(path)
        mmproj, unfit = None, None
        try:
            mmproj = mmproj_beside(own.header)
        except ModelError as error:
            unfit = error
        size_bytes = own.header.file_bytes
        kv_bytes = (own.header.kv_bytes_per_token() or 0) * self._settings.context_tokens
        needed_bytes = size_bytes + kv_bytes + size_bytes // 10
        if mmproj is not None:
            needed_bytes += mmproj.stat().st_size + needed_for_pictures_bytes()
        return ChatChoice(own.path.stem, own.path, needed_bytes, size_bytes, mmproj, unfit, is_users_own=True)

    def _of_catalogue(self, model_id: str) -> ChatChoice:
        entry = self._room.weights.catalog.entry(model_id)
        needed_bytes = needed_memory_bytes(entry, context_tokens=self._settings.context_tokens)
        installed = self._room.weights.require(entry.id)
        projector = entry.projector
        return ChatChoice(
            entry.id,
            installed.main_file,
            needed_bytes,
            installed.main_file.stat().st_size,
            installed.path(projector.name) if projector is not None else None,
        )
