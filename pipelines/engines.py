"""The engines of this machine: which model, on which device, loaded when first needed, measured once.

Joins the weights, the hardware, the profile and the placement with the engines' adapters. Knows nothing of
documents or conversations. Engines handed in by the caller (tests) are used as they are.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from models.chat import ChatModel, Usage
from models.contention import ContentionWatch
from models.errors import ModelError, NotEnoughMemory
from models.fit import Machine
from models.hardware import Hardware
from models.image_encoder import ImageEncoder
from models.labels import Labeller
from models.mmproj_trial import MmprojTrials
from models.ocr import OcrEngine
from models.placement import Fallback, ModelNeeds, Task, TaskPlacement
from models.profile import ProfileStore, candidate_threads, measure_chat
from models.speech import SpeechModel
from models.weights import Weights
from pipelines.chat_choice import ChatChoice, ChatChoices
from pipelines.clip_engine import ClipEngine
from pipelines.engine_room import EngineRoom
from pipelines.events import Notice
from pipelines.home import EnginesStatus
from pipelines.paths import HomePaths
from pipelines.picture_engines import PictureEngines
from pipelines.settings import DeviceChoice, Settings
from pipelines.sight import Voice
from pipelines.speech_engine import SpeechEngine
from pipelines.text_engines import TextEngines
from pipelines.turn import Placement
from rag.ports import Reranker, TextEmbedder

if TYPE_CHECKING:
    from models.chat_llama import ChatLlama

LOGGER = logging.getLogger(__name__)


class Engines:
    """Every engine of one process. Thread-safe; nothing is loaded or looked at before it is asked for."""

    def __init__(
        self,
        paths: HomePaths,
        settings: Settings,
        *,
        device: DeviceChoice | None = None,
        chat_model: ChatModel | None = None,
        embedders: Sequence[TextEmbedder] = (),
        reranker: Reranker | None = None,
        ocr: OcrEngine | None = None,
        labeller: Labeller | None = None,
        recogniser: SpeechModel | None = None,
        image_encoder: ImageEncoder | None = None,
    ) -> None:
        """`device` overrides the settings'. Engines given replace the real ones; see `TextEngines`."""
        self._paths = paths
        self._settings = settings
        self._room = EngineRoom(paths, settings, device)
        self.text = TextEngines(self._room, embedders=embedders, reranker=reranker)
        """Embedders and the reranker."""
        self.clip = ClipEngine(self._room, encoder=image_encoder)
        """What knows pictures by their looks."""
        self.speech = SpeechEngine(self._room, recogniser=recogniser)
        """What listens to recordings."""
        self.pictures = PictureEngines(self._room, ocr=ocr, labeller=labeller)
        """What looks at pictures."""
        self._given_chat = chat_model
        self._given_chat_lock = threading.Lock()
        self._choices = ChatChoices(self._room)
        self._chat_placements: dict[str, TaskPlacement] = {}
        """Where each chat model that was loaded runs, by its id."""
        self._chats_loaded: set[ChatChoice] = set()
        self._told_placements: tuple[object, dict[str, Placement]] | None = None
        self._told: set[str] = set()
        self._closed = False

    # ------------------------------------------------------------------ what there is

    @property
    def weights(self) -> Weights:
        return self._room.weights

    @property
    def hardware(self) -> Hardware:
        """Found once a process: asks every engine for its devices, which loads the engines' libraries."""
        return self._room.hardware

    @property
    def profile(self) -> ProfileStore:
        return self._room.profile

    def machine(self) -> Machine:
        """What decides whether a model fits: free memory, and measured speed where there is one."""
        return self._room.machine()

    # ------------------------------------------------------------------ chat

    @property
    def chat_model_id(self) -> str:
        """Raises WeightsMissing, WeightsDamaged, UnknownModel."""
        return self._given_chat.model_id if self._given_chat is not None else self._choices.chat.model_id

    @property
    def chat_is_loaded(self) -> bool:
        if self._given_chat is not None:
            return True
        try:
            return bool(self._chat_placements) and self._is_loaded(self._choices.chat)
        except ModelError:  # one for pictures is loaded, and there is none for texts
            return False

    def _is_loaded(self, choice: ChatChoice) -> bool:
        return self._room.residents.is_loaded(_resident(choice.model_id))

    @contextmanager
    def chat(self) -> Iterator[ChatModel]:
        """The chat model, for this caller alone until the block is left; loaded, and measured once, if need be.

        Raises WeightsMissing, WeightsDamaged, NotEnoughMemory, EngineFailed.
        """
        if self._given_chat is not None:
            with self._given_chat_lock:
                yield self._given_chat
            return
        with self._use(self._choices.chat) as chat:
            yield chat

    def _use(self, choice: ChatChoice) -> AbstractContextManager[ChatModel]:
        return self._room.residents.use(
            _resident(choice.model_id), lambda: self._load_chat(choice), choice.needed_bytes
        )

    def chat_voice(self) -> Voice:
        """The chat model, as whoever answers wants it."""
        return Voice(
            self.chat,
            to_load=lambda: "" if self.chat_is_loaded else self.chat_model_id,
            prefill_tokens_per_s=self.prefill_tokens_per_s,
        )

    def seeing_voice(self) -> Voice | None:
        """The model that is shown pictures: the chat model itself where it sees, or another one; None without any.

        Raises WeightsMissing, WeightsDamaged, UnknownModel.
        """
        if self._given_chat is not None:
            return self.chat_voice() if "image" in self._given_chat.accepts else None
        choice = self._choices.seeing
        if choice is None:
            return None
        return Voice(
            lambda: self._use(choice),
            to_load=lambda: "" if self._is_loaded(choice) else choice.model_id,
            prefill_tokens_per_s=lambda: self._prefill_tokens_per_s(choice),
        )

    def _load_chat(self, choice: ChatChoice) -> ChatLlama:
        from models.chat_llama import ChatLlama
        from models.llama_context import ChatLlamaOptions

        placement = self._place_chat(choice)
        free_bytes = self.hardware.memory.available_bytes
        if not placement.llama_devices and choice.needed_bytes > free_bytes:
            raise NotEnoughMemory(
                f"{choice.model_id} needs {choice.needed_bytes / 1e9:.1f} GB of memory and {free_bytes / 1e9:.1f} GB "
                "are free",
                hint="close other programs, or choose a smaller model: homebody models fit",
            )
        chat = ChatLlama(
            choice.path,
            ChatLlamaOptions(
                n_ctx=self._settings.chat.context_tokens,
                n_threads=placement.threads,
                n_threads_batch=placement.threads_batch,
                type_k=placement.kv_type,
                type_v=placement.kv_type,
                n_gpu_layers=placement.gpu_layers,
                device_names=placement.llama_devices,
                max_picture_tokens=self._settings.chat.picture_tokens,
            ),
            model_id=choice.model_id,
            mmproj=choice.mmproj,
            before_vision=lambda: self._try_mmproj(choice),
            states_dir=self._prompts_dir,
        )
        try:
            if self.profile.needs_chat(choice.model_id):
                self._measure_chat(chat, choice)
        except BaseException:
            chat.close()
            raise
        self._chat_placements[choice.model_id] = self._read_back(self._place_chat(choice), chat)
        self._chats_loaded.add(choice)
        return chat

    def _try_mmproj(self, choice: ChatChoice) -> None:
        """Raises WeightsDamaged for a file of the user's own that would end this process."""
        if choice.mmproj is not None and choice.is_users_own:
            MmprojTrials(self._paths.cache_dir / "mmproj-trials.json").require(choice.path, choice.mmproj)

    def _measure_chat(self, chat: ChatLlama, choice: ChatChoice) -> None:
        """Once per machine and model, some seconds. The user's own thread count is measured as it is.

        What was measured while other programs used the cores is not kept: one bad minute would decide for good.
        """
        fixed = self._settings.chat.threads
        candidates = (fixed,) if fixed else candidate_threads(self.hardware.cpu)
        LOGGER.info("measuring %s with %s threads", choice.model_id, candidates)
        watch = ContentionWatch()
        rates = measure_chat(chat, candidates, weights_bytes=choice.weights_bytes)
        if watch.contended(max(candidates)):
            LOGGER.info("not kept, other programs used %.1f cores: %s", watch.others_cores(), rates)
        else:
            self.profile.record_chat(choice.model_id, rates)
        placement = self._place_chat(choice)
        chat.set_threads(placement.threads, placement.threads_batch)

    def _place_chat(self, choice: ChatChoice) -> TaskPlacement:
        needs = ModelNeeds(choice.model_id, choice.needed_bytes)
        placement = self._room.place("chat", needs, self._settings.chat.threads)
        if self._settings.chat.kv_type != "auto":
            placement = replace(placement, kv_type=self._settings.chat.kv_type)
        return placement

    @staticmethod
    def _read_back(placement: TaskPlacement, chat: ChatLlama) -> TaskPlacement:
        """The plan beside what the engine says: a GPU that took no layer is a fallback, and is said."""
        if placement.llama_devices and not chat.facts.layers_offloaded:
            return replace(
                placement,
                device="CPU",
                reason="the GPU took no layer of the model",
                fallback=Fallback(
                    placement.device, "CPU", "the GPU took no layer of the model", "Check its driver and free memory"
                ),
            )
        return placement

    def prefill_tokens_per_s(self) -> float:
        """How fast a prompt is read here: measured, or guessed from the cores before that."""
        if self._given_chat is not None:
            return float(getattr(self._given_chat, "prefill_tokens_per_s", 100.0))
        return self._prefill_tokens_per_s(self._choices.chat)

    def _prefill_tokens_per_s(self, choice: ChatChoice) -> float:
        measured = self.profile.current.prefill_tokens_per_s(choice.model_id)
        return measured or self._room.speed().prefill_tokens_per_s(choice.weights_bytes)

    def forget_prompts(self) -> None:
        """Delete what the chat engine keeps of conversations, in memory and on disk. Waits for an answer under way."""
        from models.prompt_state import PromptStates

        for choice in tuple(self._chats_loaded):
            if self._is_loaded(choice):
                with self._use(choice) as chat:
                    cast("ChatLlama", chat).forget()
        PromptStates(self._prompts_dir, fingerprint="").clear()

    @property
    def _prompts_dir(self) -> Path:
        return self._paths.cache_dir / "prompts"

    def observe(self, model_id: str, usage: Usage) -> None:
        """Learn from a real answer."""
        if self._given_chat is None:
            self.profile.observe(
                model_id,
                prefill_tokens=usage.prompt_tokens - usage.cached_tokens,
                prefill_s=usage.prefill_s - usage.encode_s,
                decode_tokens=usage.decode_tokens,
                decode_s=usage.decode_s,
            )

    # ------------------------------------------------------------------ saying it

    def task_placements(self, embedder: str = "") -> dict[Task, TaskPlacement]:
        """Where each task would run, or runs: what was read back from an engine wins over the plan.

        `embedder` is the one that the library is searched with; empty takes the one that a new library would get.
        """
        placements: dict[Task, TaskPlacement] = {}
        if self._given_chat is None:
            try:
                choice = self._choices.chat
                placements["chat"] = self._chat_placements.get(choice.model_id) or self._place_chat(choice)
            except ModelError as error:  # no model, a damaged one, an id that the catalogue does not know
                LOGGER.info("no chat model to place: %s", error)
        embed = self.text.placement(embedder or self.text.named or self.text.default_id())
        if embed is not None:
            placements["embed"] = embed
        rerank = self.text.reranker_placement()
        if rerank is not None:
            placements["rerank"] = rerank
        placements.update((each.task, each) for each in self.pictures.placements())
        if (clip := self.clip.placement()) is not None:
            placements["clip"] = clip
        if (speech := self.speech.placement()) is not None:
            placements["speech"] = speech
        return placements

    def placements(self, embedder: str = "") -> dict[str, Placement]:
        return {
            task: Placement(placement.device, placement.reason)
            for task, placement in self.task_placements(embedder).items()
        }

    def placements_of_an_answer(self, embedder: str = "") -> dict[str, Placement]:
        """`placements`, planned anew only when an engine was loaded since: looking at files and devices takes time."""
        loaded = (embedder, *self._chat_placements.items(), *self._loaded_placements())
        if self._told_placements is None or self._told_placements[0] != loaded:
            self._told_placements = (loaded, self.placements(embedder))
        return self._told_placements[1]

    def _loaded_placements(self) -> Iterator[TaskPlacement]:
        yield from self._chat_placements.values()
        yield from self.text.loaded_placements()
        yield from self.pictures.loaded_placements()
        yield from self.clip.loaded_placements()
        yield from self.speech.loaded_placements()

    def new_notices(self) -> Iterator[Notice]:
        """Fallbacks that the user has not been told of yet."""
        for placement in self._loaded_placements():
            if placement.fallback is not None:
                fallback = placement.fallback
                text = f"{placement.task} was asked to run on {fallback.asked} and runs on {fallback.running}: "
                text += fallback.why
                if text not in self._told:
                    self._told.add(text)
                    yield Notice(text, fallback.remedy)

    def status(self, embedder: str = "") -> EnginesStatus:
        missing: list[Notice] = []
        chat_model = ""
        try:
            chat_model = self.chat_model_id
        except ModelError as error:
            missing.append(Notice(str(error), error.hint))
        if not (embedder or self.text.named or self.text.default_id()):
            missing.append(
                Notice(
                    "no text embedder is installed: search is by words only", "run: homebody models pull --for embed"
                )
            )
        return EnginesStatus(chat_model, self.chat_is_loaded, self.placements(embedder), tuple(missing))

    def close(self) -> None:
        """Close what was loaded; keep what was learned. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._room.close()
        if "profile" in self._room.__dict__ and self._chat_placements:
            self.profile.save()


def _resident(model_id: str) -> str:
    return f"chat:{model_id}"
