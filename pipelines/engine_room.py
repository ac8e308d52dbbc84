"""What all engines of one process share: the weights, the hardware, the measured profile, the memory.

Everything is looked at when it is first asked for. Decides nothing but where a task runs; knows no engine.
"""

from __future__ import annotations

from functools import cached_property

from models.fit import ChatSpeed, Machine
from models.hardware import Hardware, find_hardware
from models.placement import ModelNeeds, Task, TaskPlacement, place
from models.profile import ProfileStore
from models.resident import Residents
from models.user_files import FileHashes
from models.weights import Weights
from pipelines.paths import HomePaths
from pipelines.settings import DeviceChoice, Settings

ENGINES_SHARE_OF_FREE_MEMORY = 0.85
"""What engines may take together where the settings say nothing; the rest stays for the user's other programs."""


class EngineRoom:
    """Thread-safe as its parts are."""

    def __init__(
        self,
        paths: HomePaths,
        settings: Settings,
        device: DeviceChoice | None = None,
        *,
        weights: Weights | None = None,
    ) -> None:
        """`device` overrides the settings', `weights` those in the data folder."""
        self.paths = paths
        self.settings = settings
        self.weights = weights or Weights(paths.weights_dir)
        self._device: DeviceChoice = device or settings.device.device

    @property
    def device(self) -> DeviceChoice:
        """What the user wants things to run on."""
        return self._device

    @cached_property
    def hardware(self) -> Hardware:
        """Found once a process: asks every engine for its devices, which loads the engines' libraries."""
        return find_hardware()

    @cached_property
    def profile(self) -> ProfileStore:
        return ProfileStore(self.paths.profile_file, self.hardware.fingerprint())

    @cached_property
    def residents(self) -> Residents:
        budget_mb = self.settings.device.memory_budget_mb
        budget_bytes = budget_mb * 2**20 or int(self.hardware.memory.available_bytes * ENGINES_SHARE_OF_FREE_MEMORY)
        return Residents(budget_bytes)

    @cached_property
    def hashes(self) -> FileHashes:
        """Of weights that the catalogue does not know."""
        return FileHashes(self.paths.cache_dir / "hashes.json")

    def machine(self) -> Machine:
        """What decides whether a model fits: free memory, and measured speed where there is one."""
        return Machine(free_memory_bytes=self.hardware.memory.available_bytes, speed=self.speed())

    def speed(self) -> ChatSpeed:
        profile = self.profile.current
        measured = [rates for rates in profile.chat.values() if rates.weights_bytes]
        if measured:
            largest = max(measured, key=lambda rates: rates.weights_bytes)
            return ChatSpeed.from_measurement(
                weights_bytes=largest.weights_bytes,
                prefill_tokens_per_s=largest.prefill_tokens_per_s,
                decode_tokens_per_s=largest.decode_tokens_per_s,
            )
        sets = self.hardware.cpu.instruction_sets
        return ChatSpeed.guess(
            physical_cores=self.hardware.cpu.worker_cores,
            vector_bits=512 if "avx512f" in sets else 256 if "avx2" in sets else 128,
            memory_bytes_per_s=profile.memory_bytes_per_s,
        )

    def place(self, task: Task, model: ModelNeeds, threads: int) -> TaskPlacement:
        """Decide by what is known now: after a measurement the same question may get another answer."""
        return place(
            task,
            self.hardware,
            self.profile.current,
            model,
            device=self._device,
            wish=self.settings.device.profile,
            threads=threads,
        )

    def close(self) -> None:
        """Close every engine that was loaded. Safe to call twice."""
        if "residents" in self.__dict__:
            self.residents.close_all()
